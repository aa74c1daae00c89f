"""Drops fields that were not there in the first run."""

from __future__ import annotations

import json

from good_destination import Destination, Json

CAUGHT_BY = "schema.may_grow"


class Broken(Destination):
    def data(self, record: Json, line: bytes) -> str:
        stream = self.streams[record.get("namespace"), record["stream"]]
        old = stream.stored()
        known = set(json.loads(old[0].partition(" ")[2])) if old else set(record["data"])
        return json.dumps({name: value for name, value in record["data"].items() if name in known})


if __name__ == "__main__":
    Broken().main()
