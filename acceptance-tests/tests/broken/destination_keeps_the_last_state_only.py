"""Gives back only the last state."""

from __future__ import annotations

from good_destination import Destination, Json

CAUGHT_BY = "state.comes_back_each_and_in_order"


class Broken(Destination):
    last: tuple[Json, int] | None = None

    def echo(self, message: Json, count: int) -> None:
        self.last = message, count

    def end(self, broken: str | None) -> None:
        super().end(broken)
        if self.last:
            super().echo(*self.last)


if __name__ == "__main__":
    Broken().main()
