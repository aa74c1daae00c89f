"""The system and the store of the good connectors, on which the broken ones are tried."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from acceptance_tests.connector import Connector
from acceptance_tests.destination_subject import DestinationSubject
from acceptance_tests.hooks import shell_get, shell_put
from acceptance_tests.source_subject import SourceSubject

BROKEN = Path(__file__).parent / "broken"
sys.path.insert(0, str(BROKEN))  # for `fault_table`
ANSWER = 15.0
SECRET = "hunter2-hunter2"

INTEGER = {"type": ["null", "integer"]}
STRING = {"type": ["null", "string"]}
MOMENT = {**STRING, "format": "date-time", "airbyte_type": "timestamp_with_timezone"}


def python(script: str, *arguments: object) -> str:
    return " ".join(map(str, (sys.executable, "-B", BROKEN / script, *arguments)))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a connector writes to its working directory is not left in the tree."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever does not end need not be waited for long."""
    from acceptance_tests.suites.destination import stop as destination_stop
    from acceptance_tests.suites.source import readers
    from acceptance_tests.suites.source import stop as source_stop

    monkeypatch.setattr(readers, "LEAVE_WITHIN", 3.0)
    monkeypatch.setattr(source_stop, "WITHIN", 3.0)
    monkeypatch.setattr(destination_stop, "WITHIN", 3.0)


@pytest.fixture
def system(tmp_path: Path) -> Path:
    """The folder that the good source reads: three streams, with ties at the cursor, without a key, and empty."""
    folder = tmp_path / "system"
    folder.mkdir()
    orders = [
        {"id": number, "text": f"order {number} {'x' * 200}", "changed_at": f"2024-01-01T00:00:{number // 4:02}Z"}
        for number in range(1, 48)
    ]
    fields = {"id": INTEGER, "text": STRING, "changed_at": MOMENT}
    words = [{"word": word} for word in "abca"]
    tables: dict[str, dict[str, Any]] = {
        "orders": {"namespace": "shop", "key": ["id"], "cursor": "changed_at", "fields": fields, "rows": orders},
        "words": {"namespace": None, "key": [], "cursor": None, "fields": {"word": STRING}, "rows": words},
        "nothing": {"namespace": "shop", "key": ["id"], "cursor": "id", "fields": {"id": INTEGER}, "rows": []},
    }
    for name, table in tables.items():
        (folder / f"{name}.json").write_text(json.dumps(table))
    return folder


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """The folder that the good destination writes to; it makes it itself."""
    return tmp_path / "store"


@pytest.fixture
def a_source(system: Path) -> Iterator[Callable[[str], SourceSubject]]:
    """`a_source("good_source.py")` is that script as a subject."""
    made: list[SourceSubject] = []

    def make(script: str) -> SourceSubject:
        config = {"folder": str(system), "password": SECRET}
        connector = Connector(config=config, command=python(script), timeout=ANSWER)
        made.append(SourceSubject(connector, shell_put(python("put.py", system), ANSWER)))
        return made[-1]

    yield make
    for subject in made:
        subject.close()


@pytest.fixture
def a_destination(store: Path) -> Iterator[Callable[[str], DestinationSubject]]:
    """`a_destination("good_destination.py")` is that script as a subject."""
    made: list[DestinationSubject] = []

    def make(script: str) -> DestinationSubject:
        config = {"folder": str(store), "password": SECRET}
        connector = Connector(config=config, command=python(script), timeout=ANSWER)
        made.append(DestinationSubject(connector, shell_get(python("get.py", store), ANSWER)))
        return made[-1]

    yield make
    for subject in made:
        subject.close()


@pytest.fixture
def system_config(system: Path, tmp_path: Path) -> Path:
    """The config file of the good source."""
    path = tmp_path / "source.json"
    path.write_text(json.dumps({"folder": str(system), "password": SECRET}))
    return path


@pytest.fixture
def store_config(store: Path, tmp_path: Path) -> Path:
    """The config file of the good destination."""
    path = tmp_path / "destination.json"
    path.write_text(json.dumps({"folder": str(store), "password": SECRET}))
    return path
