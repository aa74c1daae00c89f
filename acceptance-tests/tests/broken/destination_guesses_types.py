"""Makes numbers of texts that look like such."""

from __future__ import annotations

import json

from good_destination import Destination, Json

CAUGHT_BY = "values.texts_like_other_types"


class Broken(Destination):
    def data(self, record: Json, line: bytes) -> str:
        row = record["data"]
        return json.dumps(
            {name: int(value) if isinstance(value, str) and value.isdigit() else value for name, value in row.items()}
        )


if __name__ == "__main__":
    Broken().main()
