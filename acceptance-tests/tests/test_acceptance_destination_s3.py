"""destination-s3 passes the suite, writing to a local folder."""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path

import pytest

from acceptance_tests.plugin import Acceptance, destination_suite
from acceptance_tests.protocol import Json, StreamId, loads

COMMAND = Path(sys.executable).with_name("destination-s3")


@pytest.fixture(scope="module")
def connector(tmp_path_factory: pytest.TempPathFactory) -> Acceptance:
    folder = tmp_path_factory.mktemp("files")

    def get(stream: StreamId) -> list[Json]:
        """Which files belong to a stream, the notes beside them tell."""
        found = []
        for note in (folder / ".airbyte").glob("note-*.json"):
            content = json.loads(note.read_bytes())
            if (content["namespace"], content["name"]) == stream:
                mark = note.stem.removeprefix("note-")
                found += [path for path in folder.rglob(f"*{mark}*.jsonl.gz") if not path.name.startswith(".")]
        return [loads(line) for path in sorted(found) for line in gzip.decompress(path.read_bytes()).splitlines()]

    config = {"bucket": f"file://{folder}", "format": "jsonl", "compression": "gzip"}
    return Acceptance(config=config, command=[str(COMMAND)], get=get)


FAST = (
    "spec.*",
    "first.*",
    "append.*_null_ids",
    "overwrite.replaces_with_null_ids",
    "state.*",
    "judge.*",
    "values.big_numbers",
    "always.*",
)
test_destination_s3 = destination_suite(FAST)
