"""The read loop: statuses of every stream, states whose counts add up, what is resumed from where, what failed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from connector_sdk import meter
from connector_sdk.config import Config
from connector_sdk.errors import ConfigError, TransientError
from connector_sdk.retry import Backoff
from connector_sdk.rows import Checkpoint, ConfigUpdate, Estimate, Flow, Flown, Lines, Records, Row
from connector_sdk.source import Source
from connector_sdk.state import parse_input_state
from connector_sdk.streams import ConfiguredStream, Stream, StreamName

Read = Callable[[Any, ConfiguredStream], Any]


def source(read: Any, *streams: Stream, **more: Any) -> Source:
    return Source(
        Config,
        check=lambda config: None,
        discover=lambda config: iter(streams or [Stream("a", {}, incremental=True)]),
        read=read,
        backoff=Backoff(attempts=3, first=0.001, longest=0.002),
        **more,
    )


def counts(said: Any, stream: str = "a") -> float:
    own = [s for s in said.states if s["stream"]["stream_descriptor"]["name"] == stream]
    return float(sum(state["sourceStats"]["recordCount"] for state in own))


# Statuses


def test_every_stream_says_started_running_complete_also_without_rows(read_here: Any, say: Any) -> None:
    names = ["a", "b", "c"]
    rows: dict[str, list[Any]] = {"a": [{"n": 1}, {"n": 2}], "b": [], "c": [Checkpoint({"x": 1})]}
    said = read_here(
        source(lambda config, stream: iter(rows[stream.name]), *(Stream(name, {}, incremental=True) for name in names)),
        say.catalog(*names, sync_mode="incremental"),
    )
    assert said.ok is True
    for name in names:
        assert [status for of, status in said.statuses if of == name] == ["STARTED", "RUNNING", "COMPLETE"]
    assert said.errors == []


def test_every_stream_says_at_least_one_state(read_here: Any, say: Any) -> None:
    point, row = Checkpoint({"x": 1}), {"n": 1}
    cases: list[list[Any]] = [[], [row], [row, point], [point, row]]
    for mode in ("full_refresh", "incremental"):
        for items in cases:
            given = iter(items)
            said = read_here(source(lambda config, stream, given=given: given), say.catalog("a", sync_mode=mode))
            assert said.ok
            assert said.states
            assert counts(said) == len(said.rows)
            last = said.messages[-2]
            assert said.statuses[-1] == ("a", "COMPLETE")
            assert last["type"] in ("STATE", "TRACE")
            if mode == "full_refresh":
                assert said.stream_states[-1] == {}, "a finished full refresh leaves nothing to go on from"
            elif point in items:
                assert said.stream_states[-1] == {"x": 1}


def test_the_order_of_messages_of_a_stream(read_here: Any, say: Any) -> None:
    items = [Estimate(rows=2), {"n": 1}, Checkpoint({"n": 1}), {"n": 2}, Checkpoint({"n": 2})]
    said = read_here(source(lambda config, stream: iter(items)), say.catalog("a", sync_mode="incremental"))
    kinds = [m["type"] if m["type"] != "TRACE" else m["trace"]["type"] for m in said.messages if m["type"] != "LOG"]
    assert kinds == [
        "STREAM_STATUS",
        "ESTIMATE",
        "STREAM_STATUS",
        "RECORD",
        "STATE",
        "RECORD",
        "STATE",
        "STREAM_STATUS",
    ]


# What a source may yield


def flown(fd: int, line: bytes) -> Flown:
    """Two lines, of which one and a half are written."""
    lines = 2 * line
    written = os.write(fd, lines[: len(line) + len(line) // 2])
    return Flown(2, len(lines), lines[written:])


def test_rows_in_every_form(read_here: Any, say: Any) -> None:
    def read(config: Any, stream: ConfiguredStream) -> Iterator[Any]:
        yield {"form": "dict", "null": None}
        yield Row({"form": "row"})
        yield Lines(b'{"form":"lines"}\n{"form": "lines" }\n', 2)
        yield Lines(b"", 0)
        envelope = stream.envelope()
        yield Records(b"".join(envelope.head + b'{"form":"records"}' + envelope.tail + b"\n" for _ in range(3)), 3)
        yield Flow(lambda fd: flown(fd, envelope.head + b'{"form":"flow"}' + envelope.tail + b"\n"))
        yield {}

    said = read_here(source(read, Stream("a", {}, "n")), say.catalog({"name": "a", "namespace": "n"}))
    assert [row.get("form") for row in said.rows] == [
        "dict",
        "row",
        "lines",
        "lines",
        *["records"] * 3,
        "flow",
        "flow",
        None,
    ]
    assert said.rows[0] == {"form": "dict", "null": None}, "nulls are kept"
    assert counts(said) == 10.0
    for message in said.of("RECORD"):
        assert message["record"]["stream"] == "a"
        assert message["record"]["namespace"] == "n"
        assert type(message["record"]["emitted_at"]) is int


def test_progress_is_told_in_every_form(read_here: Any, say: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meter, "EVERY", 0.0)

    def read(config: Any, stream: ConfiguredStream) -> Iterator[Any]:
        envelope = stream.envelope()
        line = envelope.head + b"{}" + envelope.tail + b"\n"
        yield {}
        yield Lines(b"{}\n", 1)
        yield Records(line, 1)
        yield Flow(lambda fd: flown(fd, line))

    said = read_here(source(read, Stream("a", {})), say.catalog("a"))
    assert len(said.rows) == 5
    assert len([m for m in said.of("LOG") if m["log"]["message"].endswith("so far")]) == 4


def test_an_estimate_and_a_changed_config_go_out_as_they_are(read_here: Any, say: Any) -> None:
    items = [Estimate(rows=10, bytes=1000), ConfigUpdate({"token": "new", "other": [1]}), {"n": 1}]
    said = read_here(source(lambda config, stream: iter(items)), say.catalog("a"))
    (estimate,) = [m["trace"]["estimate"] for m in said.of("TRACE") if m["trace"]["type"] == "ESTIMATE"]
    assert estimate == {"name": "a", "type": "STREAM", "row_estimate": 10, "byte_estimate": 1000}
    (control,) = said.of("CONTROL")
    assert control["control"]["connectorConfig"]["config"] == {"token": "new", "other": [1]}


# The catalog and what the source has


def test_a_stream_that_the_source_does_not_have_fails_alone(read_here: Any, say: Any) -> None:
    read_streams: list[StreamName] = []

    def read(config: Any, stream: ConfiguredStream) -> Iterator[Any]:
        read_streams.append(stream.id)
        yield {"n": 1}

    wanted = [{"name": "a"}, {"name": "gone"}, {"name": "a", "namespace": ""}, {"name": "b"}]
    said = read_here(source(read, Stream("a", {}), Stream("b", {}), Stream("c", {})), say.catalog(*wanted))
    assert said.ok is False
    assert read_streams == [(None, "a"), (None, "b")]
    assert [e["failure_type"] for e in said.errors] == ["config_error", "config_error"]
    assert [e["stream_descriptor"] for e in said.errors] == [{"name": "gone"}, {"name": "a", "namespace": ""}]
    assert "gone" in said.errors[0]["message"]
    ends = [status for status in said.statuses if status[1] in ("COMPLETE", "INCOMPLETE")]
    assert sorted(ends) == [("a", "COMPLETE"), ("a", "INCOMPLETE"), ("b", "COMPLETE"), ("gone", "INCOMPLETE")]


def test_find_is_asked_for_the_wanted_streams_only(read_here: Any, say: Any) -> None:
    asked: list[Any] = []

    def find(config: Any, names: Any) -> Iterator[Stream]:
        asked.append(set(names))
        yield Stream("a", {}, detail="how to read it")
        yield Stream("unasked", {})

    def discover(config: Any) -> Iterator[Stream]:
        if config is None:
            raise AssertionError("discover is the long way")
        yield Stream("a", {})

    details: list[Any] = []

    def read(config: Any, stream: ConfiguredStream) -> Iterator[Any]:
        assert stream.discovered is not None
        details.append(stream.discovered.detail)
        yield {"n": 1}

    found = Source(Config, check=lambda config: None, discover=discover, read=read, find=find)
    assert read_here(found, say.catalog("a")).ok
    assert asked == [{(None, "a")}]
    assert details == ["how to read it"]


@pytest.mark.parametrize(
    ("offered", "chosen", "expected"),
    [
        (Stream("a", {}, cursor="at", incremental=True), ["n"], "n"),
        (Stream("a", {}, cursor="at", incremental=True), [], "at"),
        (Stream("a", {}, cursor="at", incremental=True, cursor_is_fixed=True), ["n"], "at"),
        (Stream("a", {}, incremental=True), [], None),
    ],
)
def test_the_cursor_is_the_users_unless_the_source_brings_its_own(
    read_here: Any, say: Any, offered: Stream, chosen: list[str], expected: str | None
) -> None:
    seen: list[ConfiguredStream] = []

    def read(config: Any, stream: ConfiguredStream) -> Iterator[Any]:
        seen.append(stream)
        yield {"n": 1}

    read_here(source(read, offered), say.catalog("a", sync_mode="incremental", cursor_field=chosen))
    assert (seen[0].cursor, seen[0].incremental) == (expected, True)


def test_a_stream_that_offers_only_full_refresh_is_read_whole_with_a_warning(read_here: Any, say: Any) -> None:
    seen: list[ConfiguredStream] = []

    def read(config: Any, stream: ConfiguredStream) -> Iterator[Any]:
        seen.append(stream)
        yield {"n": 1}

    said = read_here(source(read, Stream("a", {})), say.catalog("a", sync_mode="incremental"))
    assert said.ok
    assert not seen[0].incremental
    assert said.stream_states == [{}]
    assert any("a" in text and "all of it" in text for text in said.logs)


# Failures


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ConfigError("no rights on b"), "config_error"),
        (TransientError("b is busy"), "transient_error"),
        (ValueError("bug in b"), "system_error"),
        (AssertionError("b"), "system_error"),
    ],
)
def test_one_failing_stream_among_three(read_here: Any, say: Any, error: Exception, kind: str) -> None:
    def read(config: Any, stream: ConfiguredStream) -> Iterator[Any]:
        yield {"of": stream.name}
        if stream.name == "b":
            raise error
        yield Checkpoint({"x": stream.name})

    names = ["a", "b", "c"]
    said = read_here(
        source(read, *(Stream(name, {}, incremental=True) for name in names)),
        say.catalog(*names, sync_mode="incremental"),
    )
    assert said.ok is False
    assert [e["failure_type"] for e in said.errors] == [kind]
    assert said.errors[0]["stream_descriptor"] == {"name": "b"}
    assert "b" in said.errors[0]["message"]
    assert dict(said.statuses) == {"a": "COMPLETE", "b": "INCOMPLETE", "c": "COMPLETE"}
    assert [s["stream"]["stream_descriptor"]["name"] for s in said.states] == ["a", "c"]


def test_a_bug_comes_with_its_stack(read_here: Any, say: Any) -> None:
    def read(config: Any, stream: ConfiguredStream) -> Iterator[Any]:
        nothing: dict[str, int] = {}
        yield {"n": nothing["missing"]}

    said = read_here(source(read), say.catalog("a"))
    assert "KeyError" in said.errors[0]["message"]
    assert "in read" in said.errors[0]["stack_trace"]


@pytest.mark.parametrize("error", [ConfigError("no such host"), ValueError("bug"), SystemExit(0), KeyboardInterrupt()])
def test_a_failure_before_the_first_stream_leaves_all_incomplete(
    read_here: Any, say: Any, error: BaseException
) -> None:
    def discover(config: Any) -> Iterator[Stream]:
        if config is None:
            raise error
        yield Stream("a", {})

    broken = Source(Config, check=lambda config: None, discover=discover, read=lambda config, stream: iter([]))
    said = read_here(broken, say.catalog("a", "b"))
    assert said.error is error
    assert dict(said.statuses) == {"a": "INCOMPLETE", "b": "INCOMPLETE"}
    assert said.states == []


def test_sys_exit_in_read_is_no_success(read_here: Any, say: Any) -> None:
    def read(config: Any, stream: ConfiguredStream) -> Iterator[Any]:
        yield {"n": 1}
        raise SystemExit(0)

    said = read_here(source(read), say.catalog("a"))
    assert isinstance(said.error, SystemExit)
    assert said.statuses[-1] == ("a", "INCOMPLETE")


def test_the_generator_is_closed_when_something_ends_the_loop(read_here: Any, say: Any) -> None:
    closed: list[str] = []

    def read(config: Any, stream: ConfiguredStream) -> Iterator[Any]:
        try:
            yield {"n": object()}
        finally:
            closed.append(stream.name)

    assert read_here(source(read), say.catalog("a")).ok is False
    assert closed == ["a"]


# Resume


def flaky(failures: dict[int, int], last: int = 10, every: int = 3, seen: list[Any] | None = None) -> Read:
    """Rows 1 to `last`, a checkpoint after each `every`; before row n it fails `failures[n]` times."""
    left = dict(failures)

    def read(config: Any, stream: ConfiguredStream) -> Iterator[Any]:
        start = (stream.state or {"n": 0})["n"]
        if seen is not None:
            seen.append(start)
        for number in range(start + 1, last + 1):
            if left.get(number):
                left[number] -= 1
                raise TransientError("the line is down")
            yield {"n": number}
            if number % every == 0:
                yield Checkpoint({"n": number})

    return read


def test_a_transient_error_resumes_from_the_last_checkpoint(read_here: Any, say: Any) -> None:
    seen: list[int] = []
    said = read_here(source(flaky({5: 2, 10: 1}, seen=seen)), say.catalog("a", sync_mode="incremental"))
    assert said.ok
    assert seen == [0, 3, 3, 9]
    assert [row["n"] for row in said.rows] == [1, 2, 3, 4, 4, 4, 5, 6, 7, 8, 9, 10]
    assert [state["n"] for state in said.stream_states] == [3, 6, 9, 9]
    assert counts(said) == len(said.rows), "also what was sent twice is counted"
    assert any("the line is down" in text and "checkpoint" in text for text in said.logs)


def test_attempts_are_bounded_between_two_checkpoints(read_here: Any, say: Any) -> None:
    seen: list[int] = []
    said = read_here(source(flaky({5: 99}, seen=seen)), say.catalog("a", sync_mode="incremental"))
    assert said.ok is False
    assert seen == [0, 3, 3]
    assert said.errors[0]["failure_type"] == "transient_error"
    assert [state["n"] for state in said.stream_states] == [3], "what came after the checkpoint is not vouched for"
    seen.clear()
    assert read_here(source(flaky({2: 2, 5: 2, 8: 2}, seen=seen)), say.catalog("a", sync_mode="incremental")).ok
    assert seen == [0, 0, 0, 3, 3, 6, 6], "a checkpoint starts the count anew"


def test_a_checkpoint_that_says_nothing_new_is_no_progress(read_here: Any, say: Any) -> None:
    calls: list[int] = []

    def read(config: Any, stream: ConfiguredStream) -> Iterator[Any]:
        calls.append(1)
        assert len(calls) < 50, "it would never end"
        yield {"n": 1}
        yield Checkpoint({"n": 1})
        raise TransientError("always here")

    said = read_here(source(read), say.catalog("a", sync_mode="incremental"))
    assert said.ok is False
    assert len(calls) <= 4


def test_a_full_refresh_is_never_doubled_by_a_retry(read_here: Any, say: Any) -> None:
    def read(config: Any, stream: ConfiguredStream) -> Iterator[Any]:
        yield {"n": 1}
        raise TransientError("busy")

    said = read_here(source(read), say.catalog("a"))
    assert said.ok is False
    assert said.rows == [{"n": 1}]
    assert said.states == []


def test_a_full_refresh_that_has_sent_nothing_yet_is_tried_again(read_here: Any, say: Any) -> None:
    said = read_here(source(flaky({1: 2}, last=2)), say.catalog("a"))
    assert said.ok
    assert [row["n"] for row in said.rows] == [1, 2]


def test_a_full_refresh_goes_on_from_a_checkpoint_where_nothing_came_since(read_here: Any, say: Any) -> None:
    said = read_here(source(flaky({4: 1}), Stream("a", {}, resumable=True)), say.catalog("a"))
    assert said.ok
    assert [row["n"] for row in said.rows] == list(range(1, 11))
    assert said.stream_states[-1] == {}
    said = read_here(source(flaky({5: 1}), Stream("a", {}, resumable=True)), say.catalog("a"))
    assert said.ok is False, "row 4 would come twice"


def test_a_read_from_each_state_gives_the_rest(read_here: Any, say: Any) -> None:
    wanted = say.catalog("a", sync_mode="incremental")
    whole = read_here(source(flaky({})), wanted)
    seen: list[int] = []
    for message in whole.of("STATE"):
        seen = [
            m["record"]["data"]["n"] for m in whole.messages[: whole.messages.index(message)] if m["type"] == "RECORD"
        ]
        rest = read_here(source(flaky({})), wanted, [message["state"]])
        covered = message["state"]["stream"]["stream_state"]["n"]
        assert [row["n"] for row in rest.rows] == list(range(covered + 1, 11))
        assert set(range(1, covered + 1)) <= set(seen)


def test_the_state_of_an_incremental_sync_does_not_shorten_a_full_refresh(read_here: Any, say: Any) -> None:
    """The user switched the mode and kept the state file: a reader that only looks at the state would skip rows."""
    state = json.loads(say.state("a", {"n": 7}))["state"]
    said = read_here(source(flaky({})), say.catalog("a"), [state])
    assert [row["n"] for row in said.rows] == list(range(1, 11))
    said = read_here(source(flaky({}), Stream("a", {}, resumable=True)), say.catalog("a"), [state])
    assert [row["n"] for row in said.rows] == [8, 9, 10], "one that says it is resumable goes on"


@pytest.mark.parametrize(
    ("more", "first"),
    [
        ({"destination_sync_mode": "overwrite"}, 1),
        ({"destination_sync_mode": "overwrite", "generation_id": 1, "minimum_generation_id": 1, "sync_id": 1}, 1),
        ({"destination_sync_mode": "overwrite", "generation_id": 5, "minimum_generation_id": 5, "sync_id": 7}, 8),
        ({"destination_sync_mode": "append"}, 8),
    ],
)
def test_a_full_refresh_is_gone_on_with_only_where_its_first_half_stays(
    read_here: Any, say: Any, more: dict[str, Any], first: int
) -> None:
    """Without generations, an overwrite takes away all that an earlier run wrote."""
    state = json.loads(say.state("a", {"n": 7}))["state"]
    said = read_here(source(flaky({}), Stream("a", {}, resumable=True)), say.catalog("a", **more), [state])
    assert [row["n"] for row in said.rows] == list(range(first, 11))


def test_an_empty_state_is_none(read_here: Any, say: Any) -> None:
    values: list[Any] = [{}, None]
    for value in values:
        said = read_here(
            source(flaky({})), say.catalog("a", sync_mode="incremental"), [json.loads(say.state("a", value))["state"]]
        )
        assert len(said.rows) == 10


# One log for all streams


def log_source(items: Callable[[Any], Iterator[Any]], *names: str) -> Source:
    def read_log(config: Any, streams: Sequence[ConfiguredStream], state: Any) -> Iterator[Any]:
        return items(state)

    return Source(
        Config,
        check=lambda config: None,
        discover=lambda config: [Stream(name, {}, incremental=True) for name in names],
        read_log=read_log,
        backoff=Backoff(attempts=3, first=0.001, longest=0.002),
    )


A, B = StreamName(None, "a"), StreamName(None, "b")


def test_a_log_gives_global_states_whose_counts_add_up(read_here: Any, say: Any) -> None:
    def items(state: Any) -> Iterator[Any]:
        yield A, {"n": 1}
        yield B, {"n": 2}
        yield Checkpoint({"lsn": 2})
        yield B, Row({"n": 3})
        yield B, Lines(b'{"n":4}\n{"n":5}\n', 2)

    said = read_here(log_source(items, "a", "b", "c"), say.catalog("a", "b", "c", sync_mode="incremental"))
    assert said.ok
    assert [s["type"] for s in said.states] == ["GLOBAL", "GLOBAL"]
    assert [s["global"]["shared_state"] for s in said.states] == [{"lsn": 2}, {"lsn": 2}]
    assert [s["sourceStats"]["recordCount"] for s in said.states] == [2.0, 3.0]
    names = [m["stream_descriptor"]["name"] for m in said.states[0]["global"]["stream_states"]]
    assert names == ["a", "b", "c"]
    for name in "abc":
        assert [status for of, status in said.statuses if of == name] == ["STARTED", "RUNNING", "COMPLETE"]


def test_a_log_resumes_from_the_shared_state(read_here: Any, say: Any) -> None:
    given: list[Any] = []
    failures = iter([True, True, False])

    def items(state: Any) -> Iterator[Any]:
        given.append(state)
        start = (state or {"lsn": 0})["lsn"]
        yield A, {"n": start + 1}
        yield Checkpoint({"lsn": start + 1})
        yield B, {"n": start + 2}
        if next(failures):
            raise TransientError("the slot is busy")
        yield Checkpoint({"lsn": start + 2})

    said = read_here(log_source(items, "a", "b"), say.catalog("a", "b", sync_mode="incremental"))
    assert said.ok
    assert given == [None, {"lsn": 1}, {"lsn": 2}]
    assert sum(s["sourceStats"]["recordCount"] for s in said.states) == len(said.rows) == 6
    again = read_here(
        log_source(lambda state: iter([Checkpoint(state or {"lsn": 0})]), "a", "b"),
        say.catalog("a", "b", sync_mode="incremental"),
        [said.states[-1]],
    )
    assert again.states[-1]["global"]["shared_state"] == {"lsn": 4}


def test_a_log_that_fails_leaves_every_stream_incomplete(read_here: Any, say: Any) -> None:
    def items(state: Any) -> Iterator[Any]:
        yield A, {"n": 1}
        raise ConfigError("the slot is gone")

    said = read_here(log_source(items, "a", "b"), say.catalog("a", "b", "gone", sync_mode="incremental"))
    assert said.ok is False
    assert dict(said.statuses) == {"a": "INCOMPLETE", "b": "INCOMPLETE", "gone": "INCOMPLETE"}
    assert len(said.errors) == 2
    assert said.states == []


def test_a_log_without_anything_new_says_a_state(read_here: Any, say: Any) -> None:
    said = read_here(log_source(lambda state: iter([]), "a"), say.catalog("a", sync_mode="incremental"))
    assert [s["global"]["shared_state"] for s in said.states] == [{}]


def test_a_state_of_the_other_kind_is_told(read_here: Any, say: Any) -> None:
    """After a change from cursors to a log, or back, everything is read anew: not in silence."""
    wanted = say.catalog("a", sync_mode="incremental")
    shared = [{"type": "GLOBAL", "global": {"shared_state": {"lsn": 7}, "stream_states": []}}]
    for reader, state in (
        (source(flaky({})), shared),
        (log_source(lambda state: iter([]), "a"), [json.loads(say.state("a", {"n": 7}))["state"]]),
    ):
        said = read_here(reader, wanted, state)
        assert said.ok
        assert any("state" in text and "anew" in text for text in said.logs), said.logs
        assert not any("anew" in text for text in read_here(reader, wanted).logs)


# State files


def of(text: str | bytes, name: str = "a", namespace: str | None = None) -> Any:
    found = parse_input_state(text if isinstance(text, bytes) else text.encode())
    return found.of(StreamName(namespace, name)), found.shared


STREAM_A = '{"type":"STREAM","stream":{"stream_descriptor":{"name":"a"},"stream_state":{"x":1}}}'
PYAIRBYTE_A = (
    '{"type":"STREAM","stream":{"stream_descriptor":{"name":"a","namespace":null},"stream_state":{"x":1}},'
    '"global_":null,"data":null,"sourceStats":null,"destinationStats":null}'
)


@pytest.mark.parametrize("text", ["", " \n", "[]", "{}", "[ ]\n", "[{}]"])
def test_nothing_to_go_on_from(text: str) -> None:
    assert of(text) == (None, None)


@pytest.mark.parametrize(
    "text",
    [
        f"[{STREAM_A}]",
        STREAM_A,
        f"[{PYAIRBYTE_A}]",
        f'{{"type":"STATE","state":{STREAM_A}}}',
        f'[{{"type":"STATE","state":{PYAIRBYTE_A},"record":null}}]',
        "[" + STREAM_A.replace('{"x":1}', "null") + f",{STREAM_A}]",
        '{"type":"LEGACY","data":{"a":{"x":1}}}',
        '{"data":{"a":{"x":1}}}',
        '[{"type":null,"data":{"a":{"x":1}},"stream":null,"global":null}]',
        '{"a":{"x":1},"b":{}}',
        '[{"type":"GLOBAL","global":{"shared_state":null,"stream_states":'
        '[{"stream_descriptor":{"name":"a"},"stream_state":{"x":1}}]}}]',
    ],
)
def test_a_state_in_any_form(text: str) -> None:
    assert of(text)[0] == {"x": 1}


@pytest.mark.parametrize("key", ["global", "global_"])
def test_a_global_state(key: str) -> None:
    text = (
        '[{"type":"GLOBAL","%s":{"shared_state":{"lsn":7},"stream_states":[{"stream_descriptor":{"name":"a"}},'
        '{"stream_descriptor":{"name":"b"},"stream_state":{}}]},"stream":null,"data":null}]'
    )
    assert of(text % key) == (None, {"lsn": 7})


def test_namespaces_of_states_are_exact() -> None:
    text = STREAM_A.replace('"name":"a"', '"name":"a","namespace":"n"')
    assert of(text) == (None, None)
    assert of(text, namespace="n")[0] == {"x": 1}
    assert of(text, namespace="") == (None, None)


@pytest.mark.parametrize(
    "text",
    [
        "null",
        "7",
        '"text"',
        "[7]",
        "[[]]",
        "{",
        "not json",
        STREAM_A + STREAM_A,
        '{"type":"STREAM"}',
        '{"type":"STREAM","stream":null}',
        '{"type":"STREAM","stream":{"stream_state":{"x":1}}}',
        '{"type":"STREAM","stream":{"stream_descriptor":{"name":5},"stream_state":{"x":1}}}',
        '{"type":"STREAM","stream":{"stream_descriptor":{"name":"a","namespace":5},"stream_state":{"x":1}}}',
        '{"type":"STREAM","stream":{"stream_descriptor":{"name":"a"},"stream_state":[1]}}',
        '{"type":"STREAM","stream":{"stream_descriptor":{"name":"a"},"stream_state":"x"}}',
        '{"type":"GLOBAL"}',
        '{"type":"GLOBAL","global":{"shared_state":[1]}}',
        '{"type":"GLOBAL","global":{"shared_state":{},"stream_states":[{"stream_state":{}}]}}',
        '{"type":"LEGACY"}',
        '{"type":"LEGACY","data":[1]}',
        '{"a":1}',
        '{"a":{"x":1},"b":2}',
        '[{"type":"CATALOG","catalog":{}}]',
        '{"streams":[]}',
        b"\xff\xfe",
    ],
)
def test_garbage_is_an_error_and_never_a_fresh_start(text: str | bytes) -> None:
    with pytest.raises(ConfigError, match="state file"):
        of(text)
