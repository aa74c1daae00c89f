"""Tells rows apart by the first part of their key."""

from __future__ import annotations

from good_destination import Destination, Json, Stream

CAUGHT_BY = "append_dedup.knows_keys_of_several_parts"


class Broken(Destination):
    def make(self, folder: str, entry: Json) -> Stream:
        stream = super().make(folder, entry)
        stream.key = stream.key[:1]
        return stream


if __name__ == "__main__":
    Broken().main()
