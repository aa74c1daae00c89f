"""Writes full batches only."""

from __future__ import annotations

from good_destination import Destination, Json, Stream

CAUGHT_BY = "append.keeps_both_runs_with_null_ids"


class Batching(Stream):
    def commit(self) -> None:
        full = len(self.waiting) // 4 * 4
        left = self.waiting[full:]
        self.waiting = self.waiting[:full]
        super().commit()
        self.waiting = left


class Broken(Destination):
    def make(self, folder: str, entry: Json) -> Stream:
        return Batching(folder, entry)


if __name__ == "__main__":
    Broken().main()
