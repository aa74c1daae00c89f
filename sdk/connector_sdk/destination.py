"""Destinations: a value made of functions, and the loop that writes: what came, what is safe, what is complete."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from connector_sdk import native, protocol
from connector_sdk.batch import Block, Incomplete, Limits, Opener
from connector_sdk.catalog import generations_speak
from connector_sdk.config import Config
from connector_sdk.errors import ConfigError, ConnectorError, TransientError
from connector_sdk.lanes import Lanes
from connector_sdk.ledger import Ledger
from connector_sdk.lines import BadLine, CutOff, line_reader
from connector_sdk.logs import log
from connector_sdk.meter import Meter
from connector_sdk.output import Output
from connector_sdk.retry import DEFAULT_BACKOFF, Backoff
from connector_sdk.state import BadState, parse_state
from connector_sdk.streams import ConfiguredStream, Replace, StreamName
from connector_sdk.writer import Shared, StreamWriter

DEFAULT_LIMITS = Limits()
TICK = 0.2
"""Seconds between two looks at what has waited long enough."""
UNDER_WAY = 8 << 20
"""Bytes of rows that may wait in the lanes."""
GATHERED = 16 << 20
"""Bytes of rows that all streams together may gather before the largest batches are sent early."""
HELD_STATES = 8 << 20
"""Bytes of STATEs that may wait before everything is made safe, so that they can go."""
CLEAN_UP = 7.0
"""Seconds for putting things in order after a failure."""


@dataclass(frozen=True, slots=True)
class Destination:
    """A connector that writes.

    `check(config)` returns, or raises. `open_stream(config, stream)` is a context manager: prepare, yield a `write`
    (or a `Store`), finish; see `connector_sdk.batch`. `warm_up(config)` is called in a thread of its own while the
    first rows of a full refresh are awaited, to import and to prepare what they need; what it raises counts for
    nothing, since `open_stream` meets it again. `limits` may depend on the config. `modes` are the sync modes
    that it offers; `append_dedup`, where it is asked for and not offered, is written as append, with a warning.
    """

    config: type[Config]
    check: Callable[[Any], None]
    open_stream: Opener
    limits: Limits | Callable[[Any], Limits] = DEFAULT_LIMITS
    modes: Sequence[str] = ("append", "overwrite")
    documentation: str | None = None
    warm_up: Callable[[Any], None] | None = None
    backoff: Backoff = DEFAULT_BACKOFF

    def main(self, arguments: Sequence[str] | None = None) -> None:
        """Run the command line: `spec`, `check`, `write`. Ends the process."""
        from connector_sdk.cli import run

        run(self, arguments)


def write(destination: Destination, config: Any, catalog: Sequence[ConfiguredStream], fd: int, output: Output) -> None:
    """Write what comes from `fd`. Returns where every stream that should be complete is."""
    native.keep_memory()
    streams = [_offered(destination, stream) for stream in catalog]
    limits = destination.limits if isinstance(destination.limits, Limits) else destination.limits(config)
    shared = Shared(
        config=config,
        open_stream=destination.open_stream,
        limits=limits,
        lanes=Lanes(limits.lanes, max(UNDER_WAY, 2 * limits.bytes)),
        ledger=Ledger(output.state),
        meter=Meter("written"),
        backoff=destination.backoff,
    )
    shared.writers += [StreamWriter(stream, shared) for stream in streams]
    if destination.warm_up is not None and not all(stream.incremental for stream in streams):
        threading.Thread(target=_warm_up, args=(destination.warm_up, config), name="warm-up", daemon=True).start()
    _Run(shared).write(fd)


def _warm_up(warm_up: Callable[[Any], None], config: Any) -> None:
    """Not for incremental streams: most of their runs find nothing new, and shall cost next to nothing."""
    try:
        warm_up(config)
    except BaseException as error:
        log.debug("While warming up: %s", error)


def _offered(destination: Destination, stream: ConfiguredStream) -> ConfiguredStream:
    mode = stream.destination_sync_mode
    if mode in destination.modes:
        return stream
    if mode != "append_dedup":
        offered = ", ".join(destination.modes)
        raise ConfigError(f"The sync mode {mode} is not offered here; choose one of {offered}.", stream=stream.id)
    log.warning("The stream %s asks for append_dedup, which is not offered here: it is written as append.", stream.id)
    return replace(stream, destination_sync_mode="append")


@dataclass(slots=True)
class _Heard:
    """What the input said of one stream."""

    writer: StreamWriter
    complete: bool = False
    """Its COMPLETE came after its last row."""
    state_last: bool = False
    """A STATE came after its last row."""

    def finish(self) -> None:
        """Once: a second COMPLETE would open the stream again, and replace what it holds by nothing."""
        if not self.complete:
            self.complete = True
            self.writer.finish()


class _Run:
    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._heard = {writer.stream.id: _Heard(writer) for writer in shared.writers}
        self._strangers: set[StreamName] = set()
        self._statuses = False
        self._ticked = time.monotonic()

    def write(self, fd: int) -> None:
        try:
            broken = self._take_all(fd)
            undone = self._end(whole=broken is None)
            self._shared.lanes.wait()
        except BaseException as error:
            self._clean_up(error)
            raise
        log.info("%s", self._shared.meter)
        if broken is not None:
            raise broken
        if undone:
            raise TransientError(_undone(undone))
        for heard in self._heard.values():
            if (stranger := self._namesake(heard)) is not None:
                raise ConfigError(_misnamed(heard.writer.stream.id, stranger), stream=heard.writer.stream.id)

    # While the input lasts

    def _take_all(self, fd: int) -> ConnectorError | None:
        """Take the whole input. An error in it ends it: what came before is still made safe."""
        limits = self._shared.limits
        reader = line_reader(limits.rows, limits.bytes)
        try:
            while (items := reader.read(fd, TICK)) is not None:
                self._take(items)
                self._tick()
            self._take(reader.close())
        except (BadLine, BadState, CutOff) as error:
            return error
        return None

    def _take(self, items: Iterable[Block | bytes]) -> None:
        for item in items:
            if isinstance(item, Block):
                self._take_rows(item)
            elif (kind := protocol.message_type(item)) == "STATE":
                self._take_state(item)
            elif kind == "TRACE":
                self._take_status(item)

    def _take_rows(self, block: Block) -> None:
        heard = self._heard.get(block.stream)
        if heard is None:
            return self._tell_stranger(block.stream)
        heard.complete = heard.state_last = False
        self._shared.ledger.received(block.stream, block.count)
        heard.writer.add(block)

    def _take_state(self, line: bytes) -> None:
        state = parse_state(line)
        for stream in [state.scope] if state.scope is not None else list(self._heard):
            if stream in self._heard:
                self._heard[stream].state_last = True
        self._shared.ledger.hold(state)

    def _take_status(self, line: bytes) -> None:
        found = protocol.parse_status(line)
        if found is None:
            return
        self._statuses = True
        stream, status = found
        if status == "COMPLETE" and stream in self._heard:
            if self._namesake(self._heard[stream]) is None:
                self._heard[stream].finish()
        elif status == "INCOMPLETE":
            log.warning("The source says that the stream %s is incomplete.", stream)

    def _tell_stranger(self, stream: StreamName) -> None:
        if stream not in self._strangers:
            self._strangers.add(stream)
            log.warning("The stream %s is not in the catalog: its rows are left out.", stream)

    def _namesake(self, heard: _Heard) -> StreamName | None:
        """A stranger that had the rows which this stream has not: catalog and source differ in a namespace."""
        if heard.writer.rows:
            return None
        return next((stranger for stranger in self._strangers if stranger.name == heard.writer.stream.name), None)

    def _tick(self) -> None:
        """Look after what waits: batches by time, memory by size, errors of the lanes."""
        writers = self._shared.writers
        if len(writers) > 1 and (gathered := sum(writer.gathered for writer in writers)) > GATHERED:
            _thin(writers, gathered)
        if self._shared.ledger.held_bytes > HELD_STATES:
            self._make_safe()
        now = time.monotonic()
        if now - self._ticked >= TICK:
            self._ticked = now
            self._shared.lanes.check()
            for writer in writers:
                writer.tick(now)

    def _make_safe(self) -> None:
        """Write and commit all that came, and let the STATEs go."""
        for writer in self._shared.writers:
            writer.flush()
            writer.commit_soon()
        self._shared.lanes.wait()

    # At its end

    def _end(self, whole: bool) -> list[StreamName]:
        """Finish what is complete, keep what is not. Returns the streams that should have been complete.

        The end of an input that is not whole ends nothing: what it lost may belong to any stream.
        """
        undone = []
        for heard in self._heard.values():
            if heard.complete:
                continue
            namesake = self._namesake(heard)
            if whole and namesake is None and self._ends_with_input(heard):
                heard.finish()
            else:
                heard.writer.abandon(Incomplete(f"the input ended before {heard.writer.stream.id} was complete"))
                undone += [heard.writer.stream.id] if self._must_complete(heard) and namesake is None else []
        return undone

    def _must_complete(self, heard: _Heard) -> bool:
        return self._statuses or generations_speak(heard.writer.stream)

    def _ends_with_input(self, heard: _Heard) -> bool:
        """Where no status can come, the end of the input is the end: of a stream whose last message was a STATE."""
        if self._must_complete(heard):
            return False
        if heard.writer.rows and not heard.state_last:
            kept = "; what was there before is kept" if heard.writer.stream.replace is not Replace.NOTHING else ""
            log.warning("The stream %s ended without a STATE, perhaps too early%s.", heard.writer.stream.id, kept)
        return heard.state_last

    def _clean_up(self, error: BaseException) -> None:
        """Give every open stream the chance to put its things in order, for a few seconds."""
        self._shared.lanes.abandon()
        for writer in self._shared.writers:
            writer.drop(error)
        try:
            self._shared.lanes.wait(CLEAN_UP)
        except BaseException as raised:
            log.debug("While cleaning up: %s", raised)


def _thin(writers: Sequence[StreamWriter], gathered: int) -> None:
    """Send the largest batches until half of what is allowed remains."""
    for writer in sorted(writers, key=lambda writer: writer.gathered, reverse=True):
        if gathered <= GATHERED // 2:
            return
        gathered -= writer.gathered
        writer.flush()


def _misnamed(stream: StreamName, stranger: StreamName) -> str:
    return (
        f"No row came for the stream {stream}, but some for {stranger}, which the catalog lacks. They were left out, "
        f'and nothing old was replaced. Source and destination need the same catalog, in which null and "" are '
        f"different namespaces: here it is {stream.namespace!r}, there {stranger.namespace!r}."
    )


def _undone(streams: Sequence[StreamName]) -> str:
    names = ", ".join(map(str, streams[:10])) + (f" and {len(streams) - 10} more" if len(streams) > 10 else "")
    return (
        f"The input ended before the source said COMPLETE for {names}. What came is kept where it does no harm, "
        "nothing old was replaced, and a run from the last state goes on. Look at the source's errors."
    )
