"""What a destination is given: rows of one stream, as raw JSON lines or as dicts, and the bounds of such a batch."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import msgspec

from connector_sdk.errors import ConfigError
from connector_sdk.streams import ConfiguredStream, StreamName
from connector_sdk.values import number

_BLOCK_OBJECTS = 500
"""Bytes of the objects that make up a block, as measured."""


@dataclass(slots=True)
class Block:
    """Consecutive rows of one stream, as they stood in the pipe: `data` untouched, envelopes taken off."""

    stream: StreamName
    lines: bytes
    """One JSON value a line, each ended by `\\n`; never decoded, but known to be valid JSON objects."""
    emitted_at: array[int]
    """Milliseconds since 1970, one a row."""
    metas: dict[int, bytes]
    """Row number in this block → the raw JSON of its `meta`, only for rows that have one that is not null."""

    @property
    def count(self) -> int:
        return len(self.emitted_at)

    @property
    def held(self) -> int:
        """About how many bytes of memory it takes: with the smallest rows, the objects weigh more than their text."""
        return _BLOCK_OBJECTS + len(self.lines) + 8 * len(self.emitted_at)

    @property
    def changes(self) -> Iterator[tuple[int, list[dict[str, Any]]]]:
        """The rows that lost something on the way, by their numbers in this block, with their `meta.changes`."""
        for row, meta in self.metas.items():
            if changes := _changes_in(meta):
                yield row, changes

    def cut(self, rows: int, size: int) -> tuple[Block | None, Block | None]:
        """The longest beginning of at most `rows` rows and `size` bytes, and the rest. Either is None where empty."""
        if self.count <= rows and len(self.lines) <= size:
            return self, None
        end = self.lines.rfind(b"\n", 0, max(0, size)) + 1
        taken = self.lines.count(b"\n", 0, end)
        if taken > rows:
            end = taken = 0
            while taken < rows:
                end, taken = self.lines.index(b"\n", end) + 1, taken + 1
        if not taken:
            return None, self
        return self._part(0, taken, 0, end), self._part(taken, self.count, end, len(self.lines))

    def spread(self, place: Callable[[bytes], int]) -> list[tuple[int, Block]]:
        """The rows by the place that each one's line asks for, in order within a place."""
        rows: dict[int, list[int]] = {}
        lines = self.lines.split(b"\n")[:-1]
        for row, line in enumerate(lines):
            rows.setdefault(place(line), []).append(row)
        return [(where, self._rows(lines, chosen)) for where, chosen in rows.items()]

    def _rows(self, lines: list[bytes], chosen: list[int]) -> Block:
        text = b"\n".join([*(lines[row] for row in chosen), b""])
        metas = {at: self.metas[row] for at, row in enumerate(chosen) if row in self.metas}
        return Block(self.stream, text, array("q", (self.emitted_at[row] for row in chosen)), metas)

    def _part(self, first: int, last: int, start: int, end: int) -> Block | None:
        if first == last:
            return None
        metas = {row - first: meta for row, meta in self.metas.items() if first <= row < last}
        return Block(self.stream, self.lines[start:end], self.emitted_at[first:last], metas)


class _Meta(msgspec.Struct):
    changes: list[dict[str, Any]] | None = None


_decode_meta = msgspec.json.Decoder(_Meta | None).decode


def _changes_in(meta: bytes) -> list[dict[str, Any]]:
    """What a `meta` says of changes. One that is not as the protocol has it says nothing."""
    try:
        found = _decode_meta(meta)
    except msgspec.ValidationError:
        return []
    return (found and found.changes) or []


_decode_lines = msgspec.json.Decoder(dict[str, Any], float_hook=number).decode_lines


class Batch:
    """Rows of one stream, in order, in two forms: `rows` (dicts) and `lines` (raw JSON). `blocks` have the times.

    Whoever uses only `lines` never pays for decoding.
    """

    def __init__(self, stream: ConfiguredStream, blocks: list[Block]) -> None:
        self.stream = stream
        self.blocks = blocks
        self.count = sum(block.count for block in blocks)
        self.size = sum(len(block.lines) for block in blocks)
        self.held = sum(block.held for block in blocks)

    def __len__(self) -> int:
        return self.count

    @property
    def lines(self) -> bytes:
        """The rows as JSON lines, byte for byte as the source wrote them, each ended by `\\n`."""
        return self.blocks[0].lines if len(self.blocks) == 1 else b"".join(block.lines for block in self.blocks)

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """The rows as dicts. Integers are exact; a number that a float cannot hold is a `Decimal`."""
        try:
            return [row for block in self.blocks for row in _decode_lines(block.lines)]
        except (msgspec.ValidationError, ArithmeticError):  # They are valid JSON: only a number can be at fault.
            raise ConfigError(
                f"The stream {self.stream.id} holds a number that cannot be read, of thousands of digits or with an "
                "exponent of many. Only what takes rows as raw JSON (such as JSON lines) can carry it.",
                stream=self.stream.id,
            ) from None

    @cached_property
    def changes(self) -> dict[int, list[dict[str, Any]]]:
        """Row number in this batch → `meta.changes`, for rows that lost something on the way."""
        found: dict[int, list[dict[str, Any]]] = {}
        first = 0
        for block in self.blocks:
            found.update((first + row, changes) for row, changes in block.changes)
            first += block.count
        return found


class Store(Protocol):
    """A sink that gathers rows into large objects (files, load jobs): they are safe after `commit`, not before.

    Called by one thread at a time. A failed `write` or `commit` is not tried again: the run fails and is resumed.
    """

    held: int
    """Bytes of memory taken by rows that are not safe yet. The largest holder is committed when memory is short."""
    full: bool
    """The object has reached its size: commit now."""

    def write(self, batch: Batch) -> None: ...

    def commit(self) -> None:
        """Return when all rows written so far are safe."""


Write = Callable[[Batch], None]
"""Returns when the rows are safe. May be called again with the same rows; if `spread`, by several threads at once."""

Opener = Callable[[Any, ConfiguredStream], AbstractContextManager[Write | Store]]
"""`open_stream(config, stream)`: prepare, yield a `write` or a `Store`, finish.

What follows the yield runs only when the stream is COMPLETE and all of its rows are safe. Where it is not, the yield
raises `Incomplete` (or the error that ended the run): clean up in `except` or `finally`, and remove nothing old.
"""


class Incomplete(Exception):
    """Raised at the yield of `open_stream` when the input ended before the stream was complete."""


@dataclass(frozen=True, slots=True)
class Limits:
    """A batch is written when it reaches any of these, a `Store` committed after `commit_bytes` or `commit_seconds`."""

    rows: int = 10_000
    bytes: int = 1 << 20
    """JSON bytes of a batch. One row may be larger."""
    seconds: float = 5.0
    """The longest time a row waits for its batch to fill."""
    lanes: int = 1
    """Threads that write. A stream stays in one of them, so that the order of its rows holds."""
    spread: bool = False
    """Spread each stream over all lanes; rows with the same primary key stay in one of them."""
    commit_bytes: int = 1 << 40
    commit_seconds: float = 300.0
    held_bytes: int = 48 << 20
    """What all stores together may hold in memory before the largest is committed."""
