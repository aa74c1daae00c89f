"""Gives records without fields."""

from __future__ import annotations

from good_source import Json, Source

CAUGHT_BY = "read.gives_no_empty_record"


class Broken(Source):
    def rows(self, table: Json) -> list[Json]:
        return [*super().rows(table), {}] if not table["cursor"] else super().rows(table)


if __name__ == "__main__":
    Broken().main()
