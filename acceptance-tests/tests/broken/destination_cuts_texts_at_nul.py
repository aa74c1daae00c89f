"""Ends a text where it holds a NUL."""

from __future__ import annotations

import json

from good_destination import Destination, Json

CAUGHT_BY = "values.nul"


class Broken(Destination):
    def data(self, record: Json, line: bytes) -> str:
        row = {
            name: value.partition("\0")[0] if isinstance(value, str) else value
            for name, value in record["data"].items()
        }
        return json.dumps(row)


if __name__ == "__main__":
    Broken().main()
