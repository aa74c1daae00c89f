"""append, overwrite, append_dedup: with null ids, with PyAirbyte's 1/1/1, and in a truncate."""

from __future__ import annotations

from collections.abc import Callable

from acceptance_tests.compare import missing
from acceptance_tests.connector import Said
from acceptance_tests.destination_subject import DestinationSubject, by_pyairbyte, by_refresh, by_ui, id_of
from acceptance_tests.feed import Feed
from acceptance_tests.protocol import Json, StreamId
from acceptance_tests.suite import Failure, Register, behaviours, expect

FIRST: Register = []
ALL: Register = []
append = behaviours(ALL, "append")
overwrite = behaviours(ALL, "overwrite")
dedup = behaviours(ALL, "append_dedup")

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


@behaviours(FIRST, "first")
def works_without_a_check_before(subject: DestinationSubject) -> None:
    """`write` is the first command ever run with this config, and what is written is there."""
    stream = subject.stream()
    rows = subject.rows(7)
    subject.written([by_ui(stream, subject.any_mode)], plain(id_of(stream), rows), "a first write")
    if subject.can_get:
        subject.must_hold(id_of(stream), rows, "after a first write")


# append


def _keeps_both(subject: DestinationSubject, entry: Entry, feed: Callable[[StreamId, list[Json]], Feed]) -> None:
    subject.offers("append")
    subject.needs_get()
    stream = subject.stream()
    first, second = subject.rows(11, text="first"), subject.rows(7, first=100, text="second")
    for number, rows in enumerate((first, second), 1):
        subject.written([entry(stream, "append")], feed(id_of(stream), rows), f"run {number}")
    subject.must_hold(id_of(stream), first + second, "after two runs")


@append
def keeps_both_runs_with_null_ids(subject: DestinationSubject) -> None:
    """Two runs of append as the UI sends them: the rows of both are there."""
    _keeps_both(subject, by_ui, plain)


@append
def keeps_both_runs_of_a_pipe(subject: DestinationSubject) -> None:
    """Two runs of append by a bare pipe, with the source's statuses: the rows of both are there."""
    _keeps_both(subject, by_ui, piped)


@append
def keeps_both_runs_with_ids_of_pyairbyte(subject: DestinationSubject) -> None:
    """PyAirbyte's 1/1/1 on every run does not erase what an earlier run appended."""
    _keeps_both(subject, by_pyairbyte, complete)


@append
def keeps_equal_rows(subject: DestinationSubject) -> None:
    """Equal rows are rows of their own: the same ones written twice are there twice."""
    subject.offers("append")
    subject.needs_get()
    stream = subject.stream()
    rows = [{"id": 1, "text": "same"}] * 3 + [{"id": 2, "text": "other"}]
    for number in (1, 2):
        subject.written([by_ui(stream, "append")], plain(id_of(stream), rows), f"run {number}")
    subject.must_hold(id_of(stream), rows * 2, "after the same rows were written twice")


@append
def keeps_older_generations_without_a_truncate(subject: DestinationSubject) -> None:
    """A new generation with a minimum of 0 removes nothing."""
    subject.offers("append")
    subject.needs_get()
    stream = subject.stream()
    first, second = subject.rows(5, text="first"), subject.rows(4, first=100, text="second")
    for generation, rows in ((1, first), (2, second)):
        subject.written([by_refresh(stream, "append", generation, 0)], complete(id_of(stream), rows), f"generation {generation}")
    subject.must_hold(id_of(stream), first + second, "after two generations")


def _truncates(subject: DestinationSubject, mode: str) -> None:
    subject.offers(mode)
    subject.needs_get()
    stream = subject.stream()
    first, second = subject.rows(9, text="old"), subject.rows(5, first=4, text="new")
    subject.written([by_refresh(stream, mode, 1, 0)], complete(id_of(stream), first), "generation 1")
    subject.must_hold(id_of(stream), first, "after generation 1")
    subject.written([by_refresh(stream, mode, 2, 2)], complete(id_of(stream), second), "generation 2")
    subject.must_hold(id_of(stream), second, "after generation 2 with a minimum of 2", REPLACING)


@append
def removes_older_generations_in_a_truncate(subject: DestinationSubject) -> None:
    """With minimum == generation, only the rows of this generation are there after COMPLETE."""
    _truncates(subject, "append")


@append
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
    process.offer(Feed().add(name, new[:6]).state(name).bytes)
    process.pump(lambda: b'"STATE"' in b"".join(process.lines), ACK_WAIT)
    said = subject.connector.kill(process)
    _old_is_whole(subject, name, old, "after a truncate was killed")
    done = 6 if said.transcript.of("STATE") else 0
    subject.written([entry], complete(name, new[done:]), "a second attempt of generation 2")
    found = subject.get(name)
    lost = missing(new, found)
    expect(not lost, f"all {len(new)} rows of generation 2", f"{len(lost)} missing", "rows that were acknowledged before the kill")
    expect(len(found) <= len(new) + 6 - done, "no older rows", f"{len(found)} rows in all", REPLACING)


