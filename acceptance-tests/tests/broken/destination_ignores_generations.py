"""Knows nothing of generations."""

from __future__ import annotations

from good_destination import Destination, Json, Stream

CAUGHT_BY = "append.removes_older_generations_in_a_truncate"


class Broken(Destination):
    def make(self, folder: str, entry: Json) -> Stream:
        return super().make(folder, {**entry, "minimum_generation_id": 0})


if __name__ == "__main__":
    Broken().main()
