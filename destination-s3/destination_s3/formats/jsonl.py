"""JSON lines. The rows go into the file as they stood in the pipe; nothing here looks inside of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from connector_sdk import Batch, Block, native
from destination_s3.columns import ADDITIONAL, AIRBYTE_COLUMNS, json_text
from destination_s3.compression import Compressor
from destination_s3.marks import Marks

GATHERED = 1 << 16
SLICE = 1 << 18
"""Bytes that are compressed in one go: a row of any size takes no more memory than this beside itself."""


class JsonlEncoder:
    """`marks` adds Airbyte's columns: around the row, or side by side with its fields if `flat`."""

    def __init__(self, compressor: Compressor, marks: Marks | None, flat: bool) -> None:
        self._compressor = compressor
        self._marks = marks
        self._flat = flat
        self.held = compressor.held

    def write(self, batch: Batch) -> Iterator[bytes]:
        compress = self._compressor.compress
        for chunk in self._lines(batch):
            if len(chunk) <= SLICE:
                yield compress(chunk)
            else:
                view = memoryview(chunk)
                for start in range(0, len(chunk), SLICE):
                    yield compress(view[start : start + SLICE])

    def _lines(self, batch: Batch) -> Iterator[bytes]:
        if self._marks is None:
            yield from (block.lines for block in batch.blocks)
            return
        for block in batch.blocks:
            yield from wrapped(block, self._marks, self._flat)

    def finish(self) -> Iterator[bytes]:
        yield self._compressor.flush()


# Airbyte's columns around raw rows. Per row, hence the fastest Python there is, and a native twin in its place.


class _Around(NamedTuple):
    """The texts around a row: `id`, its number, `time`, its time, `rest` (or what `changed` has for it), its data."""

    id: bytes
    time: bytes
    rest: bytes
    changed: Mapping[int, bytes]

    def front(self, row: int) -> bytes:
        """What stands before the data: a template that takes a number and a time."""
        return self.template(self.changed.get(row, self.rest))

    def template(self, rest: bytes) -> bytes:
        return self.id + b"%012x" + self.time + b"%d" + rest.replace(b"%", b"%%")


_DATA = b',"_airbyte_data":'


def wrapped(block: Block, marks: Marks, flat: bool) -> Iterator[bytes]:
    """The lines of this block with Airbyte's columns, some 64 or 128 KB at a time."""
    numbers = marks.take(block.count)
    if flat and b'"_airbyte_' in block.lines:
        block = _without_clashes(block)
    around = _around(block, marks)
    module = native.module()
    if module is None:
        return _wrapped(block, numbers, around, flat)
    data = None if flat else _DATA
    pieces: Iterator[bytes] = module.Wrapped(
        block.lines, block.emitted_at.tobytes(), numbers.start, *around[:3], data, around.changed
    )
    return pieces


def _around(block: Block, marks: Marks) -> _Around:
    changed = {row: _rest(marks, changes) for row, changes in block.changes}
    head = b'{"_airbyte_raw_id":"%b' % marks.head.encode()
    return _Around(head, b'","_airbyte_extracted_at":', _rest(marks, ()), changed)


def _rest(marks: Marks, changes: Iterable[Mapping[str, Any]]) -> bytes:
    return b',"_airbyte_meta":%b,"_airbyte_generation_id":%d' % (json_text(marks.meta(changes)), marks.generation)


def _wrapped(block: Block, numbers: range, around: _Around, flat: bool) -> Iterator[bytes]:
    rows = block.lines.split(b"\n")[:-1]
    step = max(1, GATHERED * block.count // len(block.lines))
    for first in range(0, block.count, step):
        some = slice(first, first + step)
        if step == 1 or flat or around.changed:
            fronts = map(around.front, range(first, block.count))
            yield from _apart(zip(fronts, numbers[some], block.emitted_at[some], rows[some], strict=False), flat)
        else:
            template = around.template(around.rest) + _DATA + b"%b}\n"
            yield b"".join(
                [template % line for line in zip(numbers[some], block.emitted_at[some], rows[some], strict=True)]
            )


def _apart(lines: Iterable[tuple[bytes, int, int, bytes]], flat: bool) -> Iterator[bytes]:
    """Lines in pieces: joined where they are small, a large row never copied."""
    small: list[bytes] = []
    for front, number, at, row in lines:
        pieces = (front % (number, at), *_data(row, flat))
        if len(row) < SLICE:
            small += pieces
        else:
            yield b"".join(small)
            small = []
            yield from pieces
    yield b"".join(small)


def _data(row: bytes, flat: bool) -> tuple[bytes, ...]:
    if not flat:
        return _DATA, row, b"}\n"
    if row[1:2] == b'"' or row[1:].lstrip()[:1] != b"}":
        return b",", row[1:], b"\n"
    return (b"}\n",)


_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def _without_clashes(block: Block) -> Block:
    """Fields named as Airbyte's columns move into a field of their own: of a repeated key only one would be read."""
    lines = b"".join(_without_clash(row) + b"\n" for row in block.lines.split(b"\n")[:-1])
    return Block(block.stream, lines, block.emitted_at, block.metas)


def _without_clash(row: bytes) -> bytes:
    fields: Mapping[str, Any] = _decode(row)
    if fields.keys().isdisjoint(AIRBYTE_COLUMNS):
        return row
    clashes = {name: value for name, value in fields.items() if name in (*AIRBYTE_COLUMNS, ADDITIONAL)}
    rest = {name: value for name, value in fields.items() if name not in clashes}
    return json_text({**rest, ADDITIONAL: clashes})
