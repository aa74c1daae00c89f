"""Reads streams that nobody has asked for."""

from __future__ import annotations

from good_source import Json, Source

CAUGHT_BY = "read.keeps_to_the_selected_streams"


class Broken(Source):
    def read(self, config: Json, catalog: Json, states: Json) -> None:
        streams = [{"stream": stream, "sync_mode": "full_refresh"} for stream in self.discover(config)]
        super().read(config, {"streams": streams}, states)


if __name__ == "__main__":
    Broken().main()
