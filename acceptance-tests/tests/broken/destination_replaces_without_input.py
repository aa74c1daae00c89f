"""Empties a stream when nothing came at all."""

from __future__ import annotations

from good_destination import Destination

CAUGHT_BY = "overwrite.deletes_nothing_without_input"


class Broken(Destination):
    def end(self, broken: str | None) -> None:
        for stream in self.streams.values():
            if not stream.count and not self.statuses:
                stream.finish()
        super().end(broken)


if __name__ == "__main__":
    Broken().main()
