"""The pieces that judgements rest on: JSON with all digits, reading, comparing, rows, broken configs, reports."""

from __future__ import annotations

import base64
import json
from decimal import Decimal
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acceptance_tests import report
from acceptance_tests.compare import difference, missing, same
from acceptance_tests.library import samples
from acceptance_tests.protocol import dumps, loads, parse, problems
from acceptance_tests.report import FAILED, PASSED, SKIPPED, WAIVED, Outcome
from acceptance_tests.rows import above, later, value
from acceptance_tests.subject import CANARY, Subject, secret_values, spellings
from acceptance_tests.suite import Behaviour, Failure, NotApplicable, attempt, judged
from acceptance_tests.suites import DESTINATION, SOURCE
from acceptance_tests.suites.source.resume import places_of_a_cursor
from acceptance_tests.validation import mistakes
from acceptance_tests.wrong_configs import unreachable, with_wrong_types, without_each_required

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.decimals(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_json_keeps_every_digit(content: Any) -> None:
    assert same(loads(dumps(content)), content)


def test_a_number_of_38_digits_is_itself_and_no_other() -> None:
    text = "12345678901234567890.123456789012345678"
    assert dumps(loads(f'{{"a":{text}}}')) == f'{{"a":{text}}}'
    assert not same(loads(text), loads(text[:-1] + "9"))


@pytest.mark.parametrize("text", ["NaN", "[1,", "Infinity", '{"a": -Infinity}', "[" * 5000])
def test_what_is_not_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        loads(text)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, Decimal("1.0")),
        ({"a": None, "b": 1}, {"b": 1}),
        ("2024-01-01T00:00:00Z", "2024-01-01 00:00:00.000+00:00"),
        ("2024-01-01T05:30:00+05:30", "2024-01-01T00:00:00Z"),
        ([1, None], [1, None]),
    ],
)
def test_values_that_say_the_same(one: Any, other: Any) -> None:
    assert same(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, True),
        (1, "1"),
        ("a", "a "),
        ([1, None], [1]),
        ("2024-01-01T00:00:00", "2024-01-01T00:00:00Z"),
        ("2024-01-01T00:00:00.1Z", "2024-01-01T00:00:00Z"),
        ("e\u0301", "é"),
        ({"a": {}}, {"a": None}),
        (0, None),
    ],
)
def test_values_that_do_not(one: Any, other: Any) -> None:
    assert not same(one, other)


def test_differences_are_told_by_field() -> None:
    text = difference([{"id": 1, "a": "x"}, {"id": 2}], [{"id": 1, "a": "y"}, {"id": 2}])
    assert text == 'a: "x" came back as "y"'
    assert "1 missing" in str(difference([{"id": 1}, {"id": 2}], [{"id": 1}]))
    assert "1 too many" in str(difference([{"id": 1}], [{"id": 1}, {"id": 1}]))
    assert difference([{"id": 1}, {"id": 1}], [{"id": 1}, {"id": 1}]) is None


def test_a_loss_that_the_row_itself_tells_is_none() -> None:
    stored = {"id": 1, "a": None, "_airbyte_meta": {"changes": [{"field": "a", "change": "NULLED"}]}}
    assert difference([{"id": 1, "a": "x"}], [stored]) is None
    assert difference([{"id": 1, "a": "x"}], [{"id": 1, "a": None}]) is not None


def test_rows_out_of_airbyte_data() -> None:
    assert not missing([{"id": 1}], [{"_airbyte_data": '{"id": 1}', "_airbyte_raw_id": "x"}])


def test_lines_are_read_strictly() -> None:
    found = parse(
        [b'{"type":"LOG","log":{"level":"LOUD","message":"x"}}', b"hello", b"", b'{"type":"NEW","new":{}}'], b'{"type":'
    )
    assert len(found.noise) == 2
    assert len(found.wrong) == 2
    assert not problems("STATE", {"type": "STREAM", "stream": {"stream_descriptor": {"name": "a"}, "stream_state": {}}})
    assert problems("STATE", {"type": "STREAM"})
    assert problems("RECORD", {"stream": "a", "data": {}, "emitted_at": "now"})
    assert problems("TRACE", {"type": "ERROR", "emitted_at": 1, "error": {"message": 1}})


