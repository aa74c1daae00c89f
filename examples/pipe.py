"""`source-postgres read … | destination-s3 write …` as two real processes, with a counter in the middle of the pipe."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import PIPE
from typing import IO, Any

COMMANDS = Path(sys.executable).parent
CHUNK = 1 << 16


@dataclass
class Usage:
    """What a process takes from the machine."""

    pid: int
    cpu: float = 0.0
    peak: int = 0
    """The most memory that it has had at a time, in KB; 0 where /proc does not tell."""

    def look(self) -> None:
        """Note the peak so far. What the kernel says at the end would count the time before the exec as well."""
        with suppress(OSError, StopIteration):
            lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
            self.peak = int(next(line for line in lines if line.startswith("VmHWM")).split()[1])

    def __str__(self) -> str:
        return f"{self.cpu:.1f} CPU s" + (f", {self.peak / 1024:.0f} MB at most" if self.peak else "")


@dataclass
class Moved:
    """What one run has moved, and what it took."""

    rows: int = 0
    bytes: int = 0
    states: dict[str, Any] = field(default_factory=dict)
    """The last state of each stream: what the next run starts from."""
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0
    usage: dict[str, Usage] = field(default_factory=dict)
    """What each process took, by its name."""


def run(folder: Path, tell: Callable[[Moved], None]) -> Moved:
    """Move everything that is new since the saved state, and save the next one. A failure ends the program.

    The folder holds the configs (named as the connectors), catalog.json and state.json; `tell` hears how far it is.
    """
    catalog = ["--catalog", str(folder / "catalog.json")]
    state = ["--state", str(folder / "state.json")] if (folder / "state.json").exists() else []
    moved, started = Moved(), time.monotonic()
    source = subprocess.Popen(command("source-postgres", "read", folder, *catalog, *state), stdout=PIPE)
    target = subprocess.Popen(command("destination-s3", "write", folder, *catalog), stdin=PIPE, stdout=PIPE)
    assert source.stdout and target.stdin and target.stdout
    moved.usage = {"source": Usage(source.pid), "destination": Usage(target.pid)}
    answers = threading.Thread(target=take_answers, args=(target.stdout, moved))
    answers.start()
    try:
        pump(source.stdout, target.stdin, moved, tell)
        codes = [finish(source, moved.usage["source"]), finish(target, moved.usage["destination"])]
    finally:
        end(source)
        end(target)
        answers.join()
    moved.seconds = time.monotonic() - started
    if any(codes):
        said = "\n".join(moved.problems)
        raise SystemExit(f"the source ended with {codes[0]}, the destination with {codes[1]}\n{said}")
    (folder / "state.json").write_text(json.dumps(list(moved.states.values()), indent=1))
    return moved


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill it, unless it has ended."""
    if process.returncode is None:
        process.kill()
        process.wait()


def command(name: str, verb: str, folder: Path, *more: str) -> list[str]:
    return [str(COMMANDS / name), verb, "--config", str(folder / f"{name}.json"), *more]


NOT_A_RECORD = re.compile(rb'^(?!\{"type":"RECORD").+$', re.MULTILINE)


def pump(source: IO[bytes], target: IO[bytes], moved: Moved, tell: Callable[[Moved], None]) -> None:
    """Hand on what the source says, count the rows, and remember what went wrong."""
    rest, next_look = b"", 0.0
    try:
        while chunk := os.read(source.fileno(), CHUNK):
            target.write(chunk)
            whole, _, rest = (rest + chunk).rpartition(b"\n")
            others = NOT_A_RECORD.findall(whole)
            moved.rows += whole.count(b"\n") + bool(whole) - len(others)
            moved.bytes += len(chunk)
            moved.problems += [text for line in others if (text := problem(line))]
            if time.monotonic() > next_look:
                next_look = time.monotonic() + 0.1
                for usage in moved.usage.values():
                    usage.look()
                tell(moved)
        target.close()
    except BrokenPipeError:
        moved.problems.append("the destination stopped taking rows")
    finally:
        source.close()


def take_answers(answers: IO[bytes], moved: Moved) -> None:
    """A STATE that comes out of the destination says: everything before it is safe."""
    for line in answers:
        if b'"STATE"' in line and (message := json.loads(line))["type"] == "STATE":
            state = message["state"]
            moved.states[json.dumps(state.get("stream", {}).get("stream_descriptor"))] = state
        elif text := problem(line):
            moved.problems.append(text)


def problem(line: bytes) -> str | None:
    """What a message complains about, if it does."""
    try:
        message = json.loads(line)
    except ValueError:
        return None
    error = message.get("trace", {}).get("error") or {}
    return error.get("message") or (
        message["log"]["message"] if message.get("log", {}).get("level") == "ERROR" else None
    )


def finish(process: subprocess.Popen[bytes], usage: Usage) -> int:
    """Wait for the end of a process and note what it cost."""
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    usage.cpu = used.ru_utime + used.ru_stime
    return process.returncode
