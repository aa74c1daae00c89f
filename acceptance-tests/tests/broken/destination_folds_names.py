"""Writes the names of fields in small letters."""

from __future__ import annotations

import json

from good_destination import Destination, Json

CAUGHT_BY = "values.names_of_columns"


class Broken(Destination):
    def data(self, record: Json, line: bytes) -> str:
        return json.dumps({name.lower(): value for name, value in record["data"].items()})


if __name__ == "__main__":
    Broken().main()
