"""Numbers keep their digits, texts their characters; what cannot be carried becomes null and is told."""

from __future__ import annotations

import datetime
import json
import uuid
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connector_sdk.batch import Batch, Block
from connector_sdk.config import Config
from connector_sdk.lines import LineReader
from connector_sdk.rows import Change, Checkpoint, Row
from connector_sdk.source import Source
from connector_sdk.streams import ConfiguredStream, Stream, StreamName

few = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
NAN, INF = float("nan"), float("inf")


@pytest.fixture
def emitted(read_here: Callable[..., Any], say: Any) -> Callable[..., list[tuple[str, list[str]]]]:
    """The rows of a source as the raw text of their data, and the fields that they say they lost."""

    def run(*rows: Any) -> list[tuple[str, list[str]]]:
        source = Source(
            Config,
            check=lambda config: None,
            discover=lambda config: [Stream("a", {})],
            read=lambda config, stream: iter(rows),
        )
        said = read_here(source, say.catalog("a"))
        assert said.ok, said.errors
        found = []
        for line in said.out.splitlines():
            message = json.loads(line)
            if message["type"] == "RECORD":
                changes = message["record"].get("meta", {}).get("changes", [])
                assert all(c["change"] == "NULLED" and c["reason"] == "SOURCE_SERIALIZATION_ERROR" for c in changes)
                text = line.partition(b'"data":')[2].decode()
                end = text.rindex(',"meta":') if changes else len(text) - 2
                found.append((text[:end], [change["field"] for change in changes]))
        return found

    return run


Emitted = Callable[..., list[tuple[str, list[str]]]]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("12345678901234567890123456789012345678"), "12345678901234567890123456789012345678"),
        (Decimal("0.00000000000000000000000000000000000001"), "1E-38"),
        (Decimal("1234567890123456789.0123456789012345678"), "1234567890123456789.0123456789012345678"),
        (Decimal("-0.10"), "-0.10"),
        (Decimal("1E+400"), "1E+400"),
        (2**65, "36893488147419103232"),
        (-(2**65), "-36893488147419103232"),
        (2**64 - 1, "18446744073709551615"),
        (-(2**63) - 1, "-9223372036854775809"),
        (10**100, "1" + "0" * 100),
        (0.1, "0.1"),
        (5e-324, "5e-324"),
        (-0.0, "-0.0"),
        (True, "true"),
        ("\x00\x1f\u2028\uffff😀", '"\\u0000\\u001f\u2028\uffff😀"'),
        (datetime.datetime(2024, 1, 1, 12, tzinfo=datetime.timezone.utc), '"2024-01-01T12:00:00Z"'),
        (uuid.UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        (b"\x00\xff", '"AP8="'),
        ((1, [2]), "[1,[2]]"),
        ({"": {"k": None}}, '{"":{"k":null}}'),
    ],
)
def test_a_value_is_carried_whole(emitted: Emitted, value: Any, text: str) -> None:
    assert emitted({"v": value}) == [(f'{{"v":{text}}}', [])]


@pytest.mark.parametrize("bad", [NAN, INF, -INF, Decimal("NaN"), Decimal("sNaN"), Decimal("Infinity"), Decimal("-NaN")])
@pytest.mark.parametrize(
    ("wrap", "left"),
    [
        (lambda bad: bad, "null"),
        (lambda bad: [1, bad, 2.5], "[1,null,2.5]"),
        (lambda bad: {"k": {"m": bad}, "n": 1}, '{"k":{"m":null},"n":1}'),
        (lambda bad: [[{"k": (bad, "x")}]], '[[{"k":[null,"x"]}]]'),
        (lambda bad: {"k": (bad,), "l": ()}, '{"k":[null],"l":[]}'),
    ],
)
def test_what_is_no_number_becomes_null_and_is_told(emitted: Emitted, bad: Any, wrap: Any, left: str) -> None:
    assert emitted({"a": 1, "b": wrap(bad), "c": 0.5}) == [(f'{{"a":1,"b":{left},"c":0.5}}', ["b"])]


def test_each_field_that_lost_something_is_told_once(emitted: Emitted) -> None:
    row = {"a": NAN, "b": [NAN, INF], "c": {"d": NAN}, "e": 1}
    assert emitted(row) == [('{"a":null,"b":[null,null],"c":{"d":null},"e":1}', ["a", "b", "c"])]


def test_a_loss_that_the_source_told_is_kept_beside_ours(emitted: Emitted) -> None:
    (found,) = emitted(Row({"a": None, "b": NAN}, (Change("a"),)))
    assert found[0] == '{"a":null,"b":null}'
    assert sorted(found[1]) == ["a", "b"]


@pytest.mark.parametrize(
    ("row", "left", "lost"),
    [
        ({"a": "\ud800", "b": "x"}, {"a": None, "b": "x"}, ["a"]),
        ({"a": ["x", {"k": "y\udfff"}]}, {"a": None}, ["a"]),
        ({"a": {"\ud800": 1}, "b": 2}, {"a": None, "b": 2}, ["a"]),
        ({"a": "\ud800", "b": NAN}, {"a": None, "b": None}, ["a", "b"]),
        (Row({"a": "\ud800", "b": None}, (Change("b"),)), {"a": None, "b": None}, ["a", "b"]),
    ],
)
def test_half_of_a_surrogate_pair_becomes_null_and_is_told(emitted: Emitted, row: Any, left: Any, lost: Any) -> None:
    ((text, fields),) = emitted(row)
    assert json.loads(text) == left
    assert sorted(fields) == lost


