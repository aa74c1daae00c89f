"""The stock platform as a judge: what its replication orchestrator enforces between a source and a destination.

Written after the platform's own code: it attaches an `id` to each STATE and requires it back, takes a record only where
namespace and name are exactly the catalog's, drops records without fields, removes undeclared fields, counts on both
sides, and calls a stream complete only when its last STATE was acknowledged.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from acceptance_tests.process import Process
from acceptance_tests.protocol import (
    Json,
    Message,
    StreamId,
    line,
    loads,
    saved_states,
    state_of,
    stream_of,
    stream_state,
    stream_status,
)
from acceptance_tests.rows import at
from acceptance_tests.validation import mistakes

WARNED = 10
"""Records of a stream whose schema mistakes are told."""


class SyncFailed(Exception):
    """The platform ends the sync here. The text says why, and what would help."""


@dataclass
class Verdict:
    """How a sync went."""

    failures: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    read: Counter[StreamId] = field(default_factory=Counter)
    """Records that came from the source and were passed on."""
    states: list[Json] = field(default_factory=list)
    """The states that the destination has acknowledged: a state file for the next sync."""
    complete: set[StreamId] = field(default_factory=set)

    @property
    def ok(self) -> bool:
        return not self.failures


class Judge:
    """One sync, line by line. `refreshes`: the platform knows that the destination supports generations."""

    def __init__(self, catalog: Sequence[Json], *, refreshes: bool = False) -> None:
        self.verdict = Verdict()
        self._entries = {StreamId(one["stream"].get("namespace"), one["stream"]["name"]): one for one in catalog}
        self._refreshes = refreshes
        self._fields = {stream: self._declared(stream, entry) for stream, entry in self._entries.items()}
        self._next_id = 0
        self._sent: dict[int, tuple[StreamId | None, int, Any]] = {}
        """Id of a state → its stream, the records that it covers, and the state."""
        self._since: Counter[StreamId] = Counter()
        self._last_id: dict[StreamId, int] = {}
        self._acknowledged: list[Any] = []
        self._acknowledged_ids: set[int] = set()
        self._said_complete: set[StreamId] = set()
        self._warned: Counter[StreamId] = Counter()

    @staticmethod
    def _declared(stream: StreamId, entry: Json) -> set[str]:
        properties = (entry["stream"].get("json_schema") or {}).get("properties")
        if not isinstance(properties, dict):
            raise SyncFailed(
                f"the schema of {stream} has no properties: the platform cannot tell which fields to pass on"
            )
        return set(properties)

    # From the source

    def from_source(self, text: bytes) -> Iterator[bytes]:
        """Judge one line of the source; yields what the destination is sent for it. Raises SyncFailed."""
        try:
            message = loads(text)
        except ValueError:
            self._warn(f"the source printed a line that is no message: {text[:100]!r}")
            return
        kind = message.get("type") if isinstance(message, dict) else None
        if kind == "RECORD":
            yield from self._record(message)
        elif kind == "STATE":
            yield self._state(message)
        elif kind == "TRACE":
            self._source_trace(message["trace"])

    def _record(self, message: Json) -> Iterator[bytes]:
        body = message["record"]
        stream = StreamId(body.get("namespace"), body["stream"])
        if stream not in self._entries:
            raise SyncFailed(f"a record of {tuple(stream)}, which is not exactly one of the catalog's streams")
        data = body["data"]
        if not data:
            self._warn(f"a record of {stream} without fields was dropped")
            return
        self._check_key(stream, data)
        self._check_schema(stream, data)
        self._since[stream] += 1
        self.verdict.read[stream] += 1
        kept = {name: value for name, value in data.items() if name in self._fields[stream]}
        if len(kept) < len(data):
            self._warn(f"fields of {stream} that the catalog does not declare were removed: {set(data) - set(kept)}")
        yield line({**message, "record": {**body, "data": kept}})

    def _check_key(self, stream: StreamId, data: Json) -> None:
        entry = self._entries[stream]
        key = entry.get("primary_key") or []
        dedup = entry["destination_sync_mode"].endswith("_dedup") and entry["sync_mode"] == "incremental"
        if dedup and key and all(at(data, path) is None for path in key):
            raise SyncFailed(f"a record of {stream} with all parts of its primary key null")

    def _check_schema(self, stream: StreamId, data: Json) -> None:
        if self._warned[stream] < WARNED:
            for mistake in mistakes(self._entries[stream]["stream"]["json_schema"], [data]):
                self._warned[stream] += 1
                self._warn(f"a record of {stream}: {mistake}")

    def _state(self, message: Json) -> bytes:
        body = message["state"]
        kind = body.get("type") or "LEGACY"
        if kind == "LEGACY":
            raise SyncFailed("a LEGACY state: the platform takes STREAM and GLOBAL ones only")
        stream = stream_of(body["stream"]["stream_descriptor"]) if kind == "STREAM" else None
        if stream is not None and stream not in self._entries:
            raise SyncFailed(f"a state of {tuple(stream)}, which is not exactly one of the catalog's streams")
        counted = self._since.total() if stream is None else self._since[stream]
        said = (body.get("sourceStats") or {}).get("recordCount")
        if said is None:
            body = {**body, "sourceStats": {"recordCount": float(counted)}}
        elif said != counted:
            self._fail(
                f"the source counts {said} records of {stream or 'all streams'}, {counted} came: records were dropped"
            )
        self._next_id += 1
        self._sent[self._next_id] = (stream, counted, message)
        for one in self._entries if stream is None else [stream]:
            self._since[one] = 0
            self._last_id[one] = self._next_id
        return line({**message, "state": {**body, "id": self._next_id}})

    def _source_trace(self, trace: Json) -> None:
        if trace.get("type") == "ERROR":
            self._fail(f"the source says: {trace['error'].get('message')}")
        status = trace.get("stream_status")
        if trace.get("type") == "STREAM_STATUS" and status:
            stream = stream_of(status["stream_descriptor"])
            if stream not in self._entries:
                raise SyncFailed(f"a status of {tuple(stream)}, which is not in the catalog")
            if status["status"] == "COMPLETE":
                self._said_complete.add(stream)

    def source_ended(self, code: int | None) -> Iterator[bytes]:
        """The last things that the destination is sent."""
        if code not in (0, 143):
            self._fail(f"the source ended with {code}")
            return
        for stream, entry in self._entries.items():
            if entry["sync_mode"] == "full_refresh" and stream not in self._last_id:
                yield self._state(stream_state(stream, {}))
        if self._refreshes:
            for stream in self._entries:
                yield stream_status(stream, "COMPLETE")

    # From the destination

    def from_destination(self, text: bytes) -> None:
        """Judge one line of the destination. Raises SyncFailed."""
        try:
            message = loads(text)
        except ValueError:
            self._warn(f"the destination printed a line that is no message: {text[:100]!r}")
            return
        if not isinstance(message, dict):
            return
        if message.get("type") == "STATE":
            self._acknowledgement(message["state"])
        elif message.get("type") == "TRACE" and message["trace"].get("type") == "ERROR":
            self._fail(f"the destination says: {message['trace']['error'].get('message')}")

    def _acknowledgement(self, body: Json) -> None:
        number = body.get("id")
        if not isinstance(number, int):
            raise SyncFailed(
                "State message does not contain id: the destination must echo each STATE with every key it came with"
            )
        if number not in self._sent:
            raise SyncFailed(f"the destination acknowledges the state {number}, which it was never sent")
        stream, counted, message = self._sent[number]
        self._check_counts(stream, counted, body.get("destinationStats"))
        self._acknowledged_ids.add(number)
        self._acknowledged.append(message)

    def _check_counts(self, stream: StreamId | None, counted: int, stats: Any) -> None:
        if not isinstance(stats, dict) or stats.get("recordCount") is None:
            return
        said = stats["recordCount"] + (stats.get("rejectedRecordCount") or 0)
        if said != counted:
            self._fail(f"the destination counts {said} records of {stream or 'all streams'}, it was sent {counted}")

    def destination_ended(self, code: int | None) -> Verdict:
        """The end of the sync."""
        if code not in (0, 143):
            self._fail(f"the destination ended with {code}")
        for stream in self._entries:
            last = self._last_id.get(stream)
            if stream in self._said_complete and (last is None or last in self._acknowledged_ids):
                self.verdict.complete.add(stream)
            elif stream in self._said_complete:
                self._fail(f"{stream} is not complete: its last STATE was never acknowledged")
            elif not self.verdict.failures or stream not in self._said_complete:
                self._fail(f"{stream} is not complete: the source never said COMPLETE")
        self.verdict.states = saved_states(
            state_of(Message(0, "STATE", one["state"], one)) for one in self._acknowledged
        )
        return self.verdict

    def _fail(self, text: str) -> None:
        if text not in self.verdict.failures:
            self.verdict.failures.append(text)

    def failed(self, text: str) -> None:
        """Note a failure that came from outside."""
        self._fail(text)

    def _warn(self, text: str) -> None:
        if text not in self.verdict.warnings and len(self.verdict.warnings) < 100:
            self.verdict.warnings.append(text)


# Moving the lines

HIGH = 1 << 20
"""Bytes that may wait for the destination before the source is not read any more."""


def replicate(source: Process, destination: Process, judge: Judge, silence: float) -> Verdict:
    """Run a sync to its end: what the source says goes through the judge to the destination, states come back."""
    try:
        _while_it_reads(source, destination, judge, silence)
        for text in judge.source_ended(source.finish(silence).code):
            destination.offer(text)
        run = destination.finish(silence)
        _hear(destination, judge)
    except SyncFailed as failure:
        judge.failed(str(failure))
        source.kill()
        destination.kill()
        return judge.verdict
    return judge.destination_ended(run.code)


def _while_it_reads(source: Process, destination: Process, judge: Judge, silence: float) -> None:
    heard = time.monotonic()
    while not source.ended:
        moved = destination.step(0)
        full = destination.waiting > HIGH
        moved |= destination.step(0.05) if full else source.step(0 if moved else 0.02)
        _pass_on(source, destination, judge)
        _hear(destination, judge)
        if destination.refused or destination.ended:
            raise SyncFailed(f"the destination ended before the source: {destination.finish(silence).ended}")
        heard = time.monotonic() if moved else heard
        if time.monotonic() - heard > silence:
            raise SyncFailed(f"nothing moved for {silence:.0f} s")


def _pass_on(source: Process, destination: Process, judge: Judge) -> None:
    for text in source.take_lines():
        for out in judge.from_source(text) if text.strip() else ():
            destination.offer(out)


def _hear(destination: Process, judge: Judge) -> None:
    for text in destination.take_lines():
        if text.strip():
            judge.from_destination(text)
