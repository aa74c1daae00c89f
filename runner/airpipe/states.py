"""STATEs between source and destination: each gets an id on its way in and has to bring it back.

Holds what the source said, as it said it. What is saved is that, and never what a destination made of it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from airpipe.errors import TransientProblem
from airpipe.streams import StreamName, Tally

encode = msgspec.json.Encoder(decimal_format="number").encode
fields_of = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
"""The keys of a JSON object, with what stands under each as it is written."""
GLOBAL = None
"""The scope of a state that speaks for all streams."""
Scope = StreamName | None
_OURS = ("id", "sourceStats", "destinationStats")
"""Keys of a state that are no part of it."""


@dataclass(frozen=True, slots=True)
class Pending:
    """A STATE that was sent to the destination."""

    id: int
    scope: Scope
    counts: Mapping[StreamName, int]
    """The rows that came since the one before it."""
    text: bytes
    """The state as the source gave it, ready for `--state`."""
    made_here: bool = False
    """The source gave none: it only asks the destination whether the rows are safe, and is not saved."""

    @property
    def rows(self) -> int:
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True)
class Safe:
    """What one answer of the destination says: this state and all rows before it are safe."""

    state: Pending
    problem: str = ""
    """What is odd about the answer."""


class StateLedger:
    """Counts rows between states, gives ids, and matches the answers. For two threads."""

    def __init__(self, tallies: Mapping[StreamName, Tally]) -> None:
        self._tallies = tallies
        self._pending: deque[Pending] = deque()
        self._next = 1
        self._lock = threading.Lock()
        self._lonely = False
        self.told: list[str] = []
        """What was odd about the counts of the source."""

    # From the source

    def take(self, line: bytes) -> bytes | None:
        """The STATE line for the destination; None where it speaks of no stream of ours."""
        envelope = fields_of(line)
        state = fields_of(envelope["state"])
        scope = scope_of(state)
        if scope is not None and scope not in self._tallies:
            return None
        pending = self._hold(scope, as_kept(state))
        self._check_source(state, pending)
        stats = {"sourceStats": msgspec.Raw(encode({"recordCount": float(pending.rows)}))} | state
        return _line({**envelope, "state": {**stats, "id": pending.id}})

    def close(self, asking: Iterable[StreamName]) -> Iterable[bytes]:
        """At the end: a STATE for each of these streams that has rows after its last one, or had none at all.

        So the destination says of every row whether it is safe.
        """
        for stream in asking:
            text = encode({"type": "STREAM", "stream": {"stream_descriptor": stream.descriptor, "stream_state": {}}})
            pending = self._hold(stream, text, made_here=True)
            stats = {"recordCount": float(pending.rows)}
            yield _line({"type": "STATE", "state": {**fields_of(text), "sourceStats": stats, "id": pending.id}})

    def _hold(self, scope: Scope, text: bytes, *, made_here: bool = False) -> Pending:
        tallies = list(self._tallies.values()) if scope is GLOBAL else [self._tallies[scope]]
        counts = {tally.stream: tally.since for tally in tallies}
        for tally in tallies:
            tally.since, tally.stated = 0, True
        with self._lock:
            pending = Pending(self._next, scope, counts, text, made_here)
            self._next += 1
            self._pending.append(pending)
        return pending

    def _check_source(self, state: Mapping[str, msgspec.Raw], pending: Pending) -> None:
        if "sourceStats" not in state:
            return
        stats = msgspec.json.decode(state["sourceStats"]) or {}
        said = stats.get("recordCount")
        if said is not None and int(said) != pending.rows:
            self.told.append(
                f"the source counts {int(said):,} rows of {pending.scope or 'all streams'} before a state, "
                f"{pending.rows:,} came"
            )

    # From the destination

    def answered(self, line: bytes) -> Safe | None:
        """What a STATE line of the destination says; None where it says nothing new. An unknown one is an error."""
        state = fields_of(fields_of(line)["state"])
        with self._lock:
            covering = self._find(state)
            if covering is None:
                return None
            covered = self._settle(covering)
        problem = self._count(covered, state)
        if "id" not in state and not self._lonely:
            self._lonely = True
            problem = problem or "the destination leaves the ids of states out; a stock Airbyte would stop here"
        return Safe(covering, problem)

    def _find(self, state: Mapping[str, msgspec.Raw]) -> Pending | None:
        """The state that this answers. Where the id is missing, the first that says the same."""
        if "id" in state:
            wanted = msgspec.json.decode(state["id"])
            if isinstance(wanted, int) and 0 < wanted < self._next:
                return next((pending for pending in self._pending if pending.id == wanted), None)
        else:
            said = _plain(state)
            for pending in self._pending:
                if _plain(fields_of(pending.text)) == said:
                    return pending
        raise TransientProblem(
            "The destination answered with a state that was never sent to it: nothing of it is saved."
        )

    def _settle(self, covering: Pending) -> list[Pending]:
        """This one and those before it that it covers, taken out."""
        covered: list[Pending] = []
        others: list[Pending] = []
        while self._pending and self._pending[0].id <= covering.id:
            pending = self._pending.popleft()
            (covered if covering.scope in (GLOBAL, pending.scope) else others).append(pending)
        self._pending.extendleft(reversed(others))
        return covered

    def _count(self, covered: Iterable[Pending], state: Mapping[str, msgspec.Raw]) -> str:
        """Note what arrived. Returns what is wrong with the destination's counts."""
        sent: dict[StreamName, int] = {}
        for pending in covered:
            for stream, rows in pending.counts.items():
                sent[stream] = sent.get(stream, 0) + rows
        for stream, rows in sent.items():
            self._tallies[stream].acknowledged += rows
        stats = msgspec.json.decode(state["destinationStats"]) if "destinationStats" in state else None
        if not stats or stats.get("recordCount") is None:
            return ""
        rejected = int(stats.get("rejectedRecordCount") or 0)
        missing = sum(sent.values()) - int(stats["recordCount"]) - rejected
        self._blame(sent, rejected, max(missing, 0))
        if not missing:
            return ""
        whom = ", ".join(map(str, sent)) if len(sent) < 4 else f"{len(sent)} streams"
        return f"{sum(sent.values()):,} rows of {whom} were sent, the destination counts {int(stats['recordCount']):,}"

    def _blame(self, sent: Mapping[StreamName, int], rejected: int, lost: int) -> None:
        """Which of several streams it was, a shared state does not tell: the first one stands for all."""
        for stream, rows in sent.items():
            if rows:
                tally = self._tallies[stream]
                tally.rejected += rejected
                tally.lost += lost
                tally.acknowledged -= min(rejected + lost, rows)
                return

    @property
    def waiting(self) -> list[Pending]:
        """States that the destination has not answered."""
        with self._lock:
            return list(self._pending)


def _line(message: Mapping[str, Any]) -> bytes:
    return encode(message) + b"\n"


def scope_of(state: Mapping[str, msgspec.Raw]) -> Scope:
    """The stream that a state speaks for; GLOBAL where it speaks for all (type GLOBAL, or a LEGACY one)."""
    kind = msgspec.json.decode(state["type"]) if "type" in state else "LEGACY"
    if kind != "STREAM":
        return GLOBAL
    return StreamName.of(msgspec.json.decode(state["stream"])["stream_descriptor"])


def as_kept(state: Mapping[str, msgspec.Raw]) -> bytes:
    """A state without what was added on the way, ready for `--state`."""
    return encode({key: value for key, value in state.items() if key not in _OURS})


def _plain(state: Mapping[str, msgspec.Raw]) -> Any:
    """A state for comparison: without the nulls that some models write."""
    return _without_nulls(msgspec.json.decode(as_kept(state)))


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(inner) for key, inner in value.items() if inner is not None}
    return [_without_nulls(inner) for inner in value] if isinstance(value, list) else value
