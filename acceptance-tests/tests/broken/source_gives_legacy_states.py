"""Gives states of the old kind, without a type."""

from __future__ import annotations

from good_source import Json, Source

CAUGHT_BY = "state.is_stream_or_global"


class Broken(Source):
    def state(self, stream: Json, state: Json) -> None:
        self.say("STATE", "state", {"data": {stream["name"]: state}})


if __name__ == "__main__":
    Broken().main()
