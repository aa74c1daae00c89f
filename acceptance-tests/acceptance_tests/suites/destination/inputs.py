"""What may come on standard input: the odd, the broken, and nothing at all."""

from __future__ import annotations

from acceptance_tests.compare import content, missing
from acceptance_tests.destination_subject import DestinationSubject, by_pyairbyte, by_ui, id_of
from acceptance_tests.feed import Feed, echo_mistakes, echoed
from acceptance_tests.protocol import Json, StreamId, line, now
from acceptance_tests.suite import Failure, NotApplicable, Register, behaviours, expect, some
from acceptance_tests.suites.destination.modes import piped, tells
from acceptance_tests.wrong_configs import unreachable

ALL: Register = []
behaviour = behaviours(ALL, "input")

LOOK = "how standard input is read"


def takes(subject: DestinationSubject, feed: Feed, stream: Json, what: str, entry: Json | None = None) -> None:
    """Raise a Failure where this feed is not written as if nothing were odd about it."""
    said = subject.written([entry or by_ui(stream, subject.any_mode)], feed, what)
    wrong = echo_mistakes(feed, echoed(said.transcript))
    expect(not wrong, f"{what}: the STATEs come back", some(wrong, 3), LOOK)
    if subject.can_get:
        subject.must_hold(id_of(stream), feed.rows[id_of(stream)], what, LOOK)


def log_line(text: str) -> bytes:
    return line({"type": "LOG", "log": {"level": "INFO", "message": text}})


def trace_line(kind: str, **body: object) -> bytes:
    return line({"type": "TRACE", "trace": {"type": kind, "emitted_at": float(now()), **body}})


@behaviour
def may_hold_logs_and_traces(subject: DestinationSubject) -> None:
    """LOG, ESTIMATE and ANALYTICS lines between the records, as a pipe and PyAirbyte send them, are passed over."""
    stream = subject.stream()
    name = id_of(stream)
    feed = Feed().raw(log_line("hello")).status(name, "STARTED", "RUNNING").add(name, subject.rows(2))
    feed.raw(trace_line("ESTIMATE", estimate={"name": name.name, "type": "STREAM", "row_estimate": 5}))
    feed.raw(trace_line("ANALYTICS", analytics={"type": "x", "value": "y"})).add(name, subject.rows(2, first=10)).raw(
        log_line("x" * 5000)
    )
    takes(subject, feed.state(name).status(name, "COMPLETE"), stream, "with LOG and TRACE lines")


@behaviour
def may_hold_explicit_nulls(subject: DestinationSubject) -> None:
    """Messages with every key there, null where it is not used, as PyAirbyte sends them, are read as any other."""
    stream = subject.stream()
    name = id_of(stream)
    nothing = {"log": None, "spec": None, "connectionStatus": None, "catalog": None, "trace": None, "control": None}
    feed = Feed()
    for row in subject.rows(3):
        body = {
            "stream": name.name,
            "data": row,
            "emitted_at": now(),
            "namespace": None,
            "meta": None,
            "file_reference": None,
        }
        feed.raw(line({"type": "RECORD", "record": body, "state": None, **nothing}))
        feed.rows.setdefault(name, []).append(row)
    feed.state(name, None, data=None).status(name, "COMPLETE")
    entry = {**by_pyairbyte(stream, subject.any_mode), "cursor_field": None, "destination_object_name": None}
    takes(
        subject,
        feed,
        stream,
        "with explicit nulls",
        {**entry, "stream": {**stream, "namespace": None, "is_resumable": None}},
    )


@behaviour
def may_hold_unknown_types(subject: DestinationSubject) -> None:
    """A message of a type that does not exist yet is passed over."""
    stream = subject.stream()
    name = id_of(stream)
    feed = Feed().raw(line({"type": "FUTURE", "future": {"a": 1}})).add(name, subject.rows(3)).state(name)
    takes(subject, feed.status(name, "COMPLETE"), stream, "with a message of an unknown type")


@behaviour
def may_hold_empty_lines_and_crlf(subject: DestinationSubject) -> None:
    """Empty lines, and lines that end in CR LF, do no harm."""
    stream = subject.stream()
    name = id_of(stream)
    feed = Feed().raw(b"\n").add(name, subject.rows(3)).raw(b"\r\n").state(name).status(name, "COMPLETE")
    feed.lines = [text.replace(b"\n", b"\r\n") if number % 2 else text for number, text in enumerate(feed.lines)]
    takes(subject, feed, stream, "with empty lines and CR LF")


@behaviour
def may_end_without_a_line_break(subject: DestinationSubject) -> None:
    """A last message without a line break after it is a message."""
    stream = subject.stream()
    name = id_of(stream)
    feed = Feed().add(name, subject.rows(3)).status(name, "COMPLETE").state(name)
    feed.lines[-1] = feed.lines[-1].rstrip(b"\n")
    takes(subject, feed, stream, "without a last line break")


@behaviour
def may_hold_records_without_fields(subject: DestinationSubject) -> None:
    """A record `{}` among others does not stop the others."""
    stream = subject.stream()
    name = id_of(stream)
    rows = subject.rows(3)
    feed = Feed().add(name, [rows[0], {}, *rows[1:]]).state(name).status(name, "COMPLETE")
    subject.written([by_ui(stream, subject.any_mode)], feed, "with a record {}")
    if subject.can_get:
        lost = missing(rows, subject.get(name))
        expect(not lost, "the other rows", f"{len(lost)} missing", LOOK)


