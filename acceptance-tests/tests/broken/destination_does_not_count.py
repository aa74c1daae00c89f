"""Gives states back without counts."""

from __future__ import annotations

from good_destination import Destination, Json

CAUGHT_BY = "state.carries_counts_that_add_up"


class Broken(Destination):
    def echo(self, message: Json, count: int) -> None:
        self.say("STATE", "state", message["state"])


if __name__ == "__main__":
    Broken().main()
