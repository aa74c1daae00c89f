"""The other end of a pipe, as simple as it can be, for a sync with a connector under test.

`python -m acceptance_tests.stand_in destination` takes everything and echoes states; `… source FILE` says what is in
the file.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any


def destination() -> None:
    """Nothing is kept; each STATE comes back at once, with its counts."""
    since: Counter[Any] = Counter()
    for line in sys.stdin.buffer:
        message = json.loads(line)
        if message["type"] == "RECORD":
            record = message["record"]
            since[record.get("namespace"), record["stream"]] += 1
        elif message["type"] == "STATE":
            state = message["state"]
            state["destinationStats"] = {"recordCount": float(_covered(since, state))}
            sys.stdout.write(json.dumps(message) + "\n")
            sys.stdout.flush()


def _covered(since: Counter[Any], state: dict[str, Any]) -> int:
    if state.get("type") != "STREAM":
        count = since.total()
        since.clear()
        return count
    found = state["stream"]["stream_descriptor"]
    return since.pop((found.get("namespace"), found["name"]), 0)


def source(path: str) -> None:
    """What stands in the file, as it stands."""
    sys.stdout.buffer.write(Path(path).read_bytes())


if __name__ == "__main__":
    destination() if sys.argv[1] == "destination" else source(sys.argv[2])