@pytest.mark.parametrize(
    ("known", "next_one"),
    [
        ([1, 7, 3], 9),
        (["2024-01-01T00:00:59Z"], "2024-01-01T00:01:01Z"),
        (["2024-02-28"], "2024-03-01"),
        (["2024-01-01 10:00:00.123"], "2024-01-01 10:00:02.123"),
        (["9", "10"], "12"),
        (["a", "b"], "b~000002"),
    ],
)
def test_values_above_all_that_are_there(known: list[Any], next_one: Any) -> None:
    assert (
        above(known, 2, {"type": ["null", "integer"]} if isinstance(known[0], int) else {"type": "string"}) == next_one
    )


def test_values_of_a_schema_are_valid_by_it() -> None:
    columns: dict[str, Any] = {
        name: kind for sample in samples() for name, kind in sample.columns.items() if len(sample.columns) < 50
    }
    schema = {"type": "object", "properties": columns}
    assert not list(mistakes(schema, [{name: value(kind, 7) for name, kind in columns.items()}]))


def test_the_library_is_valid_by_its_own_schemas() -> None:
    for sample in samples():
        if not sample.slow:
            schema = {"type": "object", "properties": sample.columns, "additionalProperties": False}
            assert not list(mistakes(schema, sample.rows())), sample.name


def test_a_time_that_no_calendar_holds_is_left_alone() -> None:
    from datetime import timedelta

    assert later("9999-12-31T23:59:59Z", timedelta(days=9)) == "9999-12-31T23:59:59Z"


@pytest.mark.parametrize(
    ("state", "places"),
    [
        ({"cursor": 3}, [("cursor",)]),
        ({"version": 3, "cursor": "3", "done": True}, [("cursor",)]),
        ({"version": 1, "parts": [{"upto": 3}]}, [("parts", 0, "upto")]),
        ({"version": 3, "upto": 3}, []),
        ({"version": 1, "cursor": 2}, []),
    ],
)
def test_the_cursor_of_a_state_is_found_and_nothing_that_looks_like_it(state: Any, places: list[Any]) -> None:
    assert places_of_a_cursor(state, [1, 2, 3], "id") == places


@pytest.mark.parametrize(
    ("kind", "value", "good"),
    [
        ({"format": "date"}, "2024-02-29", True),
        ({"format": "date"}, "0044-03-15 BC", True),
        ({"format": "date"}, "29/02/2024", False),
        ({"format": "date-time"}, "2024-02-29 10:00:00.5+05:30", True),
        ({"format": "date-time"}, "2024-02-29T10:00:00", True),
        ({"format": "date-time"}, "yesterday", False),
        ({"format": "date-time", "airbyte_type": "timestamp_with_timezone"}, "2024-02-29T10:00:00", True),
        ({"format": "date-time", "airbyte_type": "timestamp_with_timezone"}, "2024-02-29T10:00:00Z", True),
        ({"format": "date-time", "airbyte_type": "timestamp_with_timezone"}, None, True),
        ({"format": "time", "airbyte_type": "time_with_timezone"}, "10:00:00-08", True),
        ({"format": "time", "airbyte_type": "time_with_timezone"}, "ten", False),
    ],
)
def test_times_are_spelt_as_their_schema_says(kind: dict[str, Any], value: Any, good: bool) -> None:
    schema = {"properties": {"at": {"type": ["null", "string"], **kind}}}
    assert bool(list(mistakes(schema, [{"at": value}]))) is not good


FORM = {
    "type": "object",
    "required": ["host", "auth"],
    "properties": {
        "host": {"type": "string"},
        "port": {"type": "integer"},
        "url": {"type": "string", "airbyte_secret": True},
        "auth": {
            "type": "object",
            "oneOf": [
                {
                    "required": ["kind", "token"],
                    "properties": {"kind": {"const": "t"}, "token": {"type": "string", "airbyte_secret": True}},
                },
                {"required": ["kind"], "properties": {"kind": {"const": "none"}}},
            ],
        },
    },
}
CONFIG: dict[str, Any] = {
    "host": "db",
    "port": 5432,
    "url": "http://me:pw12345@db/x?y=1",
    "auth": {"kind": "t", "token": "sesame"},
}


