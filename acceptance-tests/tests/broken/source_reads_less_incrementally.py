"""Leaves the rows with the newest cursor for later."""

from __future__ import annotations

from good_source import Json, Source

CAUGHT_BY = "read.gives_as_much_incrementally"


class Broken(Source):
    def read_incremental(self, stream: Json, table: Json, state: Json) -> None:
        newest = max((row[table["cursor"]] for row in table["rows"]), default=None)
        rows = [row for row in table["rows"] if row[table["cursor"]] != newest]
        super().read_incremental(stream, {**table, "rows": rows}, state)


if __name__ == "__main__":
    Broken().main()
