"""`python -m benchmarks`: fill a real PostgreSQL, run the contestants in turn, print what each took.

Rounds are interleaved (A B C A B C …) and medians are shown, since other load on the machine changes absolute figures;
compare within one run only.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import sys
import tempfile
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path

from benchmarks.measure import Contestant, Cost, run
from benchmarks.report import Figures, figures, picture, table
from benchmarks.work import Bench, fill
from connector_parts import S3, Postgres


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the table (default 1,000,000)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each contestant (default 3)")
    parser.add_argument("--only", default="", help="only contestants whose name contains this")
    parser.add_argument("--part", choices=("reading", "piping", "writing"), action="append", help="only this part")
    parser.add_argument("--out", type=Path, default=Path("bench-output"), help="folder for figures and the picture")
    asked = parser.parse_args()
    native = find_spec("connector_native") is not None
    with Postgres() as server, S3.best() as s3, tempfile.TemporaryDirectory() as folder:
        _say(f"filling {asked.rows:,} rows")
        fill(server, asked.rows)
        bench = Bench(Path(folder), server, s3, s3.bucket("bench"))
        titles = {
            "reading": ("PostgreSQL to JSON lines", bench.reading),
            "piping": ("PostgreSQL to gzip JSON lines on S3", bench.piping),
            "writing": ("RECORDs to gzip JSON lines on S3", bench.writing),
        }
        groups = {
            title: _compare(contestants(native), asked.only, asked.rounds, asked.rows, server.pid)
            for part, (title, contestants) in titles.items()
            if part in (asked.part or titles)
        }
    _write(groups, asked.rows, asked.rounds, asked.out)


def _compare(
    contestants: Iterable[Contestant], only: str, rounds: int, rows: int, server_pid: int | None
) -> Sequence[Figures]:
    chosen = [one for one in contestants if only in one.name]
    costs: dict[str, list[Cost]] = {one.name: [] for one in chosen}
    for number in range(rounds):
        for one in chosen:
            cost = run(one, server_pid)
            costs[one.name].append(cost)
            _say(f"round {number + 1}: {one.name}: {rows / cost.wall:,.0f} rows/s")
    return [figures(one, costs[one.name], rows) for one in chosen]


def _write(groups: dict[str, Sequence[Figures]], rows: int, rounds: int, out: Path) -> None:
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}"
    title = f"{rows:,} rows of 0.98 KB, medians of {rounds} interleaved runs, {machine}"
    out.mkdir(exist_ok=True)
    text = f"{title}\n\n" + "\n".join(table(name, found) for name, found in groups.items())
    (out / "figures.md").write_text(text)
    plain = {name: [dataclasses.asdict(one) for one in found] for name, found in groups.items()}
    (out / "figures.json").write_text(json.dumps(plain, indent=1) + "\n")
    compared = {name: found for name, found in groups.items() if not name.startswith("RECORDs")}
    (out / "benchmark.svg").write_text(picture(title, compared))
    print(text)
    _say(f"figures and picture are in {out}/")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
