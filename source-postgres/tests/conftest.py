"""What the tests of source-postgres share: a database of one's own, and a reader of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import pytest

from connector_parts.postgres import Database, Postgres
from connector_sdk import Checkpoint, ConfiguredStream, Estimate, Records, Stream, StreamName
from connector_sdk.rows import Flow, Flown
from source_postgres.config import PostgresConfig
from source_postgres.connect import connections
from source_postgres.discover import discover, find
from source_postgres.reading import read

Rows = list[dict[str, Any]]


@dataclass
class Result:
    """What one read gave."""

    rows: Rows = field(default_factory=list)
    changes: list[Any] = field(default_factory=list)
    states: list[dict[str, Any]] = field(default_factory=list)
    estimates: list[Estimate] = field(default_factory=list)

    def take(self, item: Any) -> None:
        match item:
            case Records():
                records = [json.loads(line)["record"] for line in item.data.splitlines()]
                assert len(records) == item.count
                self.rows += [record["data"] for record in records]
                self.changes += [record["meta"]["changes"] for record in records if "meta" in record]
            case Checkpoint():
                self.states.append(dict(item.state))
            case Estimate():
                self.estimates.append(item)

    def column(self, name: str) -> list[Any]:
        """The values of a column in order, nulls last."""
        values = [row[name] for row in self.rows]
        return sorted(values, key=lambda value: (value is None, value))


def taken(write: Callable[[int], Flown]) -> Records:
    with TemporaryFile() as file:
        flown = write(file.fileno())
        file.seek(0)
        lines = file.read() + flown.rest
    assert len(lines) == flown.size
    return Records(lines, flown.rows)


class Reader:
    """Reads a database in this process."""

    def __init__(self, database: Database, /, **options: Any) -> None:
        self.database = database
        self.options = {
            "host": database.host,
            "port": database.port,
            "database": database.database,
            "username": database.user,
            "password": database.password,
            **options,
        }
        self.config = PostgresConfig.model_validate(self.options)

    def with_options(self, **options: Any) -> Reader:
        return Reader(self.database, **{**self.options, **options})

    def streams(self) -> dict[str, Stream]:
        return {stream.name: stream for stream in discover(self.config)}

    def stream(self, name: str, schema: str = "public", **more: Any) -> ConfiguredStream:
        """The stream as the SDK hands it to `read`."""
        (found,) = find(self.config, {StreamName(schema, name)})
        mode = "incremental" if more.get("cursor") or "state" in more else "full_refresh"
        stream = ConfiguredStream(
            name=name, namespace=schema, schema=found.schema, sync_mode=mode, discovered=found, cursor=found.cursor
        )
        return replace(stream, **more)

    def start(self, name: str, schema: str = "public", **more: Any) -> Generator[Any, None, None]:
        """A read that goes on when it is asked for the next item."""
        return self.items(self.stream(name, schema, **more))

    def read(self, name: str, schema: str = "public", **more: Any) -> Result:
        result = Result()
        for item in self.items(self.stream(name, schema, **more)):
            result.take(item)
        return result

    def items(self, stream: ConfiguredStream) -> Generator[Any, None, None]:
        """What is read, with lines that would flow past us taken from where they flow to."""
        with closing(read(self.config, stream)) as items:  # type: ignore[type-var]
            for item in items:
                yield taken(item.write) if isinstance(item, Flow) else item

    def result(self) -> Result:
        """Somewhere to put items."""
        return Result()

    def close(self) -> None:
        connections(self.config).close()


@pytest.fixture
def database(postgres: Postgres) -> Database:
    """A new empty database of PostgreSQL 18."""
    return postgres.create_database()


@pytest.fixture
def reader_of() -> Iterator[Callable[..., Reader]]:
    """Makes readers, whose connections are closed after the test."""
    made: list[Reader] = []

    def make(database: Database, /, **options: Any) -> Reader:
        made.append(Reader(database, **options))
        return made[-1]

    yield make
    for reader in made:
        reader.close()


@pytest.fixture
def reader(database: Database, reader_of: Callable[..., Reader]) -> Reader:
    return reader_of(database)


@pytest.fixture(params=["18", pytest.param("15", marks=pytest.mark.slow)])
def any_database(request: pytest.FixtureRequest) -> Database:
    """A new empty database, of each version that there is."""
    server: Postgres = request.getfixturevalue("postgres" if request.param == "18" else "postgres15")
    return server.create_database()


def rest_of(process: subprocess.Popen[bytes]) -> bytes:
    """What it still says, to its end."""
    assert process.stdout
    output = process.stdout.read()
    process.wait()
    return output


class Command:
    """The connector as a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self, verb: str, config: Any, catalog: Any = None, state: Any = None) -> subprocess.Popen[bytes]:
        arguments = [sys.executable, "-c", "from source_postgres import main; main()", verb]
        for option, value in (("config", config), ("catalog", catalog), ("state", state)):
            if value is not None:
                path = self.folder / f"{option}-{len(self.processes)}.json"
                path.write_text(json.dumps(value))
                arguments += [f"--{option}", str(path)]
        process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.processes.append(process)
        return process

    def run(self, verb: str, config: Any, catalog: Any = None, state: Any = None) -> tuple[list[dict[str, Any]], int]:
        """The messages, and the exit code."""
        process = self.start(verb, config, catalog, state)
        return [json.loads(line) for line in rest_of(process).splitlines()], process.returncode

    def end(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                os.kill(process.pid, signal.SIGCONT)
                process.kill()
            process.wait()
            assert process.stdout
            process.stdout.close()


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Command]:
    made = Command(tmp_path)
    yield made
    made.end()
