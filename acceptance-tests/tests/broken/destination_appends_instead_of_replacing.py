"""Writes an overwrite beside the old rows."""

from __future__ import annotations

from good_destination import Destination, Json, Stream

CAUGHT_BY = "overwrite.replaces_with_null_ids"


class Broken(Destination):
    def make(self, folder: str, entry: Json) -> Stream:
        return super().make(folder, {**entry, "destination_sync_mode": "append"})


if __name__ == "__main__":
    Broken().main()
