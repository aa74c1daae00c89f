"""Gives a row twice where two pages meet."""

from __future__ import annotations

from good_source import Json, Source

CAUGHT_BY = "read.fills_the_primary_key"


class Broken(Source):
    def rows(self, table: Json) -> list[Json]:
        rows = super().rows(table)
        return [*rows[:10], *rows[9:]]


if __name__ == "__main__":
    Broken().main()
