"""`airpipe run` on an example file, from a real PostgreSQL to files: all rows first, then only what has changed.

    make demo          (or: .venv/bin/python examples/demo.py [--rows 200000] [--output demo-output])

The file is a copy of examples/documents.yaml. It stays in the output folder with its state, logs and rows; no process
stays.
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

from connector_parts import Database, Postgres
from documents import change, fill

EXAMPLES = Path(__file__).resolve().parent
AIRPIPE = Path(sys.executable).with_name("airpipe")


def prepare(folder: Path, database: Database) -> dict[str, str]:
    """Put the file into an empty folder; gives the variables that it refers to."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copy(EXAMPLES / "documents.yaml", folder)
    return {
        "DOCUMENTS_HOST": database.host,
        "DOCUMENTS_PORT": str(database.port),
        "DOCUMENTS_DATABASE": database.database,
        "DOCUMENTS_USER": database.user,
        "DOCUMENTS_BUCKET": (folder / "files").as_uri(),
    }


def airpipe(verb: str, folder: Path, variables: dict[str, str]) -> None:
    """What a person would type."""
    file = os.path.relpath(folder / "documents.yaml")
    say(f"   $ airpipe {verb} {file}")
    done = subprocess.run([AIRPIPE, verb, file], env={**os.environ, **variables}, check=False)
    if done.returncode:
        raise SystemExit(done.returncode)


def arrived(folder: Path, known: set[Path]) -> list[int]:
    """The ids of the rows in the files that were not known before. The files are shown, and known from now on."""
    ids: list[int] = []
    for file in sorted(set((folder / "files").rglob("*.gz")) - known):
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            found = [json.loads(line)["id"] for line in lines]
        say(f"   {os.path.relpath(file)}: {len(found):,} rows, {file.stat().st_size / 1e6:,.1f} MB")
        ids += found
        known.add(file)
    return ids


def first(file: Path) -> str:
    """The beginning of the first row of a file."""
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        return lines.readline()[:110]


def compare(found: list[int], expected: set[int]) -> None:
    """Check that what should arrive has arrived, and nothing else."""
    if len(found) != len(expected) or set(found) != expected:
        raise SystemExit(f"expected {len(expected):,} documents, got {len(set(found)):,} in {len(found):,} rows")
    say(f"   as many as there should be: {len(expected):,}, each once")


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--output", type=Path, default=EXAMPLES.parent / "demo-output")
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

        say("2. A pipeline is one file. Are both sides reached, and how will it move?")
        variables = prepare(folder, database)
        airpipe("check", folder, variables)

        say("3. The first run: everything")
        airpipe("run", folder, variables)
        compare(arrived(folder, known), set(range(1, asked.rows + 1)))
        say(f"   it begins: {first(min(known))}…")

        say("4. Some documents change, and the same command runs again")
        changed = change(database, asked.rows)
        say(f"   {len(changed):,} documents edited or added")
        airpipe("run", folder, variables)
        compare(arrived(folder, known), changed)

        say("5. Once more, and nothing has changed")
        airpipe("run", folder, variables)
        compare(arrived(folder, known), set())
    say(f"The pipeline, its state, its logs and the rows are in {os.path.relpath(folder)}; the PostgreSQL is gone.")


if __name__ == "__main__":
    main()
