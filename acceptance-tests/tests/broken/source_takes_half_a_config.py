"""Fills in what the config lacks."""

from __future__ import annotations

import json
from pathlib import Path

from good_source import Json, Source

CAUGHT_BY = "check.refuses_a_config_without_a_required_option"


class Broken(Source):
    def config(self, path: str) -> Json:
        return {"folder": "/tmp", "password": "", **json.loads(Path(path).read_text())}


if __name__ == "__main__":
    Broken().main()
