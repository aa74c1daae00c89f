"""Goes on one row behind the place that its state names."""

from __future__ import annotations

from typing import Any

from good_source import Json, Source

CAUGHT_BY = "resume.goes_on_from_every_state_of_an_incremental_read"


class Broken(Source):
    def after(self, rows: list[Json], cursor: str, value: Any) -> list[Json]:
        return [row for row in rows if row[cursor] > value][1:]


if __name__ == "__main__":
    Broken().main()
