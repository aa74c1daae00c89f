"""From a real PostgreSQL to files, with real connectors: all rows first, then only what has changed.

    make demo          (or: .venv/bin/python examples/demo.py [--rows 200000] [--output demo-output])

What it does is what `source-postgres read … | destination-s3 write …` does in a shell, with a counter in the middle
of the pipe. Configs, catalog, state and files stay in the output folder; no process stays.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from connector_parts import Database, Postgres
from documents import change, fill
from pipe import Moved, command, problem, run

HERE = Path(__file__).resolve().parent.parent


class Progress:
    """Says how far it is: on one line of a terminal, else as a line each second."""

    def __init__(self) -> None:
        self.last = self.started = time.monotonic()
        self.terminal = sys.stdout.isatty()

    def rows(self, moved: Moved) -> None:
        now = time.monotonic()
        if not moved.rows or now - self.last < (0.1 if self.terminal else 1.0):
            return
        self.last = now
        rate = moved.rows / (now - self.started)
        text = f"   {moved.rows:>9,} rows so far, {rate:>9,.0f} rows/s, {moved.bytes / 1e6:>6,.0f} MB"
        sys.stdout.write(f"\r{text}" if self.terminal else f"{text}\n")
        sys.stdout.flush()

    def clear(self) -> None:
        if self.terminal:
            sys.stdout.write("\r\033[K")


def move(folder: Path) -> Moved:
    """Run the pipe once and show what it moved."""
    progress = Progress()
    moved = run(folder, progress.rows)
    progress.clear()
    say(f"   {moved.rows:,} rows, {moved.bytes / 1e6:,.1f} MB of messages in {moved.seconds:.1f} s: ", end="")
    say(f"{moved.rows / moved.seconds:,.0f} rows/s ({usage(moved)})")
    return moved


def usage(moved: Moved) -> str:
    return "; ".join(f"{name} {cost}" for name, cost in moved.usage.items())


def say(text: str, end: str = "\n") -> None:
    sys.stdout.write(text + end)
    sys.stdout.flush()


def arrived(folder: Path, known: set[Path]) -> list[int]:
    """The ids of the rows in the files that were not known before. The files are shown, and known from now on."""
    ids: list[int] = []
    for file in sorted(set((folder / "files").rglob("*.gz")) - known):
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            found = [json.loads(line)["id"] for line in lines]
        say(f"   {short(file)}: {len(found):,} rows, {file.stat().st_size / 1e6:,.1f} MB")
        ids += found
        known.add(file)
    return ids


def first(file: Path) -> str:
    """The beginning of the first row of a file."""
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        return lines.readline()[:110]


def short(path: Path) -> str:
    return os.path.relpath(path)


# The demo


def prepare(folder: Path, database: Database) -> None:
    """Write the two configs, ask the source what there is, and choose: incremental by `updated_at`."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "files").mkdir(parents=True)
    here = {"host": database.host, "port": database.port, "database": database.database}
    who = {"username": database.user, "password": database.password}
    what = {"tables": ["public.documents"], "replication_method": {"method": "Standard"}}
    write(folder / "source-postgres.json", {**here, **who, **what})
    bucket = (folder / "files").as_uri()
    write(folder / "destination-s3.json", {"bucket": bucket, "format": "jsonl", "compression": "gzip"})
    write(folder / "catalog.json", {"streams": [configured(stream) for stream in discover(folder)]})


def write(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=1))


def discover(folder: Path) -> list[dict[str, Any]]:
    done = subprocess.run(command("source-postgres", "discover", folder), stdout=subprocess.PIPE, check=False)
    messages = [json.loads(line) for line in done.stdout.splitlines()]
    for message in messages:
        if message["type"] == "CATALOG":
            streams: list[dict[str, Any]] = message["catalog"]["streams"]
            return streams
    raise SystemExit("discover failed\n" + "\n".join(filter(None, map(problem, done.stdout.splitlines()))))


def configured(stream: dict[str, Any]) -> dict[str, Any]:
    columns = ", ".join(stream["json_schema"]["properties"])
    say(f"   {stream['namespace']}.{stream['name']}: {columns}")
    chosen = {"sync_mode": "incremental", "destination_sync_mode": "append", "cursor_field": ["updated_at"]}
    return {"stream": stream, "primary_key": stream.get("source_defined_primary_key", []), **chosen}


def compare(found: list[int], expected: set[int]) -> None:
    """Check that what should arrive has arrived, and nothing else."""
    if len(found) != len(expected) or set(found) != expected:
        raise SystemExit(f"expected {len(expected):,} documents, got {len(set(found)):,} in {len(found):,} rows")
    say(f"   as many as there should be: {len(expected):,}, each once")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--output", type=Path, default=HERE / "demo-output")
    asked = parser.parse_args()
    folder: Path = asked.output.resolve()
    known: set[Path] = set()

    say("1. A PostgreSQL of its own, from a package, with documents in English and Korean")
    with Postgres() as server:
        database = server.create_database("demo")
        started = time.monotonic()
        fill(database, asked.rows)
        [(size,)] = database.execute("select pg_size_pretty(pg_total_relation_size('documents'))")
        say(f"   {asked.rows:,} documents, {size}, made in {time.monotonic() - started:.1f} s")

        say("2. What the source finds")
        prepare(folder, database)

        say("3. source-postgres read | destination-s3 write: everything")
        move(folder)
        compare(arrived(folder, known), set(range(1, asked.rows + 1)))
        say(f"   it begins: {first(min(known))}…")

        say("4. Some documents change, and the same command runs again, from the state of the last run")
        changed = change(database, asked.rows)
        say(f"   {len(changed):,} documents edited or added")
        move(folder)
        compare(arrived(folder, known), changed)

        say("5. Once more, and nothing has changed")
        move(folder)
        compare(arrived(folder, known), set())
    say(f"Configs, catalog, state and files are in {short(folder)}; the PostgreSQL is gone.")


if __name__ == "__main__":
    main()
