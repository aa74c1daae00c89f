"""The end at any moment: SIGTERM, and kill -9, and a run from the last STATE that came out."""

from __future__ import annotations

import signal
from collections.abc import Callable

from acceptance_tests.connector import Said
from acceptance_tests.process import Process
from acceptance_tests.protocol import saved_states
from acceptance_tests.reading import Reading
from acceptance_tests.source_subject import FULL, INCREMENTAL, SMALL_PIPE, SourceSubject
from acceptance_tests.suite import Failure, Register, behaviours, expect, some
from acceptance_tests.suites.source.resume import must_be_whole

ALL: Register = []
behaviour = behaviours(ALL, "stop")

WITHIN = 10.0
KILLS = 5


def _mode(subject: SourceSubject) -> tuple[str, Reading]:
    return (INCREMENTAL, subject.incremental) if subject.growing else (FULL, subject.full)


def _resumed(subject: SourceSubject, whole: Reading, mode: str, said: Said, what: str) -> None:
    """Go on from the states that came out of a run that was ended; nothing may be missing."""
    catalog = subject.catalog(mode, whole.streams)
    first = subject.reading(catalog, said)
    saved = saved_states(first.states)
    after = subject.read(catalog, state=saved or None)
    look = f"the last states that came out: {some(saved, 3) or 'none'}"
    expect(after.ok, f"{what}: the next run ends well", after.said.story, look)
    last = {state.stream: state for state in first.states}
    shared = last.get(None)
    before = [
        record
        for record in first.records
        if (state := shared or last.get(record.stream)) is not None and record.number < state.number
    ]
    must_be_whole(subject, whole, before, after, what, look)


def _terminate(subject: SourceSubject, until: Callable[[Process], bool], read: bool) -> None:
    mode, whole = _mode(subject)
    process = subject.start(subject.catalog(mode, whole.streams), pipe_size=SMALL_PIPE)
    process.pump(lambda: until(process), subject.timeout if read else 1.0, read=read, chunk=512)
    process.signal(signal.SIGTERM)
    if not process.wait(WITHIN):
        subject.connector.kill(process)
        raise Failure(f"an end within {WITHIN:.0f} s after SIGTERM", "it still runs", "what is done about SIGTERM")
    said = subject.finish("read", process)
    handled = said.run.code is not None and said.run.code >= 0
    if handled and said.run.tail:
        raise Failure("the last line whole", f"{said.run.tail[-80:]!r}", "what is written after SIGTERM")
    reading = subject.reading(subject.catalog(mode, whole.streams), said)
    for stream in whole.streams:
        rows = len(reading.by_stream[stream.id])
        if reading.last_status(stream.id) == "COMPLETE" and rows < len(whole.by_stream[stream.id]):
            raise Failure(
                f"no COMPLETE for {stream.id}, which is not complete",
                f"COMPLETE after {rows} of {len(whole.by_stream[stream.id])} rows",
                "what is said after SIGTERM",
            )
    _resumed(subject, whole, mode, said, "after SIGTERM")


@behaviour
def ends_on_sigterm(subject: SourceSubject) -> None:
    """SIGTERM after the first record ends it within 10 s: whole lines, no false COMPLETE, states to go on from."""
    _terminate(subject, lambda process: any(b'"RECORD"' in line[:64] for line in process.lines), read=True)


@behaviour(slow=True)
def ends_on_sigterm_while_nobody_reads(subject: SourceSubject) -> None:
    """The same while the reader stands still: it ends, and the next run misses nothing."""
    _terminate(subject, lambda _: False, read=False)


@behaviour(slow=True)
def can_be_killed_at_any_moment(subject: SourceSubject) -> None:
    """kill -9 at random moments: a run from the last STATE that came out gives every row that had not come before."""
    mode, whole = _mode(subject)
    took = whole.said.run.seconds
    lines = max(1, len(whole.said.run.lines))
    for number in range(subject.affordable(KILLS)):
        process = subject.start(subject.catalog(mode, whole.streams), pipe_size=SMALL_PIPE)
        if number % 2:
            seconds = subject.random.uniform(0, took)
            process.read_at(subject.pace, lambda: False, seconds)
            what = f"killed after {seconds:.2f} s"
        else:
            wanted = subject.random.randrange(lines)
            process.wait_for_lines(wanted + 1, subject.timeout)
            what = f"killed after {wanted} lines"
        said = subject.connector.kill(process)
        _resumed(subject, whole, mode, said, what)
