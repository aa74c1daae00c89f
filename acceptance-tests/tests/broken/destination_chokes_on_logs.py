"""Takes only records and states."""

from __future__ import annotations

from good_destination import Destination, Json

CAUGHT_BY = "input.may_hold_logs_and_traces"


class Broken(Destination):
    def take(self, message: Json, line: bytes) -> None:
        if message["type"] not in ("RECORD", "STATE", "TRACE"):
            raise ValueError(f"unexpected {message['type']}")
        super().take(message, line)


if __name__ == "__main__":
    Broken().main()
