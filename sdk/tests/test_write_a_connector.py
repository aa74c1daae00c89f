"""docs/write-a-connector.md as a newcomer follows it: its two programs, as they stand there, through all commands."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

GUIDE = Path(__file__).parents[2] / "docs" / "write-a-connector.md"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the guide's programs, configs and catalog, and a table of 2,500 notes."""
    text = GUIDE.read_text()
    for program in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        (tmp_path / program.split()[1]).write_text(program)
    (tmp_path / "catalog.json").write_text(re.findall(r"```json\n(.*?)```", text, re.DOTALL)[0])
    (tmp_path / "notes.yaml").write_text("path: notes.db")
    (tmp_path / "lite.yaml").write_text("path: lite.db")
    with sqlite3.connect(tmp_path / "notes.db") as db:
        db.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT)")
        db.executemany("INSERT INTO notes VALUES (?, ?)", [(n, f"메모 {n}\n\"'") for n in range(1, 2501)])
    return tmp_path


def run(folder: Path, *arguments: str, given: bytes = b"") -> bytes:
    done = subprocess.run([sys.executable, *arguments], cwd=folder, input=given, capture_output=True, timeout=60)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()
    return done.stdout


def messages(output: bytes, kind: str) -> list[dict[str, Any]]:
    return [message for line in output.splitlines() if (message := json.loads(line))["type"] == kind]


def pipe(folder: Path, catalog: str = "catalog.json", state: bool = False) -> tuple[int, list[dict[str, Any]]]:
    """Source into destination; returns how many rows came, and the states that came out."""
    read = ("source_notes.py", "read", "--config", "notes.yaml", "--catalog", catalog)
    rows = run(folder, *read, *(("--state", "state.json") if state else ()))
    out = run(folder, "destination_lite.py", "write", "--config", "lite.yaml", "--catalog", catalog, given=rows)
    states = [message["state"] for message in messages(out, "STATE")]
    (folder / "state.json").write_text(json.dumps(states[-1:]))
    return len(messages(rows, "RECORD")), states


def written(folder: Path) -> list[dict[str, Any]]:
    with sqlite3.connect(folder / "lite.db") as db:
        return [json.loads(row) for (row,) in db.execute("SELECT row FROM notes")]


def test_each_program_has_at_most_35_lines_of_code(folder: Path) -> None:
    for name in ("source_notes.py", "destination_lite.py"):
        lines = (folder / name).read_text().splitlines()
        assert sum(1 for line in lines if line.strip() and not line.lstrip().startswith("#")) <= 35


def test_spec_check_and_discover(folder: Path) -> None:
    for name, config in (("source_notes.py", "notes.yaml"), ("destination_lite.py", "lite.yaml")):
        assert "path" in messages(run(folder, name, "spec"), "SPEC")[0]["spec"]["connectionSpecification"]["required"]
        status = messages(run(folder, name, "check", "--config", config), "CONNECTION_STATUS")[0]
        assert status["connectionStatus"]["status"] == "SUCCEEDED"
    catalog = messages(run(folder, "source_notes.py", "discover", "--config", "notes.yaml"), "CATALOG")[0]["catalog"]
    assert [stream["name"] for stream in catalog["streams"]] == ["notes"]


def test_a_file_that_is_not_there_fails_the_check(folder: Path) -> None:
    (folder / "notes.yaml").write_text("path: nowhere.db")
    status = messages(run(folder, "source_notes.py", "check", "--config", "notes.yaml"), "CONNECTION_STATUS")[0]
    assert status["connectionStatus"]["status"] == "FAILED"
    assert "nowhere.db" in status["connectionStatus"]["message"]


def test_a_second_run_moves_only_what_is_new(folder: Path) -> None:
    assert pipe(folder)[0] == 2500
    with sqlite3.connect(folder / "notes.db") as db:
        db.execute("INSERT INTO notes VALUES (2501, 'new')")
    assert pipe(folder, state=True)[0] == 1
    assert sorted(row["id"] for row in written(folder)) == list(range(1, 2502))


def test_reading_resumes_from_every_state(folder: Path) -> None:
    _, states = pipe(folder)
    assert len(states) == 3
    for state in states:
        (folder / "state.json").write_text(json.dumps([state]))
        assert pipe(folder, state=True)[0] == 2500 - state["stream"]["stream_state"]["id"]


def test_an_overwrite_replaces_only_once_it_is_complete(folder: Path) -> None:
    pipe(folder)
    (folder / "over.json").write_text((folder / "catalog.json").read_text().replace("append", "overwrite"))
    read = run(folder, "source_notes.py", "read", "--config", "notes.yaml", "--catalog", "over.json")
    half = b"".join(read.splitlines(keepends=True)[:100])
    write = [sys.executable, "destination_lite.py", "write", "--config", "lite.yaml", "--catalog", "over.json"]
    assert subprocess.run(write, cwd=folder, input=half, capture_output=True, timeout=60).returncode != 0
    assert len(written(folder)) == 2500
    with sqlite3.connect(folder / "notes.db") as db:
        db.execute("DELETE FROM notes WHERE id > 10")
    pipe(folder, "over.json")
    assert [row["id"] for row in written(folder)] == list(range(1, 11))
    assert written(folder)[0]["text"] == "메모 1\n\"'"
