"""Goes on for ever when nobody reads any more."""

from __future__ import annotations

import time

from good_source import Source

CAUGHT_BY = "reader.may_leave"


class Broken(Source):
    def write(self, text: str) -> None:
        while True:
            try:
                return super().write(text)
            except BrokenPipeError:
                time.sleep(0.1)


if __name__ == "__main__":
    Broken().main()
