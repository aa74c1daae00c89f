"""The pipe into a destination: chunks of bytes → blocks of rows per stream, and every other message as a whole line.

Rows are taken out of their envelopes without being decoded. What is passed on is known to be valid JSON, in UTF-8,
nested at most `MAX_DEPTH` levels. Of a key that is repeated in an envelope the last one counts.
"""

from __future__ import annotations

import os
import re
import select
import sys
from array import array
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any

import msgspec

from connector_sdk import native
from connector_sdk.batch import Block
from connector_sdk.errors import ConfigError, TransientError
from connector_sdk.streams import StreamName

MAX_DEPTH = 512
"""Levels of nesting in one line, its envelope included: 500 and more for the data."""


BLOCK = 1 << 20
"""Bytes of lines that a block holds at most, if limits do not ask for less. One row may be larger."""
CHUNK = 1 << 16
"""Bytes that the Python reader takes from the pipe at once."""


class BadLine(ConfigError):
    """A line that no connector may write. The text of the line is never shown."""

    def __init__(self, number: int, problem: str) -> None:
        super().__init__(f"Line {number} of the input {problem}. Something wrote to the pipe that is not the source.")


class CutOff(TransientError):
    """The input ends in the middle of a line."""

    def __init__(self, number: int) -> None:
        super().__init__(f"The input ends in the middle of line {number}: the source was cut off. Run it again.")


_NO_META = msgspec.Raw()


class _Record(msgspec.Struct):
    stream: str
    data: msgspec.Raw
    emitted_at: int | float | None = None
    namespace: str | None = None
    meta: msgspec.Raw = _NO_META


class _Envelope(msgspec.Struct):
    type: str | None = None
    record: _Record | None = None


class _Kind(msgspec.Struct):
    type: str | None = None


_decode = msgspec.json.Decoder(_Envelope).decode
_decode_kind = msgspec.json.Decoder(_Kind).decode
_decode_any = msgspec.json.Decoder(msgspec.Raw).decode
_NO_JSON = "is not JSON"
_NO_UTF8 = "is not UTF-8"
_DEEP = f"is nested deeper than {MAX_DEPTH} levels"
_NO_RECORD = "is a RECORD without a stream, without an object as its data, or with an emitted_at that is no number"


class LineReader:
    """`read(fd, seconds)` until the input ends, then `close()`; both give blocks and lines, in order.

    A block has at most `rows` rows and `size` bytes of lines, but one row at least.
    """

    def __init__(self, rows: int = sys.maxsize, size: int = BLOCK) -> None:
        self._rows = rows
        self._size = min(size, BLOCK)
        self._rest: list[bytes] = []
        self._number = 0

    def read(self, fd: int, seconds: float) -> Iterable[Block | bytes] | None:
        """What comes within so long: nothing where nothing came. None at the end of the input.

        Rows may be kept back as long, for others that go into the same block.
        """
        if not _readable(fd, seconds):
            return ()
        chunk = os.read(fd, CHUNK)
        return self.feed(chunk) if chunk else None

    def feed(self, chunk: bytes) -> Iterator[Block | bytes]:
        head, newline, tail = chunk.rpartition(b"\n")
        if newline:
            whole = b"".join((*self._rest, head))
            self._rest = [tail] if tail else []
            yield from self._lines(whole)
        elif tail:
            self._rest.append(tail)

    def close(self) -> Iterator[Block | bytes]:
        """What stands after the last line break: a whole message, or the trace of a source that was cut off."""
        rest = b"".join(self._rest)
        self._rest = []
        try:
            yield from list(self._lines(rest))
        except BadLine:
            raise CutOff(self._number) from None

    def _lines(self, text: bytes) -> Iterator[Block | bytes]:
        """The blocks and lines of a text of whole lines. What stands before a bad line is given before it is told."""
        block = _BlockBuilder(self._rows, self._size)
        try:
            yield from self._messages(text, block)
        except BadLine:
            yield from block.take()
            raise
        yield from block.take()

    def _messages(self, text: bytes, block: _BlockBuilder) -> Iterator[Block | bytes]:
        """What is ready; `block` keeps the rows of the last block."""
        decode = _decode if text.isascii() else self._decode_utf8
        for line in text.split(b"\n"):
            self._number += 1
            if not line or line.isspace():
                continue
            if len(line) - len(line.replace(b"{", b"").replace(b"[", b"")) > MAX_DEPTH:
                self._check_depth(line)
            try:
                envelope = decode(line)
            except (msgspec.MsgspecError, RecursionError) as error:
                envelope = self._other(line, error)
            if envelope.type != "RECORD":
                yield from block.take()
                yield line
                continue
            record = envelope.record
            if record is None or not (row := bytes(record.data)).startswith(b"{"):
                raise BadLine(self._number, _NO_RECORD)
            if not block.takes(record, row):
                yield from block.take()
            block.add(record, row)

    def _decode_utf8(self, line: bytes) -> _Envelope:
        """Decode a line that is not plain ASCII: what is passed on raw has to be checked as well."""
        try:
            line.decode()
        except UnicodeDecodeError:
            raise BadLine(self._number, _NO_UTF8) from None
        return _decode(line)

    def _other(self, line: bytes, error: Exception) -> _Envelope:
        """JSON that does not look like a message is of no meaning to us, unless it says that it is a RECORD."""
        try:
            if not isinstance(error, msgspec.ValidationError):
                raise error
            _decode_any(line)  # The error may stand before something that is no JSON.
            kind = _decode_kind(line).type
        except msgspec.ValidationError:
            kind = None  # No object at all, or one with a type that is no text.
        except (msgspec.DecodeError, RecursionError):
            raise BadLine(self._number, _NO_JSON) from None
        if kind == "RECORD":
            raise BadLine(self._number, _NO_RECORD) from None
        return _Envelope(kind)

    def _check_depth(self, line: bytes) -> None:
        if _depth(line) > MAX_DEPTH:
            raise BadLine(self._number, _DEEP)


