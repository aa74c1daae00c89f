"""Appends where it should replace by key."""

from __future__ import annotations

from good_destination import Destination, Json, Stream

CAUGHT_BY = "append_dedup.keeps_one_row_a_key_with_null_ids"


class Broken(Destination):
    def make(self, folder: str, entry: Json) -> Stream:
        stream = super().make(folder, entry)
        stream.mode = "append" if stream.mode == "append_dedup" else stream.mode
        return stream


if __name__ == "__main__":
    Broken().main()
