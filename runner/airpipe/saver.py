"""What is kept between runs: states that are safe, and the generation of each stream."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from airpipe.catalog import StreamPlan
from airpipe.states import Pending
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
        goes_on = has_state and same_mode and (plan.incremental or not old.get("complete"))
        if has_state and not goes_on:
            changes[state_key(plan.stream)] = None
        number = int(old.get("number", 0))
        if not number or (plan.overwrites and not goes_on):
            number = max(number + 1, int(time.time()))  # Grows even where the state is lost.
        changes[key] = json.dumps({"number": number, "mode": plan.mode, "complete": False})
        return Generation(number, number if plan.overwrites else 0, goes_on)

    def states(self) -> bytes:
        """What the source begins from, for `--state`."""
        keys = [SHARED] if SHARED in self._values else [state_key(stream) for stream in self._plans]
        return b"[%b]" % b",".join(self._values[key].encode() for key in keys if key in self._values)

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


def _is_empty(text: bytes) -> bool:
    state = msgspec.json.decode(text).get("stream") or {}
    return not state.get("stream_state")
