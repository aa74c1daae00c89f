"""The end at any moment: SIGTERM, and kill -9, and a run that goes on from the last STATE that came back."""

from __future__ import annotations

import signal
import time

from acceptance_tests.compare import content, difference, missing
from acceptance_tests.connector import Said
from acceptance_tests.destination_subject import DestinationSubject, by_ui, id_of
from acceptance_tests.feed import Feed, echoed
from acceptance_tests.process import Process
from acceptance_tests.protocol import Json, StreamId
from acceptance_tests.suite import Failure, Register, behaviours, expect

ALL: Register = []
behaviour = behaviours(ALL, "stop")

KILLS = 5
WITHIN = 10.0
GROUPS, GROUP = 20, 25
"""So many STATEs, each after so many rows."""


def feed_from(subject: DestinationSubject, stream: StreamId, first: int) -> Feed:
    """What a source gives that goes on after group `first`: its rows, a STATE after each group, COMPLETE."""
    feed = Feed(first_id=first + 1).status(stream, "STARTED", "RUNNING")
    for number in range(first, GROUPS):
        feed.add(stream, subject.rows(GROUP, first=1 + number * GROUP)).state(stream, {"group": number + 1})
    return feed.status(stream, "COMPLETE")


def acknowledged(said: Said) -> int:
    """The last group whose STATE has come back."""
    groups = [
        message.body["stream"]["stream_state"]["group"]
        for message in echoed(said.transcript)
        if "stream" in message.body
    ]
    return max(groups, default=0)


def everything(subject: DestinationSubject) -> list[Json]:
    return subject.rows(GROUPS * GROUP)


def moments(subject: DestinationSubject, took: float) -> list[float]:
    """When to strike: at random, and once after all of the input."""
    return sorted([*(subject.random.uniform(0, took) for _ in range(KILLS - 1)), 1.2 * took])


def measured(subject: DestinationSubject, mode: str) -> float:
    """How long a whole write takes."""
    stream = subject.stream()
    return subject.written([by_ui(stream, mode)], feed_from(subject, id_of(stream), 0), "a whole write").run.seconds


def struck(subject: DestinationSubject, stream: Json, mode: str, after: float) -> Said:
    """A write that is killed after so many seconds."""
    process = subject.start([by_ui(stream, mode)])
    process.offer(feed_from(subject, id_of(stream), 0).text)
    until = time.monotonic() + after
    process.pump(lambda: not process.waiting, after)
    if not process.waiting and subject.random.random() < 0.5:
        process.close_input()
    process.pump(lambda: False, max(0.0, until - time.monotonic()))
    return subject.connector.kill(process)


