"""The pipe into a destination: chunks of bytes → blocks of rows per stream, and every other message as a whole line.

Rows are taken out of their envelopes without being decoded. What is passed on is known to be valid JSON, in UTF-8,
nested at most `MAX_DEPTH` levels. Of a key that is repeated in an envelope the last one counts.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator

import msgspec

from connector_sdk.batch import Block
from connector_sdk.errors import ConfigError, TransientError
from connector_sdk.streams import StreamName

MAX_DEPTH = 512
"""Levels of nesting in one line, its envelope included: 500 and more for the data."""


class BadLine(ConfigError):
    """A line that no connector may write. The text of the line is never shown."""

    def __init__(self, number: int, problem: str) -> None:
        super().__init__(f"Line {number} of the input {problem}. Something wrote to the pipe that is not the source.")


class CutOff(TransientError):
    """The input ends in the middle of a line."""

    def __init__(self, number: int) -> None:
        super().__init__(f"The input ends in the middle of line {number}: the source was cut off. Run it again.")


class _Record(msgspec.Struct):
    stream: str
    data: msgspec.Raw
    emitted_at: int | float | None = None
    namespace: str | None = None
    meta: msgspec.Raw = msgspec.Raw()


class _Envelope(msgspec.Struct):
    type: str | None = None
    record: _Record | None = None


_decode = msgspec.json.Decoder(_Envelope).decode


class LineReader:
    """`feed(chunk)` for each chunk of the input, `close()` at its end; both give blocks and lines, in order."""

    def __init__(self) -> None:
        self._rest: list[bytes] = []
        self._number = 0

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
        block = _BlockBuilder()
        for line in text.split(b"\n"):
            self._number += 1
            if not line or line.isspace():
                continue
            record = self._record(line)
            if record is None or not block.takes(record):
                yield from block.take()
            if record is None:
                yield line
            else:
                block.add(record)
        yield from block.take()

    def _record(self, line: bytes) -> _Record | None:
        """The record of this line, None where it is another message."""
        self._check(line)
        try:
            envelope = _decode(line)
        except (msgspec.ValidationError, UnicodeDecodeError):
            return self._other(line)
        except (msgspec.DecodeError, RecursionError):
            raise BadLine(self._number, "is not JSON") from None
        if envelope.type != "RECORD":
            return None
        record = envelope.record
        if record is None or bytes(memoryview(record.data)[:1]) != b"{":
            raise BadLine(self._number, "is a RECORD without a stream or without an object as its data")
        return record

    def _other(self, line: bytes) -> None:
        """JSON that does not look like a message: of no meaning to us, unless it says that it is a RECORD."""
        try:
            found = msgspec.json.decode(line)
        except msgspec.ValidationError:
            found = None  # A number that no float can hold, in some message that is none of ours.
        except msgspec.DecodeError:
            raise BadLine(self._number, "is not JSON") from None
        if isinstance(found, dict) and found.get("type") == "RECORD":
            raise BadLine(self._number, "is a RECORD without a stream or without an object as its data")

    def _check(self, line: bytes) -> None:
        if not line.isascii():
            try:
                line.decode()
            except UnicodeDecodeError:
                raise BadLine(self._number, "is not UTF-8") from None
        if line.count(b"{") + line.count(b"[") > MAX_DEPTH and _depth(line) > MAX_DEPTH:
            raise BadLine(self._number, f"is nested deeper than {MAX_DEPTH} levels")


_brackets = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)


def _depth(line: bytes) -> int:
    depth = deepest = 0
    for token in _brackets.finditer(line):
        if token[0] in (b"{", b"["):
            depth += 1
            deepest = max(deepest, depth)
        elif token[0] in (b"}", b"]"):
            depth -= 1
    return deepest


class _BlockBuilder:
    """Consecutive records of one stream."""

    def __init__(self) -> None:
        self._clear()

    def _clear(self) -> None:
        self._stream: tuple[str | None, str] | None = None
        self._rows: list[msgspec.Raw] = []
        self._emitted_at = array("q")
        self._metas: dict[int, bytes] = {}

    def takes(self, record: _Record) -> bool:
        return self._stream is None or self._stream == (record.namespace, record.stream)

    def add(self, record: _Record) -> None:
        self._stream = record.namespace, record.stream
        if record.meta and (meta := bytes(record.meta)) != b"null":
            self._metas[len(self._rows)] = meta
        self._rows.append(record.data)
        self._emitted_at.append(int(record.emitted_at or 0))

    def take(self) -> Iterator[Block]:
        if self._stream is not None:
            lines = b"\n".join((*self._rows, b""))
            yield Block(StreamName(*self._stream), lines, self._emitted_at, self._metas)
            self._clear()
