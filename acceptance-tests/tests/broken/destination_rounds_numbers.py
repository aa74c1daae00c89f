"""Reads numbers as floats."""

from __future__ import annotations

import json

from good_destination import Destination, Json

CAUGHT_BY = "values.big_numbers"


class Broken(Destination):
    def data(self, record: Json, line: bytes) -> str:
        return json.dumps(
            json.loads(super().data(record, line), parse_int=lambda text: int(text) if len(text) < 17 else float(text))
        )


if __name__ == "__main__":
    Broken().main()