@behaviour(slow=True)
def can_be_killed_at_any_moment_of_an_append(subject: DestinationSubject) -> None:
    """kill -9 at random moments of an append: acknowledged rows are there, nothing but what was sent is there, and
    after a run from the last STATE every row, those twice at most whose STATE had not come back."""
    subject.offers("append")
    subject.needs_get()
    took = measured(subject, "append")
    for after in moments(subject, took):
        stream = subject.stream()
        name, rows = id_of(stream), everything(subject)
        said = struck(subject, stream, "append", after)
        safe = acknowledged(said) * GROUP
        what = f"killed after {after:.2f} s, {safe} rows acknowledged"
        found = subject.get(name, perhaps_none=True)
        _among(found, rows, rows[:safe], what)
        subject.written([by_ui(stream, "append")], feed_from(subject, name, safe // GROUP), f"{what}: the next run")
        _among(subject.get(name), [*rows, *rows[safe:]], rows, f"{what}, after the next run")


def _among(found: list[Json], possible: list[Json], due: list[Json], what: str) -> None:
    lost = missing(due, found)
    expect(
        not lost,
        f"{what}: all {len(due)} rows that are due",
        f"{len(lost)} missing, such as {lost[:1]}",
        "what makes rows safe",
    )
    strange = missing(map(content, found), possible)
    expect(
        not strange,
        f"{what}: no row too often",
        f"{len(strange)} too many, such as {strange[:1]}",
        "what a killed run leaves",
    )


@behaviour(slow=True)
def can_be_killed_at_any_moment_of_a_dedup(subject: DestinationSubject) -> None:
    """kill -9 at random moments of append_dedup: after a run from the last STATE each row is there exactly once."""
    subject.offers("append_dedup")
    subject.needs_get()
    took = measured(subject, "append_dedup")
    for after in moments(subject, took):
        stream = subject.stream()
        name = id_of(stream)
        said = struck(subject, stream, "append_dedup", after)
        done = acknowledged(said)
        what = f"killed after {after:.2f} s, {done * GROUP} rows acknowledged"
        subject.written([by_ui(stream, "append_dedup")], feed_from(subject, name, done), f"{what}: the next run")
        if unlike := difference(everything(subject), subject.get(name)):
            raise Failure(f"{what}: each row once after the next run", unlike, "what a killed run leaves")


@behaviour(slow=True)
def can_be_killed_at_any_moment_of_an_overwrite(subject: DestinationSubject) -> None:
    """kill -9 at random moments of an overwrite: the old rows are whole or the new ones are; a next run replaces."""
    subject.offers("overwrite")
    subject.needs_get()
    took = measured(subject, "overwrite")
    for after in moments(subject, took):
        stream = subject.stream()
        name, old = id_of(stream), subject.rows(5, first=100_000, text="old")
        feed = Feed().status(name, "STARTED").add(name, old).state(name).status(name, "COMPLETE")
        subject.written([by_ui(stream, "overwrite")], feed, "the first run")
        struck(subject, stream, "overwrite", after)
        found = subject.get(name)
        if missing(old, found) and difference(everything(subject), found):
            raise Failure(
                f"killed after {after:.2f} s: all {len(old)} old rows, or all {GROUPS * GROUP} new ones",
                f"{len(found)} rows, {len(missing(old, found))} old ones missing",
                "when old rows go",
            )
        subject.written([by_ui(stream, "overwrite")], feed_from(subject, name, 0), "the next run")
        subject.must_hold(
            name, everything(subject), f"killed after {after:.2f} s, after the next run", "what a killed run leaves"
        )


@behaviour
def ends_on_sigterm(subject: DestinationSubject) -> None:
    """SIGTERM in the middle of the input ends it within 10 s; what was acknowledged is there."""
    stream = subject.stream()
    name = id_of(stream)
    process = subject.start([by_ui(stream, subject.any_mode)])
    lines = feed_from(subject, name, 0).lines
    process.send(b"".join(lines[: len(lines) // 2]), subject.timeout)
    process.pump(lambda: bool(process.lines), 1.0)
    process.signal(signal.SIGTERM)
    said = _end_within(subject, process, "after SIGTERM")
    if subject.can_get and subject.any_mode == "append":
        lost = missing(everything(subject)[: acknowledged(said) * GROUP], subject.get(name, perhaps_none=True))
        expect(not lost, "the rows that were acknowledged", f"{len(lost)} missing", "what is said after SIGTERM")


@behaviour
def ends_when_nobody_takes_its_output(subject: DestinationSubject) -> None:
    """When the reader of its STATEs has gone, it ends within 10 s of the end of its input."""
    stream = subject.stream()
    process = subject.start([by_ui(stream, subject.any_mode)])
    process.close_output()
    process.send(feed_from(subject, id_of(stream), 0).text, WITHIN)
    process.close_input()
    _end_within(subject, process, "with its output closed")


def _end_within(subject: DestinationSubject, process: Process, what: str) -> Said:
    if not process.wait(WITHIN):
        subject.connector.kill(process)
        raise Failure(f"{what}: an end within {WITHIN:.0f} s", "it still runs", "signals, and writes that fail")
    return subject.finish("write", process)
