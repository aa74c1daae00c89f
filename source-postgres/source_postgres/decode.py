"""COPY BINARY to RECORD lines, in Python: it says what is meant, runs anywhere, and judges its native twin."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from connector_sdk.envelope import Envelope
from source_postgres.rows import Message, RawRow, Rows
from source_postgres.types import Column
from source_postgres.values import NULL, CopyError, Decode, Lossy, decoder, quote

__all__ = ["BLOCK", "CopyError", "Decoder", "Decodes"]

BLOCK = 256 * 1024
"""Bytes of lines that make a block. What Python does for each costs as much as the decoding of 50 rows."""


class Decodes(Protocol):
    """What turns the bytes of one COPY into RECORD lines; see `Decoder`, which defines it."""

    @property
    def hidden(self) -> tuple[str | None, ...]: ...

    def feed(self, message: bytes | memoryview) -> bool: ...

    def take(self) -> tuple[bytes, int]: ...

    def finish(self) -> None: ...


class Decoder:
    """Complete RECORD lines from the messages of one `COPY (SELECT …) TO STDOUT (FORMAT binary)`.

    The SELECT has `columns` in their order, each by its `select`, then `hidden` more of type text, which do not become
    fields. A line is the envelope's head, the row as `{"field":value,…}` in the order of the columns, without spaces,
    the envelope's tail and a line break; where something was lost, `changes` takes the tail's place and names each
    top-level field once, in that order. `envelope` is called at the first row of a block. The same bytes make the same
    lines however they are cut into messages.
    """

    def __init__(self, columns: Sequence[Column], envelope: Callable[[], Envelope], hidden: int = 0) -> None:
        self.hidden: tuple[str | None, ...] = (None,) * hidden
        """The hidden values of the last complete row."""
        self._fields = [_field(column, first=at == 0) for at, column in enumerate(columns)]
        self._new_envelope = envelope
        self._rows = Rows(len(columns) + hidden, self._add)
        self._empty()

    def feed(self, message: Message) -> bool:
        """Decode the rows that the message completes; True when a block is full and wants to be taken.

        Raises CopyError for bytes that the server does not write; nothing can be fed after that. The message must not
        change afterwards.
        """
        self._rows.feed(message)
        return self._size >= BLOCK

    def take(self) -> tuple[bytes, int]:
        """The lines complete and not yet taken, and how many they are: a block of about `BLOCK` bytes, or one row."""
        lines, count = b"".join(self._lines), self._count
        self._empty()
        return lines, count

    def finish(self) -> None:
        """Returns if the COPY came to its proper end, else raises CopyError. Lines may be left to take."""
        self._rows.finish()

    def _empty(self) -> None:
        self._lines: list[bytes] = []
        self._size = 0
        self._count = 0

    def _add(self, row: RawRow) -> None:
        """Append the line of one row, in parts that are joined once per block."""
        if self._count == 0:
            self._envelope = self._new_envelope()
        parts, changes = [self._envelope.head, b"{"], []
        for field, raw in zip(self._fields, row, strict=False):
            value = NULL if raw is None else field.value(raw)
            parts += (field.key, value)
            if type(value) is Lossy:
                changes.append(field.change)
        parts += (b"}", self._tail(changes), b"\n")
        self.hidden = tuple(_hidden(raw) for raw in row[len(self._fields) :])
        self._lines += parts
        self._size += sum(map(len, parts))
        self._count += 1

    def _tail(self, changes: Sequence[bytes]) -> bytes:
        if not changes:
            return self._envelope.tail
        return self._envelope.meta_head + b"[%s]" % b",".join(changes) + self._envelope.meta_tail


def _hidden(raw: memoryview | None) -> str | None:
    try:
        return None if raw is None else str(raw, "utf-8")
    except UnicodeDecodeError:
        raise CopyError("a hidden value is not UTF-8") from None


class _Field(NamedTuple):
    """A column, as far as its rows need it."""

    name: str
    key: bytes
    """With the colon, and with the comma before it."""
    decode: Decode
    change: bytes

    def value(self, raw: memoryview) -> bytes:
        try:
            return self.decode(raw)
        except (CopyError, struct.error) as error:
            raise CopyError(f"column {self.name}: {error}") from error


def _field(column: Column, first: bool) -> _Field:
    name = quote(column.name)
    change = b'{"field":%s,"change":"NULLED","reason":"SOURCE_SERIALIZATION_ERROR"}' % name
    return _Field(column.name, (b"" if first else b",") + name + b":", decoder(column.layout), change)
