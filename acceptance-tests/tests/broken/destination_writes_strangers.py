"""Writes records of streams that nobody has configured into one that is."""

from __future__ import annotations

from good_destination import Destination, Json

CAUGHT_BY = "input.may_hold_streams_that_the_catalog_lacks"


class Broken(Destination):
    def record(self, record: Json, line: bytes) -> None:
        if (record.get("namespace"), record["stream"]) not in self.streams:
            record["namespace"], record["stream"] = next(iter(self.streams))
        super().record(record, line)


if __name__ == "__main__":
    Broken().main()
