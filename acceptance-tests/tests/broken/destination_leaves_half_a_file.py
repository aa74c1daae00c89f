"""Writes into its file line by line, and reads no further than a line that was cut."""

from __future__ import annotations

import time

from good_destination import Destination, Json, Stream

CAUGHT_BY = "stop.can_be_killed_at_any_moment_of_an_append"


class LineByLine(Stream):
    def commit(self) -> None:
        with self.file.open("a", encoding="utf-8", buffering=1) as file:
            for line in self.waiting:
                half = len(line) // 2
                file.write(line[:half])
                file.flush()
                time.sleep(0.002)
                file.write(line[half:] + "\n")
        self.waiting = []


class Broken(Destination):
    def make(self, folder: str, entry: Json) -> Stream:
        return LineByLine(folder, entry)


if __name__ == "__main__":
    Broken().main()
