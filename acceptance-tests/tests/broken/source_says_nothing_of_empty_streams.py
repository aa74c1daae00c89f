"""Says nothing at all of a stream without rows."""

from __future__ import annotations

from good_source import Json, Source

CAUGHT_BY = "read.completes_empty_streams"


class Broken(Source):
    def read_stream(self, configured: Json, table: Json, state: Json) -> None:
        if self.rows(table):
            super().read_stream(configured, table, state)


if __name__ == "__main__":
    Broken().main()
