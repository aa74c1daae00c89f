"""What is kept between runs: states that are safe, and the generation of each stream."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from airpipe.catalog import StreamPlan
from airpipe.states import Pending, encode, fields_of
from airpipe.statestore import Store
from airpipe.streams import StreamName

AT_MOST_EVERY = 1.0
"""Seconds between two saves: a state is saved within three seconds of its answer."""
SHARED = "state/"
"""The key of a state that speaks for all streams."""


def state_key(stream: StreamName) -> str:
    return f"state/{json.dumps(list(stream), ensure_ascii=False)}"


def stream_of(key: str) -> StreamName | None:
    """The stream of a key of a state; None for the shared one."""
    return StreamName(*json.loads(key.partition("/")[2])) if key != SHARED else None


def generation_key(stream: StreamName) -> str:
    return f"generation/{json.dumps(list(stream), ensure_ascii=False)}"


@dataclass(frozen=True, slots=True)
class Generation:
    """The generation ids of a stream for one attempt."""

    number: int
    minimum: int
    goes_on: bool
    """It continues what an earlier attempt began."""


class Saver:
    """Keeps states as they become safe, at most once a second, and knows what a source is to begin from."""

    def __init__(self, store: Store, pipeline: str, saved: Callable[[Sequence[str]], None]) -> None:
        self._store = store
        self._pipeline = pipeline
        self._saved = saved
        self._values = store.load(pipeline)
        self._changes: dict[str, str | None] = {}
        self._last = 0.0
        self._plans: dict[StreamName, StreamPlan] = {}

    @property
    def values(self) -> Mapping[str, str]:
        return self._values

    def put(self, changes: Mapping[str, str | None]) -> None:
        """Keep this at once."""
        changes = {key: value for key, value in changes.items() if self._values.get(key) != value}
        if not changes:
            return
        self._store.save(self._pipeline, changes)
        for key, value in changes.items():
            if value is None:
                self._values.pop(key, None)
            else:
                self._values[key] = value

    # At the beginning of an attempt

    def begin(self, plans: Sequence[StreamPlan]) -> dict[StreamName, Generation]:
        """The generation of each stream. A full refresh goes on only with what a source can resume."""
        self.save(now=True)  # What an attempt before this could not save.
        self._plans = {plan.stream: plan for plan in plans}
        changes: dict[str, str | None] = {}
        found = {plan.stream: self._generation(plan, changes) for plan in plans}
        self.put(changes)
        return found

    def _generation(self, plan: StreamPlan, changes: dict[str, str | None]) -> Generation:
        key = generation_key(plan.stream)
        old: dict[str, Any] = json.loads(self._values.get(key, "{}"))
        has_state = state_key(plan.stream) in self._values
        same_mode = old.get("mode") == plan.mode
        into = [plan.write, self._values.get("destination")]
        half_is_there = old.get("into") == into and not old.get("complete")
        goes_on = has_state and same_mode and (plan.incremental or half_is_there)
        if has_state and not goes_on:
            changes[state_key(plan.stream)] = None
        number = int(old.get("number", 0))
        if not number or (plan.overwrites and not goes_on):
            number = max(number + 1, int(time.time()))  # Grows even where the state is lost.
        changes[key] = json.dumps({"number": number, "mode": plan.mode, "into": into, "complete": False})
        return Generation(number, number if plan.overwrites else 0, goes_on)

    def states(self) -> bytes:
        """What the source begins from, for `--state`."""
        if SHARED in self._values:
            return b"[%b]" % _without(self._full_refreshes(), self._values[SHARED].encode())
        keys = [state_key(stream) for stream in self._plans]
        return b"[%b]" % b",".join(self._values[key].encode() for key in keys if key in self._values)

    def _full_refreshes(self) -> set[StreamName]:
        """Streams that read everything: what a shared state says of them would hide rows."""
        return {stream for stream, plan in self._plans.items() if not plan.incremental}

    # While it runs

    def add(self, safe: Iterable[Pending]) -> bool:
        """States that the destination has answered. True where one of them says something new."""
        new = False
        for pending in safe:
            if pending.made_here:
                continue
            if pending.scope is None or self._is_kept(self._plans[pending.scope], pending):
                key, text = state_key(pending.scope) if pending.scope else SHARED, pending.text.decode()
                new |= self._values.get(key) != text
                self._changes[key] = text
                if pending.scope is not None and self._plans[pending.scope].incremental and SHARED in self._values:
                    self._changes[SHARED] = None  # The source keeps a state for each stream by now.
        return new

    def _is_kept(self, plan: StreamPlan, pending: Pending) -> bool:
        """A full refresh keeps a state only to be resumed."""
        return plan.incremental or (plan.resumable and not _is_empty(pending.text))

    def save(self, *, now: bool = False) -> None:
        """Save what is new, unless that was done a moment ago."""
        if not self._changes or (not now and time.monotonic() - self._last < AT_MOST_EVERY):
            return
        self._last = time.monotonic()
        self.put(self._changes)
        streams = [stream_of(key) for key in self._changes]
        self._changes = {}
        self._saved([str(stream) if stream else "all streams" for stream in streams])

    def complete(self, streams: Iterable[StreamName]) -> None:
        """These streams have all arrived: a full refresh begins anew next time."""
        changes: dict[str, str | None] = {}
        for stream in streams:
            old = json.loads(self._values[generation_key(stream)])
            changes[generation_key(stream)] = json.dumps({**old, "complete": True})
            if not self._plans[stream].incremental:
                changes[state_key(stream)] = None
        self.put({key: value for key, value in changes.items() if value is not None or key in self._values})


def _without(streams: set[StreamName], shared: bytes) -> bytes:
    """A GLOBAL state without what it says of these streams; any other one as it is."""
    state = fields_of(shared)
    if "global" not in state:
        return shared
    body = fields_of(state["global"])
    entries = msgspec.json.decode(body.get("stream_states", b"null"), type=list[msgspec.Raw] | None) or []
    kept = [entry for entry in entries if StreamName.of(msgspec.json.decode(entry)["stream_descriptor"]) not in streams]
    if len(kept) == len(entries):
        return shared
    return encode({**state, "global": {**body, "stream_states": kept}})


def _is_empty(text: bytes) -> bool:
    state = msgspec.json.decode(text).get("stream") or {}
    return not state.get("stream_state")
