"""Removes older generations before the new one is complete."""

from __future__ import annotations

from good_destination import Destination, Json, Stream

CAUGHT_BY = "overwrite.keeps_the_old_result_until_complete"


class Broken(Destination):
    def make(self, folder: str, entry: Json) -> Stream:
        stream = super().make(folder, entry)
        if stream.truncates:
            stream.replace([])
        return stream


if __name__ == "__main__":
    Broken().main()
