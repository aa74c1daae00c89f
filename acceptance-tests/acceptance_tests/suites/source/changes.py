"""Changes in the source's system between runs. They need a way to put rows into it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from acceptance_tests.compare import same, shown
from acceptance_tests.protocol import Json, Stream, saved_states
from acceptance_tests.reading import Reading, identity, lacking, named
from acceptance_tests.rows import Schema, place, types
from acceptance_tests.source_subject import FULL, INCREMENTAL, SourceSubject
from acceptance_tests.suite import Failure, NotApplicable, Register, behaviours, expect
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
            if not same(value, found.get(name)):
                raise Failure(f"{name} = {shown(value)}", shown(found.get(name)), f"how {stream.id}.{name} is read")


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


FREE = ("format", "enum", "const", "pattern", "contentEncoding", "maxLength")
"""What says that a text cannot be just any."""
ALPHABETS = "ß 文서 עבר 🦙 e\u0301 \u2028 \\ \" ' \t \n end"
LONG = "0123456789" * 30_000
BEYOND_FLOATS = 2**53 + 1


def _is_free_text(schema: Schema) -> bool:
    return types(schema) == {"string"} and not any(word in schema for word in FREE)


def _is_integer(schema: Schema) -> bool:
    bounded = any(word in schema for word in ("maximum", "exclusiveMaximum", "enum", "const"))
    return types(schema) == {"integer"} and not bounded


def _keeps(subject: SourceSubject, names: list[str], stream: Stream, new: Any) -> None:
    """Put a row with this value in all of these fields, or in the first that takes it, and read it back."""
    for some_names in [names, *([name] for name in names if len(names) > 1)]:
        row = {**subject.new_rows(stream, 1)[0], **dict.fromkeys(some_names, new)}
        try:
            subject.put(stream, [row])
        except Exception:  # What the system refuses to hold cannot be read from it.
            continue
        try:
            reading = subject.read(subject.catalog(FULL, [stream]))
            must_have(stream, [row], reading, "a full refresh")
            values_as_put(stream, [row], reading)
        finally:
            subject.put(stream, [], subject.keys(stream, [row]))
        return
    raise NotApplicable(f"no field of {stream.id} takes such a value")


def _stream_with_key(subject: SourceSubject) -> Stream:
    stream = subject.writable(incremental=False)
    if not stream.key:
        raise NotApplicable("no stream has a key, by which rows could be taken away again")
    return stream


def _of_a_key(stream: Stream, name: str) -> bool:
    return [name] in stream.key


@behaviour
def keep_text_of_any_alphabet(subject: SourceSubject) -> None:
    """Text with letters of many alphabets, emoji, quotes and control characters comes as it was put."""
    stream = _stream_with_key(subject)
    texts = [name for name, kind in stream.fields.items() if _is_free_text(kind) and not _of_a_key(stream, name)]
    _keeps(subject, _without_cursor(subject, stream, texts), stream, ALPHABETS)


@behaviour
def keep_long_text(subject: SourceSubject) -> None:
    """A text of 300,000 characters comes whole."""
    stream = _stream_with_key(subject)
    texts = [name for name, kind in stream.fields.items() if _is_free_text(kind) and not _of_a_key(stream, name)]
    _keeps(subject, _without_cursor(subject, stream, texts), stream, LONG)


@behaviour
def keep_big_numbers(subject: SourceSubject) -> None:
    """A whole number that no float can hold comes with all of its digits."""
    stream = _stream_with_key(subject)
    numbers = [name for name, kind in stream.fields.items() if _is_integer(kind)]
    _keeps(subject, sorted(numbers, key=lambda name: _of_a_key(stream, name)), stream, BEYOND_FLOATS)


def _without_cursor(subject: SourceSubject, stream: Stream, names: list[str]) -> list[str]:
    return [name for name in names if [name] != subject.cursor(stream)]


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
