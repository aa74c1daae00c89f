"""Takes an explicit null for a value."""

from __future__ import annotations

from good_destination import Destination, Json

CAUGHT_BY = "input.may_hold_explicit_nulls"


class Broken(Destination):
    def record(self, record: Json, line: bytes) -> None:
        if "meta" in record:
            record["meta"]["changes"]
        super().record(record, line)


if __name__ == "__main__":
    Broken().main()
