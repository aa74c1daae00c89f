"""The `--put` of the good source: `python put.py FOLDER`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

request = json.load(sys.stdin)
path = Path(sys.argv[1], f"{request['stream']}.json")
table = json.loads(path.read_text())
key = table["key"]


def of(row: dict[str, object]) -> tuple[object, ...]:
    return tuple(row[part] for part in key) if key else (json.dumps(row),)


gone = {of(row) for row in [*request["rows"], *request["delete"]]}
table["rows"] = [row for row in table["rows"] if of(row) not in gone] + request["rows"]
new = path.with_suffix(".new")
new.write_text(json.dumps(table))
os.replace(new, path)
