"""Waits for ever when nobody takes its states."""

from __future__ import annotations

import time

from good_destination import Destination, Json

CAUGHT_BY = "stop.ends_when_nobody_takes_its_output"


class Broken(Destination):
    def say(self, kind: str, key: str, body: Json) -> None:
        try:
            super().say(kind, key, body)
        except BrokenPipeError:
            time.sleep(600)


if __name__ == "__main__":
    Broken().main()
