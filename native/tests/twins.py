"""What tests and the fuzzer share: both twins of a part, driven with the same bytes."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from itertools import count
from typing import Any
from unittest import mock

from connector_sdk import Block, ConfiguredStream, Envelope, native
from connector_sdk.lines import BadLine, CutOff, LineReader, NativeLineReader, one_line_in_python
from destination_s3.formats import jsonl
from destination_s3.marks import Marks
from destination_s3.paths import Run
from source_postgres.decode import BLOCK, CopyError, Decoder
from source_postgres.rows import Message
from source_postgres.types import Column

NATIVE = importlib.util.find_spec("connector_native") is not None
WHY_NOT = "connector_native is not built here: `make install` builds it where cargo is"

Outcome = tuple[list[Block | bytes], str]
"""What a reader gave, and the error that it ended with."""


def pieces(text: bytes, cuts: Sequence[int]) -> list[bytes]:
    """The text, cut at these places."""
    places = sorted({min(cut, len(text)) for cut in cuts})
    return [text[start:end] for start, end in zip([0, *places], [*places, len(text)], strict=True)]


def read(reader: Any, chunks: Sequence[bytes]) -> Outcome:
    """Drive one reader over the chunks, to its end or its first error."""
    found: list[Block | bytes] = []
    try:
        for chunk in chunks:
            for item in reader.feed(chunk):
                found.append(item)  # Not `extend`: what came before an error counts.
        for item in reader.close():
            found.append(item)
    except (BadLine, CutOff) as error:
        return found, f"{type(error).__name__}: {error}"
    return found, ""


def read_both(chunks: Sequence[bytes], *limits: int) -> tuple[Outcome, Outcome]:
    """The outcome of the Python reader, and that of the native one; `limits` are the rows and bytes of a block."""
    import connector_native

    return read(LineReader(*limits), chunks), read(NativeLineReader(connector_native, *limits), chunks)


def read_pipe(chunks: list[bytes], *limits: int) -> Outcome:
    """What the native reader takes from a pipe into which the chunks are written one by one."""
    import connector_native

    reader = NativeLineReader(connector_native, *limits)
    ours, theirs = os.pipe()
    found: list[Block | bytes] = []
    try:
        for chunk in chunks:
            os.write(theirs, chunk)
            for item in reader.read(ours, 0.0) or ():
                found.append(item)  # Not `extend`: what came before an error counts.
        os.close(theirs)
        theirs = -1
        while (items := reader.read(ours, 10.0)) is not None:
            for item in items:
                found.append(item)
        found += reader.close()
    except (BadLine, CutOff) as error:
        return found, f"{type(error).__name__}: {error}"
    finally:
        for fd in (ours, theirs):
            if fd >= 0:
                os.close(fd)
    return found, ""


def flat(found: Sequence[Block | bytes]) -> list[Any]:
    """Lines, and rows with all that is known of each, whatever blocks they came in."""
    return [row for item in found for row in (_rows(item) if isinstance(item, Block) else [item])]


def _rows(block: Block) -> list[Any]:
    lines = zip(block.lines.split(b"\n")[:-1], block.emitted_at, strict=True)
    return [(block.stream, line, time, block.metas.get(row)) for row, (line, time) in enumerate(lines)]


def decode(decoder: Any, messages: Sequence[Message], take_each: bool = False) -> tuple[list[Any], str]:
    """Drive one decoder over the messages: every block as it was taken, the hidden values, and the error's kind."""
    found: list[Any] = []
    try:
        for message in messages:
            if decoder.feed(message) or take_each:
                found += [decoder.take(), decoder.hidden]
        decoder.finish()
    except CopyError as error:
        return [*found, decoder.take(), decoder.hidden], _kind(str(error))
    return [*found, decoder.take(), decoder.hidden], ""


def _kind(text: str) -> str:
    """The column, or the whole text: what `struct` says of a value is its own."""
    column, colon, _ = text.rpartition(": ")
    return column + colon or text


def decode_both(
    columns: Sequence[Column], messages: Sequence[Message], hidden: int = 0, take_each: bool = False
) -> tuple[Any, Any]:
    """What the Python decoder made of the messages, and what the native one did; the envelope counts its calls."""
    python, native = Decoder(columns, _envelopes(), hidden), native_decoder(columns, _envelopes(), hidden)
    return decode(python, messages, take_each), decode(native, messages, take_each)


def native_decoder(columns: Sequence[Column], envelope: Callable[[], Any], hidden: int = 0) -> Any:
    import connector_native

    return connector_native.CopyDecoder(columns, envelope, hidden, BLOCK, CopyError)


def _envelopes() -> Callable[[], Envelope]:
    numbers = count()
    return lambda: Envelope(b'{"head":%d,"data":' % next(numbers), b"}", b',"changes":', b"}}")


def one_line_both(value: bytes) -> tuple[bytes | str, bytes | str]:
    import connector_native

    return _line(one_line_in_python, value), _line(connector_native.one_line, value)


def _line(function: Callable[[bytes], bytes], value: bytes) -> bytes | str:
    try:
        return function(value)
    except ValueError as error:
        return str(error)


def wrap_blocks(blocks: Sequence[Block], first: int, flat: bool, module: Any) -> bytes:
    """The lines that destination-s3 writes for these blocks, by this module or by Python where it is None."""
    marks = Marks(
        ConfiguredStream("s", generation_id=3, sync_id=7), Run(datetime(2024, 5, 5, tzinfo=timezone.utc), "run")
    )
    marks.take(first)
    with mock.patch.object(native, "module", return_value=module):
        return b"".join(piece for block in blocks for piece in jsonl.wrapped(block, marks, flat))


def wrap_pieces(block: Block) -> list[bytes]:
    """The pieces that the native wrapper makes of a block."""
    import connector_native

    times = block.emitted_at.tobytes()
    return list(connector_native.Wrapped(block.lines, times, 0, b'{"id":', b',"time":', b',"rest":0', b',"data":', {}))


def wrap_both(blocks: Sequence[Block], first: int, flat: bool) -> tuple[bytes, bytes]:
    import connector_native

    return wrap_blocks(blocks, first, flat, None), wrap_blocks(blocks, first, flat, connector_native)
