"""Sources: a value made of functions, and the loop that reads: statuses, states, resume, what failed."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

from connector_sdk import protocol
from connector_sdk.config import Config
from connector_sdk.emitter import Emitter
from connector_sdk.errors import ConfigError, ConnectorError, TransientError
from connector_sdk.logs import log
from connector_sdk.meter import Meter
from connector_sdk.output import Output, ReaderGone
from connector_sdk.retry import DEFAULT_BACKOFF, Backoff
from connector_sdk.rows import Checkpoint, ConfigUpdate, Yielded
from connector_sdk.state import InputState
from connector_sdk.streams import ConfiguredStream, Replace, Stream, StreamName

T = TypeVar("T")
Discover = Callable[[Any], Iterable[Stream]]
Find = Callable[[Any, Collection[StreamName]], Iterable[Stream]]
Read = Callable[[Any, ConfiguredStream], Iterable[Yielded]]
LogItem = tuple[StreamName, Yielded] | Checkpoint | ConfigUpdate
ReadLog = Callable[[Any, Sequence[ConfiguredStream], dict[str, Any] | None], Iterable[LogItem]]


@dataclass(frozen=True, slots=True)
class Source:
    """A connector that reads.

    `check(config)` returns, or raises. `discover(config)` yields streams. `read(config, stream)` yields rows and
    checkpoints of one stream; a retry of it is a resume from `stream.state`, the last checkpoint. A source that is one
    ordered log for all streams gives `read_log(config, streams, state)` instead, which yields `(stream.id, row)` and
    checkpoints of the position that they share. `find(config, names)` is `discover` for named streams only, where the
    source can ask for them more cheaply.
    """

    config: type[Config]
    check: Callable[[Any], None]
    discover: Discover
    read: Read | None = None
    read_log: ReadLog | None = None
    find: Find | None = None
    documentation: str | None = None
    advanced_auth: Mapping[str, Any] | None = None
    """How the platform signs a user in by OAuth, in the protocol's words."""
    around: Callable[[Output], AbstractContextManager[None]] | None = None
    """Surrounds each command: what must be ready before it and cleaned up after it, whatever happens in between."""
    backoff: Backoff = DEFAULT_BACKOFF

    def main(self, arguments: Sequence[str] | None = None) -> None:
        """Run the command line: `spec`, `check`, `discover`, `read`. Ends the process."""
        from connector_sdk.cli import run

        run(self, arguments)


def read(source: Source, config: Any, catalog: Sequence[ConfiguredStream], state: InputState, output: Output) -> bool:
    """Read all streams of the catalog. True where every one of them is complete."""
    return _Run(source, config, state, output).read(catalog)


