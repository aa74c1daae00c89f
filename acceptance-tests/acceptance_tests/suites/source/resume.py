"""Going on from a state: nothing is missing afterwards, whichever state it was."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

from acceptance_tests.compare import same
from acceptance_tests.protocol import Json, State, Stream, saved_states
from acceptance_tests.reading import Reading, Record, lacking, named
from acceptance_tests.rows import at, later
from acceptance_tests.source_subject import FULL, INCREMENTAL, SourceSubject
from acceptance_tests.suite import Failure, NotApplicable, Register, behaviours, expect, some
from acceptance_tests.suites.source.read import status_mistakes

ALL: Register = []
behaviour = behaviours(ALL, "resume")

MOST = 100
"""States that are gone on from: all, or so many of them, the first and the last among these."""


def spread(things: Sequence[Any], most: int = MOST) -> list[Any]:
    """All of them, or `most` evenly spread, the first and the last among these."""
    if len(things) <= most:
        return list(things)
    return [things[round(number * (len(things) - 1) / (most - 1))] for number in range(most)]


def stable(subject: SourceSubject, reading: Reading) -> list[Stream]:
    """Streams whose rows can be known again: they have a key, or the same rows came twice."""
    return [stream for stream in reading.streams if stream.key or subject.same_rows_again(stream)]


def must_be_whole(
    subject: SourceSubject, whole: Reading, before: Sequence[Record], after: Reading, what: str, look_at: str
) -> None:
    """Raise a Failure where rows of `whole` are neither in `before` nor in `after`."""
    for stream in stable(subject, whole):
        first = [record.data for record in before if record.stream == stream.id]
        rest = after.by_stream.get(stream.id, [])
        if absent := lacking(stream, whole.by_stream[stream.id], first, rest):
            raise Failure(
                f"{what}: what came before the state and what comes after it are "
                f"all {len(whole.by_stream[stream.id])} rows of {stream.id}",
                f"{len(first)} before, {len(rest)} after, {len(absent)} missing, such as {named(stream, absent[0])}",
                look_at,
            )


def go_on(subject: SourceSubject, whole: Reading, states: Sequence[State], mode: str, what: str) -> None:
    """Resume from the last of these states, and raise a Failure where a row is missing afterwards."""
    saved = saved_states(states)
    after = subject.read(subject.catalog(mode, whole.streams), state=saved)
    shown = f"the state file {_short(saved)}"
    expect(after.ok, f"{what}: a read from the state ends well", after.said.story, shown)
    before = whole.before(states[-1])
    must_be_whole(subject, whole, before, after, what, shown)


def _short(saved: list[Json]) -> str:
    text = str(saved)
    return text if len(text) < 400 else f"{text[:400]}…"


def from_every_state(subject: SourceSubject, whole: Reading, mode: str) -> None:
    if not whole.states:
        raise NotApplicable("no STATE came out")
    tried: list[list[Json]] = []
    for number in spread(range(len(whole.states)), subject.affordable(MOST)):
        states = whole.states[: number + 1]
        if (saved := saved_states(states)) not in tried:
            tried.append(saved)
            go_on(subject, whole, states, mode, f"from state {number + 1} of {len(whole.states)}")


@behaviour
def goes_on_from_every_state_of_a_full_refresh(subject: SourceSubject) -> None:
    """From each STATE of a full refresh: what came before it and what a run from it gives is every row.

    Reading a stream anew from its first row is right as well.
    """
    from_every_state(subject, subject.full, FULL)


@behaviour
def goes_on_from_every_state_of_an_incremental_read(subject: SourceSubject) -> None:
    """From each STATE of an incremental read: what came before it and what a run from it gives is every row.

    Rows at the boundary may come twice.
    """
    from_every_state(subject, subject.incremental, INCREMENTAL)


@behaviour
def does_not_start_anew(subject: SourceSubject) -> None:
    """After an incremental read, a run from its last STATE does not give everything again."""
    whole = subject.incremental
    after = subject.read(subject.catalog(INCREMENTAL, whole.streams), state=saved_states(whole.states))
    for stream in stable(subject, whole):
        rows = whole.by_stream[stream.id]
        cursor = subject.cursor(stream) or []
        boundary = [row for row in rows if cursor and same(at(row, cursor), at(rows[-1], cursor))]
        again = after.by_stream[stream.id]
        if len(rows) > max(1, len(boundary)) and not lacking(stream, rows, again):
            raise Failure(
                f"rows of {stream.id} at the boundary, or none",
                f"all {len(rows)} rows again",
                f"how the state is read: {_short(saved_states(whole.states))}",
            )


@behaviour
def finds_nothing_new_in_good_order(subject: SourceSubject) -> None:
    """An incremental run that finds nothing new has all statuses, and a STATE that is good to go on from."""
    whole = subject.incremental
    state = saved_states(whole.states)
    after = subject.read(subject.catalog(INCREMENTAL, whole.streams), state=state)
    expect(after.ok, "exit code 0", after.said.story, "the output of `read`")
    wrong = status_mistakes(after)
    expect(not wrong, "STARTED, COMPLETE for each stream", some(wrong), "the STREAM_STATUS traces of `read`")
    if not after.states:
        raise Failure("at least one STATE", "none", "what is said of streams without new rows")
    kept = saved_states([*whole.states, *after.states])
    third = subject.read(subject.catalog(INCREMENTAL, whole.streams), state=kept)
    for stream in stable(subject, whole):
        first, second = after.by_stream[stream.id], third.by_stream[stream.id]
        if len(second) > len(first) and not lacking(stream, whole.by_stream[stream.id], second):
            raise Failure(
                f"{stream.id} goes on from where it was",
                "all rows again",
                f"the STATE of a run without news: {_short(kept)}",
            )


@behaviour
def starts_anew_with_an_empty_state(subject: SourceSubject) -> None:
    """A state file that holds `[]` means a first run."""
    after = subject.read(subject.catalog(INCREMENTAL, subject.incremental.streams), state=[])
    expect(after.ok, "exit code 0", after.said.story, "how the state file is read")
    must_be_whole(subject, subject.incremental, [], after, "with the state []", "how the state file is read")


@behaviour
def refuses_a_state_that_it_cannot_read(subject: SourceSubject) -> None:
    """A state file that is no JSON ends non-zero with an ERROR: it is never taken for a fresh start."""
    if not subject.growing:
        raise NotApplicable("no stream offers incremental")
    after = subject.read(subject.catalog(INCREMENTAL, subject.growing), state=b'[{"type": "STREAM", "stre')
    expect(not after.ok, "a non-zero exit code", after.said.story, "how the state file is read")
    expect(after.said.transcript.errors, "an ERROR trace", after.said.story, "how the state file is read")
    expect(not after.records, "no record", f"{len(after.records)} records", "how the state file is read")


@behaviour
def takes_a_state_with_unknown_keys(subject: SourceSubject) -> None:
    """A state that comes back with keys which the platform has added (`id`, statistics) is read as if they lacked."""
    whole = subject.incremental
    state = [
        {**one, "id": 7, "destinationStats": {"recordCount": 1.0}, "acceptance_unknown": {"a": [1]}}
        for one in saved_states(whole.states)
    ]
    as_without(subject, whole, state)


@behaviour
def takes_a_state_with_explicit_nulls(subject: SourceSubject) -> None:
    """A state as PyAirbyte writes it, with every unused key there and null, is read as if they were not there."""
    whole = subject.incremental
    empty = {
        "stream": None,
        "global": None,
        "global_": None,
        "data": None,
        "sourceStats": None,
        "destinationStats": None,
    }
    as_without(subject, whole, [{**empty, **one} for one in saved_states(whole.states)])


def as_without(subject: SourceSubject, whole: Reading, state: list[Json]) -> None:
    """A run from this state gives as much as one from the plain state."""
    catalog = subject.catalog(INCREMENTAL, whole.streams)
    plain = subject.read(catalog, state=saved_states(whole.states))
    after = subject.read(catalog, state=state)
    expect(after.ok, "exit code 0", after.said.story, f"how the state file is read: {_short(state)}")
    for stream in whole.streams:
        first, second = len(plain.by_stream[stream.id]), len(after.by_stream[stream.id])
        if stream.key and first != second:
            raise Failure(f"{first} rows of {stream.id}, as without the keys", f"{second}", f"{_short(state)}")


# The far future


@behaviour
def takes_a_state_from_the_far_future(subject: SourceSubject) -> None:
    """A state whose cursor lies beyond all rows gives no rows (or an error that says so), never everything."""
    whole = subject.incremental
    states, moved = [], []
    for one in saved_states(whole.states):
        new, streams = _in_the_future(subject, whole, one)
        states.append(new)
        moved += streams
    if not moved:
        raise NotApplicable("no state shows the value of its cursor")
    after = subject.read(subject.catalog(INCREMENTAL, whole.streams), state=states)
    if not after.ok:
        expect(
            after.said.transcript.errors,
            "exit code 0, or an ERROR",
            after.said.story,
            f"the state file {_short(states)}",
        )
        return
    for stream in moved:
        rows = whole.by_stream[stream.id]
        again = after.by_stream[stream.id]
        if rows and len(again) >= len(rows):
            raise Failure(
                f"no rows of {stream.id}",
                f"{len(again)} of {len(rows)} rows",
                f"how the state is read: {_short(states)}",
            )


def _in_the_future(subject: SourceSubject, whole: Reading, state: Json) -> tuple[Json, list[Stream]]:
    """The state with the cursor of each of its streams moved far ahead, and the streams where that was possible."""
    moved = []
    for stream in whole.streams:
        cursor = subject.cursor(stream)
        if not cursor or not _speaks_of(state, stream):
            continue
        values = [value for row in whole.by_stream[stream.id] if (value := at(row, cursor)) is not None]
        before = state
        for path in places_of_a_cursor(state, values, cursor[-1]):
            state = _moved(state, path)
        moved += [stream] if state != before else []
    return state, moved


def _speaks_of(state: Json, stream: Stream) -> bool:
    if state.get("type") != "STREAM":
        return True
    descriptor = state["stream"]["stream_descriptor"]
    return (descriptor.get("namespace"), descriptor.get("name")) == stream.id


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Every plain value of a state that can be a cursor's, and where it stands."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key != "stream_descriptor":
                yield from _leaves(inner, (*path, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _leaves(inner, (*path, number))
    elif value is not None and not isinstance(value, bool):
        yield path, value


def places_of_a_cursor(state: Json, values: Sequence[Any], field: str) -> list[tuple[Any, ...]]:
    """Where the state holds the newest cursor, by its value and, where others are alike by chance, by its name."""
    newest = [values[-1], *_greatest(values)] if values else []
    places = [path for path, value in _leaves(state) if any(_alike(value, one) for one in newest)]
    named = [path for path in places if re.search(rf"cursor|{re.escape(field)}", str(path[-1]), re.IGNORECASE)]
    return named or (places if len(places) == 1 else [])


def _greatest(values: Sequence[Any]) -> list[Any]:
    try:
        return [max(values)]
    except TypeError:
        return []


def _moved(value: Any, path: tuple[Any, ...]) -> Any:
    """A copy with the value at this place moved far ahead."""
    if not path:
        return _ahead(value)
    if isinstance(value, dict):
        return {**value, path[0]: _moved(value[path[0]], path[1:])}
    return [_moved(inner, path[1:]) if number == path[0] else inner for number, inner in enumerate(value)]


def _alike(value: Any, cursor: Any) -> bool:
    return bool(value == cursor) or same(value, cursor) or str(value) == str(cursor)


def _ahead(value: Any) -> Any:
    if isinstance(value, int):
        return value + 1_000_000
    if isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\d", value):
        return later(value, timedelta(days=365 * 70)) if len(value) > 10 else "2999-12-31"
    if isinstance(value, str) and value.isdigit():
        return str(int(value) + 1_000_000)
    return value