@behaviour
def may_hold_streams_that_the_catalog_lacks(subject: DestinationSubject) -> None:
    """Records of a stream or a namespace that is not in the catalog are an error or left out, and not written to one
    that is."""
    stream = subject.stream()
    name = id_of(stream)
    rows = subject.rows(3)
    feed = Feed().add(name, rows).add(StreamId("acc_elsewhere", name.name), subject.rows(2, first=50))
    feed.add(StreamId(None, f"{name.name}_unknown"), subject.rows(2, first=70))
    expected = list(feed.rows[name])
    said = subject.write([by_ui(stream, subject.any_mode)], feed.state(name).status(name, "COMPLETE"))
    expect(said.ok or said.transcript.errors, "exit code 0, or an ERROR", said.story, LOOK)
    if said.ok and subject.can_get:
        subject.must_hold(name, expected, "with records of other streams among them", LOOK)


@behaviour
def may_be_cut_in_the_middle_of_a_line(subject: DestinationSubject) -> None:
    """When the input breaks off in a line, no half record is written, acknowledged rows are there, and it is told."""
    stream = subject.stream()
    name = id_of(stream)
    rows = subject.rows(12)
    feed = Feed().status(name, "STARTED").add(name, rows[:9]).state(name).add(name, rows[9:])
    feed.lines[-1] = feed.lines[-1][: len(feed.lines[-1]) // 2]
    said = subject.write([by_ui(stream, subject.any_mode)], feed, good=False)
    expect(tells(said), "a non-zero exit code, or a warning", said.story, LOOK)
    if subject.can_get:
        found = subject.get(name, perhaps_none=True)
        acknowledged = rows[:9] if echoed(said.transcript) and subject.shows_at_once else []
        lost = missing(acknowledged, found)
        expect(not lost, "the rows that were acknowledged", f"{len(lost)} of them missing", "when a STATE is let go")
        strange = missing(map(content, found), rows[:11])
        expect(not strange, "whole rows only", f"{strange[:1]}", LOOK)


@behaviour
def may_be_broken(subject: DestinationSubject) -> None:
    """A line that is not JSON ends it with an ERROR, or is passed over: what was acknowledged is there, and exit code 0
    means everything."""
    stream = subject.stream()
    name = id_of(stream)
    rows = subject.rows(6)
    feed = Feed().add(name, rows[:3]).state(name).raw(b"Segmentation fault (core dumped)\n").add(name, rows[3:])
    said = subject.write([by_ui(stream, subject.any_mode)], feed.state(name).status(name, "COMPLETE"), good=False)
    expect(tells(said) or echoed(said.transcript), "an error, or the STATEs", said.story, LOOK)
    if subject.can_get:
        back = [message.body.get("id") for message in echoed(said.transcript)]
        sent = {one.body["id"]: one.rows[name] for one in feed.states}
        due = (
            len(rows) if said.ok else max((sent.get(number, 0) for number in back if subject.shows_at_once), default=0)
        )
        lost = missing(rows[:due], subject.get(name, perhaps_none=True))
        expect(not lost, f"the first {due} rows", f"{len(lost)} missing", LOOK)


@behaviour
def may_break_off_without_complete(subject: DestinationSubject) -> None:
    """A source that died in the middle: it ends (0 with a warning, or non-zero), and what it acknowledged is there."""
    stream = subject.stream()
    name = id_of(stream)
    rows = subject.rows(9)
    feed = Feed().status(name, "STARTED", "RUNNING").add(name, rows[:6]).state(name).add(name, rows[6:])
    said = subject.write([by_ui(stream, subject.any_mode)], feed, good=False)
    expect(tells(said), "a warning, or a non-zero exit code", said.story, "what is said about a source that died")
    if subject.can_get and subject.shows_at_once and echoed(said.transcript):
        lost = missing(rows[:6], subject.get(name, perhaps_none=True))
        expect(not lost, "the rows that were acknowledged", f"{len(lost)} missing", "when a STATE is let go")


@behaviour
def may_be_empty(subject: DestinationSubject) -> None:
    """No input at all comes to an end, whatever the exit code."""
    said = subject.write([by_ui(subject.stream(), subject.any_mode)], b"", good=False)
    expect(said.run.code is not None and said.run.code >= 0, "an exit", said.story, LOOK)


@behaviour
def is_never_acknowledged_where_nothing_can_be_written(subject: DestinationSubject) -> None:
    """With every host, port and path leading nowhere, `write` ends non-zero with an ERROR and lets no STATE out."""
    config = unreachable(subject.form, subject.config)
    if config is None:
        raise NotApplicable("the config names no host, address or path")
    stream = subject.stream()
    process = subject.connector.start("write", config=config, catalog={"streams": [by_ui(stream, subject.any_mode)]})
    process.offer(piped(id_of(stream), subject.rows(5)).text)
    said = subject.answered("write", subject.connector.say(process), good=False)
    back = echoed(said.transcript)
    if back or said.ok:
        raise Failure(
            "no STATE and a non-zero exit code", f"{len(back)} STATEs; {said.story}", "errors that are swallowed"
        )
    expect(said.transcript.errors, "an ERROR trace", said.story, "errors that never become a TRACE")
