"""One stream on its way into the store: rows gathered to batches, batches written in lanes, tickets settled."""

from __future__ import annotations

import threading
import time
import zlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any

import msgspec

from connector_sdk.batch import Batch, Block, Incomplete, Limits, Opener, Store, Write
from connector_sdk.lanes import Lanes
from connector_sdk.ledger import Ledger
from connector_sdk.logs import log
from connector_sdk.meter import Meter
from connector_sdk.retry import Backoff
from connector_sdk.streams import ConfiguredStream


@dataclass(slots=True)
class Shared:
    """What all writers of a run use together."""

    config: Any
    open_stream: Opener
    limits: Limits
    lanes: Lanes
    ledger: Ledger
    meter: Meter
    backoff: Backoff
    writers: list[StreamWriter] = field(default_factory=list)

    def relieve(self, lane: int) -> None:
        """Commit the store that holds most, while all together hold too much memory: here, where this is its lane."""
        if sum(writer.held for writer in self.writers) > self.limits.held_bytes:
            max(self.writers, key=lambda writer: writer.held).commit_from(lane)


@dataclass(slots=True)
class _Gathering:
    """Rows on their way to one lane that are not a batch yet."""

    blocks: list[Block] = field(default_factory=list)
    rows: int = 0
    size: int = 0
    held: int = 0
    ticket: int = 0
    since: float = 0.0


