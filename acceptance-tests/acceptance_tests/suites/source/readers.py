"""Readers of all kinds: slow ones, such that stop for a while, and such that go away."""

from __future__ import annotations

import time

from acceptance_tests.compare import difference
from acceptance_tests.process import Process
from acceptance_tests.reading import Reading, lacking
from acceptance_tests.source_subject import FULL, SMALL_PIPE, SourceSubject
from acceptance_tests.suite import Failure, Register, behaviours, expect

ALL: Register = []
behaviour = behaviours(ALL, "reader")

SLOW_FOR, STOPPED_FOR, LEAVE_WITHIN = 2.0, 5.0, 10.0


def must_be_all(subject: SourceSubject, reading: Reading) -> None:
    """Raise a Failure where this full read lacks rows."""
    expect(reading.ok, "exit code 0", reading.said.story, "what happens while nobody reads")
    for stream in subject.full.streams:
        first, second = subject.full.by_stream[stream.id], reading.by_stream[stream.id]
        if (stream.key and lacking(stream, first, second)) or len(first) > len(second):
            raise Failure(
                f"all of {stream.id}", difference(first, second) or "fewer rows", "what happens while nobody reads"
            )


def _started(subject: SourceSubject) -> Process:
    _ = subject.full
    return subject.start(subject.catalog(FULL), pipe_size=SMALL_PIPE)


@behaviour
def may_be_slow(subject: SourceSubject) -> None:
    """A reader that takes a few bytes at a time gets every row."""
    process = _started(subject)
    until = time.monotonic() + SLOW_FOR
    process.pump(lambda: time.monotonic() > until or _nap(), SLOW_FOR, chunk=512)
    must_be_all(subject, subject.reading(subject.catalog(FULL), subject.finish("read", process)))


def _nap() -> bool:
    time.sleep(0.01)
    return False


@behaviour(slow=True)
def may_stop_for_a_while(subject: SourceSubject) -> None:
    """A reader that stops for some seconds in the middle, and then goes on, gets every row."""
    process = _started(subject)
    process.wait_for_lines(1, subject.timeout, chunk=512)
    process.pump(lambda: False, STOPPED_FOR, read=False)
    must_be_all(subject, subject.reading(subject.catalog(FULL), subject.finish("read", process)))


@behaviour
def may_leave(subject: SourceSubject) -> None:
    """When the reader closes the pipe after the first line (`| head -1`), the source ends within 10 s."""
    process = _started(subject)
    process.wait_for_lines(1, subject.timeout, chunk=512)
    process.close_output()
    if not process.wait(LEAVE_WITHIN):
        subject.connector.kill(process)
        raise Failure(f"an end within {LEAVE_WITHIN:.0f} s", "it still runs", "what is done about a broken pipe")
    run = subject.connector.done(process.end(), process).run
    expect(not run.silent, "an end", run.ended, "what is done about a broken pipe")
