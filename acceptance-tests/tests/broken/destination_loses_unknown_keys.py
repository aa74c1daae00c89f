"""Gives back only those keys of a state that it knows."""

from __future__ import annotations

from good_destination import Destination, Json

CAUGHT_BY = "state.keeps_everything_that_it_held"


class Broken(Destination):
    def echo(self, message: Json, count: int) -> None:
        known = ("type", "stream", "global", "sourceStats", "id")
        state = {key: value for key, value in message["state"].items() if key in known}
        super().echo({**message, "state": state}, count)


if __name__ == "__main__":
    Broken().main()
