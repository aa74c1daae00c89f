"""What a destination is fed: records, states and statuses, remembered so that what comes back can be judged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from acceptance_tests.compare import same, shown
from acceptance_tests.protocol import (
    Json,
    Message,
    StreamId,
    Transcript,
    global_state,
    line,
    record,
    stream_state,
    stream_status,
)


@dataclass(frozen=True)
class Sent:
    """A STATE that the destination was sent."""

    body: Json
    stream: StreamId | None
    covers: int
    """Records of its stream (GLOBAL: of all) since the state before."""
    rows: dict[StreamId, int]
    """How many rows of each stream had been sent by then."""


@dataclass
class Feed:
    """Lines for a destination's input. `first_id` is the `id` of the first STATE, as the platform adds it."""

    first_id: int = 1
    with_ids: bool = True
    """False: as a source writes them, before the platform has added ids."""
    lines: list[bytes] = field(default_factory=list)
    states: list[Sent] = field(default_factory=list)
    rows: dict[StreamId, list[Json]] = field(default_factory=dict)
    _since: Counter[StreamId] = field(default_factory=Counter)

    @property
    def text(self) -> bytes:
        """All of it, as it goes into the pipe."""
        return b"".join(self.lines)

    def add(self, stream: StreamId, rows: Iterable[Json], **more: Any) -> Feed:
        """Records of a stream; `more` goes beside their data."""
        for row in rows:
            self.lines.append(record(stream, row, **more))
            self.rows.setdefault(stream, []).append(row)
            self._since[stream] += 1
        return self

    def state(self, stream: StreamId, state: Json | None = None, **more: Any) -> Feed:
        """A STATE of one stream. `more` are keys beside its type."""
        sent = self._since.pop(stream, 0)
        state = {"cursor": len(self.rows.get(stream, ()))} if state is None else state
        return self._add_state(stream_state(stream, state, sent, **self._id, **more), stream, sent)

    def global_state(self, shared: Json, streams: Sequence[StreamId]) -> Feed:
        sent = self._since.total()
        self._since.clear()
        stats = {"recordCount": float(sent)}
        members = {stream: {"cursor": len(self.rows.get(stream, ()))} for stream in streams}
        return self._add_state(global_state(shared, members, sourceStats=stats, **self._id), None, sent)

    @property
    def _id(self) -> Json:
        return {"id": self.first_id + len(self.states)} if self.with_ids else {}

    def _add_state(self, message: Json, stream: StreamId | None, covers: int) -> Feed:
        rows = {one: len(rows) for one, rows in self.rows.items()}
        self.states.append(Sent(message["state"], stream, covers, rows))
        self.lines.append(line(message))
        return self

    def status(self, stream: StreamId, *statuses: str) -> Feed:
        self.lines += [stream_status(stream, status) for status in statuses]
        return self

    def raw(self, text: bytes) -> Feed:
        """A line as it stands."""
        self.lines.append(text)
        return self


def echoed(transcript: Transcript) -> list[Message]:
    """The states that came back."""
    return transcript.of("STATE")


def echo_mistakes(feed: Feed, back: Sequence[Message]) -> list[str]:
    """Where the states that came back are not those that were sent: all of them, in order, with all that they held."""
    wrong = []
    ids = [message.body.get("id") for message in back]
    sent = [one.body["id"] for one in feed.states]
    if ids != sent:
        wrong.append(f"ids {sent[:20]} were sent, {ids[:20]} came back")
    for one, message in zip(feed.states, back, strict=False):
        for key, value in one.body.items():
            if key != "id" and not same_state(value, message.body.get(key)):
                back_as = shown(message.body.get(key))
                wrong.append(f"{key} of state {one.body['id']}: {shown(value)} was sent, {back_as} came back")
    return wrong


def same_state(one: Any, other: Any) -> bool:
    """States are opaque: equal as JSON, nulls and texts to the letter."""
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(same_state(one[k], other[k]) for k in one)
    if isinstance(one, list):
        return isinstance(other, list) and len(one) == len(other) and all(map(same_state, one, other))
    if isinstance(one, str) or one is None or isinstance(one, bool):
        return type(one) is type(other) and bool(one == other)
    return same(one, other)


def count_mistakes(feed: Feed, back: Sequence[Message]) -> list[str]:
    """Where `destinationStats` are missing or are not the number of records that were sent."""
    wrong = []
    sent = {one.body["id"]: one for one in feed.states}
    for number, message in enumerate(back):
        one = sent.get(message.body.get("id")) or (feed.states[number] if number < len(feed.states) else None)
        stats = message.body.get("destinationStats")
        if one is None:
            continue
        if not isinstance(stats, dict) or stats.get("recordCount") is None:
            wrong.append(f"state {one.body['id']}: no destinationStats.recordCount")
            continue
        told = stats["recordCount"] + (stats.get("rejectedRecordCount") or 0)
        if told != one.covers:
            wrong.append(f"state {one.body['id']}: {told} counted, {one.covers} records were sent since the last STATE")
    return wrong
