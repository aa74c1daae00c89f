"""Columns around raw rows, and values on one line: both twins, the same bytes."""

from __future__ import annotations

import json
from array import array
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from connector_sdk import Block, ConfiguredStream, StreamName, native
from connector_sdk.lines import one_line_in_python
from destination_s3.formats import jsonl
from destination_s3.marks import Marks
from destination_s3.paths import Run

from .twins import NATIVE, WHY_NOT

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
RUN = Run(datetime(2024, 5, 5, tzinfo=timezone.utc), "run")


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
    outputs: list[bytes] = []
    for module in (None, native._find()[0]):
        marks = Marks(ConfiguredStream("s", generation_id=3, sync_id=7), RUN)
        marks.take(first)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(native, "module", lambda module=module: module)
            outputs.append(b"".join(piece for block in given for piece in jsonl.wrapped(block, marks, flat)))
    assert outputs[1] == outputs[0]
    assert outputs[0].count(b"\n") == sum(block.count for block in given)


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
    found = [_or_error(function, text) for function in (one_line_in_python, _module().one_line)]
    assert found[1] == found[0]
    if isinstance(found[0], bytes):
        assert b"\n" not in found[0]
        assert json.loads(found[0]) == json.loads(text)


def _module() -> Any:
    return native._find()[0]


def _or_error(function: Any, text: bytes) -> bytes | str:
    try:
        found: bytes = function(text)
    except ValueError as error:
        return str(error)
    return found
