"""Knows streams by their name alone."""

from __future__ import annotations

from good_destination import Destination, Json, Stream, path_of

CAUGHT_BY = "streams.are_told_apart_by_their_namespace"


class Broken(Destination):
    def make(self, folder: str, entry: Json) -> Stream:
        stream = super().make(folder, entry)
        stream.file = path_of(folder, (None, stream.name[1]))
        return stream


if __name__ == "__main__":
    Broken().main()
