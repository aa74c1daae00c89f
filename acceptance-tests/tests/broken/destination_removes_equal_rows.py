"""Takes equal rows for one."""

from __future__ import annotations

from good_destination import Destination, Json, Stream

CAUGHT_BY = "append.keeps_equal_rows"


class Distinct(Stream):
    def merged(self, lines: list[str]) -> list[str]:
        return list(dict.fromkeys(super().merged(lines)))


class Broken(Destination):
    def make(self, folder: str, entry: Json) -> Stream:
        return Distinct(folder, entry)


if __name__ == "__main__":
    Broken().main()
