"""Keeps the oldest row of a key."""

from __future__ import annotations

from good_destination import Destination, Json, Stream

CAUGHT_BY = "append_dedup.keeps_one_row_a_key_with_null_ids"


class First(Stream):
    def merged(self, lines: list[str]) -> list[str]:
        return super().merged(lines[::-1])


class Broken(Destination):
    def make(self, folder: str, entry: Json) -> Stream:
        return First(folder, entry)


if __name__ == "__main__":
    Broken().main()
