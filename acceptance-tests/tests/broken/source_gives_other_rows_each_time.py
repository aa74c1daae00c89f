"""Leaves rows out at random."""

from __future__ import annotations

import random

from good_source import Json, Source

CAUGHT_BY = "read.gives_the_same_twice"


class Broken(Source):
    def rows(self, table: Json) -> list[Json]:
        rows = super().rows(table)
        return random.sample(rows, len(rows) * 2 // 3)


if __name__ == "__main__":
    Broken().main()
