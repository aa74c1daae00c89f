"""A pipeline of the tests: a source of numbers, a table in SQLite, and what came of it."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from airpipe.events import Event, Finished
from airpipe.library import run

CONNECTORS = Path(__file__).with_name("connectors")
AIRPIPE = [sys.executable, "-m", "airpipe"]


def command(name: str) -> list[str]:
    return [sys.executable, str(CONNECTORS / f"{name}.py")]


@dataclass
class Bench:
    """A pipeline file in a folder of its own."""

    folder: Path
    source: dict[str, Any] = field(default_factory=dict)
    destination: dict[str, Any] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)
    source_command: list[str] = field(default_factory=lambda: command("source_numbers"))
    destination_command: list[str] = field(default_factory=lambda: command("destination_table"))

    def __post_init__(self) -> None:
        self.file = self.folder / "pipeline.yaml"
        self.table = self.folder / "table.db"
        self.destination.setdefault("path", str(self.table))

    def value(self) -> dict[str, Any]:
        return {
            "source": {"command": self.source_command, "config": self.source},
            "destination": {"command": self.destination_command, "config": self.destination},
            "sync_config": {"retry_delay": 0.05},
            **self.more,
        }

    def write(self) -> Path:
        self.file.write_text(yaml.safe_dump(self.value(), sort_keys=False))
        return self.file

    def events(self, stop: threading.Event | None = None) -> list[Event]:
        return list(run(self.write(), stop=stop))

    def run(self) -> Finished:
        finished = self.events()[-1]
        assert isinstance(finished, Finished)
        return finished

    def start(self, *more: str) -> subprocess.Popen[str]:
        """`airpipe run` as a process."""
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
        return subprocess.Popen(
            [*AIRPIPE, "run", str(self.write()), "--log", "json", *more],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip

    def rows(self, table: str = "numbers") -> list[dict[str, Any]]:
        if not self.table.exists():
            return []
        database = sqlite3.connect(self.table, timeout=20)
        try:
            return [json.loads(value) for (value,) in database.execute(f'select value from "{table}"')]
        except sqlite3.OperationalError:
            return []
        finally:
            database.close()

    def ids(self, table: str = "numbers") -> list[int]:
        return sorted(row["id"] for row in self.rows(table))


# Processes


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def family(pid: int) -> list[int]:
    """All processes below this one."""
    found: list[int] = []
    with suppress(OSError):  # It may end while we look.
        for task in Path(f"/proc/{pid}/task").glob("*/children"):
            found += [int(word) for word in task.read_text().split()]
    return found + [below for child in found for below in family(child)]


def of_command(pid: int, word: str) -> list[int]:
    """The processes below `pid` that run this connector's verb, guards left out."""
    found = []
    for child in family(pid):
        try:
            words = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if word.encode() in words and not any(part.endswith(b"guard.py") for part in words):
            found.append(child)
    return found


def until(condition: Any, seconds: float = 200) -> Any:
    """Wait for something that comes."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.02)
    return found
