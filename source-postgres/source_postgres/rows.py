"""The frame of COPY BINARY: a header, rows of values with their lengths, an end mark; in messages cut anywhere."""

from __future__ import annotations

import struct
from collections.abc import Callable, Generator, Sequence

from source_postgres.values import CopyError

Message = bytes | bytearray | memoryview
RawRow = Sequence["memoryview | None"]
"""The bytes of each value of a row; None is NULL."""

_SIGNATURE = b"PGCOPY\n\xff\r\n\0"
_CRITICAL_FLAGS = 0xFFFF0000
_HEADER = struct.Struct(">11sIi")
_INT2 = struct.Struct(">h")
_INT4 = struct.Struct(">i")
_END = -1
_NULL = -1


class Rows:
    """Calls `add` with each row of `width` values, as soon as its last byte is there.

    Nothing is copied but what a cut between two messages divides.
    """

    def __init__(self, width: int, add: Callable[[RawRow], None]) -> None:
        self._width = width
        self._add = add
        self._data = memoryview(b"")
        self._at = 0
        self._ended = False
        self._parser = self._parse()
        next(self._parser)

    def feed(self, message: Message) -> None:
        """Take the next bytes, which must not change afterwards. After a CopyError there is no next."""
        try:
            self._parser.send(memoryview(message))
        except StopIteration:
            raise CopyError("the stream was found broken before") from None

    def finish(self) -> None:
        """Returns if the end mark was the last that came."""
        if not self._ended:
            raise CopyError("the stream stops before its end mark")

    def _parse(self) -> Generator[None, memoryview, None]:
        """The whole stream; each `yield` waits for a message."""
        yield from self._header()
        while (width := (yield from self._int2())) != _END:
            if width != self._width:
                raise CopyError(f"a row has {width} values instead of {self._width}")
            self._add((yield from self._row(width)))
        self._ended = True
        yield from self._need(1)
        self._ended = False
        raise CopyError("bytes after the end mark")

    def _header(self) -> Generator[None, memoryview, None]:
        yield from self._need(_HEADER.size)
        signature, flags, more = _HEADER.unpack(self._take(_HEADER.size))
        if signature != _SIGNATURE or flags & _CRITICAL_FLAGS or more < 0:
            raise CopyError("not the header of a binary COPY")
        yield from self._need(more)
        self._take(more)

    def _int2(self) -> Generator[None, memoryview, int]:
        yield from self._need(_INT2.size)
        (value,) = _INT2.unpack(self._take(_INT2.size))
        return int(value)

    def _row(self, width: int) -> Generator[None, memoryview, RawRow]:
        row: list[memoryview | None] = []
        for _ in range(width):
            if len(self._data) - self._at < _INT4.size:
                yield from self._need(_INT4.size)
            (size,) = _INT4.unpack(self._take(_INT4.size))
            if size < _NULL:
                raise CopyError("a value of negative length")
            if len(self._data) - self._at < size:
                yield from self._need(size)
            row.append(None if size == _NULL else self._take(size))
        return row

    def _take(self, size: int) -> memoryview:
        start, self._at = self._at, self._at + size
        return self._data[start : self._at]

    def _need(self, size: int) -> Generator[None, memoryview, None]:
        """Returns when the next `size` bytes are at hand; what was read before them is let go."""
        have = len(self._data) - self._at
        if have >= size:
            return
        pieces = [memoryview(bytes(self._data[self._at :]))] if have else []
        self._data, self._at = memoryview(b""), 0
        while have < size:
            piece = yield
            pieces.append(piece)
            have += len(piece)
            del piece
        self._data = pieces[0] if len(pieces) == 1 else memoryview(b"".join(pieces))
