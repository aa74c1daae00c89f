"""What a run tells while it goes on. Each event is a value; `as_dict` is its form for machines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Status = Literal["succeeded", "failed", "stopped"]


@dataclass(frozen=True, slots=True)
class Event:
    """`pipeline` is the name of the pipeline that it is about."""

    pipeline: str

    def as_dict(self) -> dict[str, Any]:
        return {"event": type(self).__name__.lower(), **asdict(self)}


@dataclass(frozen=True, slots=True)
class Started(Event):
    """A run begins."""

    run: int
    source: str
    destination: str


@dataclass(frozen=True, slots=True)
class Planned(Event):
    """What will be moved, one line a stream, and what will not."""

    streams: Sequence[str]
    skipped: Sequence[str]


@dataclass(frozen=True, slots=True)
class StreamReport:
    """How far a stream is, or what came of it."""

    stream: str
    mode: str
    rows: int = 0
    """Sent to the destination in this run."""
    bytes: int = 0
    acknowledged: int = 0
    """Rows that are safe."""
    rejected: int = 0
    lost: int = 0
    estimate: int | None = None
    status: str = "waiting"
    """waiting, running, complete or incomplete."""
    next: str = ""
    """What the next run will do."""


@dataclass(frozen=True, slots=True)
class Progress(Event):
    """How far the run is; comes about twice a second."""

    seconds: float
    attempt: int
    streams: Sequence[StreamReport]

    @property
    def rows(self) -> int:
        return sum(stream.rows for stream in self.streams)

    @property
    def bytes(self) -> int:
        return sum(stream.bytes for stream in self.streams)


@dataclass(frozen=True, slots=True)
class Saved(Event):
    """The states of these streams are saved: a next run begins after them."""

    streams: Sequence[str]


@dataclass(frozen=True, slots=True)
class Log(Event):
    """A log line; `origin` is source, destination or airpipe."""

    origin: str
    level: str
    message: str


@dataclass(frozen=True, slots=True)
class Retrying(Event):
    """An attempt has failed and is tried again after `wait` seconds, from what is saved."""

    attempt: int
    wait: float
    message: str


@dataclass(frozen=True, slots=True)
class Finished(Event):
    """The end of a run, and what came of it. `error` says what to do, where it did not succeed."""

    run: int
    status: Status
    seconds: float
    attempts: int
    streams: Sequence[StreamReport] = ()
    skipped: Sequence[str] = ()
    error: str = ""
    moving: float = 0.0
    """Seconds in which rows moved."""
    usage: dict[str, dict[str, float]] = field(default_factory=dict)
    """CPU seconds and most bytes of memory of source and destination."""

    @property
    def rows(self) -> int:
        return sum(stream.rows for stream in self.streams)

    @property
    def bytes(self) -> int:
        return sum(stream.bytes for stream in self.streams)

    @property
    def acknowledged(self) -> int:
        return sum(stream.acknowledged for stream in self.streams)

    @property
    def error_rate(self) -> float:
        """The share of records lost, rejected or failed; a failed run is 1."""
        if self.status == "failed":
            return 1.0
        bad = sum(stream.rejected + stream.lost for stream in self.streams)
        return min(bad / self.rows, 1.0) if self.rows else 0.0

    def as_dict(self) -> dict[str, Any]:
        totals = {"rows": self.rows, "bytes": self.bytes, "acknowledged": self.acknowledged}
        return {"event": "finished", **asdict(self), **totals, "error_rate": self.error_rate}
