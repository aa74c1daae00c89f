"""The way of a record: bytes from the source's output to the destination's input, counted and never parsed.

A block of lines that all begin like the last RECORD goes on as it came. How a RECORD of a stream begins (its envelope
up to the data) is learnt from the first of its kind, which is parsed; any other line is looked at by itself.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO

import msgspec

from airpipe.alike import alike
from airpipe.errors import TransientProblem
from airpipe.streams import StreamName, Tally
from airpipe.words import size_text

CHUNK = 1 << 17
"""Bytes read at once. Larger blocks cost more: fresh memory for each of them."""
LONGEST = 1 << 30
"""Bytes of one line. A source that never ends its line would fill the memory."""

_BEGINNING = re.compile(
    rb'\s*\{"type": ?"RECORD", ?"record": ?\{(?:"(?:stream|namespace)": ?(?:"(?:[^"\\]|\\.)*"|null), ?)+'
)
"""An envelope that names its stream before its data, as all known sources write it."""


class DestinationGone(Exception):
    """The destination takes nothing any more."""


class _Record(msgspec.Struct):
    stream: str
    namespace: str | None = None


class _Message(msgspec.Struct):
    type: str | None = None
    record: _Record | None = None


_decode = msgspec.json.Decoder(_Message).decode
_NONE = b"\0 no line begins like this"


class Pump:
    """Moves whole lines from `source` to `sink` until the source ends.

    RECORDs are counted in `tallies`. Every other line goes to `message`, which returns what the destination shall hear
    instead of it, if anything; rows that came before it are counted by then, and sent before what it returns.
    """

    def __init__(
        self,
        source: int,
        sink: int,
        tallies: Mapping[StreamName, Tally],
        message: Callable[[bytes], bytes | None],
    ) -> None:
        self._source = source
        self._sink = sink
        self._tallies = tallies
        self._message = message
        self._names = [stream.name for stream in tallies]
        self._known: dict[bytes, Tally] = {}
        self._beginning = _NONE
        self._tally = Tally(StreamName(None, ""))
        self._rest: list[bytes] = []
        self._waiting = 0
        self.began = time.monotonic()
        """When the first bytes came."""
        self.torn = False
        """The source ended within a message: the rest of it is lost."""

    def run(self) -> None:
        """Return at the end of the source. A last line that lacks only its end is taken as whole."""
        chunk = os.read(self._source, CHUNK)
        self.began = time.monotonic()
        while chunk:
            self._feed(chunk)
            chunk = os.read(self._source, CHUNK)
        rest = b"".join(self._rest)
        self._rest = []
        self.torn = rest.lstrip().startswith(b"{") and not _is_json(rest)
        if rest and not self.torn:
            self.write([self._line(rest + b"\n")])

    def _feed(self, chunk: bytes) -> None:
        head = self._rest
        if len(head) > 1 and len(head[0]) < len(self._beginning):
            head[:] = [b"".join(head)]
        lines, end = alike(head[0] if head else b"", chunk, self._beginning)
        if not lines:
            head.append(chunk)
            self._waiting += len(chunk)
            if self._waiting > LONGEST:
                raise TransientProblem(
                    f"The source sent a line of more than {size_text(LONGEST)}: a bug of the source."
                )
            return
        self._rest = [chunk[end:]] if end < len(chunk) else []
        self._waiting = len(chunk) - end
        if lines > 0:
            self._count(lines, end + sum(map(len, head)))
            self.write([*head, memoryview(chunk)[:end]])
        else:
            self.write(list(map(self._line, BytesIO(b"".join((*head, chunk[:end]))))))

    def _count(self, rows: int, size: int) -> None:
        tally = self._tally
        tally.rows += rows
        tally.since += rows
        tally.bytes += size

    def _line(self, line: bytes) -> bytes:
        """What the destination shall hear instead of this line."""
        if not line.startswith(self._beginning):
            tally = self._tally_of(line)
            if tally is None:
                return self._message(line) or b""
            if tally.transform is not None:
                _add(tally, len(line))
                return tally.transform(line)
            self._tally = tally
            if self._beginning is _NONE:
                _add(tally, len(line))
                return line
        self._count(1, len(line))
        return line

    def _tally_of(self, line: bytes) -> Tally | None:
        """The tally of a RECORD; None for any other line."""
        found = _BEGINNING.match(line)
        beginning = found[0] if found else b""
        tally = self._known.get(beginning)
        if tally is None:
            tally = self._parsed(line)
            if tally is not None and beginning and self._is_unmistakable(beginning, tally):
                self._known[beginning] = tally
            else:
                beginning = b""
        self._beginning = beginning if beginning and tally and tally.transform is None else _NONE
        return tally

    def _parsed(self, line: bytes) -> Tally | None:
        try:
            message = _decode(line)
        except msgspec.MsgspecError:
            return None
        if message.type != "RECORD" or message.record is None:
            return None
        stream = StreamName(message.record.namespace, message.record.stream)
        tally = self._tallies.get(stream)
        if tally is None:
            raise TransientProblem(
                f"The source sent a row of the stream {stream}, which nobody asked for: a bug of the source."
            )
        return tally

    def _is_unmistakable(self, beginning: bytes, tally: Tally) -> bool:
        """Whether every RECORD that begins so is of this stream: a namespace may also stand after the data."""
        return b'"namespace":' in beginning or self._names.count(tally.stream.name) == 1

    def write(self, parts: Sequence[bytes | memoryview]) -> None:
        """Write all of it, or raise DestinationGone."""
        wanted = sum(map(len, parts))
        if not wanted:
            return
        try:
            written = os.writev(self._sink, parts) if len(parts) < 1000 else 0
            if written < wanted:
                self._write_rest(b"".join(parts), written)
        except BrokenPipeError:
            raise DestinationGone from None

    def _write_rest(self, whole: bytes, written: int) -> None:
        with memoryview(whole) as view:
            while written < len(view):
                written += os.write(self._sink, view[written:])


def _is_json(text: bytes) -> bool:
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except msgspec.MsgspecError:
        return False
    return True


def _add(tally: Tally, size: int) -> None:
    tally.rows += 1
    tally.since += 1
    tally.bytes += size
