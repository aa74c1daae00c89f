"""Running pipelines of commands and counting what they cost: wall time, CPU, memory, and the servers' CPU apart."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

TICKS = os.sysconf("SC_CLK_TCK")
Stage = Sequence[str]


@dataclass(frozen=True, slots=True)
class Cost:
    """What one run took. Seconds and bytes."""

    wall: float
    cpu: tuple[float, ...]
    """User and system seconds of each stage, its children included."""
    memory: tuple[int, ...]
    """The largest resident set of each stage."""
    server_cpu: float


@dataclass(frozen=True, slots=True)
class Contestant:
    """One way to do the work: commands whose outputs feed one another, the last one's output thrown away."""

    name: str
    stages: Sequence[Stage]
    ours: bool = False
    env: Mapping[str, str] = field(default_factory=dict)
    given: Path | None = None
    """What the first stage reads."""
    before: Callable[[], None] | None = None


def run(contestant: Contestant, server_pid: int | None) -> Cost:
    """Run the pipeline once. A stage that fails raises, with the end of what it said."""
    if contestant.before:
        contestant.before()
    server_before = _tree_cpu(server_pid)
    started = time.monotonic()
    stages = _start(contestant)
    memory = _watch([stage.pid for stage in stages])
    usages = [os.wait4(stage.pid, 0)[1:] for stage in stages]
    wall = time.monotonic() - started
    for stage, argv, (status, _) in zip(stages, contestant.stages, usages, strict=True):
        said = stage.stderr.read().decode(errors="replace") if stage.stderr else ""
        stage.returncode = os.waitstatus_to_exitcode(status)
        if stage.returncode not in (0, -signal.SIGPIPE):
            raise RuntimeError(f"{contestant.name}: {argv[0]} ended with {stage.returncode}: {said[-2000:]}")
    return Cost(
        wall=wall,
        cpu=tuple(usage.ru_utime + usage.ru_stime for _, usage in usages),
        memory=tuple(memory),
        server_cpu=_tree_cpu(server_pid) - server_before,
    )


def _watch(pids: Sequence[int]) -> list[int]:
    """The largest resident set of each process, once all have ended (and before they are waited for).

    Read from /proc while they run: `ru_maxrss` would count the memory of this process, from before the exec.
    """
    largest = [0] * len(pids)
    running = set(pids)
    while running:
        for number, pid in enumerate(pids):
            status = Path(f"/proc/{pid}/status").read_text()
            if (found := _HIGH_WATER.search(status)) is not None:
                largest[number] = int(found[1]) * 1024
            elif "State:\tZ" in status:
                running.discard(pid)
        time.sleep(0.02)
    return largest


_HIGH_WATER = re.compile(r"VmHWM:\s+(\d+) kB")


def _start(contestant: Contestant) -> list[subprocess.Popen[bytes]]:
    env = {**os.environ, **contestant.env}
    # Neither belongs to a measurement: one forbids compiled modules, the other makes small writes.
    for name in ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"):
        env.pop(name, None)
    feed: IO[bytes] = (contestant.given or Path(os.devnull)).open("rb")
    started: list[subprocess.Popen[bytes]] = []
    for number, argv in enumerate(contestant.stages):
        last = number == len(contestant.stages) - 1
        stage = subprocess.Popen(
            argv, stdin=feed, stdout=subprocess.DEVNULL if last else subprocess.PIPE, stderr=subprocess.PIPE, env=env
        )
        feed.close()
        if stage.stdout:
            feed = stage.stdout
        started.append(stage)
    return started


def _tree_cpu(pid: int | None) -> float:
    """CPU seconds of a process, its children that ended, and its children that run."""
    if pid is None:
        return 0.0
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return _cpu(pid, with_ended=True) + sum(_cpu(int(child), with_ended=True) for child in children)


def _cpu(pid: int, with_ended: bool) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return 0.0
    return sum(map(int, fields[11 : 15 if with_ended else 13])) / TICKS
