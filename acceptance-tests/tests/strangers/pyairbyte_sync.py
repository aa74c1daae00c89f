"""Runs in the environment of PyAirbyte: reads a source into DuckDB, twice, and writes it to a destination.

Standard input is `{"source": {"path", "config"}, "destination": {"path", "config"}, "streams": [names] }`, the folder
of the cache is the first argument; what was seen is printed as JSON.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

ab: Any = import_module("airbyte")
caches: Any = import_module("airbyte.caches")


def main(folder: Path) -> dict[str, Any]:
    asked = json.load(sys.stdin)
    source = ab.get_source(
        Path(asked["source"]["path"]).name,
        local_executable=Path(asked["source"]["path"]),
        config=asked["source"]["config"],
        streams=asked["streams"],
    )
    source.check()
    cache = caches.DuckDBCache(db_path=folder / "cache.duckdb")
    first = source.read(cache=cache)
    counts = {name: len(list(first.streams[name])) for name in asked["streams"]}
    again = source.read(cache=cache)
    destination = ab.get_destination(
        Path(asked["destination"]["path"]).name,
        local_executable=Path(asked["destination"]["path"]),
        config=asked["destination"]["config"],
    )
    destination.check()
    destination.write(source, cache=False, streams=asked["streams"])
    return {"counts": counts, "again": again.processed_records}


if __name__ == "__main__":
    print("RESULT " + json.dumps(main(Path(sys.argv[1]))))
