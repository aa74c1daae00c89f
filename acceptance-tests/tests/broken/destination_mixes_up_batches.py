"""Writes the rows that wait to the stream whose state comes first."""

from __future__ import annotations

from good_destination import Destination, Json

CAUGHT_BY = "streams.may_come_in_any_order"


class Broken(Destination):
    def state(self, message: Json) -> None:
        target = self.covered(message["state"])[0]
        for stream in self.streams.values():
            if stream is not target:
                target.waiting += stream.waiting
                stream.waiting = []
        super().state(message)


if __name__ == "__main__":
    Broken().main()
