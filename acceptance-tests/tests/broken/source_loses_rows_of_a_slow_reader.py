"""Writes without waiting, and drops what the pipe does not take."""

from __future__ import annotations

import contextlib
import os

from good_source import Source

CAUGHT_BY = "reader.may_be_slow"


class Broken(Source):
    def write(self, text: str) -> None:
        os.set_blocking(1, False)
        with contextlib.suppress(BlockingIOError):
            os.write(1, text.encode())


if __name__ == "__main__":
    Broken().main()
