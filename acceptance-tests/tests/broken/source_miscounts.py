"""Counts all rows so far, not those since the last state."""

from __future__ import annotations

from good_source import Json, Source

CAUGHT_BY = "state.carries_counts_that_add_up"


class Broken(Source):
    total = 0

    def state(self, stream: Json, state: Json) -> None:
        self.total += self.counts.get(stream["name"], 0)
        self.counts[stream["name"]] = self.total
        super().state(stream, state)


if __name__ == "__main__":
    Broken().main()
