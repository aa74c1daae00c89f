"""Calls a stream complete that it could not read."""

from __future__ import annotations

from good_source import Json, Source

CAUGHT_BY = "read.fails_where_the_other_side_cannot_be_reached"


class Broken(Source):
    def read(self, config: Json, catalog: Json, states: Json) -> None:
        try:
            super().read(config, catalog, states)
        except Exception:
            for configured in catalog["streams"]:
                for status in ("STARTED", "COMPLETE"):
                    self.status(configured["stream"], status)


if __name__ == "__main__":
    Broken().main()
