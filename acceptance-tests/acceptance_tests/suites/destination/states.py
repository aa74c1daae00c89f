"""STATE messages come back: all, in order, with all that they held, and only when their rows are really there."""

from __future__ import annotations

from acceptance_tests.compare import missing
from acceptance_tests.destination_subject import DestinationSubject, by_ui, id_of
from acceptance_tests.feed import Feed, count_mistakes, echo_mistakes, echoed
from acceptance_tests.process import Process
from acceptance_tests.protocol import StreamId
from acceptance_tests.suite import Failure, Register, behaviours, expect, some

ALL: Register = []
behaviour = behaviours(ALL, "state")

LOOK = "the STATE messages of `write`"
BALLAST = 2 << 20
"""Bytes of a state that no pipe takes at once: who prints it stands still until it is read."""


def feed_of(stream: StreamId, subject: DestinationSubject) -> Feed:
    feed = Feed()
    for number in range(4):
        feed.add(stream, subject.rows(3 + number, first=10 * number)).state(stream)
    return feed.status(stream, "COMPLETE")


@behaviour
def comes_back_each_and_in_order(subject: DestinationSubject) -> None:
    """In every sync mode each STATE comes back once, in the order in which it was sent, with its `id`."""
    for mode in subject.usual_modes:
        stream = subject.stream()
        feed = feed_of(id_of(stream), subject)
        said = subject.written([by_ui(stream, mode)], feed, f"{mode} with four STATEs")
        back = [message.body.get("id") for message in echoed(said.transcript)]
        sent = [one.body["id"] for one in feed.states]
        expect(back == sent, f"the ids {sent} in {mode}", f"{back}", LOOK)


@behaviour
def keeps_everything_that_it_held(subject: DestinationSubject) -> None:
    """A STATE comes back with every key and value: unknown keys, nulls, long numbers, text in any alphabet."""
    stream = subject.stream()
    name = id_of(stream)
    odd = {
        "cursor": None,
        "big": 123456789012345678901234567890,
        "text": 'é \u2028 🦙 \\ "',
        "deep": [{"a": [1, None, ""]}],
        "": 0,
    }
    feed = (
        Feed().add(name, subject.rows(2)).state(name, odd, acceptance_unknown={"a": [1, {"b": None}]}, partition_id="p")
    )
    said = subject.written(
        [by_ui(stream, subject.any_mode)], feed.status(name, "COMPLETE"), "a write with an odd STATE"
    )
    wrong = echo_mistakes(feed, echoed(said.transcript))
    expect(not wrong, "the STATE as it was sent", some(wrong, 3), LOOK)


@behaviour
def is_not_required_to_be_of_one_stream(subject: DestinationSubject) -> None:
    """GLOBAL states come back as well, with their counts over all streams."""
    streams = [subject.stream(), subject.stream()]
    ids = [id_of(stream) for stream in streams]
    feed = Feed().add(ids[0], subject.rows(3)).add(ids[1], subject.rows(2)).global_state({"lsn": 5}, ids)
    feed.add(ids[1], subject.rows(4, first=10)).global_state({"lsn": 9}, ids)
    for name in ids:
        feed.status(name, "COMPLETE")
    said = subject.written([by_ui(stream, subject.any_mode) for stream in streams], feed, "a write with GLOBAL states")
    back = echoed(said.transcript)
    wrong = echo_mistakes(feed, back) + count_mistakes(feed, back)
    expect(not wrong, "both GLOBAL states", some(wrong, 3), LOOK)


@behaviour
def comes_back_without_rows(subject: DestinationSubject) -> None:
    """A STATE with no record before it comes back too."""
    stream = subject.stream()
    name = id_of(stream)
    feed = Feed().state(name, {"cursor": 1}).state(name, {"cursor": 2}).status(name, "COMPLETE")
    said = subject.written([by_ui(stream, subject.any_mode)], feed, "a write with STATEs alone")
    wrong = echo_mistakes(feed, echoed(said.transcript))
    expect(not wrong, "both STATEs", some(wrong, 3), LOOK)


