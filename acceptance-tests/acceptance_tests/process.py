"""One run of a command: its pipes with time limits everywhere, its signals, and no process left behind."""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

GUARD = Path(__file__).with_name("guard.py")
CHUNK = 1 << 16
F_SETPIPE_SZ = 1031


@dataclass
class Run:
    """What a finished run left: all that it wrote, and how it ended."""

    command: str
    """As a person would type it."""
    code: int | None
    """Exit code, -n for the signal n, None where it had to be ended because nothing came any more."""
    lines: list[bytes]
    tail: bytes
    """What came after the last line break."""
    stderr: str
    seconds: float
    left: list[str] = field(default_factory=list)
    """Names of processes that outlived the command."""
    silent: bool = False
    """It was given up because it said nothing for too long."""

    @property
    def ended(self) -> str:
        """How it ended, in words."""
        if self.silent or self.code is None:
            return f"no answer, ended after {self.seconds:.0f} s"
        return f"exit code {self.code}" if self.code >= 0 else f"ended by {signal.Signals(-self.code).name}"


class Process:
    """A command that runs, under a guard that ends all of its processes when this object or its owner goes.

    Nothing here blocks for ever: `pump` moves bytes both ways until something is true or the time is over.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        folder: Path | str,
        environment: Mapping[str, str] | None = None,
        takes_input: bool = False,
        writable: Sequence[Path | str] = (),
        pipe_size: int | None = None,
    ) -> None:
        self.lines: list[bytes] = []
        self.taken = 0
        """Bytes of output that were read."""
        self.refused = False
        """It closed its input before it had taken all of it."""
        self.longest: float | None = None
        """Seconds after which `finish` gives up although it talks; None: ten times the silence."""
        self.shown = " ".join(command)
        self._command = list(command)
        self._started = time.monotonic()
        self._partial = bytearray()
        self._waiting = bytearray()
        self._report: dict[str, object] | None = None
        self._silent = False
        self._finished: Run | None = None
        self._start(folder, environment, takes_input, writable, pipe_size)

    def _start(
        self,
        folder: Path | str,
        environment: Mapping[str, str] | None,
        takes_input: bool,
        writable: Sequence[Path | str],
        pipe_size: int | None,
    ) -> None:
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `end`
        self._out, out = os.pipe()
        if pipe_size is not None and sys.platform == "linux":
            fcntl.fcntl(out, F_SETPIPE_SZ, pipe_size)
        self._in: int | None = None
        given: int = subprocess.DEVNULL
        if takes_input:
            given, self._in = os.pipe()
            os.set_blocking(self._in, False)
        self._control, control = socket.socketpair()
        words = [sys.executable, "-I", "-S", str(GUARD), str(control.fileno()), ":".join(map(str, writable))]
        try:
            self._guard = subprocess.Popen(
                [*words, *self._command],
                stdin=given,
                stdout=out,
                stderr=self._errors,
                cwd=folder,
                env={**os.environ, **(environment or {})},
                pass_fds=[control.fileno()],
                start_new_session=True,
            )
        finally:
            control.close()
            os.close(out)
            if takes_input:
                os.close(given)
        self._poll = select.poll()
        self._poll.register(self._control, select.POLLIN)

    # Input

    def send(self, data: bytes, seconds: float = 60.0) -> bool:
        """Give it input. True where all of it was taken in time; what it says meanwhile is read."""
        self._waiting += data
        return self.pump(lambda: not self._waiting, seconds) and not self.refused

    def offer(self, data: bytes) -> None:
        """Put input in line; the next `pump` hands it over."""
        self._waiting += data

    @property
    def waiting(self) -> int:
        """Bytes of input that it has not taken yet."""
        return len(self._waiting)

    def close_input(self) -> None:
        """The end of its input. What it has not taken by now it never gets."""
        self._waiting.clear()
        if self._in is not None:
            os.close(self._in)
            self._in = None

    # Output

    def close_output(self) -> None:
        """Stop reading for good, as `| head` does."""
        if self._out >= 0:
            os.close(self._out)
            self._out = -1

    @property
    def ended(self) -> bool:
        """Nothing more will come."""
        return self._out < 0 and self._report is not None

    @property
    def partial(self) -> int:
        """Bytes of a line that has begun and not ended."""
        return len(self._partial)

    def take_lines(self) -> list[bytes]:
        """The lines that have come since the last call; they are forgotten here."""
        lines, self.lines = self.lines, []
        return lines

    def pump(self, until: Callable[[], bool], seconds: float, *, read: bool = True, chunk: int = CHUNK) -> bool:
        """Move bytes until `until()` is true, which is returned; False after `seconds`, or when nothing more comes."""
        deadline = time.monotonic() + seconds
        while not until():
            left = deadline - time.monotonic()
            if left <= 0 or self.ended:
                return until()
            self.step(min(left, 1.0), read, chunk)
        return True

    def wait_for_lines(self, count: int, seconds: float, *, chunk: int = CHUNK) -> bool:
        """Whether so many lines come within this time."""
        return self.pump(lambda: len(self.lines) >= count, seconds, chunk=chunk)

    def read_at(self, rate: float, until: Callable[[], bool], seconds: float) -> bool:
        """Read about so many bytes a second until something is true, which is returned; False as `pump` says it."""
        started, before = time.monotonic(), self.taken
        while not until():
            passed = time.monotonic() - started
            if passed > seconds or self.ended:
                return until()
            allowed = int(rate * passed) - (self.taken - before)
            if allowed > 0:
                self.step(0.1, chunk=min(allowed, CHUNK))
            else:
                time.sleep(0.02)
        return True

    def step(self, seconds: float, read: bool = True, chunk: int = CHUNK) -> bool:
        """Wait at most so long for one of the pipes, and move what it has. True where anything moved."""
        poll = select.poll()
        if self._report is None:
            poll.register(self._control, select.POLLIN)
        if read and self._out >= 0:
            poll.register(self._out, select.POLLIN)
        if self._waiting and self._in is not None:
            poll.register(self._in, select.POLLOUT)
        moved = False
        for fd, _ in poll.poll(max(0.0, seconds) * 1000):
            moved = True
            if fd == self._out:
                self._read(chunk)
            elif fd == self._in:
                self._write()
            else:
                self._hear()
        return moved

    def _read(self, chunk: int) -> None:
        data = os.read(self._out, chunk)
        self.taken += len(data)
        if not data:
            return self.close_output()
        whole, newline, rest = data.rpartition(b"\n")
        if newline:
            self.lines += (bytes(self._partial) + whole).split(b"\n")
            self._partial = bytearray(rest)
        else:
            self._partial += rest

    def _write(self) -> None:
        assert self._in is not None
        try:
            del self._waiting[: os.write(self._in, self._waiting[:CHUNK])]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self.refused = True
            self.close_input()

    def _hear(self) -> None:
        """The guard's report: the command has ended."""
        text = b""
        while not text.endswith(b"\n"):
            part = self._control.recv(1 << 16)
            if not part:
                break
            text += part
        self._report = json.loads(text) if text else {"code": None, "left": [], "cpu": 0.0}

    # The end

    @property
    def finished(self) -> bool:
        """Everything of it has been ended and collected."""
        return self._finished is not None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; SIGKILL goes to all of its processes. Nothing happens if it has ended."""
        try:
            self._control.send(bytes([number]))
        except OSError:
            return

    def wait(self, seconds: float) -> bool:
        """Whether the command itself ends within this time, with what it says being read."""
        return self.pump(lambda: self._report is not None, seconds)

    def finish(self, silence: float, longest: float | None = None) -> Run:
        """Close the input, read to the end. It is ended by force after `silence` seconds without a sign of life."""
        if self._finished is not None:
            return self._finished
        if not self._waiting:
            self.close_input()
        longest = longest or self.longest or 10 * silence
        waited = quiet = 0.0
        while not self.ended:
            before = time.monotonic()
            moved = self.step(0.5)
            passed = min(time.monotonic() - before, 1.0)  # A machine that slept for a while is not a silent connector.
            waited, quiet = waited + passed, 0.0 if moved else quiet + passed
            if moved and not self._waiting:
                self.close_input()
            if quiet > silence or waited > longest:
                self._silent = True
                break
        return self.end()

    def kill(self) -> Run:
        """SIGKILL to all of it, then read what it had written. Nothing happens if it was ended before."""
        if self._finished is not None:
            return self._finished
        self.signal(signal.SIGKILL)
        self.pump(lambda: self.ended, 10.0)
        return self.end()

    def end(self) -> Run:
        """Whatever still runs is ended. May be called twice."""
        if self._finished is None:
            self.close_input()
            self._control.close()
            self.close_output()
            self._guard.wait()
            self._finished = self._run()
            self._errors.close()
        return self._finished

    def _run(self) -> Run:
        report = self._report or {"code": None, "left": []}
        code, left = report["code"], report["left"]
        assert isinstance(left, list)
        self._errors.seek(0)
        return Run(
            command=self.shown,
            code=code if isinstance(code, int) else None,
            lines=self.lines,
            tail=bytes(self._partial),
            stderr=self._errors.read().decode(errors="replace"),
            seconds=time.monotonic() - self._started,
            left=left,
            silent=self._silent,
        )

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *error: object) -> None:
        self.end()