_text = re.compile(rb'"[^"]*"')
_round = bytes.maketrans(b"{}", b"[]")
_all_else = bytes(set(range(256)) - set(b'[]{}"'))
_TOO_DEEP = b"[" * (MAX_DEPTH + 1)


def _depth(line: bytes) -> int:
    """Levels of brackets in a line of JSON, outside of texts; `MAX_DEPTH + 1` stands for more.

    Each step is one over the whole line, since a line may have 40 MB. What is no JSON has any depth.
    """
    without_escapes = line.replace(b"\\\\", b"").replace(b'\\"', b"")
    brackets_and_quotes = without_escapes.translate(_round, _all_else).replace(b'""', b"")
    brackets = _text.sub(b"", brackets_and_quotes)
    for depth in range(MAX_DEPTH + 1):
        inner = brackets.replace(b"[]", b"")
        if len(inner) == len(brackets):
            return MAX_DEPTH + 1 if inner else depth
        if _TOO_DEEP in inner:
            break
        brackets = inner
    return MAX_DEPTH + 1


class _BlockBuilder:
    """Consecutive records of one stream."""

    def __init__(self, rows: int, size: int) -> None:
        self._most = rows
        self._room = size
        self._clear()

    def _clear(self) -> None:
        self._name = ""
        self._namespace: str | None = None
        self._rows: list[bytes] = []
        self._size = 0
        self._emitted_at: list[int | float] = []
        self._metas: dict[int, bytes] = {}

    def takes(self, record: _Record, row: bytes) -> bool:
        if not self._rows:
            return True
        fits = len(self._rows) < self._most and self._size + len(row) < self._room
        return fits and self._name == record.stream and self._namespace == record.namespace

    def add(self, record: _Record, row: bytes) -> None:
        if not self._rows:
            self._name, self._namespace = record.stream, record.namespace
        if record.meta is not _NO_META and (meta := bytes(record.meta)) != b"null":
            self._metas[len(self._rows)] = meta
        self._rows.append(row)
        self._size += len(row) + 1
        self._emitted_at.append(record.emitted_at or 0)

    def take(self) -> Iterator[Block]:
        if self._rows:
            self._rows.append(b"")
            lines = b"\n".join(self._rows)
            yield Block(StreamName(self._namespace, self._name), lines, _times(self._emitted_at), self._metas)
            self._clear()


def _times(emitted_at: list[int | float]) -> array[int]:
    try:
        return array("q", map(int, emitted_at))
    except OverflowError:  # A time that is none counts as unknown, as null does.
        return array("q", (int(time) if -(1 << 63) <= time < 1 << 63 else 0 for time in emitted_at))


def _readable(fd: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def line_reader(rows: int, size: int) -> LineReader | NativeLineReader:
    """The reader for the input of this process: the native one where it is to be had."""
    module = native.module()
    return LineReader(rows, size) if module is None else NativeLineReader(module, rows, size)


class NativeLineReader:
    """The native twin of `LineReader`."""

    def __init__(self, module: ModuleType, rows: int = sys.maxsize, size: int = BLOCK) -> None:
        self._reader = module.LineReader(rows, size)

    def read(self, fd: int, seconds: float) -> Iterable[Block | bytes] | None:
        answer = self._reader.read(fd, int(seconds * 1000))
        return None if answer is None else self._items(*answer)

    def feed(self, chunk: bytes) -> Iterator[Block | bytes]:
        return self._items(*self._reader.feed(chunk))

    def _items(self, found: list[Any], problem: str | None) -> Iterator[Block | bytes]:
        yield from map(_item, found)
        if problem:
            raise BadLine(self._reader.number, _PROBLEMS[problem])

    def close(self) -> Iterator[Block | bytes]:
        found, problem = self._reader.close()
        if problem:
            raise CutOff(self._reader.number)
        yield from map(_item, found)


_PROBLEMS = {"json": _NO_JSON, "utf-8": _NO_UTF8, "depth": _DEEP, "record": _NO_RECORD}


def _item(found: Any) -> Block | bytes:
    if isinstance(found, bytes):
        return found
    namespace, stream, lines, emitted_at, metas = found
    return Block(StreamName(namespace, stream), lines, array("q", emitted_at), metas)


def one_line(value: bytes) -> bytes:
    """One JSON value on one line: without what surrounds it, and without the line breaks between its tokens.

    Raises ValueError for what is not one value of JSON in UTF-8, at most `MAX_DEPTH` levels deep.
    """
    module = native.module()
    if module is not None:
        line: bytes = module.one_line(value)
        return line
    return one_line_in_python(value)


def one_line_in_python(value: bytes) -> bytes:
    """What `one_line` means."""
    try:
        value.decode()
        found = bytes(_decode_any(value))
    except (UnicodeDecodeError, msgspec.DecodeError, RecursionError):
        raise ValueError("not one JSON value") from None
    if _depth(found) > MAX_DEPTH:
        raise ValueError("not one JSON value")
    return found.translate(None, b"\r\n")
