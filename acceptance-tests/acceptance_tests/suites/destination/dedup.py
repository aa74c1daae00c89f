"""append_dedup: one row a key, the newest."""

from __future__ import annotations

from collections.abc import Callable

from acceptance_tests.destination_subject import DestinationSubject, by_pyairbyte, by_ui, id_of
from acceptance_tests.feed import Feed
from acceptance_tests.protocol import Json, StreamId
from acceptance_tests.suite import Register, behaviours
from acceptance_tests.suites.destination.modes import (
    Entry,
    complete,
    piped,
    plain,
    truncates,
)

ALL: Register = []
behaviour = behaviours(ALL, "append_dedup")


def _one_per_key(subject: DestinationSubject, entry: Entry, feed: Callable[[StreamId, list[Json]], Feed]) -> None:
    subject.offers("append_dedup")
    subject.needs_get()
    stream = subject.stream()
    name = id_of(stream)
    first = subject.rows(6, text="first")
    changed = subject.rows(3, first=2, text="changed")
    changed = [{**row, "changed_at": "2024-02-01T00:00:00Z"} for row in changed]
    again = [{**changed[0], "text": "changed twice", "changed_at": "2024-03-01T00:00:00Z"}]
    subject.written([entry(stream, "append_dedup")], feed(name, first), "run 1")
    subject.must_hold(name, first, "after run 1")
    subject.written([entry(stream, "append_dedup")], feed(name, [*changed, *again]), "run 2")
    subject.must_hold(name, [first[0], again[0], *changed[1:], *first[4:]], "after changed rows, one of them twice")


@behaviour
def keeps_one_row_a_key_with_null_ids(subject: DestinationSubject) -> None:
    """As the UI sends it: of each key the newest row is there, once, over two runs and within one."""
    _one_per_key(subject, by_ui, plain)


@behaviour
def keeps_one_row_a_key_of_a_pipe(subject: DestinationSubject) -> None:
    """By a bare pipe: of each key the newest row is there, once, over two runs and within one."""
    _one_per_key(subject, by_ui, piped)


@behaviour
def keeps_one_row_a_key_with_ids_of_pyairbyte(subject: DestinationSubject) -> None:
    """PyAirbyte's 1/1/1 on every run does not erase rows of an earlier run."""
    _one_per_key(subject, by_pyairbyte, complete)


@behaviour
def knows_keys_of_several_parts(subject: DestinationSubject) -> None:
    """Rows are the same where all parts of their key are, and no sooner."""
    subject.offers("append_dedup")
    subject.needs_get()
    stream = subject.stream()
    name = id_of(stream)
    entry = {**by_ui(stream, "append_dedup"), "primary_key": [["id"], ["text"]]}
    rows = [{**row, "text": part} for part in ("a", "b") for row in subject.rows(3)]
    newer = {**rows[4], "changed_at": "2024-02-01T00:00:00Z"}
    subject.written([entry], piped(name, rows), "run 1")
    subject.written([entry], piped(name, [newer]), "run 2")
    subject.must_hold(name, [*rows[:4], newer, *rows[5:]], "after one of six rows was changed", "what makes a key")


@behaviour
def removes_older_generations_in_a_truncate(subject: DestinationSubject) -> None:
    """With minimum == generation, only the rows of this generation are there after COMPLETE."""
    truncates(subject, "append_dedup")


@behaviour
def is_the_same_written_twice(subject: DestinationSubject) -> None:
    """Writing the same rows twice is writing them once."""
    subject.offers("append_dedup")
    subject.needs_get()
    stream = subject.stream()
    rows = subject.rows(25)
    for number in (1, 2):
        subject.written([by_ui(stream, "append_dedup")], plain(id_of(stream), rows), f"run {number}")
    subject.must_hold(id_of(stream), rows, "after the same rows were written twice")
