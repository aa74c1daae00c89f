"""Loses the rows of the last, unfilled page."""

from __future__ import annotations

from good_source import Json, Source

CAUGHT_BY = "changes.are_read_as_they_were_put"


class Broken(Source):
    def rows(self, table: Json) -> list[Json]:
        rows = super().rows(table)
        return rows[: len(rows) // 10 * 10]


if __name__ == "__main__":
    Broken().main()
