"""Counts the rows that are left when those with the same key have gone."""

from __future__ import annotations

from good_destination import Destination, Json

CAUGHT_BY = "state.carries_counts_that_add_up"


class Broken(Destination):
    def state(self, message: Json) -> None:
        for stream in self.covered(message["state"]):
            stream.count = len(stream.merged(stream.waiting)) if stream.mode == "append_dedup" else stream.count
        super().state(message)


if __name__ == "__main__":
    Broken().main()
