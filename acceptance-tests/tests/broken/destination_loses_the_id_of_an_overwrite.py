"""Gives a state back without its `id` where it replaces."""

from __future__ import annotations

from good_destination import Destination, Json

CAUGHT_BY = "state.comes_back_each_and_in_order"


class Broken(Destination):
    def echo(self, message: Json, count: int) -> None:
        if any(stream.mode == "overwrite" for stream in self.covered(message["state"])):
            message["state"].pop("id", None)
        super().echo(message, count)


if __name__ == "__main__":
    Broken().main()
