"""Passes on what it has written."""

from __future__ import annotations

from good_destination import Destination, Json

CAUGHT_BY = "always.messages_follow_the_protocol"


class Broken(Destination):
    def record(self, record: Json, line: bytes) -> None:
        super().record(record, line)
        self.say("RECORD", "record", record)


if __name__ == "__main__":
    Broken().main()
