"""The only writer of messages. A STATE leaves at once, data at the latest after 100 ms, lines are always whole."""

from __future__ import annotations

import fcntl
import os
import select
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

from connector_sdk import protocol
from connector_sdk.errors import ConnectorError
from connector_sdk.mask import Mask
from connector_sdk.streams import StreamName

BLOCK = 1 << 16
"""Bytes gathered before a write."""
LATEST = 0.1
"""Seconds that data waits at most."""
PATIENCE = 0.2
"""Seconds between two looks at the deadline while a reader takes nothing."""
F_SETPIPE_SZ = 1031
PIPE_SIZE = 1 << 20


class ReaderGone(Exception):
    """Nobody reads our output any more (`| head` has seen enough), or not before the deadline of a shutdown.

    With a text: it cannot be written for another reason, such as a disk that is full.
    """


class Interrupted(BaseException):
    """SIGTERM or SIGINT came. Not an Exception, so that no connector swallows it."""

    def __init__(self, signal: int) -> None:
        super().__init__(signal)
        self.signal = signal


class Output:
    """Gathers lines and writes them to `fd`. May be used by several threads.

    `interrupt(signal)` is for a signal handler: it never tears a line apart.
    """

    def __init__(self, fd: int = 1) -> None:
        self.mask = Mask()
        self.secrets_of: Callable[[Mapping[str, Any]], Iterable[str]] = lambda config: ()
        """The secrets of a config, for one that changes on the way."""
        self._fd = fd
        self._buffer = bytearray()
        self._lock = threading.Lock()
        self._filled = threading.Event()
        self._flusher: threading.Thread | None = None
        self._deadline: float | None = None
        self._flowing: int | None = None
        """The thread in which lines write themselves."""
        self._aside = bytearray()
        """What that thread has said meanwhile."""
        self._main = threading.main_thread().ident
        self._busy = False
        self._signal: int | None = None
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)
        _widen(fd)

    # Messages

    def data(self, lines: bytes) -> None:
        """Whole RECORD lines. They leave when a block is full or `LATEST` has passed."""
        self._guarded(self._append, lines, BLOCK)

    def row(self, head: bytes, row: Any, tail: bytes) -> int:
        """One RECORD whose data is a value still to be encoded; returns its size. A failing encoder leaves no trace."""
        data = protocol.encoder.encode(row)
        self._guarded(self._append, b"%b%b%b\n" % (head, data, tail), BLOCK)
        return len(data)

    def flow(self, write: Callable[[int], bytes]) -> None:
        """Lines that `write(fd)` writes by itself, after all that waits; what it hands back is written here.

        What `write` says, such as a notice of the server, comes after them.
        """
        self._guarded(self._pass, write)

    def state(self, line: bytes) -> None:
        """A STATE: it leaves at once, and all that came before it."""
        self._guarded(self._append, line, 0)

    def message(self, line: bytes) -> None:
        """Any other message without free text: statuses, SPEC, CATALOG, CONTROL. It leaves at once."""
        self._guarded(self._append, line, 0)

    def control(self, config: Mapping[str, Any]) -> None:
        """A changed config, whole. Its secrets are known from here on."""
        self.mask.learn(self.secrets_of(config))
        self.message(protocol.control_line(config))

    def log(self, level: str, message: str, stack: str = "") -> None:
        self._guarded(self._append, protocol.log_line(level, self.mask(message), self.mask(stack)), 0)

    def error(self, error: BaseException, *, stack: str = "", stream: StreamName | None = None) -> str:
        """A TRACE of this error, masked; `stream` where it happened. Returns its message as it may be shown."""
        ours = isinstance(error, ConnectorError)
        message = self.mask(error.message if isinstance(error, ConnectorError) else f"{type(error).__name__}: {error}")
        line = protocol.error_line(
            message,
            error.failure_type if isinstance(error, ConnectorError) else "system_error",
            internal=self.mask((isinstance(error, ConnectorError) and error.internal) or ("" if ours else repr(error))),
            stack=self.mask(stack),
            stream=(isinstance(error, ConnectorError) and error.stream) or stream,
        )
        self._guarded(self._append, line, 0)
        return message

    def flush(self) -> None:
        self._guarded(self._append, b"", 0)

    # Signals

    def interrupt(self, signal: int, seconds: float) -> None:
        """Called in the main thread by a signal handler: finish the line that is being written, then raise.

        Output that nobody takes within `seconds` is given up.
        """
        if self._deadline is None:  # A second signal gives no new time.
            self._deadline = time.monotonic() + seconds
        if self._busy:
            self._signal = signal
        else:
            raise Interrupted(signal)

    def _guarded(self, action: Callable[..., None], *arguments: Any) -> None:
        """Run `action` so that a signal which comes meanwhile is raised after it, in the main thread."""
        if self._busy or threading.get_ident() != self._main:
            return action(*arguments)
        self._busy = True
        try:
            action(*arguments)
        finally:
            self._busy = False
        if self._signal is not None:
            signal, self._signal = self._signal, None
            raise Interrupted(signal)

    # Bytes

    def _append(self, lines: bytes, limit: int) -> None:
        """Take the lines; write if more than `limit` bytes are waiting."""
        if self._flowing == threading.get_ident():
            self._aside += lines
            return
        self._acquire()
        try:
            self._add(lines, limit)
        finally:
            self._lock.release()

    def _pass(self, write: Callable[[int], bytes]) -> None:
        self._acquire()
        try:
            self._add(b"", 0)
            self._flowing = threading.get_ident()
            try:
                self._add(write(self._fd), BLOCK)
            finally:
                self._flowing = None
                if self._aside:
                    self._add(bytes(self._aside), 0)
                    self._aside.clear()
        finally:
            self._lock.release()

    def _acquire(self) -> None:
        while not self._lock.acquire(timeout=PATIENCE):
            self._check_deadline()

    def _add(self, lines: bytes, limit: int) -> None:
        if len(self._buffer) + len(lines) > limit:
            self._write(lines)
        elif lines:
            self._buffer += lines
            self._wake_flusher()

    def _check_deadline(self) -> None:
        if self._deadline is not None and time.monotonic() > self._deadline:
            raise ReaderGone

    def _write(self, lines: bytes) -> None:
        """Write what waits and then the lines, without a copy. What could not be written waits on, and nothing else."""
        written, size = 0, len(self._buffer) + len(lines)
        try:
            while written < size:
                self._wait()
                with suppress(BlockingIOError):  # The pipe was made so, and somebody else has filled it meanwhile.
                    written += os.writev(self._fd, self._portion(_rest(self._buffer, lines, written)))
        except BrokenPipeError:
            raise ReaderGone from None
        except OSError as error:
            raise ReaderGone(f"the output cannot be written: {error.strerror}") from None
        finally:
            self._buffer = bytearray().join(_rest(self._buffer, lines, written) if written < size else ())

    def _portion(self, rest: list[memoryview]) -> list[memoryview]:
        """What one write takes: all, since a signal ends it early; after a signal only what cannot block."""
        return rest if self._deadline is None else [rest[0][: select.PIPE_BUF]]

    def _wait(self) -> None:
        """Until the reader takes something. Only then may we block: a signal now always finds progress made."""
        while not self._poll.poll(PATIENCE * 1000):
            self._check_deadline()

    def _wake_flusher(self) -> None:
        if self._flusher is None:
            self._flusher = threading.Thread(target=self._flush_late, name="flusher", daemon=True)
            self._flusher.start()
        self._filled.set()

    def _flush_late(self) -> None:
        """Push out what has waited. Never blocks: small writes, and only where the reader has room."""
        while True:
            self._filled.wait()
            time.sleep(LATEST)
            with self._lock:
                self._filled.clear()
                self._write_some()
                if self._buffer:
                    self._filled.set()

    def _write_some(self) -> None:
        try:
            while self._buffer and self._poll.poll(0):
                del self._buffer[: os.write(self._fd, self._buffer[: select.PIPE_BUF])]
        except OSError:
            return  # The next write of another thread meets the same error and reports it.


def _rest(first: bytearray, second: bytes, done: int) -> list[memoryview]:
    """What is left of two texts after `done` bytes of them."""
    if done < len(first):
        return [memoryview(first)[done:], memoryview(second)]
    return [memoryview(second)[done - len(first) :]]


def _widen(fd: int) -> None:
    """A wider pipe makes for fewer switches between the two ends. It is a kindness, not a need."""
    try:
        fcntl.fcntl(fd, F_SETPIPE_SZ, PIPE_SIZE)
    except OSError:
        return
