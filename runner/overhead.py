"""What airpipe costs over the bare pipe: `source-postgres | destination-s3`, with nothing, `cat` and airpipe between.

    python runner/overhead.py [--rows 1000000] [--rounds 3]

The contestants run interleaved. Printed: wall seconds of the moving alone (start-up apart), and the CPU of what stands
between, per row.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import PIPE
from typing import Any

from connector_parts import Database, Postgres

BIN = Path(sys.executable).parent
FILL = """
create table wide (id bigint primary key, title text, body text, score float8, updated_at timestamptz);
insert into wide select n, 'title ' || n, repeat(md5(n::text) || ' ', 25), n / 7.0, now()
from generate_series(1, {rows}) n;
"""


def configs(folder: Path, database: Database) -> dict[str, dict[str, Any]]:
    source = {"host": database.host, "port": database.port, "database": database.database, "username": database.user}
    both: dict[str, dict[str, Any]] = {
        "source": source,
        "destination": {"bucket": (folder / "out").as_uri(), "compression": "gzip"},
    }
    for side, config in both.items():
        (folder / f"{side}.json").write_text(json.dumps(config))
    return both


def bare(folder: Path, between: list[str] | None) -> tuple[float, float]:
    """Wall seconds, and CPU seconds of what stands between."""
    catalog = f"--catalog={folder}/catalog.json"
    started = time.monotonic()
    source = subprocess.Popen(
        [BIN / "source-postgres", "read", f"--config={folder}/source.json", catalog], stdout=PIPE, stderr=PIPE
    )
    middle = subprocess.Popen(between, stdin=source.stdout, stdout=PIPE) if between else source
    sink = subprocess.Popen(
        [BIN / "destination-s3", "write", f"--config={folder}/destination.json", catalog],
        stdin=middle.stdout,
        stdout=PIPE,
    )
    for process in {source, middle}:
        process.stdout.close()  # type: ignore[union-attr]
    sink.communicate()
    cpu = 0.0
    if between:
        _, _, used = os.wait4(middle.pid, 0)
        cpu = used.ru_utime + used.ru_stime
    source.communicate()
    assert source.returncode == sink.returncode == 0
    return time.monotonic() - started, cpu


MEASURED = """
import json, resource, sys
from airpipe import run
def cpu():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
peak = 0
for event in run(sys.argv[1]):
    kind = type(event).__name__
    if kind == "Planned":
        before = cpu()
    elif kind == "Progress":
        peak = max(peak, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
assert event.status == "succeeded", event
print(json.dumps([event.moving, cpu() - before, event.acknowledged, peak]))
"""


def piped(file: Path) -> tuple[float, float, int, int]:
    """Wall seconds of the moving, CPU seconds of airpipe since it was planned, rows, KB of memory."""
    done = subprocess.run([sys.executable, "-c", MEASURED, file], stdout=PIPE, check=True)
    moving, cpu, rows, peak = json.loads(done.stdout)
    return moving, cpu, rows, peak


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    with Postgres() as server, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        database = server.create_database("overhead")
        for statement in FILL.format(rows=asked.rows).strip().split(";\n"):
            database.execute(statement.strip(";"))
        database.execute("vacuum analyze wide")
        parts = configs(folder, database)
        whole = {
            "source": {"type": "postgres", "config": parts["source"]},
            "destination": {"type": "s3", "config": parts["destination"]},
        }
        file = folder / "pipeline.yaml"
        file.write_text(json.dumps(whole))
        prepare(folder, file)
        contestants: dict[str, Callable[[], tuple[float, ...]]] = {
            "bare": lambda: bare(folder, None),
            "cat": lambda: bare(folder, ["cat"]),
            "airpipe": lambda: piped(file),
        }
        for number in range(asked.rounds):
            for who, race in contestants.items():
                wall, cpu, *more = race()
                memory = f", {more[1] / 1024:.0f} MB" if more else ""
                print(
                    f"{number} {who:8} {wall:6.2f} s wall, {cpu / asked.rows * 1e6:.3f} CPU µs a row{memory}",
                    flush=True,
                )


def prepare(folder: Path, file: Path) -> None:
    """The configured catalog of the bare pipe: the one stream, whole, appended."""
    found = subprocess.run([sys.executable, "-m", "airpipe", "discover", file, "--json"], stdout=PIPE, check=True)
    [stream] = json.loads(found.stdout)["streams"]
    configured = {"stream": stream, "sync_mode": "full_refresh", "destination_sync_mode": "append"}
    (folder / "catalog.json").write_text(json.dumps({"streams": [configured]}))


if __name__ == "__main__":
    main()
