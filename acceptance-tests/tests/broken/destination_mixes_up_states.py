"""Gives states back in another order."""

from __future__ import annotations

from good_destination import Destination, Json

CAUGHT_BY = "state.comes_back_each_and_in_order"


class Broken(Destination):
    held: Json | None = None

    def echo(self, message: Json, count: int) -> None:
        if self.held is None:
            self.held = message
            return
        super().echo(message, count)
        super().echo(self.held, count)
        self.held = None


if __name__ == "__main__":
    Broken().main()