# overwrite


def _replaces(subject: DestinationSubject, entry: Entry, feed: Callable[[StreamId, list[Json]], Feed]) -> None:
    subject.offers("overwrite")
    subject.needs_get()
    stream = subject.stream()
    for number, rows in enumerate((subject.rows(9, text="old"), subject.rows(5, first=4, text="new")), 1):
        subject.written([entry(stream, "overwrite")], feed(id_of(stream), rows), f"run {number}")
        subject.must_hold(id_of(stream), rows, f"after run {number}", REPLACING)


@overwrite
def replaces_with_null_ids(subject: DestinationSubject) -> None:
    """As the UI sends it, without ids and statuses: the second run's rows take the place of the first's."""
    _replaces(subject, by_ui, plain)


@overwrite
def replaces_by_a_pipe(subject: DestinationSubject) -> None:
    """By a bare pipe, with the source's statuses: the second run's rows take the place of the first's."""
    _replaces(subject, by_ui, piped)


@overwrite
def replaces_with_ids_of_pyairbyte(subject: DestinationSubject) -> None:
    """With PyAirbyte's 1/1/1 on both runs: the second run's rows take the place of the first's."""
    _replaces(subject, by_pyairbyte, complete)


@overwrite
def removes_older_generations_in_a_truncate(subject: DestinationSubject) -> None:
    """With minimum == generation, only the rows of this generation are there after COMPLETE."""
    _truncates(subject, "overwrite")


@overwrite
def empties_a_stream_that_is_complete_without_rows(subject: DestinationSubject) -> None:
    """A stream that says COMPLETE and had no rows is empty afterwards."""
    subject.offers("overwrite")
    subject.needs_get()
    stream = subject.stream()
    name = id_of(stream)
    subject.written([by_ui(stream, "overwrite")], piped(name, subject.rows(3)), "run 1")
    empty = Feed().status(name, "STARTED").state(name).status(name, "COMPLETE")
    subject.written([by_ui(stream, "overwrite")], empty, "run 2")
    left = subject.get(name, perhaps_none=True)
    expect(not left, "no row after a run without rows", f"{len(left)} rows", REPLACING)


@overwrite
def deletes_nothing_without_input(subject: DestinationSubject) -> None:
    """A run whose input is empty deletes nothing: something died before it could speak."""
    subject.offers("overwrite")
    subject.needs_get()
    for name, entry in (("null ids", by_ui), ("1/1/1", by_pyairbyte)):
        stream = subject.stream()
        rows = subject.rows(3)
        subject.written([entry(stream, "overwrite")], complete(id_of(stream), rows), "run 1")
        subject.write([entry(stream, "overwrite")], b"")
        subject.must_hold(id_of(stream), rows, f"after a run with empty input and {name}", REPLACING)


def _old_is_whole(subject: DestinationSubject, stream: StreamId, old: list[Json], when: str) -> None:
    """Raise a Failure where a reader sees less than the whole old result. Unfinished new rows may lie beside it."""
    if lost := missing(old, found := subject.get(stream)):
        raise Failure(f"{when}: all {len(old)} old rows", f"{len(lost)} of them gone, {len(found)} rows in all", REPLACING)


def _replacing(subject: DestinationSubject) -> list[tuple[str, Callable[[Json, int], Json]]]:
    """The ways to replace a stream that it offers."""
    found: list[tuple[str, Callable[[Json, int], Json]]] = []
    if "overwrite" in subject.modes:
        found.append(("overwrite", lambda stream, _: by_ui(stream, "overwrite")))
    found.append(("a truncate", lambda stream, run: by_refresh(stream, subject.any_mode, run, run)))
    return found


@overwrite
def keeps_the_old_result_until_complete(subject: DestinationSubject) -> None:
    """While new rows come, and after kill -9, a reader sees the whole old result; a full run then replaces it."""
    subject.needs_get()
    for what, entry in _replacing(subject):
        stream = subject.stream()
        name = id_of(stream)
        old, new = subject.rows(8, text="old"), subject.rows(6, first=100, text="new")
        subject.written([entry(stream, 1)], piped(name, old), f"the first {what}")
        process = subject.start([entry(stream, 2)])
        process.offer(Feed().status(name, "STARTED", "RUNNING").add(name, new[:3]).state(name).bytes)
        process.pump(lambda process=process: bool(process.lines), ACK_WAIT)  # type: ignore[misc]
        process.offer(Feed(first_id=2).add(name, new[3:]).bytes)
        process.pump(lambda: False, 0.5)
        _old_is_whole(subject, name, old, f"in the middle of {what}")
        subject.connector.kill(process)
        _old_is_whole(subject, name, old, f"after {what} was killed")
        subject.written([entry(stream, 3)], piped(name, new), f"{what} from the start")
        subject.must_hold(name, new, f"after {what} that came to its end", REPLACING)


