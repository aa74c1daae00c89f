"""Columns around raw rows, and values on one line: both twins, the same bytes."""

from __future__ import annotations

import json
from array import array

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from connector_sdk import Block, StreamName

from .twins import NATIVE, WHY_NOT, one_line_both, wrap_both, wrap_pieces

pytestmark = pytest.mark.skipif(not NATIVE, reason=WHY_NOT)

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from(["id", "_airbyte_raw_id", "_airbyte_data", "%", "%d"]) | st.text()
ROWS = st.one_of(
    st.dictionaries(FIELDS, VALUES, max_size=4).map(
        lambda row: json.dumps(row, ensure_ascii=False).encode("utf-8", "ignore")
    ),
    st.sampled_from([b"{}", b"{ }", b"{\r\t}", b'{ "a":1}', b'{\r"a" : "%012x" }', b'{"a":"' + b"x" * 70_000 + b'"}']),
)
CHANGES = st.lists(
    st.fixed_dictionaries({"field": FIELDS, "change": st.just("NULLED"), "reason": st.just("%s")}), max_size=2
)
TIMES = st.sampled_from([0, -1, 1_700_000_000_000, 2**63 - 1, -(2**63)])


@st.composite
def blocks(draw: st.DrawFn) -> Block:
    rows = draw(st.lists(ROWS, min_size=1, max_size=12))
    times = draw(st.lists(TIMES, min_size=len(rows), max_size=len(rows)))
    losses = draw(st.dictionaries(st.integers(0, len(rows) - 1), CHANGES | st.none(), max_size=3))
    metas = {row: json.dumps({"changes": changes}).encode() for row, changes in losses.items()}
    return Block(StreamName(None, "s"), b"".join(row + b"\n" for row in rows), array("q", times), metas)


@given(st.lists(blocks(), min_size=1, max_size=2), st.booleans(), st.sampled_from([0, 2**20, 2**48 - 2, 2**60]))
@settings(deadline=None)
def test_columns(given: list[Block], flat: bool, first: int) -> None:
    python, native = wrap_both(given, first, flat)
    assert native == python
    assert python.count(b"\n") == sum(block.count for block in given)


@pytest.mark.parametrize("flat", [False, True])
def test_rows_of_any_size(flat: bool) -> None:
    """Rows about as large as a piece, larger ones, and many small ones after them."""
    sizes = [0, 131_000, 131_072, 131_080, 1, 140_000, 5_000_000, 262_144, 3, *[900] * 2000, 131_064, 131_072 * 2]
    rows = [b'{"a":"%b"}' % (b"x" * size) for size in sizes]
    times = array("q", range(len(rows)))
    block = Block(StreamName(None, "s"), b"".join(row + b"\n" for row in rows), times, {})
    python, native = wrap_both([block], 0, flat)
    assert native == python


def test_pieces_are_small() -> None:
    """So that a row of any size takes no more memory than a piece beside itself, and is compressed while it is near."""
    block = Block(StreamName(None, "s"), b'{"a":"%b"}\n' % (b"x" * 5_000_000) + b"{}\n" * 9, array("q", [0] * 10), {})
    pieces = wrap_pieces(block)
    assert len(pieces) > 30
    assert max(map(len, pieces)) < 200_000


JSON = st.one_of(
    VALUES.map(lambda value: json.dumps(value, indent=1).encode()),
    VALUES.map(
        lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass").replace(b" ", b"\r\n")
    ),
    st.binary(max_size=10),
    st.sampled_from(
        [b"[" * 512 + b"]" * 512, b"[" * 513 + b"]" * 513, b'{"a":' * 512 + b"1" + b"}" * 512, b'"\xff"', b""]
    ),
)


@given(st.sampled_from([b"", b" ", b"\n", b"x"]), JSON, st.sampled_from([b"", b"\r\n ", b"1"]))
@example(b"", b'{"a":\n1}\n{}', b"")
@settings(deadline=None)
def test_one_line(before: bytes, value: bytes, after: bytes) -> None:
    text = before + value + after
    python, native = one_line_both(text)
    assert native == python
    if isinstance(python, bytes):
        assert b"\n" not in python
        assert json.loads(python) == json.loads(text)
