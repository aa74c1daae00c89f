"""Replaces every stream of the catalog, those too for which nothing came."""

from __future__ import annotations

from good_destination import Destination

CAUGHT_BY = "overwrite.keeps_a_stream_that_nothing_was_said_of"


class Broken(Destination):
    def end(self, broken: str | None) -> None:
        if any(stream.state_last for stream in self.streams.values()):
            for stream in self.streams.values():
                stream.state_last = True
        super().end(broken)


if __name__ == "__main__":
    Broken().main()
