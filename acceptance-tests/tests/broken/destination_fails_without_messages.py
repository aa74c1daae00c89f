"""Takes a stream for which nothing came for a failure."""

from __future__ import annotations

from good_destination import Destination

CAUGHT_BY = "streams.may_have_nothing_to_say"


class Broken(Destination):
    def end(self, broken: str | None) -> None:
        super().end(broken)
        if any(not stream.state_last and not stream.complete for stream in self.streams.values()):
            raise ValueError("a stream without messages")


if __name__ == "__main__":
    Broken().main()
