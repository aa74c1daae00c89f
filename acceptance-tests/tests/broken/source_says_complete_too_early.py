"""Says COMPLETE before its last records."""

from __future__ import annotations

from good_source import Json, Source

CAUGHT_BY = "read.says_started_running_complete"


class Broken(Source):
    def read_full(self, stream: Json, table: Json, state: Json) -> None:
        self.status(stream, "COMPLETE")
        super().read_full(stream, table, state)


if __name__ == "__main__":
    Broken().main()
