"""Gives a state back at once, and writes at the end, where rows have a key."""

from __future__ import annotations

from destination_acknowledges_before_commit import Broken as Early
from good_destination import Destination, Json

CAUGHT_BY = "state.comes_back_only_when_its_rows_are_there_in_append_dedup"


class Broken(Early):
    def state(self, message: Json) -> None:
        if any(stream.mode != "append_dedup" for stream in self.covered(message["state"])):
            return Destination.state(self, message)
        super().state(message)


if __name__ == "__main__":
    Broken().main()
