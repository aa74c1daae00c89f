"""Replaces every stream whose name begins in the same way."""

from __future__ import annotations

from pathlib import Path

from good_destination import Destination, Json, Stream

CAUGHT_BY = "overwrite.leaves_other_streams_alone"


class ByPrefix(Stream):
    def __init__(self, folder: str, entry: Json) -> None:
        super().__init__(folder, entry)
        self.names = Path(folder, "names")
        with self.names.open("a") as file:
            file.write(f"{self.name[1]} {self.file}\n")

    def finish(self) -> None:
        super().finish()
        for line in self.names.read_text().splitlines():
            name, _, path = line.partition(" ")
            if name.startswith(self.name[1]) and path != str(self.file):
                Path(path).unlink(missing_ok=True)


class Broken(Destination):
    def make(self, folder: str, entry: Json) -> Stream:
        return ByPrefix(folder, entry)


if __name__ == "__main__":
    Broken().main()
