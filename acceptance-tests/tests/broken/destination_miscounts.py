"""Counts every row it has ever seen."""

from __future__ import annotations

from good_destination import Destination, Json

CAUGHT_BY = "state.carries_counts_that_add_up"


class Broken(Destination):
    total = 0

    def echo(self, message: Json, count: int) -> None:
        self.total += count
        super().echo(message, self.total)


if __name__ == "__main__":
    Broken().main()
