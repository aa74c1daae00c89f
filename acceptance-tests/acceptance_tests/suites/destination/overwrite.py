"""overwrite: what replaces the old result, and when."""

from __future__ import annotations

from collections.abc import Callable

from acceptance_tests.destination_subject import DestinationSubject, by_pyairbyte, by_ui, id_of
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
    replacing,
    tells,
    truncates,
)

ALL: Register = []
behaviour = behaviours(ALL, "overwrite")


def _replaces(subject: DestinationSubject, entry: Entry, feed: Callable[[StreamId, list[Json]], Feed]) -> None:
    subject.offers("overwrite")
    subject.needs_get()
    stream = subject.stream()
    for number, rows in enumerate((subject.rows(9, text="old"), subject.rows(5, first=4, text="new")), 1):
        subject.written([entry(stream, "overwrite")], feed(id_of(stream), rows), f"run {number}")
        subject.must_hold(id_of(stream), rows, f"after run {number}", REPLACING)


@behaviour
def replaces_with_null_ids(subject: DestinationSubject) -> None:
    """As the UI sends it, without ids and statuses: the second run's rows take the place of the first's."""
    _replaces(subject, by_ui, plain)


@behaviour
def replaces_by_a_pipe(subject: DestinationSubject) -> None:
    """By a bare pipe, with the source's statuses: the second run's rows take the place of the first's."""
    _replaces(subject, by_ui, piped)


@behaviour
def replaces_with_ids_of_pyairbyte(subject: DestinationSubject) -> None:
    """With PyAirbyte's 1/1/1 on both runs: the second run's rows take the place of the first's."""
    _replaces(subject, by_pyairbyte, complete)


@behaviour
def removes_older_generations_in_a_truncate(subject: DestinationSubject) -> None:
    """With minimum == generation, only the rows of this generation are there after COMPLETE."""
    truncates(subject, "overwrite")


@behaviour
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


@behaviour
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


@behaviour
def keeps_a_stream_that_nothing_was_said_of(subject: DestinationSubject) -> None:
    """Of two streams in the catalog one has messages, the other none: only the first is replaced."""
    subject.offers("overwrite")
    subject.needs_get()
    streams = [subject.stream(), subject.stream()]
    one, other = (id_of(stream) for stream in streams)
    old, new = subject.rows(6, text="old"), subject.rows(3, first=50, text="new")
    for name, stream in zip((one, other), streams, strict=True):
        subject.written([by_ui(stream, "overwrite")], plain(name, old), f"the first run of {name}")
    subject.write([by_ui(stream, "overwrite") for stream in streams], plain(one, new))
    subject.must_hold(other, old, "in the stream without messages", REPLACING)
    subject.must_hold(one, new, "in the stream that had some", REPLACING)


@behaviour
def keeps_the_old_result_until_complete(subject: DestinationSubject) -> None:
    """While new rows come, and after kill -9, a reader sees the whole old result; a full run then replaces it."""
    subject.needs_get()
    for what, entry in replacing(subject):
        stream = subject.stream()
        name = id_of(stream)
        old, new = subject.rows(8, text="old"), subject.rows(6, first=100, text="new")
        subject.written([entry(stream, 1)], piped(name, old), f"the first {what}")
        process = subject.start([entry(stream, 2)])
        process.offer(Feed().status(name, "STARTED", "RUNNING").add(name, new[:3]).state(name).text)
        process.wait_for_lines(1, ACK_WAIT)
        process.offer(Feed(first_id=2).add(name, new[3:]).text)
        process.pump(lambda: False, 0.5)
        old_is_whole(subject, name, old, f"in the middle of {what}")
        subject.connector.kill(process)
        old_is_whole(subject, name, old, f"after {what} was killed")
        subject.written([entry(stream, 3)], piped(name, new), f"{what} from the start")
        subject.must_hold(name, new, f"after {what} that came to its end", REPLACING)


@behaviour
def keeps_the_old_result_when_the_source_died(subject: DestinationSubject) -> None:
    """Input that ends without COMPLETE, after the source has said STARTED, replaces nothing, whatever the exit code."""
    subject.needs_get()
    for what, entry in replacing(subject):
        stream = subject.stream()
        name = id_of(stream)
        old, new = subject.rows(8, text="old"), subject.rows(6, first=100, text="new")
        subject.written([entry(stream, 1)], piped(name, old), f"the first {what}")
        feed = Feed().status(name, "STARTED", "RUNNING").add(name, new[:4]).state(name).add(name, new[4:])
        said = subject.write([entry(stream, 2)], feed)
        old_is_whole(subject, name, old, f"after {what} without COMPLETE")
        expect(tells(said), "a warning, or a non-zero exit code", said.story, "what is said about a source that died")


@behaviour
def keeps_the_old_result_when_the_last_message_was_no_state(subject: DestinationSubject) -> None:
    """Without ids and statuses, records after the last STATE mean that the source may have died: the old rows stay."""
    subject.offers("overwrite")
    subject.needs_get()
    stream = subject.stream()
    name = id_of(stream)
    old, new = subject.rows(8, text="old"), subject.rows(6, first=100, text="new")
    subject.written([by_ui(stream, "overwrite")], plain(name, old), "run 1")
    subject.write([by_ui(stream, "overwrite")], Feed().add(name, new[:3]).state(name).add(name, new[3:]))
    old_is_whole(subject, name, old, "after input that ended in a record")


@behaviour
def leaves_other_streams_alone(subject: DestinationSubject) -> None:
    """Only the stream of exactly this namespace and name is replaced: not its namesakes, nor longer names."""
    subject.offers("overwrite")
    subject.needs_get()
    stream = subject.stream()
    others = [
        {**stream, "namespace": "acc_other"},
        {**stream, "name": stream["name"] + "_more"},
        {**stream, "name": f"x{stream['name']}"},
    ]
    everything = [stream, *others]
    for number, one in enumerate(everything):
        rows = subject.rows(3, first=10 * number)
        subject.written([by_ui(one, "overwrite")], piped(id_of(one), rows), f"the first run of {id_of(one)}")
    subject.written([by_ui(stream, "overwrite")], piped(id_of(stream), subject.rows(2, first=100)), "the second run")
    for number, one in enumerate(others, 1):
        subject.must_hold(
            id_of(one), subject.rows(3, first=10 * number), f"in {id_of(one)}, after another was replaced", REPLACING
        )
    subject.must_hold(id_of(stream), subject.rows(2, first=100), "in the stream that was replaced", REPLACING)
