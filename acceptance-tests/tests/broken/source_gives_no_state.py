"""Gives no state for a stream that it read in full."""

from __future__ import annotations

from good_source import Json, Source

CAUGHT_BY = "state.comes_for_every_stream"


class Broken(Source):
    def state(self, stream: Json, state: Json) -> None:
        if state:
            super().state(stream, state)


if __name__ == "__main__":
    Broken().main()
