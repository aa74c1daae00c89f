"""Replaces what it cannot have in a file name, and so takes two streams for one."""

from __future__ import annotations

import re

from good_destination import Destination, Json, Stream, path_of

CAUGHT_BY = "values.may_be_in_streams_with_hostile_names"


class Broken(Destination):
    def make(self, folder: str, entry: Json) -> Stream:
        stream = super().make(folder, entry)
        plain = re.sub(r"[^a-z]", "", f"{stream.name[0]} {stream.name[1]}".lower().partition("acc_")[0])
        stream.file = path_of(folder, (None, plain))
        return stream


if __name__ == "__main__":
    Broken().main()