class _Run:
    def __init__(self, source: Source, config: Any, state: InputState, output: Output) -> None:
        self._source = source
        self._config = config
        self._state = state
        self._output = output
        self._meter = Meter("read")
        self._open: dict[StreamName, None] = {}

    def read(self, catalog: Sequence[ConfiguredStream]) -> bool:
        self._open = dict.fromkeys(stream.id for stream in catalog)
        try:
            for stream in catalog:
                self._status(stream.id, "STARTED")
            found = self._resolve(catalog)
            failed = len(catalog) - len(found)
            self._compare_state()
            failed += self._read_log(found) if self._source.read_log else self._read_each(found)
        except BaseException as error:
            self._abandon(error)
            raise
        log.info("%s", self._meter)
        return not failed

    def _abandon(self, error: BaseException) -> None:
        """What was not finished is INCOMPLETE, as far as somebody still reads."""
        if not isinstance(error, ReaderGone):
            for stream in list(self._open):
                self._status(stream, "INCOMPLETE")

    def _status(self, stream: StreamName, status: str) -> None:
        if status in ("COMPLETE", "INCOMPLETE"):
            self._open.pop(stream, None)
        self._output.message(protocol.status_line(stream, status))

    def _resolve(self, catalog: Sequence[ConfiguredStream]) -> list[ConfiguredStream]:
        """The catalog's streams as the source has them now. One that it does not have is told and left INCOMPLETE."""
        wanted = {stream.id for stream in catalog}
        offered = self._source.find(self._config, wanted) if self._source.find else self._source.discover(self._config)
        known = {stream.id: stream for stream in offered if stream.id in wanted}
        for stream in catalog:
            if stream.id not in known:
                self._fail(stream.id, ConfigError(_missing(stream.id)))
        return [self._as_offered(stream, known[stream.id]) for stream in catalog if stream.id in known]

    def _as_offered(self, stream: ConfiguredStream, offered: Stream) -> ConfiguredStream:
        mode = stream.sync_mode
        if mode == "incremental" and not offered.incremental:
            log.warning("The stream %s offers no incremental sync: all of it is read.", stream.id)
            mode = "full_refresh"
        cursor = offered.cursor if offered.cursor_is_fixed else stream.cursor or offered.cursor
        # A state of another mode would hide rows, and what an earlier run wrote goes where all else is replaced.
        resumes = mode == "incremental" or (offered.resumable and stream.replace is not Replace.EVERYTHING_ELSE)
        state = self._state.of(stream.id) if resumes else None
        return replace(stream, discovered=offered, sync_mode=mode, cursor=cursor, state=state)

    def _compare_state(self) -> None:
        """A state of the other kind (one log for all, or a state per stream) cannot be gone on from."""
        shared = self._state.shared is not None
        single = any(self._state.streams.values()) or bool(self._state.legacy)
        if (shared and not single) if self._source.read_log is None else (single and not shared):
            log.warning("The state is one of another way to read (log or cursor): everything is read anew.")

    # One stream after another

    def _read_each(self, streams: Sequence[ConfiguredStream]) -> int:
        """Read one stream after another; returns how many are not complete."""
        return sum(not self._read(stream) for stream in streams)

    def _read(self, stream: ConfiguredStream) -> bool:
        assert self._source.read is not None
        read = partial(self._source.read, self._config)
        reading = _Reading(stream, read, self._source.backoff, self._output, self._meter)
        try:
            reading.run()
        except Exception as error:
            if isinstance(error, ReaderGone):
                raise
            self._fail(stream.id, error)
            return False
        self._status(stream.id, "COMPLETE")
        return True

    def _fail(self, stream: StreamName, error: Exception) -> None:
        tell(self._output, error, stream)
        self._status(stream, "INCOMPLETE")

    # One log for all

    def _read_log(self, streams: Sequence[ConfiguredStream]) -> int:
        """Read the shared log; returns how many streams are not complete."""
        assert self._source.read_log is not None
        read = partial(self._source.read_log, self._config, streams)
        reading = _LogReading(streams, read, self._state.shared, self._source.backoff, self._output, self._meter)
        try:
            reading.run()
        except Exception as error:
            if isinstance(error, ReaderGone):
                raise
            tell(self._output, error)
        for stream in streams:
            self._status(stream.id, "COMPLETE" if reading.complete else "INCOMPLETE")
        return 0 if reading.complete else len(streams)


class _Attempts:
    """Runs a reading until it ends well. A new checkpoint is progress: it starts the count of failures anew."""

    def __init__(self, backoff: Backoff) -> None:
        self._backoff = backoff
        self._failures = 0

    def run(self, attempt: Callable[[], None], may_resume: Callable[[], bool]) -> None:
        while True:
            try:
                return attempt()
            except TransientError as error:
                self._failures += 1
                if self._failures >= self._backoff.attempts or not may_resume():
                    raise
                wait = self._backoff.wait(self._failures, error.retry_after)
                log.warning("%s Reading goes on from the last checkpoint in %.1f s.", error.message, wait)
                time.sleep(wait)

    def progressed(self) -> None:
        self._failures = 0


