"""What tests and the fuzzer share: both twins of a part, driven with the same bytes."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

from connector_sdk.batch import Block
from connector_sdk.lines import BadLine, CutOff, LineReader, NativeLineReader
from connector_sdk.streams import Envelope
from source_postgres.decode import BLOCK, CopyError, Decoder
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


def read_both(chunks: Sequence[bytes]) -> tuple[Outcome, Outcome]:
    """The outcome of the Python reader, and that of the native one."""
    import connector_native

    return read(LineReader(), chunks), read(NativeLineReader(connector_native), chunks)


def decode(decoder: Any, messages: Sequence[bytes], take_each: bool = False) -> tuple[list[Any], str]:
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
    columns: Sequence[Column], messages: Sequence[bytes], hidden: int = 0, take_each: bool = False
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