def test_secrets_are_found_in_branches() -> None:
    assert set(secret_values(FORM, CONFIG)) == {"sesame", CONFIG["url"]}
    assert "a%20b" in spellings("a b")


@pytest.mark.parametrize("before", ["", "u", "us", "usr"])
def test_secrets_are_known_in_base64(before: str) -> None:
    text = base64.b64encode(f"{before}:hunter2-hunter2;x".encode()).decode()
    assert any(way in text for way in spellings("hunter2-hunter2"))
    assert not any(way in text for way in spellings("hunter3-hunter3"))


def test_a_config_that_leads_nowhere() -> None:
    found = unreachable(FORM, CONFIG)
    assert found == {
        "host": "127.0.0.1",
        "port": 1,
        "url": f"http://me:{CANARY}@127.0.0.1:1/x?y=1",
        "auth": {"kind": "t", "token": CANARY},
    }
    assert unreachable({"properties": {"count": {"type": "integer"}}}, {"count": 5}) is None
    folder = unreachable({}, {"path": "/data/x", "bucket": "file:///data", "servers": "a:9092,b:9092"})
    assert folder == {"path": "/dev/null/nowhere", "bucket": "file:///dev/null/nowhere", "servers": "127.0.0.1:1"}


def test_configs_that_lack_something_or_hold_something_else() -> None:
    assert [name for name, _ in without_each_required(FORM, CONFIG)] == ["host", "auth", "auth.token"]
    wrong = dict(with_wrong_types(FORM, CONFIG))
    assert set(wrong) == {"host", "port", "url", "auth", "auth.token"}
    assert wrong["auth.token"]["auth"]["kind"] == "t"


class _Nobody(Subject):
    def __init__(self) -> None:
        pass

    def tidy(self) -> None:
        pass

    def masked(self, text: str) -> str:
        return text


def _outcome(error: Exception | None, waivers: dict[str, str]) -> Outcome:
    def run(_subject: Subject) -> None:
        if error is not None:
            raise error

    return judged(attempt(Behaviour("a.b", "it does", run), _Nobody()), waivers)


def test_outcomes_and_waivers() -> None:
    failure = Failure("x", "y", "z")
    assert _outcome(None, {}).outcome == PASSED
    assert _outcome(NotApplicable("no key"), {}).message == "no key"
    assert _outcome(failure, {}).message == "expected: x\nseen: y\nlook at: z"
    assert _outcome(failure, {"a.b": "we know"}).outcome == WAIVED
    assert _outcome(failure, {"a.b": "we know"}).message.startswith("we know")
    assert _outcome(None, {"a.b": "we know"}).outcome == FAILED
    assert _outcome(NotApplicable("no key"), {"a.b": "we know"}).outcome == SKIPPED
    assert "KeyError" in _outcome(KeyError("stream"), {}).message


def test_reports() -> None:
    outcomes = [
        Outcome("read.a", PASSED, promise="it reads", seconds=1.0),
        Outcome("read.b", FAILED, "expected: <x>\nseen: \x00", "it <b>", 2.0),
        Outcome("read.c", SKIPPED, "needs --put"),
        Outcome("read.d", WAIVED, "known"),
    ]
    assert report.failed(outcomes)
    assert report.summary(outcomes) == "1 passed, 1 failed, 1 waived, 1 skipped in 3 s"
    listed = json.loads(report.as_json(outcomes))
    assert listed[1] == {"test": "read.b", "outcome": "failed", "message": "expected: <x>\nseen: \x00"}
    suite = ElementTree.fromstring(report.as_junit(outcomes, "source-x"))
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("4", "1", "2")
    page = report.as_html(outcomes, "source-x")
    assert "<x>" not in page
    assert page.index("read.b") < page.index("read.a")


@pytest.mark.parametrize("register", [SOURCE, DESTINATION], ids=["source", "destination"])
def test_every_behaviour_has_a_name_of_its_own_and_a_promise(register: list[Behaviour]) -> None:
    names = [one.name for one in register]
    assert len(set(names)) == len(names)
    assert all(one.promise.endswith((".", "null")) or one.name.startswith("values.") for one in register)
