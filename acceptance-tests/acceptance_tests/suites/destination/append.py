"""append: with null ids, with PyAirbyte's 1/1/1, with generations and in a truncate."""

from __future__ import annotations

from collections.abc import Callable

from acceptance_tests.compare import missing
from acceptance_tests.destination_subject import DestinationSubject, by_pyairbyte, by_refresh, by_ui, id_of
from acceptance_tests.feed import Feed
from acceptance_tests.protocol import Json, StreamId
from acceptance_tests.suite import Register, behaviours, expect
from acceptance_tests.suites.destination.modes import (
    ACK_WAIT,
    REPLACING,
    Entry,
    complete,
    old_is_whole,
    piped,
    plain,
    truncates,
)

ALL: Register = []
behaviour = behaviours(ALL, "append")


def _keeps_both(subject: DestinationSubject, entry: Entry, feed: Callable[[StreamId, list[Json]], Feed]) -> None:
    subject.offers("append")
    subject.needs_get()
    stream = subject.stream()
    first, second = subject.rows(11, text="first"), subject.rows(7, first=100, text="second")
    for number, rows in enumerate((first, second), 1):
        subject.written([entry(stream, "append")], feed(id_of(stream), rows), f"run {number}")
    subject.must_hold(id_of(stream), first + second, "after two runs")


@behaviour
def keeps_both_runs_with_null_ids(subject: DestinationSubject) -> None:
    """Two runs of append as the UI sends them: the rows of both are there."""
    _keeps_both(subject, by_ui, plain)


@behaviour
def keeps_both_runs_of_a_pipe(subject: DestinationSubject) -> None:
    """Two runs of append by a bare pipe, with the source's statuses: the rows of both are there."""
    _keeps_both(subject, by_ui, piped)


@behaviour
def keeps_both_runs_with_ids_of_pyairbyte(subject: DestinationSubject) -> None:
    """PyAirbyte's 1/1/1 on every run does not erase what an earlier run appended."""
    _keeps_both(subject, by_pyairbyte, complete)


@behaviour
def keeps_rows_after_the_last_state(subject: DestinationSubject) -> None:
    """Rows that come after the last STATE of a stream that says COMPLETE are there as well."""
    subject.offers("append")
    subject.needs_get()
    stream = subject.stream()
    name, rows = id_of(stream), subject.rows(9)
    feed = Feed().status(name, "STARTED", "RUNNING").add(name, rows[:4]).state(name).add(name, rows[4:])
    subject.written([by_ui(stream, "append")], feed.status(name, "COMPLETE"), "rows after the last STATE")
    subject.must_hold(name, rows, "after a run whose last rows no STATE covers", "what is done at the end of the input")


@behaviour
def keeps_equal_rows(subject: DestinationSubject) -> None:
    """Equal rows are rows of their own: the same ones written twice are there twice."""
    subject.offers("append")
    subject.needs_get()
    stream = subject.stream()
    rows = [{"id": 1, "text": "same"}] * 3 + [{"id": 2, "text": "other"}]
    for number in (1, 2):
        subject.written([by_ui(stream, "append")], plain(id_of(stream), rows), f"run {number}")
    subject.must_hold(id_of(stream), rows * 2, "after the same rows were written twice")


@behaviour
def keeps_older_generations_without_a_truncate(subject: DestinationSubject) -> None:
    """A new generation with a minimum of 0 removes nothing."""
    subject.offers("append")
    subject.needs_get()
    stream = subject.stream()
    first, second = subject.rows(5, text="first"), subject.rows(4, first=100, text="second")
    for generation, rows in ((1, first), (2, second)):
        subject.written(
            [by_refresh(stream, "append", generation, 0)], complete(id_of(stream), rows), f"generation {generation}"
        )
    subject.must_hold(id_of(stream), first + second, "after two generations")


@behaviour
def removes_older_generations_in_a_truncate(subject: DestinationSubject) -> None:
    """With minimum == generation, only the rows of this generation are there after COMPLETE."""
    truncates(subject, "append")


@behaviour
def goes_on_with_a_truncate_that_was_killed(subject: DestinationSubject) -> None:
    """A second attempt of the same generation adds to what the first had acknowledged, and removes what is older."""
    subject.offers("append")
    subject.needs_get()
    stream = subject.stream()
    name = id_of(stream)
    old, new = subject.rows(6, text="old"), subject.rows(12, first=50, text="new")
    subject.written([by_refresh(stream, "append", 1, 0)], complete(name, old), "generation 1")
    entry = by_refresh(stream, "append", 2, 2)
    process = subject.start([entry])
    process.offer(Feed().add(name, new[:6]).state(name).text)
    process.pump(lambda: b'"STATE"' in b"".join(process.lines), ACK_WAIT)
    said = subject.connector.kill(process)
    old_is_whole(subject, name, old, "after a truncate was killed")
    done = 6 if said.transcript.of("STATE") else 0
    subject.written([entry], complete(name, new[done:]), "a second attempt of generation 2")
    found = subject.get(name)
    lost = missing(new, found)
    expect(
        not lost,
        f"all {len(new)} rows of generation 2",
        f"{len(lost)} missing",
        "rows that were acknowledged before the kill",
    )
    expect(len(found) <= len(new) + 6 - done, "no older rows", f"{len(found)} rows in all", REPLACING)
