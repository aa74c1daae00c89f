"""Waits for ever when no input comes."""

from __future__ import annotations

import sys
import time

from good_destination import Destination

CAUGHT_BY = "input.may_be_empty"


class Broken(Destination):
    def take_all(self) -> str | None:
        if not sys.stdin.buffer.peek(1):
            time.sleep(600)
        return super().take_all()


if __name__ == "__main__":
    Broken().main()
