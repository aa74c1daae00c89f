"""Writes when a state comes, and forgets what comes after the last one."""

from __future__ import annotations

from good_destination import Destination, Json, Stream

CAUGHT_BY = "append.keeps_rows_after_the_last_state"


class AtStates(Stream):
    def finish(self) -> None:
        self.waiting.clear()
        super().finish()


class Broken(Destination):
    def make(self, folder: str, entry: Json) -> Stream:
        return AtStates(folder, entry)


if __name__ == "__main__":
    Broken().main()