@behaviour
def carries_counts_that_add_up(subject: DestinationSubject) -> None:
    """In every sync mode `destinationStats.recordCount` is the number of records of the stream since its last STATE,
    those included whose key came before."""
    for mode in subject.usual_modes:
        streams = [subject.stream(), subject.stream(namespace="acc_counts")]
        one, other = (id_of(stream) for stream in streams)
        feed = Feed().add(one, subject.rows(3)).add(other, subject.rows(5)).state(one)
        feed.add(one, subject.rows(4, first=10)).add(one, subject.rows(2, first=11, text="changed"))
        feed.state(other).state(one).state(one).status(one, "COMPLETE").status(other, "COMPLETE")
        said = subject.written([by_ui(stream, mode) for stream in streams], feed, f"{mode} of two streams")
        wrong = count_mistakes(feed, echoed(said.transcript))
        expect(not wrong, f"counts that add up in {mode}", some(wrong, 3), LOOK)


def _wait_for_a_big_line(process: Process, seconds: float) -> bool:
    """Until a line has begun that is longer than any log: its writer now stands still, since nobody reads on."""
    return process.pump(
        lambda: process.partial > BALLAST // 16 or any(len(one) > BALLAST for one in process.lines), seconds, chunk=4096
    )


@behaviour
def comes_back_only_when_its_rows_are_there(subject: DestinationSubject) -> None:
    """When a STATE comes out, the rows before it are in the store, and kill -9 does not take them away."""
    _only_when_there(subject, "append")


@behaviour
def comes_back_only_when_its_rows_are_there_in_append_dedup(subject: DestinationSubject) -> None:
    """The same in append_dedup."""
    _only_when_there(subject, "append_dedup")


@behaviour
def of_all_streams_comes_back_only_when_its_rows_are_there(subject: DestinationSubject) -> None:
    """The same with GLOBAL states."""
    _only_when_there(subject, subject.any_mode if subject.shows_at_once else "append", of_all=True)


def _only_when_there(subject: DestinationSubject, mode: str, *, of_all: bool = False) -> None:
    subject.offers(mode)
    subject.needs_get()
    stream = subject.stream()
    name = id_of(stream)
    feed = Feed()
    for number in range(3):
        feed.add(name, subject.rows(4, first=10 * number))
        state = {"cursor": number, "ballast": "x" * BALLAST}
        feed = feed.global_state(state, [name]) if of_all else feed.state(name, state)
    process = subject.start([by_ui(stream, mode)])
    process.offer(feed.status(name, "COMPLETE").text)
    for sent in feed.states:
        _close_when_taken(process, subject.timeout)
        if not _wait_for_a_big_line(process, subject.timeout):
            said = subject.finish("write", process)
            raise Failure("three STATEs", f"{len(echoed(said.transcript))}; {said.story}", LOOK)
        if absent := missing(feed.rows[name][: sent.rows[name]], subject.get(name, perhaps_none=True)):
            subject.connector.kill(process)
            raise Failure(
                f"the {sent.rows[name]} rows before STATE {sent.body['id']} in the store when it comes out",
                f"{len(absent)} of them are not there yet",
                "when a STATE is let go: only after its rows are safe",
            )
        if sent is feed.states[-1]:
            subject.connector.kill(process)
            absent = missing(feed.rows[name], subject.get(name))
            expect(not absent, "the rows after kill -9 as well", f"{len(absent)} are gone", "what makes rows safe")
        else:
            _read_the_big_line(process, subject.timeout)


def _read_the_big_line(process: Process, seconds: float) -> None:
    """Read on to its end."""
    process.pump(lambda: any(len(one) > BALLAST for one in process.lines), seconds, chunk=4096)
    process.take_lines()


def _close_when_taken(process: Process, seconds: float) -> None:
    """Hand over all of the input and end it, unless a STATE comes out before: then that is looked at first."""
    process.pump(lambda: not process.waiting or process.partial > BALLAST // 16, seconds, chunk=4096)
    if not process.waiting:
        process.close_input()
