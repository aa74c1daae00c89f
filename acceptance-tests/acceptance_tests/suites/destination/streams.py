"""Many streams at once, schemas that change between runs, records and states in any order."""

from __future__ import annotations

from typing import Any

import hypothesis
from hypothesis import strategies

from acceptance_tests.compare import content, difference, same
from acceptance_tests.destination_subject import COLUMNS, DestinationSubject, by_ui, id_of
from acceptance_tests.feed import Feed, count_mistakes, echo_mistakes, echoed
from acceptance_tests.protocol import Json, StreamId
from acceptance_tests.suite import Failure, Register, behaviours, expect, some
from acceptance_tests.suites.destination.modes import piped, plain

ALL: Register = []
streams = behaviours(ALL, "streams")
schema = behaviours(ALL, "schema")

MANY = 40
EXAMPLES = 6


@streams
def may_be_many_at_once(subject: DestinationSubject) -> None:
    """Forty streams, their records in turn, a STATE for each: all rows are there and all STATEs come back in order."""
    many = [subject.stream() for _ in range(MANY)]
    feed = Feed()
    for turn in range(3):
        for number, stream in enumerate(many):
            feed.add(id_of(stream), subject.rows(2, first=100 * number + 10 * turn))
        for stream in many:
            feed.state(id_of(stream))
    for stream in many:
        feed.status(id_of(stream), "COMPLETE")
    said = subject.written([by_ui(stream, subject.any_mode) for stream in many], feed, "forty streams")
    wrong = echo_mistakes(feed, echoed(said.transcript))
    expect(not wrong, "all STATEs in order", some(wrong, 3), "STATEs of many streams")
    if subject.can_get:
        for stream in many:
            subject.must_hold(id_of(stream), feed.rows[id_of(stream)], f"in {id_of(stream)}, one of forty")


@streams
def are_told_apart_by_their_namespace(subject: DestinationSubject) -> None:
    """The same name in two namespaces and in none: three streams."""
    stream = subject.stream()
    three = [stream, {**stream, "namespace": "acc_one"}, {**stream, "namespace": "acc_two"}]
    feed = Feed()
    for turn in range(2):
        for number, one in enumerate(three):
            feed.add(id_of(one), subject.rows(2, first=100 * number + 10 * turn))
    for one in three:
        feed.state(id_of(one)).status(id_of(one), "COMPLETE")
    said = subject.written([by_ui(one, subject.any_mode) for one in three], feed, "one name in three namespaces")
    wrong = count_mistakes(feed, echoed(said.transcript))
    expect(not wrong, "counts of each namespace", some(wrong, 3), "how streams are told apart")
    if subject.can_get:
        for one in three:
            subject.must_hold(
                id_of(one), feed.rows[id_of(one)], f"in {tuple(id_of(one))}", "how streams are told apart"
            )


@streams
def may_have_nothing_to_say(subject: DestinationSubject) -> None:
    """A stream of the catalog for which no message comes is no error: there was nothing new."""
    two = [subject.stream(), subject.stream()]
    name, rows = id_of(two[0]), subject.rows(3)
    subject.written([by_ui(one, subject.any_mode) for one in two], plain(name, rows), "one stream of two")
    if subject.can_get:
        subject.must_hold(name, rows, "in the stream that had messages")