class StreamWriter:
    """`add` rows, `finish` or `abandon`. The store is opened by the first row, or by `finish`.

    Public methods are called by the reading thread; what touches the store runs in a lane.
    """

    _numbers = count()

    def __init__(self, stream: ConfiguredStream, shared: Shared) -> None:
        self.stream = stream
        self.rows = 0
        self.held = 0
        self._shared = shared
        self._lane = next(self._numbers) % shared.lanes.count
        self._gathering: dict[int, _Gathering] = {}
        self._next_lane = 0
        self._place = _placer(stream, shared.limits, shared.lanes.count)
        self._lock = threading.Lock()
        self._under_way = 0
        self._last: Callable[[], None] | None = None
        self._context: AbstractContextManager[Write | Store] | None = None
        self._sink: Write | Store | None = None
        self._unsafe: list[int] = []
        self._unsafe_bytes = 0
        self._unsafe_since = 0.0
        self._commit_asked = False

    # Called by the reading thread

    def add(self, block: Block) -> None:
        self.rows += block.count
        if self._place is None:
            self._gather(self._lane, block)
        else:
            for lane, part in self._place(block):
                self._gather(lane, part)

    @property
    def gathered(self) -> int:
        """Bytes of memory that are not yet on their way."""
        return sum(gathering.held for gathering in self._gathering.values())

    def flush(self) -> None:
        for lane in list(self._gathering):
            self._send(lane)

    def tick(self, now: float) -> None:
        """Send and commit what has waited long enough."""
        limits = self._shared.limits
        for lane, gathering in list(self._gathering.items()):
            if now - gathering.since >= limits.seconds:
                self._send(lane)
        if self._unsafe and now - self._unsafe_since >= limits.commit_seconds:
            self.commit_soon()

    def finish(self) -> None:
        """The stream is complete: write what is left, then run what follows the yield of `open_stream`."""
        self.flush()
        self._after_all(self._complete)

    def abandon(self, error: BaseException) -> None:
        """The stream will not be complete: write and commit what came, then raise `error` at the yield."""
        self.flush()
        self._after_all(partial(self._give_up, error))

    def drop(self, error: BaseException) -> None:
        """The run failed: raise `error` at the yield without writing anything more."""
        self._gathering.clear()
        with self._lock:
            self._last = None  # What was to follow a write that still runs would find the stream given up.
            self._shared.lanes.follow(self._lane, partial(self._throw, error))

    def commit_soon(self) -> None:
        """Ask the lane to commit. May be called by any thread."""
        if not self._commit_asked:
            self._commit_asked = True
            self._shared.lanes.follow(self._lane, self._commit)

    def commit_from(self, lane: int) -> None:
        """Commit at once if this is called in the stream's own lane, else soon."""
        if lane == self._lane:
            self._commit()
        else:
            self.commit_soon()

    # Gathering

    def _gather(self, lane: int, block: Block | None) -> None:
        limits = self._shared.limits
        while block is not None:
            gathering = self._gathering.get(lane)
            if gathering is None:
                gathering = self._gathering[lane] = _Gathering(
                    since=time.monotonic(), ticket=self._shared.ledger.open()
                )
            part, rest = self._fitting(block, gathering)
            if part is not None:
                gathering.blocks.append(part)
                gathering.rows += part.count
                gathering.size += len(part.lines)
                gathering.held += part.held
            if rest is not None or gathering.rows >= limits.rows or gathering.size >= limits.bytes:
                self._send(lane)
            block = rest

    def _fitting(self, block: Block, gathering: _Gathering) -> tuple[Block | None, Block | None]:
        """What of the block still goes into this batch, and the rest."""
        limits = self._shared.limits
        rows, size = limits.rows - gathering.rows, limits.bytes - gathering.size
        if not gathering.rows:
            part, rest = block.cut(rows, size)
            return block.cut(1, len(block.lines)) if part is None else (part, rest)  # One row may be larger.
        fits = block.count <= rows and len(block.lines) <= size
        if not fits and (2 * block.count >= limits.rows or 2 * len(block.lines) >= limits.bytes):
            return None, block  # It makes a batch of its own: to cut it would cost more than a batch that is not full.
        return block.cut(rows, size)

    def _send(self, lane: int) -> None:
        gathering = self._gathering.pop(lane)
        batch = Batch(self.stream, gathering.blocks)
        if self._shared.limits.spread and not self._keyed:
            self._next_lane = lane = (self._next_lane + 1) % self._shared.lanes.count
        with self._lock:
            self._under_way += 1
        self._shared.lanes.submit(lane, batch.held, partial(self._write, batch, gathering.ticket))

    @property
    def _keyed(self) -> bool:
        return self._place is not None

    def _after_all(self, last: Callable[[], None]) -> None:
        """Run `last` in the lane once every batch is written, whichever lane they are in."""
        with self._lock:
            if self._under_way:
                self._last = last
                return
        self._shared.lanes.submit(self._lane, 0, last)

    # In a lane

    def _write(self, batch: Batch, ticket: int) -> None:
        sink = self._opened()
        if callable(sink):
            self._shared.backoff.call(partial(sink, batch), self._tell_retry)
            self._shared.ledger.settle(ticket)
        else:
            self._store(sink, batch, ticket)
        self._shared.meter.add(batch.count, batch.size)
        with self._lock:
            self._under_way -= 1
            if self._last is not None and not self._under_way:
                self._shared.lanes.follow(self._lane, self._last)
                self._last = None

    def _store(self, store: Store, batch: Batch, ticket: int) -> None:
        if not self._unsafe:
            self._unsafe_since = time.monotonic()
        self._unsafe.append(ticket)
        store.write(batch)
        self._unsafe_bytes += batch.size
        self.held = store.held
        if store.full or self._unsafe_bytes >= self._shared.limits.commit_bytes:
            self._commit()
        else:
            self._shared.relieve(self._lane)

    def _commit(self) -> None:
        self._commit_asked = False
        if not self._unsafe or self._sink is None or callable(self._sink):
            return
        self._sink.commit()
        self.held, self._unsafe_bytes = self._sink.held, 0
        settled, self._unsafe = self._unsafe, []
        for ticket in settled:
            self._shared.ledger.settle(ticket)

    def _opened(self) -> Write | Store:
        with self._lock:
            if self._sink is None:
                self._context = self._shared.open_stream(self._shared.config, self.stream)
                self._sink = self._context.__enter__()
                if self._shared.limits.spread and not callable(self._sink):
                    raise TypeError(
                        "a Store is called by one thread at a time: it cannot be used with Limits(spread=True)"
                    )
            return self._sink

    def _complete(self) -> None:
        self._opened()
        self._commit()
        context, self._context, self._sink = self._context, None, None
        assert context is not None
        context.__exit__(None, None, None)

    def _give_up(self, error: BaseException) -> None:
        self._commit()
        self._throw(error)

    def _throw(self, error: BaseException) -> None:
        """Raise `error` at the yield. That it comes out again is no news; another error is told."""
        context, self._context, self._sink = self._context, None, None
        if context is None:
            return
        try:
            context.__exit__(type(error), error, None)
        except BaseException as raised:
            if raised is not error and not isinstance(raised, Incomplete):
                log.warning(
                    "Cleaning up after the stream %s failed: %s: %s", self.stream.id, type(raised).__name__, raised
                )

    def _tell_retry(self, error: BaseException, wait: float) -> None:
        log.warning("Writing to %s: %s It is tried again in %.1f s.", self.stream.id, error, wait)


Placer = Callable[[Block], Sequence[tuple[int, Block]]]


def _placer(stream: ConfiguredStream, limits: Limits, lanes: int) -> Placer | None:
    """How rows of one key find their lane, where a stream with keys is spread over several; None where it is not."""
    if not limits.spread or lanes == 1 or stream.destination_sync_mode != "append_dedup" or not stream.primary_key:
        return None
    paths = [tuple(path) for path in stream.primary_key]
    decode = msgspec.json.Decoder(dict[str, Any]).decode

    def lane_of(line: bytes) -> int:
        row = decode(line)
        return zlib.crc32(repr([_at(row, path) for path in paths]).encode()) % lanes

    return lambda block: block.spread(lane_of)


def _at(row: Any, path: Sequence[str]) -> Any:
    for key in path:
        row = row.get(key) if isinstance(row, dict) else None
    return row
