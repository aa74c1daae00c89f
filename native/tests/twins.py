"""What tests and the fuzzer share: both twins of a part, driven with the same bytes."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import Any

from connector_sdk.batch import Block
from connector_sdk.lines import BadLine, CutOff, LineReader, NativeLineReader

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
