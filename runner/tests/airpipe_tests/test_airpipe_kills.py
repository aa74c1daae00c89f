"""Kill -9 of source, destination or airpipe at random moments: after the next run nothing is missing or half visible.

AIRPIPE_KILLS says how many moments for each mode (4; 100 were tried); a failure names the seed that brings it back.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
from collections import Counter
from contextlib import suppress
from typing import Any

import pytest

from .bench import Bench, of_command, until

KILLS = int(os.environ.get("AIRPIPE_KILLS", "4"))
SEED = int(os.environ.get("AIRPIPE_SEED", str(random.randrange(10**6))))
MODES: dict[str, dict[str, Any]] = {
    "append": {"name": "numbers", "cursor_field": "id", "write": "append"},
    "append_dedup": {"name": "numbers", "cursor_field": "id", "write": "append_dedup"},
    "overwrite": {"name": "numbers", "mode": "full_refresh", "write": "overwrite"},
}


def kill(process: subprocess.Popen[str], victim: str) -> bool:
    """Kill -9, if it is there."""
    pids = [process.pid] if victim == "airpipe" else of_command(process.pid, {"source": "read"}.get(victim, "write"))
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return bool(pids) and process.poll() is None


class Watcher(threading.Thread):
    """Looks at the table all the time: whoever reads it sees one whole version."""

    def __init__(self, bench: Bench, expected: int) -> None:
        super().__init__()
        self._bench = bench
        self._expected = expected
        self._end = threading.Event()
        self.wrong: list[str] = []

    def run(self) -> None:
        while not self._end.wait(0.02):
            rows = self._bench.rows()
            versions = Counter(row["version"] for row in rows)
            if rows and (len(versions) != 1 or len(rows) != self._expected):
                self.wrong.append(f"{versions} instead of {self._expected} rows of one version")

    def stop(self) -> None:
        self._end.set()
        self.join()


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("mode", list(MODES))
def test_nothing_is_lost_whatever_dies(bench: Bench, mode: str) -> None:
    chance = random.Random(f"{SEED}{mode}")
    bench.more = {"streams": [MODES[mode]], "sync_config": {"retries": 5, "retry_delay": 0.01}}
    bench.source |= {"rows": 2000, "every": 50, "pause": 0.02}
    bench.destination |= {"batch": 130, "pause": 0.005}
    assert bench.run().status == "succeeded"
    hit = number = 0
    while hit < KILLS:  # A kill that comes when all is over does not count.
        assert number < 5 * KILLS, "most kills came when it was over"
        told = f"seed {SEED}, {mode}, kill {number}"
        number += 1
        bench.source["version"] = str(number + 1)
        if mode != "overwrite":
            bench.source["rows"] += 2000
        hit += _one_kill(bench, mode, chance, told)
        assert set(bench.ids()) == set(range(1, bench.source["rows"] + 1)), told
        if mode == "append_dedup":
            assert len(bench.ids()) == bench.source["rows"], told
        if mode == "overwrite":
            assert {row["version"] for row in bench.rows()} == {bench.source["version"]}, told
            assert len(bench.ids()) == bench.source["rows"], told


def _one_kill(bench: Bench, mode: str, chance: random.Random, told: str) -> bool:
    """Kill one of the three at a random moment, and let what remains, or a next run, finish."""
    watcher = Watcher(bench, bench.source["rows"]) if mode == "overwrite" else None
    if watcher:
        watcher.start()
    try:
        process = bench.start()
        if chance.random() < 0.8:  # Mostly while rows move.
            until(lambda: of_command(process.pid, "read") or process.poll() is not None)
        with suppress(subprocess.TimeoutExpired):
            process.wait(chance.uniform(0, 2))
        victim = chance.choice(["source", "destination", "airpipe"])
        hit = kill(process, victim)
        out, errors = process.communicate(timeout=300)
        assert victim == "airpipe" or process.returncode == 0, f"{told}, {victim}: {out[-3000:]}{errors}"
        if process.returncode:
            finished = bench.run()
            assert finished.status == "succeeded", f"{told}: {finished.error}"
    finally:
        if watcher:
            watcher.stop()
    assert not watcher or not watcher.wrong, f"{told}: {watcher.wrong[:3]}"
    return hit
