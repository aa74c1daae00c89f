"""Ends on a message of a type that it does not know."""

from __future__ import annotations

from good_destination import Destination, Json

CAUGHT_BY = "input.may_hold_unknown_types"


class Broken(Destination):
    def take(self, message: Json, line: bytes) -> None:
        {"RECORD": 1, "STATE": 2, "TRACE": 3, "LOG": 4}[message["type"]]
        super().take(message, line)


if __name__ == "__main__":
    Broken().main()
