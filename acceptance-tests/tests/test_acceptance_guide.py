"""docs/write-a-connector.md: its commands run as they stand, and its connectors are models, in their errors too."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from acceptance_tests.connector import Connector, Said
from acceptance_tests.feed import Feed
from acceptance_tests.protocol import Json, StreamId
from acceptance_tests.suites.check import verdict

GUIDE = Path(__file__).parents[2] / "docs" / "write-a-connector.md"
NOTES = StreamId(None, "notes")


def blocks(language: str) -> list[str]:
    """What the guide shows in a language."""
    return re.findall(rf"```{language}\n(.*?)```", GUIDE.read_text(), re.DOTALL)


@pytest.fixture(autouse=True)
def files_of_the_guide(elsewhere: None) -> None:
    """Its programs and its catalog lie where they are used."""
    for program in blocks("python"):
        Path(program.split()[1]).write_text(program)
    (content,) = blocks("json")
    Path("catalog.json").write_text(content)


def test_its_commands_run_as_they_stand() -> None:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    words = ["bash", "-e", "-o", "pipefail", "-c", "\n".join(blocks("sh"))]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count('"SUCCEEDED"') == 2
    with closing(sqlite3.connect("lite.db")) as db:
        assert db.execute("SELECT row FROM notes").fetchall() == [('{"id":1,"text":"the first one"}',)]


@pytest.fixture
def of_the_guide() -> Iterator[Callable[[str, str], Connector]]:
    """`of_the_guide("source_notes", "notes.db")` is that program with the path of its file as its config."""
    made: list[Connector] = []

    def make(program: str, path: str) -> Connector:
        made.append(Connector({"path": path}, command=f"{sys.executable} -B {program}.py"))
        return made[-1]

    yield make
    for connector in made:
        connector.close()


def catalog() -> Json:
    (content,) = blocks("json")
    found: Json = json.loads(content)
    return found


def told(said: Said) -> list[tuple[str, str]]:
    """Kind and text of each ERROR."""
    return [(error["failure_type"], error["message"]) for error in said.transcript.traces("ERROR")]


@pytest.mark.parametrize("program", ["source_notes", "destination_lite"])
def test_a_file_that_is_no_database_fails_the_check(
    program: str, of_the_guide: Callable[[str, str], Connector]
) -> None:
    Path("note.txt").write_text("no database")
    said = of_the_guide(program, "note.txt").check()
    assert verdict(said) == "FAILED"
    assert said.transcript.of("CONNECTION_STATUS")[0].body["message"] == "note.txt: file is not a database"


def test_a_file_that_is_damaged_further_on_fails_the_read(of_the_guide: Callable[[str, str], Connector]) -> None:
    with closing(sqlite3.connect("notes.db")) as db, db:
        db.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT)")
        db.executemany("INSERT INTO notes (text) VALUES (?)", [("x" * 1000,)] * 100)
    content = Path("notes.db").read_bytes()
    Path("notes.db").write_bytes(content[:-8192] + b"\xff" * 8192)
    source = of_the_guide("source_notes", "notes.db")
    said = source.say(source.start("read", config=source.config, catalog=catalog()))
    assert said.transcript.of("RECORD")
    assert told(said) == [("config_error", "notes.db: database disk image is malformed")]


def written(destination: Connector) -> Said:
    """Of one row, sent to it."""
    process = destination.start("write", config=destination.config, catalog=catalog())
    process.offer(Feed().add(NOTES, [{"id": 1}]).text)
    return destination.say(process)


def test_a_file_that_is_no_database_fails_the_write(of_the_guide: Callable[[str, str], Connector]) -> None:
    Path("note.txt").write_text("no database")
    said = written(of_the_guide("destination_lite", "note.txt"))
    assert told(said) == [("config_error", "note.txt: file is not a database")]


def test_a_table_of_another_form_fails_the_write(of_the_guide: Callable[[str, str], Connector]) -> None:
    with closing(sqlite3.connect("lite.db")) as db:
        db.execute("CREATE TABLE notes (id INTEGER, text TEXT)")
    ((kind, text),) = told(written(of_the_guide("destination_lite", "lite.db")))
    assert kind == "config_error"
    assert text.startswith("lite.db: table notes has 2 columns")
