"""Reads the numbers of a state as floats."""

from __future__ import annotations

import json

from good_destination import Destination, Json

CAUGHT_BY = "state.keeps_everything_that_it_held"


class Broken(Destination):
    def take(self, message: Json, line: bytes) -> None:
        super().take(json.loads(line, parse_int=lambda text: int(text) if len(text) < 17 else float(text)), line)


if __name__ == "__main__":
    Broken().main()
