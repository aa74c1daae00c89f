"""Finds new rows, and overlooks those that were changed."""

from __future__ import annotations

from typing import Any

from good_source import Json, Source

CAUGHT_BY = "changes.are_found_by_the_next_incremental_run"


class Broken(Source):
    def after(self, rows: list[Json], cursor: str, value: Any) -> list[Json]:
        seen = max((row["id"] for row in rows if row[cursor] <= value), default=0)
        return [row for row in rows if row["id"] >= seen]


if __name__ == "__main__":
    Broken().main()