def test_a_field_whose_name_is_no_text_is_told(emitted: Emitted) -> None:
    ((text, fields),) = emitted({"\ud800x": 1, "b": 2})
    assert json.loads(text) == {"?x": None, "b": 2}
    assert fields == ["?x"]


def test_a_value_that_no_one_knows_is_a_bug_that_names_the_field(read_here: Callable[..., Any], say: Any) -> None:
    rows: list[dict[str, Any]] = [{"id": 1}, {"id": 2, "colour": object()}]
    source = Source(
        Config,
        check=lambda config: None,
        discover=lambda config: [Stream("a", {})],
        read=lambda config, stream: iter(rows),
    )
    said = read_here(source, say.catalog("a"))
    assert said.ok is False
    assert said.rows == [{"id": 1}]
    assert said.statuses[-1] == ("a", "INCOMPLETE")
    (error,) = said.errors
    assert error["failure_type"] == "system_error"
    assert "colour" in error["message"]


def test_depth_500_goes_out(emitted: Emitted) -> None:
    value: Any = 1
    for _ in range(498):
        value = [value]
    assert emitted({"a": value}) == [('{"a":%s}' % ("[" * 498 + "1" + "]" * 498), [])]
    value = NAN
    for _ in range(498):
        value = [value]
    ((text, fields),) = emitted({"a": value, "b": 1})
    assert "NaN" not in text
    assert fields == ["a"]


finite = (
    st.none()
    | st.booleans()
    | st.integers(-(2**200), 2**200)
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=10)
)
broken = st.sampled_from([NAN, INF, -INF, Decimal("NaN"), Decimal("-Infinity")])


@few
@given(
    st.dictionaries(
        st.text(max_size=4), st.recursive(finite | broken, lambda inner: st.lists(inner, max_size=3)), max_size=5
    )
)
def test_any_row_is_carried_exactly_or_told(row: dict[str, Any]) -> None:
    from connector_sdk import protocol
    from connector_sdk.values import carry

    carried = carry(row)
    lost = {change.field for change in carried.changes} if isinstance(carried, Row) else set()
    data = carried.data if isinstance(carried, Row) else carried
    back = json.loads(protocol.encoder.encode(data), parse_float=Decimal)
    assert set(back) == set(row)
    for key, value in row.items():
        assert (key in lost) == has_loss(value)
        assert same(back[key], value)


def has_loss(value: Any) -> bool:
    if isinstance(value, list):
        return any(map(has_loss, value))
    return isinstance(value, float | Decimal) and not Decimal(value).is_finite()


def same(back: Any, value: Any) -> bool:
    if isinstance(value, list):
        return len(back) == len(value) and all(map(same, back, value))
    if has_loss(value):
        return back is None
    if isinstance(value, float):
        return float(back) == value
    return bool(back == value)


# Into a destination


def rows_of(*data: str) -> list[dict[str, Any]]:
    text = "".join(f'{{"type":"RECORD","record":{{"stream":"a","data":{row},"emitted_at":1}}}}\n' for row in data)
    blocks = [block for block in LineReader().feed(text.encode()) if isinstance(block, Block)]
    return Batch(ConfiguredStream("a"), blocks).rows


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("36893488147419103232", 2**65),
        ("-36893488147419103232", -(2**65)),
        ("1" * 38, int("1" * 38)),
        ("1234567890123456789.0123456789012345678", Decimal("1234567890123456789.0123456789012345678")),
        ("1e999", Decimal("1e999")),
        ("1e-999", Decimal("1e-999")),
        ("0.1", 0.1),
        ("1.50", 1.5),
        ("-0.0", -0.0),
        ("5e-324", 5e-324),
        ("1E+2", 100.0),
        ("9007199254740993.0", Decimal("9007199254740993.0")),
    ],
)
def test_a_number_is_read_exactly(text: str, value: Any) -> None:
    ((found,),) = ([row["v"]] for row in rows_of(f'{{"v":{text}}}'))
    assert (type(found), str(found)) == (type(value), str(value))


@few
@given(st.decimals(allow_nan=False, allow_infinity=False) | st.integers(-(2**300), 2**300))
def test_any_number_is_read_exactly(number: Any) -> None:
    text = str(number)
    (row,) = rows_of(f'{{"v":{text}}}')
    assert Decimal(str(row["v"])) == Decimal(text)


# Into a state and back


def test_numbers_of_a_state_come_back_with_all_their_digits(read_here: Callable[..., Any], say: Any) -> None:
    """A cursor may be a number of 38 digits: a float in its place would lose rows, or read some again."""
    cursor = Decimal("1234567890123456789.0123456789012345678")
    given_states: list[Any] = []

    def read(config: Any, stream: ConfiguredStream) -> Iterator[Any]:
        given_states.append(stream.state)
        yield Checkpoint({"cursor": cursor, "big": 2**70, "plain": 1.5})

    source = Source(
        Config, check=lambda config: None, discover=lambda config: [Stream("a", {}, incremental=True)], read=read
    )
    wanted = say.catalog("a", sync_mode="incremental")
    said = read_here(source, wanted)
    line = said.out.splitlines()[-2]
    state = next(line for line in said.out.splitlines() if b'"STATE"' in line)
    assert str(cursor).encode() in state, line

    from connector_sdk.state import parse_input_state

    back = parse_input_state(b"[" + state + b"]").of(StreamName(None, "a"))
    assert back == {"cursor": cursor, "big": 2**70, "plain": 1.5}
    assert type(back["plain"]) is float
