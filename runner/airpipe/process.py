"""A connector as a process that cannot outlive airpipe, and its end."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

GUARD = Path(__file__).with_name("guard.py")
PIPE_SIZE = 1 << 20
F_SETPIPE_SZ = 1031


@dataclass(frozen=True, slots=True)
class Command:
    """What to start. `cleanup` ends what a kill of the command itself would leave behind (a container)."""

    words: Sequence[str]
    folder: Path | None = None
    cleanup: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended. A negative code is the signal that killed it, as with `subprocess`."""

    code: int
    cpu: float = 0.0
    peak: int = 0
    """The most memory it held, in bytes."""
    why: str = ""
    """`memory` where it was killed for using more than its limit."""

    def __str__(self) -> str:
        if self.code < 0:
            return f"was ended by {signal.Signals(-self.code).name}"
        return f"ended with exit code {self.code}"


class Child:
    """A running connector: `stdin`, `stdout` and `stderr` are its pipes, where they were asked for."""

    def __init__(
        self,
        command: Command,
        *,
        stdin: bool = False,
        memory: int | None = None,
        held: Sequence[int] = (),
    ) -> None:
        """`held`: descriptors that stay open as long as the connector lives, even if airpipe dies before (locks)."""
        control, self._control = os.pipe()
        self._report, report = os.pipe()
        guard = [sys.executable, "-I", "-S", GUARD, control, report, memory or 0, command.folder or ""]
        try:
            self._guard = subprocess.Popen(
                [*map(str, guard), *command.cleanup, "--", *command.words],
                stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=[control, report, *held],
                start_new_session=True,
                env={**os.environ, **command.environment},
                bufsize=0,
            )
        finally:
            os.close(control)
            os.close(report)
        assert self._guard.stdout is not None and self._guard.stderr is not None
        self.stdin: IO[bytes] | None = self._guard.stdin
        self.stdout: IO[bytes] = self._guard.stdout
        self.stderr: IO[bytes] = self._guard.stderr
        self._pid = 0
        self._ended: Ended | None = None
        self._done = threading.Event()
        threading.Thread(target=self._watch, name="guard", daemon=True).start()
        for stream in (self.stdin, self.stdout):
            if stream is not None:
                _widen(stream.fileno())

    def _watch(self) -> None:
        with os.fdopen(self._report) as report:
            for line in report:
                what, *said = line.rstrip("\n").split(" ")
                if what == "started":
                    self._pid = int(said[0])
                else:
                    self._ended = Ended(int(said[0]), float(said[1]), int(said[2]), said[3])
        self._guard.wait()
        if self._ended is None:  # Somebody has killed the guard: nothing may outlive it.
            self._kill_group()
            self._ended = Ended(-signal.SIGKILL)
        self._done.set()

    def _kill_group(self) -> None:
        if self._pid:
            with contextlib.suppress(OSError):
                os.killpg(self._pid, signal.SIGKILL)

    @property
    def ended(self) -> Ended | None:
        """How it ended; None while it runs."""
        return self._ended if self._done.is_set() else None

    @property
    def pid(self) -> int:
        """The connector's own process id; 0 until the guard has told it."""
        return self._pid

    def wait(self, seconds: float | None = None) -> Ended | None:
        """Wait for the end; None where it does not come in time."""
        self._done.wait(seconds)
        return self.ended

    def terminate(self) -> None:
        """Ask it to end."""
        self._order(b"T")

    def kill(self) -> None:
        """End it and all that it started."""
        self._order(b"K")

    def _order(self, order: bytes) -> None:
        with contextlib.suppress(OSError):
            os.write(self._control, order)

    def close(self) -> None:
        """Kill it if it still runs, and let go of its pipes."""
        if not self._done.is_set():
            self.kill()
            self._done.wait(5)
        for stream in (self.stdin, self.stdout, self.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        if self._control >= 0:
            os.close(self._control)
            self._control = -1


def end_within(child: Child, seconds: float) -> Ended | None:
    """Ask it to end, and kill it where it does not within these seconds."""
    deadline = time.monotonic() + seconds
    child.terminate()
    if child.wait(max(deadline - time.monotonic(), 0)) is None:
        child.kill()
    return child.wait(5)


def _widen(descriptor: int) -> None:
    """A wider pipe makes for fewer switches between the two ends. It is a kindness, not a need."""
    with contextlib.suppress(OSError):
        fcntl.fcntl(descriptor, F_SETPIPE_SZ, PIPE_SIZE)
