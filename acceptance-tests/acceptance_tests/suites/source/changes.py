"""Changes in the source's system between runs. They need a way to put rows into it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from acceptance_tests.compare import same, shown
from acceptance_tests.protocol import Json, Stream, saved_states
from acceptance_tests.reading import Reading, identity, lacking, named
from acceptance_tests.rows import place
from acceptance_tests.source_subject import FULL, INCREMENTAL, SourceSubject
from acceptance_tests.suite import Failure, Register, behaviours, expect
from acceptance_tests.suites.source.resume import spread
from acceptance_tests.suites.source.states import count_mistakes

ALL: Register = []
behaviour = behaviours(ALL, "changes")


@contextmanager
def put(subject: SourceSubject, stream: Stream, rows: list[Json]) -> Iterator[None]:
    """The rows are in the source's system; afterwards they are taken out again, where they have a key."""
    subject.put(stream, rows)
    try:
        yield
    finally:
        if stream.key:
            subject.put(stream, [], subject.keys(stream, rows))


def must_have(stream: Stream, rows: list[Json], reading: Reading, what: str) -> None:
    expect(reading.ok, f"{what}: exit code 0", reading.said.story, "the output of `read`")
    absent = lacking(stream, rows, reading.by_stream[stream.id]) if stream.key else []
    if absent or (not stream.key and len(reading.by_stream[stream.id]) < len(rows)):
        shown_row = named(stream, (absent or rows)[0])
        raise Failure(
            f"{what}: all {len(rows)} rows that were put", f"{len(absent)} missing, such as {shown_row}", "the query"
        )


def values_as_put(stream: Stream, rows: list[Json], reading: Reading) -> None:
    """Raise a Failure where a row has come with other values than it was put with."""
    of = identity(stream)
    came = {of(row): row for row in reading.by_stream[stream.id]}
    for row in rows:
        found = came.get(of(row), {})
        for name, value in row.items():
            if name in found and not same(value, found[name]):
                raise Failure(f"{name} = {shown(value)}", f"{shown(found[name])}", f"how {stream.id}.{name} is read")


@behaviour
def are_read_as_they_were_put(subject: SourceSubject) -> None:
    """Rows that were put come in a full refresh, each with its values, and are gone after they were deleted."""
    stream = subject.writable(incremental=False)
    rows = subject.new_rows(stream, 7)
    with put(subject, stream, rows):
        reading = subject.read(subject.catalog(FULL, [stream]))
        must_have(stream, rows, reading, "a full refresh")
        if stream.key:
            values_as_put(stream, rows, reading)
    if stream.key:
        again = subject.read(subject.catalog(FULL, [stream]))
        left = len(rows) - len(lacking(stream, rows, again.by_stream[stream.id]))
        expect(not left, "none of the deleted rows in a full refresh", f"{left} of them", "what is read")


@behaviour
def are_found_by_the_next_incremental_run(subject: SourceSubject) -> None:
    """New rows come in a run from the last STATE, and so does a row that was changed."""
    stream = subject.writable(incremental=True)
    first = subject.read(subject.catalog(INCREMENTAL, [stream]))
    rows = subject.new_rows(stream, 5)
    with put(subject, stream, rows):
        second = subject.read(subject.catalog(INCREMENTAL, [stream]), state=saved_states(first.states))
        must_have(stream, rows, second, "a run from the last STATE after new rows were put")
        wrong = count_mistakes(second)
        expect(not wrong, "counts that add up", "; ".join(wrong), "sourceStats")
        if stream.key:
            _changed_row(subject, stream, rows[2], saved_states([*first.states, *second.states]))


def _changed_row(subject: SourceSubject, stream: Stream, row: Json, state: list[Json]) -> None:
    cursor = subject.cursor(stream) or []
    if not cursor or cursor in stream.key:
        return
    new = {**subject.new_rows(stream, 1)[0]}
    for path in stream.key:
        place(new, path, row[path[0]])
    subject.put(stream, [new])
    third = subject.read(subject.catalog(INCREMENTAL, [stream]), state=state)
    must_have(stream, [new], third, "a run from the last STATE after a row was changed")
    values_as_put(stream, [new], third)


@behaviour
def are_found_from_every_state(subject: SourceSubject) -> None:
    """With new rows there, many of them at the same cursor, a run from any STATE leaves none of them out."""
    stream = subject.writable(incremental=True)
    rows = subject.new_rows(stream, 6, tied=True) + subject.new_rows(stream, 6)
    with put(subject, stream, rows):
        whole = subject.read(subject.catalog(INCREMENTAL, [stream]))
        must_have(stream, rows, whole, "an incremental read from nothing")
        for number in spread(range(len(whole.states)), 8):
            states = whole.states[: number + 1]
            after = subject.read(subject.catalog(INCREMENTAL, [stream]), state=saved_states(states))
            before = [record.data for record in whole.before(states[-1])]
            if absent := lacking(stream, whole.by_stream[stream.id], before, after.by_stream[stream.id]):
                raise Failure(
                    f"every row, before or after state {number + 1} of {len(whole.states)}",
                    f"{len(absent)} missing, such as {named(stream, absent[0])}",
                    f"what the state promises: {saved_states(states)}",
                )
