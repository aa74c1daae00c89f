"""Gives a state of all streams back at once, and writes at the end."""

from __future__ import annotations

from destination_acknowledges_before_commit import Broken as Early
from good_destination import Destination, Json

CAUGHT_BY = "state.of_all_streams_comes_back_only_when_its_rows_are_there"


class Broken(Early):
    def state(self, message: Json) -> None:
        if message["state"].get("type") != "GLOBAL":
            return Destination.state(self, message)
        super().state(message)


if __name__ == "__main__":
    Broken().main()
