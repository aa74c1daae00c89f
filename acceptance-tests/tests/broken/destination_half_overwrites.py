"""Empties the stream first, and then writes."""

from __future__ import annotations

from good_destination import Destination, Json, Stream

CAUGHT_BY = "overwrite.keeps_the_old_result_until_complete"


class Broken(Destination):
    def make(self, folder: str, entry: Json) -> Stream:
        stream = super().make(folder, entry)
        if stream.mode == "overwrite":
            stream.replace([])
            stream.mode = "append"
        return stream


if __name__ == "__main__":
    Broken().main()