class _Reading:
    """One stream, from its state to its end."""

    def __init__(
        self,
        stream: ConfiguredStream,
        read: Callable[[ConfiguredStream], Iterable[Yielded]],
        backoff: Backoff,
        output: Output,
        meter: Meter,
    ) -> None:
        self._stream = stream
        self._read = read
        self._output = output
        self._emitter = Emitter(stream.id, output, meter)
        self._attempts = _Attempts(backoff)
        self._stated = False

    def run(self) -> None:
        self._attempts.run(self._attempt, self._may_resume)
        self._emitter.running()
        if not self._stream.incremental:
            self._say({})  # A finished full refresh leaves nothing to go on from: the next one starts anew.
        elif self._emitter.rows or not self._stated:
            self._say(self._stream.state or {})

    def _may_resume(self) -> bool:
        """A full refresh is never read twice into one result: only what a checkpoint covers can be gone on from."""
        return self._stream.incremental or not self._emitter.rows

    def _attempt(self) -> None:
        emit = self._emitter.emit
        with _closing(self._read(self._stream)) as items:
            for item in items:
                checkpoint = emit(item)
                if checkpoint is not None:
                    self._checkpoint(dict(checkpoint.state))

    def _checkpoint(self, state: dict[str, Any]) -> None:
        if state != self._stream.state:
            self._attempts.progressed()
        self._stream = replace(self._stream, state=state)
        self._say(state)

    def _say(self, state: Any) -> None:
        self._stated = True
        self._output.state(protocol.state_line(self._stream.id, state, self._emitter.told()))


class _LogReading:
    """All streams of a log, from the shared state to its end."""

    def __init__(
        self,
        streams: Sequence[ConfiguredStream],
        read: Callable[[dict[str, Any] | None], Iterable[LogItem]],
        shared: dict[str, Any] | None,
        backoff: Backoff,
        output: Output,
        meter: Meter,
    ) -> None:
        self.complete = False
        self._read = read
        self._shared = shared
        self._output = output
        self._emitters = {stream.id: Emitter(stream.id, output, meter) for stream in streams}
        self._attempts = _Attempts(backoff)
        self._stated = False

    def run(self) -> None:
        self._attempts.run(self._attempt, lambda: True)
        for emitter in self._emitters.values():
            emitter.running()
        if not self._stated or any(emitter.rows for emitter in self._emitters.values()):
            self._say(self._shared or {})
        self.complete = True

    def _attempt(self) -> None:
        with _closing(self._read(self._shared)) as items:
            for item in items:
                if isinstance(item, tuple):
                    stream, row = item
                    self._emitters[stream].emit(row)
                elif isinstance(item, ConfigUpdate):
                    self._output.control(item.config)
                else:
                    self._checkpoint(dict(item.state))

    def _checkpoint(self, shared: dict[str, Any]) -> None:
        if shared != self._shared:
            self._attempts.progressed()
        self._shared = shared
        self._say(shared)

    def _say(self, shared: Any) -> None:
        self._stated = True
        rows = sum(emitter.told() for emitter in self._emitters.values())
        self._output.state(protocol.global_state_line(shared, self._emitters, rows))


@contextmanager
def _closing(items: Iterable[T]) -> Iterator[Iterable[T]]:
    """Whatever ends the loop over the items closes their generator at once, so that it can clean up."""
    try:
        yield items
    finally:
        if isinstance(items, Generator):
            items.close()


def tell(output: Output, error: BaseException, stream: StreamName | None = None) -> None:
    """An ERROR for this exception, on both ways out. A bug (any error that is not ours) comes with its stack."""
    known = isinstance(error, ConnectorError)
    stack = "".join(traceback.format_exception(error))
    message = output.error(error, stack=stack, stream=stream)
    print(f"error: {message}" if known else f"error: {message}\n{output.mask(stack)}", file=sys.stderr, flush=True)


def _missing(stream: StreamName) -> str:
    return (
        f"The stream {stream} is in the catalog, but the source does not have it (any more), or it may not be read. "
        "Take it out of the catalog, or give access to it."
    )
