"""State in a SQLite file, the default. The lock is a lock of the system on a file beside it."""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from airpipe.errors import ConfigProblem, TransientProblem
from airpipe.statestore import PATIENCE, Lock, Store, busy
from airpipe.words import file_name

_TABLES = """
create table if not exists airpipe_state (pipeline text, key text, value text not null, primary key (pipeline, key));
create table if not exists airpipe_runs (pipeline text, run integer, value text not null, primary key (pipeline, run));
"""


class SqliteStore(Store):
    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            if not path.parent.exists():
                path.parent.mkdir(parents=True)
                (path.parent / ".gitignore").write_text("*\n")
            path.touch(mode=0o600)  # A connector may have renewed its secrets: they are in the states.
            self._database = sqlite3.connect(path, isolation_level=None, timeout=10, check_same_thread=False)
            self._database.executescript(f"pragma synchronous = full; {_TABLES}")
        except (OSError, sqlite3.Error) as error:
            if not isinstance(error, (OSError, sqlite3.OperationalError)):
                raise ConfigProblem(f"{path} is no state of airpipe ({error}): name another place by state:") from None
            raise ConfigProblem(
                f"{path} cannot be written ({error}): make the folder writable, or name another place by state:"
            ) from None

    def load(self, pipeline: str) -> dict[str, str]:
        return dict(self._database.execute("select key, value from airpipe_state where pipeline = ?", [pipeline]))

    def save(self, pipeline: str, changes: Mapping[str, str | None]) -> None:
        with self._transaction():
            for key, value in changes.items():
                if value is None:
                    self._database.execute("delete from airpipe_state where pipeline = ? and key = ?", [pipeline, key])
                else:
                    self._database.execute(
                        "insert or replace into airpipe_state values (?, ?, ?)", [pipeline, key, value]
                    )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._database.execute("begin immediate")
            yield
            self._database.execute("commit")
        except BaseException as error:
            if self._database.in_transaction:
                self._database.execute("rollback")
            if isinstance(error, sqlite3.OperationalError):  # A full disk, or another that holds it for long.
                raise TransientProblem(f"The state cannot be saved in {self._path}: {error}.") from None
            raise

    def runs(self, pipeline: str, limit: int = 20) -> list[dict[str, Any]]:
        rows = self._database.execute(
            "select value from airpipe_runs where pipeline = ? order by run desc limit ?", [pipeline, limit]
        )
        return [json.loads(value) for (value,) in rows]

    def put_run(self, pipeline: str, run: Mapping[str, Any]) -> None:
        with self._transaction():
            self._database.execute(
                "insert or replace into airpipe_runs values (?, ?, ?)", [pipeline, run["run"], json.dumps(run)]
            )

    @contextmanager
    def lock(self, pipeline: str) -> Iterator[Lock]:
        path = self._path.with_name(f"{file_name(pipeline)}.lock")
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise ConfigProblem(f"{path} cannot be opened, to keep other runs out: {error.strerror}") from None
        try:
            _acquire(descriptor, pipeline)
            os.truncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
            lock = Lock()
            lock.held = (descriptor,)
            yield lock
        finally:
            os.close(descriptor)

    def close(self) -> None:
        self._database.close()


def _acquire(descriptor: int, pipeline: str) -> None:
    """Take the lock. A dead run's connectors hold it for some seconds; a living run is told at once."""
    deadline = time.monotonic() + PATIENCE
    while True:
        with suppress(BlockingIOError):
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        owner = os.pread(descriptor, 20, 0).decode()
        if time.monotonic() > deadline or (owner and _lives(int(owner))):
            raise busy(pipeline, f" by the process {owner}" if owner else "")
        time.sleep(0.1)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
            return stat.read().rpartition(")")[2].split()[0] not in "ZX"
    except ProcessLookupError:
        return False
    except OSError:
        return True
