"""STATE messages: which kinds, for which streams, and counts that add up."""

from __future__ import annotations

from collections import Counter

from acceptance_tests.protocol import StreamId
from acceptance_tests.reading import Reading
from acceptance_tests.source_subject import SourceSubject
from acceptance_tests.suite import Register, behaviours, expect, some

ALL: Register = []
behaviour = behaviours(ALL, "state")

LOOK = "the STATE messages of `read`"


def readings(subject: SourceSubject) -> list[tuple[str, Reading]]:
    found = [("a full refresh", subject.full)]
    return [*found, ("an incremental read", subject.incremental)] if subject.growing else found


@behaviour
def is_stream_or_global(subject: SourceSubject) -> None:
    """Every STATE is of type STREAM or GLOBAL; the platform refuses LEGACY ones."""
    wrong = [f"{state.kind} in line {state.number}" for _, reading in readings(subject) for state in reading.states]
    wrong = [text for text in wrong if text.startswith("LEGACY")]
    expect(not wrong, "STREAM or GLOBAL", f"{len(wrong)} others: {some(wrong, 3)}", LOOK)


@behaviour
def names_streams_of_the_catalog(subject: SourceSubject) -> None:
    """A STREAM state names a stream exactly as the catalog does."""
    wrong = []
    for what, reading in readings(subject):
        known = {stream.id for stream in reading.streams}
        wrong += [
            f"{tuple(one.stream)} ({what})"
            for one in reading.states
            if one.stream is not None and one.stream not in known
        ]
    expect(not wrong, "streams of the catalog", some(wrong), LOOK)


@behaviour
def comes_for_every_stream(subject: SourceSubject) -> None:
    """Each stream has at least one STATE, or there is a GLOBAL one: only a state makes rows count as delivered."""
    wrong = []
    for what, reading in readings(subject):
        stated = {state.stream for state in reading.states}
        if None not in stated:
            wrong += [f"{stream.id} ({what})" for stream in reading.streams if stream.id not in stated]
    expect(not wrong, "a STATE for each stream", f"none for {some(wrong)}", LOOK)


@behaviour
def carries_counts_that_add_up(subject: SourceSubject) -> None:
    """`sourceStats.recordCount` is the number of records of the stream since its last STATE, and none is left over."""
    wrong = []
    for what, reading in readings(subject):
        wrong += [f"{text} ({what})" for text in count_mistakes(reading)]
    expect(not wrong, "counts that add up", some(wrong), LOOK)


def count_mistakes(reading: Reading) -> list[str]:
    """Where the counts of the states are not the number of records that came."""
    since: Counter[StreamId] = Counter()
    wrong = []
    records = iter(reading.records)
    record = next(records, None)
    for state in reading.states:
        while record is not None and record.number < state.number:
            since[record.stream] += 1
            record = next(records, None)
        came = since.total() if state.stream is None else since[state.stream]
        if state.stats is None:
            wrong.append(f"line {state.number}: no sourceStats.recordCount")
        elif state.stats != came:
            wrong.append(f"line {state.number}: {state.stats} counted, {came} records came since the last STATE")
        if state.stream is None:
            since.clear()
        else:
            since[state.stream] = 0
    while record is not None:
        since[record.stream] += 1
        record = next(records, None)
    return wrong + [f"{stream}: {count} records after its last STATE" for stream, count in since.items() if count]
