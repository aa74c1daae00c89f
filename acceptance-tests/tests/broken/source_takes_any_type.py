"""Makes text of whatever the config holds."""

from __future__ import annotations

import json
from pathlib import Path

from good_source import Json, Source

CAUGHT_BY = "check.refuses_a_value_of_a_wrong_type"


class Broken(Source):
    def config(self, path: str) -> Json:
        config = json.loads(Path(path).read_text())
        return {"folder": "/tmp", **config, "password": str(config["password"])}


if __name__ == "__main__":
    Broken().main()
