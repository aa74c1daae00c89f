"""What one `read` said, stream by stream, and whether two of them together hold every row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from acceptance_tests.compare import plain, shown
from acceptance_tests.connector import Said
from acceptance_tests.protocol import Json, Message, State, Stream, StreamId, state_of, stream_of
from acceptance_tests.rows import at

Identity = Callable[[Mapping[str, Any]], Hashable]


@dataclass(frozen=True)
class Record:
    """A record and the line that it came in."""

    number: int
    stream: StreamId
    data: Json
    body: Json


@dataclass
class Reading:
    """A run of `read` and the catalog that it was given."""

    said: Said
    streams: Sequence[Stream]
    modes: Mapping[StreamId, str]
    """`full_refresh` or `incremental` for each stream of the catalog."""

    @property
    def ok(self) -> bool:
        return self.said.ok

    @cached_property
    def records(self) -> list[Record]:
        return [_record(message) for message in self.said.transcript.of("RECORD")]

    @cached_property
    def by_stream(self) -> dict[StreamId, list[Json]]:
        """The data of each stream of the catalog, in the order in which it came."""
        found: dict[StreamId, list[Json]] = {stream.id: [] for stream in self.streams}
        for record in self.records:
            found.setdefault(record.stream, []).append(record.data)
        return found

    @cached_property
    def states(self) -> list[State]:
        return [state_of(message) for message in self.said.transcript.of("STATE") if _readable(message)]

    @cached_property
    def statuses(self) -> dict[StreamId, list[tuple[int, str]]]:
        """(line, status) of each stream, in order."""
        found: dict[StreamId, list[tuple[int, str]]] = {}
        for message in self.said.transcript.of("TRACE"):
            status = message.body.get("stream_status")
            if message.body.get("type") == "STREAM_STATUS" and isinstance(status, dict):
                descriptor = status.get("stream_descriptor") or {}
                if isinstance(descriptor.get("name"), str):
                    found.setdefault(stream_of(descriptor), []).append((message.number, str(status.get("status"))))
        return found

    @cached_property
    def complete(self) -> bool:
        """Every stream of the catalog said COMPLETE, and the run ended with 0."""
        return self.ok and all(self.last_status(stream.id) == "COMPLETE" for stream in self.streams)

    def last_status(self, stream: StreamId) -> str | None:
        return self.statuses.get(stream, [(0, None)])[-1][1]

    def before(self, state: State) -> list[Record]:
        """The records that came before this state."""
        return [record for record in self.records if record.number < state.number]


def _record(message: Message) -> Record:
    body = message.body
    stream = StreamId(body.get("namespace"), str(body.get("stream")))
    data = body.get("data")
    return Record(message.number, stream, data if isinstance(data, dict) else {}, body)


def _readable(message: Message) -> bool:
    """Whether the state can be told apart by stream. What is wrong with others, the strict reader has noted."""
    body = message.body
    kind = body.get("type") or "LEGACY"
    try:
        return (
            kind == "LEGACY"
            or (kind == "GLOBAL" and isinstance(body["global"], dict))
            or (kind == "STREAM" and isinstance(body["stream"]["stream_descriptor"]["name"], str))
        )
    except (KeyError, TypeError):
        return False


def identity(stream: Stream) -> Identity:
    """What makes a row of this stream the same row: its key, or all of it where there is none."""
    if paths := stream.key:
        return lambda row: tuple(plain(at(row, path)) for path in paths)
    return lambda row: plain(row)


def lacking(stream: Stream, whole: Iterable[Json], *parts: Iterable[Json]) -> list[Json]:
    """Rows of the whole that none of the parts holds. Rows without a key count as often as they are there."""
    of = identity(stream)
    there = Counter(of(row) for part in parts for row in part)
    rows = list(whole)
    if stream.key:
        return [row for row in rows if of(row) not in there]
    left = []
    for row in rows:
        if there[of(row)] > 0:
            there[of(row)] -= 1
        else:
            left.append(row)
    return left


def named(stream: Stream, row: Json) -> str:
    """A row for a report: by its key where it has one."""
    if not stream.key:
        return shown(row)
    return ", ".join(f"{'.'.join(path)}={shown(at(row, path))}" for path in stream.key)