@overwrite
def keeps_the_old_result_when_the_source_died(subject: DestinationSubject) -> None:
    """Input that ends without COMPLETE, after the source has said STARTED, replaces nothing, whatever the exit code."""
    subject.needs_get()
    for what, entry in _replacing(subject):
        stream = subject.stream()
        name = id_of(stream)
        old, new = subject.rows(8, text="old"), subject.rows(6, first=100, text="new")
        subject.written([entry(stream, 1)], piped(name, old), f"the first {what}")
        feed = Feed().status(name, "STARTED", "RUNNING").add(name, new[:4]).state(name).add(name, new[4:])
        said = subject.write([entry(stream, 2)], feed)
        _old_is_whole(subject, name, old, f"after {what} without COMPLETE")
        expect(tells(said), "a warning, or a non-zero exit code", said.story, "what is said about a source that died")


def tells(said: Said) -> bool:
    """Whether a run let people know that something was wrong."""
    return not said.ok or bool(said.transcript.errors or said.transcript.logs("WARN", "ERROR", "FATAL") or said.run.stderr.strip())


@overwrite
def keeps_the_old_result_when_the_last_message_was_no_state(subject: DestinationSubject) -> None:
    """Without ids and statuses, records after the last STATE mean that the source may have died: the old result stays."""
    subject.offers("overwrite")
    subject.needs_get()
    stream = subject.stream()
    name = id_of(stream)
    old, new = subject.rows(8, text="old"), subject.rows(6, first=100, text="new")
    subject.written([by_ui(stream, "overwrite")], plain(name, old), "run 1")
    subject.write([by_ui(stream, "overwrite")], Feed().add(name, new[:3]).state(name).add(name, new[3:]))
    _old_is_whole(subject, name, old, "after input that ended in a record")


@overwrite
def leaves_other_streams_alone(subject: DestinationSubject) -> None:
    """Only the stream of exactly this namespace and name is replaced: not its namesakes, nor longer names."""
    subject.offers("overwrite")
    subject.needs_get()
    stream = subject.stream()
    others = [{**stream, "namespace": "acc_other"}, {**stream, "name": stream["name"] + "_more"}, {**stream, "name": f"x{stream['name']}"}]
    everything = [stream, *others]
    for number, one in enumerate(everything):
        rows = subject.rows(3, first=10 * number)
        subject.written([by_ui(one, "overwrite")], piped(id_of(one), rows), f"the first run of {id_of(one)}")
    subject.written([by_ui(stream, "overwrite")], piped(id_of(stream), subject.rows(2, first=100)), "the second run")
    for number, one in enumerate(others, 1):
        subject.must_hold(id_of(one), subject.rows(3, first=10 * number), f"in {id_of(one)}, after another was replaced", REPLACING)
    subject.must_hold(id_of(stream), subject.rows(2, first=100), "in the stream that was replaced", REPLACING)


# append_dedup


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


@dedup
def keeps_one_row_a_key_with_null_ids(subject: DestinationSubject) -> None:
    """As the UI sends it: of each key the newest row is there, once, over two runs and within one."""
    _one_per_key(subject, by_ui, plain)


@dedup
def keeps_one_row_a_key_of_a_pipe(subject: DestinationSubject) -> None:
    """By a bare pipe: of each key the newest row is there, once, over two runs and within one."""
    _one_per_key(subject, by_ui, piped)


@dedup
def keeps_one_row_a_key_with_ids_of_pyairbyte(subject: DestinationSubject) -> None:
    """PyAirbyte's 1/1/1 on every run does not erase rows of an earlier run."""
    _one_per_key(subject, by_pyairbyte, complete)


@dedup
def removes_older_generations_in_a_truncate(subject: DestinationSubject) -> None:
    """With minimum == generation, only the rows of this generation are there after COMPLETE."""
    _truncates(subject, "append_dedup")


@dedup
def is_the_same_written_twice(subject: DestinationSubject) -> None:
    """Writing the same rows twice is writing them once."""
    subject.offers("append_dedup")
    subject.needs_get()
    stream = subject.stream()
    rows = subject.rows(25)
    for number in (1, 2):
        subject.written([by_ui(stream, "append_dedup")], plain(id_of(stream), rows), f"run {number}")
    subject.must_hold(id_of(stream), rows, "after the same rows were written twice")