@streams
def may_come_in_any_order(subject: DestinationSubject) -> None:
    """Records and STATEs of three streams interleaved at random: all rows and STATEs are there, all counts add up."""
    turns = strategies.lists(
        strategies.tuples(strategies.integers(0, 2), strategies.integers(0, 40)), min_size=1, max_size=40
    )

    @hypothesis.settings(
        max_examples=EXAMPLES,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(turns)
    def interleaved(order: list[tuple[int, int]]) -> None:
        _interleaved(subject, order)

    interleaved()


def _interleaved(subject: DestinationSubject, order: list[tuple[int, int]]) -> None:
    """`order`: (stream, rows), where no rows means a STATE."""
    three = [subject.stream() for _ in range(3)]
    feed = Feed()
    for number, (which, count) in enumerate(order):
        name = id_of(three[which])
        if count % 4:
            feed.add(name, subject.rows(count, first=100 * number))
        else:
            feed.state(name)
    for stream in three:
        feed.state(id_of(stream)).status(id_of(stream), "COMPLETE")
    said = subject.written([by_ui(stream, subject.any_mode) for stream in three], feed, f"the order {order}")
    back = echoed(said.transcript)
    wrong = echo_mistakes(feed, back) + count_mistakes(feed, back)
    expect(
        not wrong, "all STATEs and counts", f"{some(wrong, 3)}; with (stream, rows) {order}", "STATEs between records"
    )
    if subject.can_get:
        for stream in three:
            name = id_of(stream)
            found = subject.get(name, perhaps_none=not feed.rows.get(name))
            if unlike := difference(feed.rows.get(name, []), found):
                raise Failure("all rows", f"{unlike}; with (stream, rows) {order}", "batches of several streams")


# Schemas


def _runs(subject: DestinationSubject, *versions: tuple[Json, list[Json]]) -> tuple[StreamId, list[Json]]:
    """Append rows under one schema after the other; gives the stream and all rows."""
    subject.offers("append")
    subject.needs_get()
    stream = subject.stream()
    everything: list[Json] = []
    for number, (columns, rows) in enumerate(versions, 1):
        version = {**stream, "json_schema": {"type": "object", "properties": columns}}
        subject.written([by_ui(version, "append")], piped(id_of(stream), rows), f"run {number}, with {sorted(columns)}")
        everything += rows
    return id_of(stream), everything


@schema
def may_grow(subject: DestinationSubject) -> None:
    """A column that is new in the second run: its values are there, and the rows of the first run are as they were."""
    more = {**COLUMNS, "extra": {"type": ["null", "string"]}, "count": {"type": ["null", "integer"]}}
    first, second = subject.rows(3), [{**row, "extra": "new", "count": 7} for row in subject.rows(3, first=10)]
    stream, rows = _runs(subject, (COLUMNS, first), (more, second))
    subject.must_hold(stream, rows, "after a column was added", "how a stored schema grows")


@schema
def may_shrink(subject: DestinationSubject) -> None:
    """A column that is gone in the second run: its old values stay, the new rows have none."""
    fewer = {name: kind for name, kind in COLUMNS.items() if name != "text"}
    first = subject.rows(3)
    second = [{key: value for key, value in row.items() if key != "text"} for row in subject.rows(3, first=10)]
    stream, rows = _runs(subject, (COLUMNS, first), (fewer, second))
    subject.must_hold(stream, rows, "after a column was taken away", "what becomes of old columns")


@schema
def may_change_a_type(subject: DestinationSubject) -> None:
    """A column of whole numbers that becomes text: no row is lost, old values are as they were or the same as text."""
    before = {"id": {"type": ["null", "integer"]}, "code": {"type": ["null", "integer"]}}
    after = {"id": {"type": ["null", "integer"]}, "code": {"type": ["null", "string"]}}
    first = [{"id": number, "code": number * 11} for number in range(3)]
    second = [{"id": number, "code": f"A{number}"} for number in range(10, 13)]
    stream, rows = _runs(subject, (before, first), (after, second))
    found = {row.get("id"): row for row in map(content, subject.get(stream))}
    wrong = [row for row in rows if not _same_or_text(row["code"], found.get(row["id"], {}).get("code"))]
    expect(
        not wrong,
        "every row with its value",
        f"{len(wrong)} without, such as {wrong[:1]}",
        "how a stored schema changes",
    )


def _same_or_text(one: Any, other: Any) -> bool:
    return same(one, other) or (other is not None and str(one) == str(other))


@schema
def may_be_wider_than_the_rows(subject: DestinationSubject) -> None:
    """Rows that lack declared fields, or have them null, are stored; fields are not mixed up."""
    stream = subject.stream()
    rows: list[Json] = [
        {"id": 1},
        {"text": "only text"},
        {"changed_at": None, "id": 2, "text": None},
        {"text": "x", "id": 3},
    ]
    subject.written([by_ui(stream, subject.any_mode)], piped(id_of(stream), rows), "rows that lack fields")
    if subject.can_get:
        subject.must_hold(id_of(stream), rows, "rows that lack fields", "columns that a row does not have")
