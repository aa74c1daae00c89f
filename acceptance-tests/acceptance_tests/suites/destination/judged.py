"""A whole sync under the eyes of the stock platform's rules."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from acceptance_tests.destination_subject import DestinationSubject, by_refresh, by_ui, id_of
from acceptance_tests.feed import Feed
from acceptance_tests.judge import Judge, replicate
from acceptance_tests.process import Process
from acceptance_tests.protocol import Json
from acceptance_tests.suite import Failure, Register, behaviours

ALL: Register = []
behaviour = behaviours(ALL, "judge")


@behaviour
def accepts_a_sync_as_the_ui_sends_it(subject: DestinationSubject) -> None:
    """The stock platform's rules for a connector registered in the UI: `id`s back, counts, no COMPLETE."""
    _sync(subject, refreshes=False)


@behaviour
def accepts_a_sync_with_generations(subject: DestinationSubject) -> None:
    """The stock platform's rules where refreshes are supported: generation ids, and COMPLETE for all at the end."""
    _sync(subject, refreshes=True)


def _sync(subject: DestinationSubject, *, refreshes: bool) -> None:
    streams = [subject.stream(), subject.stream(namespace="acc_judge")]
    mode = subject.any_mode
    entries = [by_refresh(stream, mode, 1, 0) if refreshes else by_ui(stream, mode) for stream in streams]
    feed = _source(subject, streams)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "lines")
        path.write_bytes(feed.text)
        words = [sys.executable, "-m", "acceptance_tests.stand_in", "source", str(path)]
        destination = subject.start(entries)
        with Process(words, folder="/") as source, destination:
            verdict = replicate(source, destination, Judge(entries, refreshes=refreshes), subject.timeout)
    if not verdict.ok:
        raise Failure(
            "a sync that the platform accepts", "; ".join(verdict.failures[:5]), "what the platform requires of STATEs"
        )
    if subject.can_get:
        for stream in streams:
            subject.must_hold(id_of(stream), feed.rows[id_of(stream)], "after the sync")


def _source(subject: DestinationSubject, streams: list[Json]) -> Feed:
    """Two streams, one after the other, as a source writes them: without ids."""
    feed = Feed(with_ids=False)
    for number, stream in enumerate(streams):
        name = id_of(stream)
        feed.status(name, "STARTED", "RUNNING").add(name, subject.rows(6, first=100 * number)).state(name)
        feed.add(name, subject.rows(3, first=100 * number + 50)).state(name).status(name, "COMPLETE")
    return feed
