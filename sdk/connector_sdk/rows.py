"""What a source yields: rows in four forms, checkpoints, estimates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple


@dataclass(frozen=True, slots=True)
class Change:
    """A top-level field whose value could not be carried as it is, and why.

    `change` and `reason` are the protocol's words (`AirbyteRecordMessageMetaChange`).
    """

    field: str
    change: Literal["NULLED", "TRUNCATED"] = "NULLED"
    reason: str = "SOURCE_SERIALIZATION_ERROR"


@dataclass(frozen=True, slots=True)
class Row:
    """A dict row with a note of what it lost. A row that lost nothing is a plain dict."""

    data: Mapping[str, Any]
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True)
class Lines:
    """Many rows that are JSON already: one object a line, each line ended by `\\n`.

    The SDK puts the lines into envelopes and never looks inside; `count` is the number of lines.
    A line holds no raw line break, and is valid JSON: who yields it vouches for that.
    """

    data: bytes
    count: int


@dataclass(frozen=True, slots=True)
class Records:
    """Many complete RECORD messages, one a line, each ended by `\\n`; `count` of them.

    For a decoder that writes the envelope itself, from `ConfiguredStream.envelope()`.
    """

    data: bytes
    count: int


class Flown(NamedTuple):
    """What came of a `Flow`: the rows and bytes of its lines, and those of the lines that it has not written."""

    rows: int
    size: int
    rest: bytes


@dataclass(frozen=True, slots=True)
class Flow:
    """Complete RECORD messages that find their own way out: `write(fd)` writes them, each ended by `\\n`.

    For native code that reads and writes without Python. It is called once, when all that was yielded before has left.
    Nobody else may write meanwhile, so it returns soon: within some 200 ms, or when a reader that takes nothing for
    longer takes something again, and always after a signal. What it has not written, half a line perhaps, it hands
    back: also where writing fails, which who writes the rest will meet. It raises only where nothing was written.
    """

    write: Callable[[int], Flown]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A promise: nothing yielded before it need ever be read again. `state` is any JSON object."""

    state: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Estimate:
    """How much a stream holds, as far as the source knows without counting."""

    rows: int | None = None
    bytes: int | None = None


@dataclass(frozen=True, slots=True)
class ConfigUpdate:
    """The whole new config, for a source whose credentials changed while it ran (a rotated token)."""

    config: Mapping[str, Any]


Yielded = Mapping[str, Any] | Row | Lines | Records | Flow | Checkpoint | Estimate | ConfigUpdate
"""All that `read` may yield."""

Reader = Iterable[Yielded]
