"""What the tests of all sync modes share: how rows are sent, and what must be there afterwards."""

from __future__ import annotations

from collections.abc import Callable

from acceptance_tests.compare import missing
from acceptance_tests.connector import Said
from acceptance_tests.destination_subject import DestinationSubject, by_refresh, by_ui, id_of
from acceptance_tests.feed import Feed
from acceptance_tests.protocol import Json, StreamId
from acceptance_tests.suite import Failure

Entry = Callable[[Json, str], Json]
REPLACING = "when old rows go, and which"
ACK_WAIT = 2.0
"""Seconds for a STATE that may come back while the input is still open."""


def plain(stream: StreamId, rows: list[Json]) -> Feed:
    """What the platform sends where no status can come: records, and a STATE at the end."""
    half = len(rows) // 2
    return Feed().add(stream, rows[:half]).state(stream).add(stream, rows[half:]).state(stream)


def complete(stream: StreamId, rows: list[Json]) -> Feed:
    """The same, with the COMPLETE that says so."""
    return plain(stream, rows).status(stream, "COMPLETE")


def piped(stream: StreamId, rows: list[Json]) -> Feed:
    """What a source writes into a bare pipe."""
    feed = Feed().status(stream, "STARTED", "RUNNING").add(stream, rows).state(stream)
    return feed.status(stream, "COMPLETE")


def truncates(subject: DestinationSubject, mode: str) -> None:
    subject.offers(mode)
    subject.needs_get()
    stream = subject.stream()
    first, second = subject.rows(9, text="old"), subject.rows(5, first=4, text="new")
    subject.written([by_refresh(stream, mode, 1, 0)], complete(id_of(stream), first), "generation 1")
    subject.must_hold(id_of(stream), first, "after generation 1")
    subject.written([by_refresh(stream, mode, 2, 2)], complete(id_of(stream), second), "generation 2")
    subject.must_hold(id_of(stream), second, "after generation 2 with a minimum of 2", REPLACING)


def old_is_whole(subject: DestinationSubject, stream: StreamId, old: list[Json], when: str) -> None:
    """Raise a Failure where a reader sees less than the whole old result. Unfinished new rows may lie beside it."""
    if lost := missing(old, found := subject.get(stream)):
        raise Failure(
            f"{when}: all {len(old)} old rows", f"{len(lost)} of them gone, {len(found)} rows in all", REPLACING
        )


def replacing(subject: DestinationSubject) -> list[tuple[str, Callable[[Json, int], Json]]]:
    """The ways to replace a stream that it offers."""
    found: list[tuple[str, Callable[[Json, int], Json]]] = []
    if "overwrite" in subject.modes:
        found.append(("overwrite", lambda stream, _: by_ui(stream, "overwrite")))
    found.append(("a truncate", lambda stream, run: by_refresh(stream, subject.any_mode, run, run)))
    return found


def tells(said: Said) -> bool:
    """Whether a run let people know that something was wrong."""
    return not said.ok or bool(
        said.transcript.errors or said.transcript.logs("WARN", "ERROR", "FATAL") or said.run.stderr.strip()
    )
