"""The messages: what goes out is what the protocol asks for, and a STATE that passes through loses nothing."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from connector_sdk import protocol, schema
from connector_sdk.catalog import parse_catalog
from connector_sdk.envelope import record_envelope
from connector_sdk.errors import ConfigError
from connector_sdk.rows import Change, Estimate
from connector_sdk.state import parse_state
from connector_sdk.streams import Replace, Stream, StreamName

few = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
PLAIN, SPACED = StreamName(None, "users"), StreamName('no"rth', "한글 \\ 😀")


def decoded(line: bytes) -> dict[str, Any]:
    """One message, from exactly one line."""
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    found: dict[str, Any] = json.loads(line)
    return found


# Going out


def test_a_row_stands_between_head_and_tail() -> None:
    envelope = record_envelope(SPACED)
    found = decoded(envelope.head + b'{"id":1}' + envelope.tail + b"\n")
    at = found["record"].pop("emitted_at")
    assert found == {"type": "RECORD", "record": {"stream": "한글 \\ 😀", "namespace": 'no"rth', "data": {"id": 1}}}
    assert type(at) is int
    assert at > 1_600_000_000_000


def test_no_namespace_is_no_key() -> None:
    for line in (
        record_envelope(PLAIN).head + b"{}}}\n",
        protocol.state_line(PLAIN, {}, 0),
        protocol.status_line(PLAIN, "STARTED"),
        protocol.estimate_line(PLAIN, Estimate(rows=1)),
        protocol.error_line("x", "system_error", stream=PLAIN),
    ):
        assert decoded(line)
        assert b"namespace" not in line
    assert b'"namespace":""' in record_envelope(StreamName("", "users")).head


def test_a_loss_is_told_in_meta() -> None:
    envelope = record_envelope(PLAIN)
    changes = protocol.changes_json([Change('fi"eld'), Change("b", "TRUNCATED", "SOURCE_FIELD_SIZE_LIMITATION")])
    found = decoded(envelope.head + b"{}" + envelope.meta_head + changes + envelope.meta_tail + b"\n")
    assert found["record"]["meta"]["changes"] == [
        {"field": 'fi"eld', "change": "NULLED", "reason": "SOURCE_SERIALIZATION_ERROR"},
        {"field": "b", "change": "TRUNCATED", "reason": "SOURCE_FIELD_SIZE_LIMITATION"},
    ]


def test_a_state_of_a_stream() -> None:
    assert decoded(protocol.state_line(SPACED, {"id": 10**30}, 7)) == {
        "type": "STATE",
        "state": {
            "type": "STREAM",
            "stream": {
                "stream_descriptor": {"name": "한글 \\ 😀", "namespace": 'no"rth'},
                "stream_state": {"id": 10**30},
            },
            "sourceStats": {"recordCount": 7.0},
        },
    }
    assert b'"recordCount":7.0' in protocol.state_line(PLAIN, {}, 7), "the protocol calls it a float"


def test_a_global_state_names_every_stream() -> None:
    body = decoded(protocol.global_state_line({"lsn": "0/1"}, [PLAIN, SPACED], 3))["state"]
    assert body["type"] == "GLOBAL"
    assert body["global"]["shared_state"] == {"lsn": "0/1"}
    assert [s["stream_descriptor"]["name"] for s in body["global"]["stream_states"]] == ["users", "한글 \\ 😀"]
    assert body["sourceStats"] == {"recordCount": 3.0}


@pytest.mark.parametrize("word", ["STARTED", "RUNNING", "COMPLETE", "INCOMPLETE"])
def test_a_status(word: str) -> None:
    trace = decoded(protocol.status_line(SPACED, word))["trace"]
    assert trace["type"] == "STREAM_STATUS"
    assert isinstance(trace["emitted_at"], float)
    descriptor = {"name": "한글 \\ 😀", "namespace": 'no"rth'}
    assert trace["stream_status"] == {"stream_descriptor": descriptor, "status": word}


@pytest.mark.parametrize("kind", ["system_error", "config_error", "transient_error"])
def test_an_error(kind: str) -> None:
    trace = decoded(protocol.error_line("wh\ny", kind, internal="in", stack="st", stream=SPACED))["trace"]
    assert trace["type"] == "ERROR"
    assert trace["error"] == {
        "message": "wh\ny",
        "failure_type": kind,
        "internal_message": "in",
        "stack_trace": "st",
        "stream_descriptor": {"name": "한글 \\ 😀", "namespace": 'no"rth'},
    }
    assert decoded(protocol.error_line("why", kind))["trace"]["error"] == {"message": "why", "failure_type": kind}


def test_long_errors_are_cut_where_the_platform_would() -> None:
    error = decoded(protocol.error_line("m" * 99_999, "system_error", internal="i" * 99_999, stack="a" + "s" * 200_000))
    body = error["trace"]["error"]
    assert (len(body["message"]), len(body["internal_message"]), len(body["stack_trace"])) == (50_000, 50_000, 100_000)
    assert "a" not in body["stack_trace"], "the end of a stack says more than its beginning"


def test_an_estimate() -> None:
    body = decoded(protocol.estimate_line(SPACED, Estimate(rows=5, bytes=60)))["trace"]["estimate"]
    named = {"name": "한글 \\ 😀", "namespace": 'no"rth', "type": "STREAM"}
    assert body == {**named, "row_estimate": 5, "byte_estimate": 60}
    assert decoded(protocol.estimate_line(PLAIN, Estimate(rows=0)))["trace"]["estimate"] == {
        "name": "users",
        "type": "STREAM",
        "row_estimate": 0,
    }


def test_a_control_message_holds_the_whole_config() -> None:
    body = decoded(protocol.control_line({"token": "new", "n": None}))["control"]
    assert body["type"] == "CONNECTOR_CONFIG"
    assert body["connectorConfig"] == {"config": {"token": "new", "n": None}}
    assert body["emitted_at"] > 1_600_000_000_000


def test_a_log_line() -> None:
    assert decoded(protocol.log_line("INFO", "two\nlines")) == {
        "type": "LOG",
        "log": {"level": "INFO", "message": "two\nlines"},
    }
    assert decoded(protocol.log_line("ERROR", "m", "s"))["log"]["stack_trace"] == "s"


def test_a_connection_status() -> None:
    assert decoded(protocol.connection_line(None))["connectionStatus"] == {"status": "SUCCEEDED"}
    assert decoded(protocol.connection_line("no"))["connectionStatus"] == {"status": "FAILED", "message": "no"}
    assert decoded(protocol.connection_line(""))["connectionStatus"]["status"] == "FAILED"


def test_a_spec() -> None:
    source = decoded(protocol.spec_line({"type": "object"}, "https://x.test", None))["spec"]
    assert source["connectionSpecification"] == {"type": "object"}
    assert source["documentationUrl"] == "https://x.test"
    assert "supported_destination_sync_modes" not in source
    assert source["protocol_version"].startswith("0.")
    destination = decoded(protocol.spec_line({}, None, ("append", "overwrite")))["spec"]
    assert destination["supported_destination_sync_modes"] == ["append", "overwrite"]
    assert "documentationUrl" not in destination


def test_a_catalog_entry() -> None:
    columns = schema.table({"id": schema.INTEGER, "at": schema.TIMESTAMP_TZ, "tags": schema.array(schema.STRING)})
    stream = Stream(
        "t",
        columns,
        "n",
        primary_key=["id", "at"],
        cursor="at",
        incremental=True,
        cursor_is_fixed=True,
        detail=object(),
    )
    bare = Stream("v", schema.table({}))
    first, second = decoded(protocol.catalog_line([stream, bare]))["catalog"]["streams"]
    assert first["json_schema"]["properties"] == {
        "id": {"type": ["null", "integer"]},
        "at": {"type": ["null", "string"], "format": "date-time", "airbyte_type": "timestamp_with_timezone"},
        "tags": {"type": ["null", "array"], "items": {"type": ["null", "string"]}},
    }
    assert first["json_schema"]["additionalProperties"] is True
    assert first["source_defined_primary_key"] == [["id"], ["at"]]
    assert (first["source_defined_cursor"], first["default_cursor_field"]) == (True, ["at"])
    assert first["supported_sync_modes"] == ["full_refresh", "incremental"]
    assert "detail" not in first
    assert second["supported_sync_modes"] == ["full_refresh"]
    assert second["json_schema"]["properties"] == {}, "the platform wants the key even where there is no column"
    assert "namespace" not in second


words = {"STARTED", "RUNNING", "COMPLETE", "INCOMPLETE"}


@few
@given(st.text(), st.none() | st.text(), st.dictionaries(st.text(), st.text() | st.integers()), st.integers(0, 2**60))
def test_any_names_and_texts_make_one_line(name: str, space: str | None, value: dict[str, Any], rows: int) -> None:
    stream = StreamName(space, name)
    expected = {"name": name} if space is None else {"name": name, "namespace": space}
    assert decoded(protocol.state_line(stream, value, rows))["state"]["stream"] == {
        "stream_descriptor": expected,
        "stream_state": value,
    }
    assert decoded(protocol.log_line("INFO", name))["log"]["message"] == name
    line = protocol.status_line(stream, "COMPLETE")
    assert protocol.parse_status(line) == (stream, "COMPLETE")
    assert protocol.message_type(line) == "TRACE"


# A STATE on its way through a destination

TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[^\s"]')


def through(line: bytes, rows: int = 3) -> bytes:
    return parse_state(line).with_stats(rows)


VALUES = [
    '{"a":1}',
    "null",
    "{}",
    '{"n":123456789012345678901234567890.00000000000000000001,"m":1e999,"z":-0.0,"o":1E+2,"big":18446744073709551617}',
    '{"é":"\\u00e9\\/\\ud83d\\ude00", "nested" : [ 1 ,\t2, {"a" : null} ] }',
    '[1, "x"]',
    '"text"',
    '{"a":1,"a":2}',
]


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize(
    "frame",
    [
        '{"type":"STATE","state":{"type":"STREAM","stream":{"stream_descriptor":{"name":"a","namespace":"n"},'
        '"stream_state":%s},"id":17}}',
        '{"state":{"id":17,"stream":{"stream_state":%s,"x":[1],"stream_descriptor":{"name":"a","namespace":"n","y":1}},'
        '"type":"STREAM","partition_id":"p","sourceStats":{"recordCount":2.0,"additionalStats":{"k":1}}},"type":"STATE",'
        '"trace":null,"more":{"k":[1.50]}}',
        '{ "type" : "STATE" , "state" : { "type" : "GLOBAL" , "global" : { "shared_state" : %s ,'
        ' "stream_states" : [ ] } , "id" : 17 } }',
        '{"type":"STATE","state":{"type":"GLOBAL","global_":{"shared_state":%s,"stream_states":[]},"id":17}}',
        '{"type":"STATE","state":{"data":%s,"id":17}}',
        '{"type":"STATE","state":{"type":"LEGACY","data":%s,"id":17}}',
    ],
)
def test_a_state_keeps_every_value_as_it_came(frame: str, value: str) -> None:
    line = (frame % value).encode()
    out = through(line)
    added = b',"destinationStats":{"recordCount":3.0}'
    assert out.count(added) == 1
    assert out.endswith(b"\n")
    assert b"\n" not in out[:-1]
    assert TOKEN.findall(out.replace(added, b"")) == TOKEN.findall(line)
    assert value.encode() in out, "not even the spaces within a value change"


def test_the_count_takes_the_place_of_what_stood_there() -> None:
    """PyAirbyte sends every key of its model, those without a value as null."""
    line = (
        b'{"type":"STATE","log":null,"spec":null,"connectionStatus":null,"catalog":null,"record":null,"state":{'
        b'"type":"STREAM","stream":{"stream_descriptor":{"name":"a","namespace":null},"stream_state":{"x":null}},'
        b'"global_":null,"data":null,"sourceStats":null,"destinationStats":null,"id":null},"trace":null,"control":null}'
    )
    assert through(line) == line.replace(b'"destinationStats":null', b'"destinationStats":{"recordCount":3.0}') + b"\n"
    other = line.replace(b'"destinationStats":null', b'"destinationStats":{"recordCount":99.0,"rejectedRecordCount":1}')
    assert through(other) == through(line)


def test_of_a_key_that_is_repeated_the_last_value_counts() -> None:
    out = through(b'{"type":"STATE","state":{"id":1},"state":{"type":"GLOBAL","id":2,"id":3,"destinationStats":1}}')
    assert json.loads(out) == {
        "type": "STATE",
        "state": {"type": "GLOBAL", "id": 3, "destinationStats": {"recordCount": 3.0}},
    }
    assert out.count(b'"state"') == out.count(b'"id"') == out.count(b"destinationStats") == 1


@pytest.mark.parametrize(
    ("state", "scope"),
    [
        ('{"type":"STREAM","stream":{"stream_descriptor":{"name":"a"}}}', StreamName(None, "a")),
        ('{"type":"STREAM","stream":{"stream_descriptor":{"name":"a","namespace":null}}}', StreamName(None, "a")),
        ('{"type":"STREAM","stream":{"stream_descriptor":{"name":"a","namespace":""}}}', StreamName("", "a")),
        ('{"\\u0074ype":"ST\\u0052EAM","stream":{"stream_descriptor":{"name":"\\u0061"}}}', StreamName(None, "a")),
        ('{"type":"GLOBAL","stream":null}', None),
        ('{"type":"LEGACY"}', None),
        ('{"type":null,"data":{}}', None),
        ("{}", None),
    ],
)
def test_whom_a_state_speaks_for(state: str, scope: StreamName | None) -> None:
    assert parse_state(b'{"type":"STATE","state":%s}' % state.encode()).scope == scope


@pytest.mark.parametrize(
    "line",
    [
        '{"type":"STATE"}',
        '{"type":"STATE","state":null}',
        '{"type":"STATE","state":[]}',
        '{"type":"STATE","state":{"type":"STREAM"}}',
        '{"type":"STATE","state":{"type":"STREAM","stream":null}}',
        '{"type":"STATE","state":{"type":"STREAM","stream":{"stream_state":{}}}}',
        '{"type":"STATE","state":{"type":"STREAM","stream":{"stream_descriptor":{"name":5}}}}',
        '{"type":"STATE","state":{"type":"STREAM","stream":{"stream_descriptor":{"name":"a","namespace":7}}}}',
    ],
)
def test_a_state_that_is_none_is_told(line: str) -> None:
    with pytest.raises(ConfigError, match="STATE that cannot be understood"):
        parse_state(line.encode())


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(st.text(max_size=6), json_values, max_size=4)


@few
@given(objects, objects, st.integers(0, 2**53), st.sampled_from([(",", ":"), (", ", ": "), (" ,\t", " :  ")]))
@example({"type": "GLOBAL", "destinationStats": {"x": 1}}, {"id": 2}, 0, (",", ":"))
def test_any_state_comes_out_as_it_went_in(
    state: dict[str, Any], more: dict[str, Any], rows: int, separators: tuple[str, str]
) -> None:
    state = {**state, "type": "GLOBAL"}
    message = {**more, "type": "STATE", "state": state}
    for ascii_only in (True, False):
        line = json.dumps(message, separators=separators, ensure_ascii=ascii_only).encode()
        out = decoded(through(line, rows))
        stats = out["state"].pop("destinationStats")
        state.pop("destinationStats", None)
        assert out == message
        assert list(out) == list(message), "the order of keys holds"
        assert stats == {"recordCount": rows}


# Statuses and types


@pytest.mark.parametrize(
    "line",
    [
        '{"type":"TRACE"}',
        '{"type":"TRACE","trace":null}',
        '{"type":"TRACE","trace":{"type":"ERROR","error":{"message":"x"}}}',
        '{"type":"TRACE","trace":{"type":"STREAM_STATUS","stream_status":null}}',
        '{"type":"TRACE","trace":{"type":"STREAM_STATUS","stream_status":{"status":"COMPLETE"}}}',
        '{"type":"TRACE","trace":{"type":"STREAM_STATUS","stream_status":{"stream_descriptor":{"name":null}}}}',
        '{"type":"TRACE","trace":{"type":"ESTIMATE","estimate":{"name":"a"}}}',
    ],
)
def test_traces_that_say_nothing_of_a_stream(line: str) -> None:
    assert protocol.parse_status(line.encode()) is None


def test_a_status_with_every_null_of_pyairbyte() -> None:
    line = (
        '{"type":"TRACE","record":null,"trace":{"type":"STREAM_STATUS","emitted_at":1.5,"error":null,"estimate":null,'
        '"stream_status":{"stream_descriptor":{"name":"a","namespace":null},"status":"COMPLETE","reasons":null}}}'
    )
    assert protocol.parse_status(line.encode()) == (StreamName(None, "a"), "COMPLETE")


# The configured catalog


def parsed(*entries: dict[str, Any]) -> list[Any]:
    return parse_catalog(json.dumps({"streams": list(entries)}).encode())


def entry(**more: Any) -> dict[str, Any]:
    return {"stream": {"name": "a", "json_schema": {}}, "sync_mode": "incremental", **more}


def test_a_configured_stream() -> None:
    (found,) = parsed(
        {
            "stream": {"name": "a", "namespace": "", "json_schema": {"type": "object"}, "unknown": 1},
            "sync_mode": "incremental",
            "destination_sync_mode": "append_dedup",
            "cursor_field": ["at"],
            "primary_key": [["id"], ["in", "ner"]],
            "generation_id": 4,
            "minimum_generation_id": 0,
            "sync_id": 9,
            "include_files": False,
            "destination_object_name": None,
        }
    )
    assert found.id == ("", "a")
    assert (found.cursor, found.primary_key, found.incremental) == ("at", [["id"], ["in", "ner"]], True)
    assert (found.generation_id, found.minimum_generation_id, found.sync_id) == (4, 0, 9)
    assert found.replace is Replace.NOTHING


def test_explicit_nulls_of_a_catalog_count_as_absent() -> None:
    nulls = dict.fromkeys(("cursor_field", "primary_key", "generation_id", "minimum_generation_id", "sync_id"))
    stream: Any = {
        "name": "a",
        "namespace": None,
        "json_schema": {},
        "default_cursor_field": None,
        "is_resumable": None,
    }
    assert parsed(entry(**nulls, stream=stream)) == parsed(entry())


def test_keys_and_cursor_come_from_the_source_where_the_user_chose_none() -> None:
    stream = {"name": "a", "default_cursor_field": ["at"], "source_defined_primary_key": [["id"]]}
    (found,) = parsed(entry(stream=stream, cursor_field=[], primary_key=[]))
    assert (found.cursor, found.primary_key) == ("at", [["id"]])
    (chosen,) = parsed(entry(stream=stream, cursor_field=["n"], primary_key=[["k"]]))
    assert (chosen.cursor, chosen.primary_key) == ("n", [["k"]])


@pytest.mark.parametrize(
    ("ids", "mode", "expected"),
    [
        ((None, None, None), "append", Replace.NOTHING),
        ((None, None, None), "append_dedup", Replace.NOTHING),
        ((None, None, None), "overwrite", Replace.EVERYTHING_ELSE),
        ((1, 1, 1), "append", Replace.NOTHING),
        ((1, 1, 1), "append_dedup", Replace.NOTHING),
        ((1, 1, 1), "overwrite", Replace.EVERYTHING_ELSE),
        ((4, 0, 9), "append", Replace.NOTHING),
        ((4, 0, 9), "append_dedup", Replace.NOTHING),
        ((4, 4, 9), "append", Replace.OLDER_GENERATIONS),
        ((4, 4, 9), "append_dedup", Replace.OLDER_GENERATIONS),
        ((4, 4, 9), "overwrite", Replace.OLDER_GENERATIONS),
        ((1, 1, 9), "append", Replace.OLDER_GENERATIONS),
        ((0, 0, 1), "append", Replace.NOTHING),
    ],
)
def test_what_the_generation_ids_ask_for(ids: tuple[Any, Any, Any], mode: str, expected: Replace) -> None:
    named = dict(zip(("generation_id", "minimum_generation_id", "sync_id"), ids, strict=True))
    (found,) = parsed(entry(**named, destination_sync_mode=mode))
    assert found.replace is expected


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"streams":null}',
        b'{"streams":[{}]}',
        b'{"streams":[{"stream":{}}]}',
        b"{",
        b"\xff",
    ],
)
def test_a_catalog_that_is_none_is_told(text: bytes) -> None:
    with pytest.raises(ConfigError, match="catalog"):
        parse_catalog(text)


def test_a_mode_of_reading_that_is_none_is_told() -> None:
    """Not read as a full refresh: it would copy everything, each time."""
    with pytest.raises(ConfigError, match=r"incremntal.*sync_mode"):
        parsed(entry(sync_mode="incremntal"))
    assert parsed(entry(sync_mode=None))[0].sync_mode == "full_refresh"


def test_what_discover_says_is_no_configured_catalog_but_shows_how_to_make_one() -> None:
    with pytest.raises(ConfigError, match=r"discover says.*\{\"streams\": \[\{\"stream\""):
        parse_catalog(b'{"type":"CATALOG","catalog":{"streams":[{"name":"a","json_schema":{}}]}}\n')


def test_a_stream_that_is_named_twice_is_told() -> None:
    with pytest.raises(ConfigError, match="a twice"):
        parsed(entry(), entry())
    assert len(parsed(entry(), entry(stream={"name": "a", "namespace": ""}))) == 2
