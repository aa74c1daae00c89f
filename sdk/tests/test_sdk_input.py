"""The pipe into a destination: whatever bytes come, rows arrive as they stood, and what is no message is told."""

from __future__ import annotations

import itertools
import json
import tracemalloc
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from connector_sdk.batch import Batch, Block
from connector_sdk.errors import ConfigError, TransientError
from connector_sdk.lines import MAX_DEPTH, LineReader
from connector_sdk.streams import ConfiguredStream, StreamName

few = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))

Item = tuple[StreamName, bytes, int, bytes | None] | bytes


def read(*chunks: bytes) -> list[Item]:
    """Every row and message of an input, one after another, however the reader cuts it to blocks."""
    reader = LineReader()
    blocks = [block for chunk in chunks for block in reader.feed(chunk)]
    return list(flat([*blocks, *reader.close()]))


def flat(items: Iterable[Block | bytes]) -> Iterable[Item]:
    for item in items:
        if isinstance(item, bytes):
            yield item
            continue
        assert item.lines.endswith(b"\n")
        assert item.lines.count(b"\n") == item.count == len(item.emitted_at)
        for row, line in enumerate(item.lines.split(b"\n")[:-1]):
            yield item.stream, line, item.emitted_at[row], item.metas.get(row)


def envelope(data: bytes, before: bytes = b'"stream":"a",', after: bytes = b',"emitted_at":1') -> bytes:
    return b'{"type":"RECORD","record":{' + before + b'"data":' + data + after + b"}}"


ROW = (StreamName(None, "a"), b'{"x":1}', 1, None)

MIXED = b"\n".join(
    [
        envelope(b'{"x":1}'),
        b"",
        envelope('{"text":"한글 😀","n":-0.0}'.encode()),
        envelope(b'{"x":2}', after=b',"emitted_at":2,"meta":{"changes":[]}'),
        b'  {"type":"LOG","log":{"level":"INFO","message":"\\n"}}\r',
        b'{"type":"STATE","state":{"data":{}}}',
        b" \t ",
        envelope(b"{}", before=b'"namespace":"n","stream":"a",') + b"\r",
        envelope(b'{ "a" : [1,\t2] }'),
        b'{"type":"TRACE","trace":{}}',
        b"",
    ]
)


def test_every_row_and_message_comes_in_order() -> None:
    a, n = StreamName(None, "a"), StreamName("n", "a")
    assert read(MIXED) == [
        (a, b'{"x":1}', 1, None),
        (a, '{"text":"한글 😀","n":-0.0}'.encode(), 1, None),
        (a, b'{"x":2}', 2, b'{"changes":[]}'),
        b'  {"type":"LOG","log":{"level":"INFO","message":"\\n"}}\r',
        b'{"type":"STATE","state":{"data":{}}}',
        (n, b"{}", 1, None),
        (a, b'{ "a" : [1,\t2] }', 1, None),
        b'{"type":"TRACE","trace":{}}',
    ]


def test_a_cut_at_any_offset_changes_nothing() -> None:
    whole = read(MIXED)
    for offset in range(len(MIXED) + 1):
        assert read(MIXED[:offset], MIXED[offset:]) == whole, offset


@few
@given(st.lists(st.integers(0, len(MIXED)), max_size=40))
def test_many_cuts_change_nothing(offsets: list[int]) -> None:
    edges = [0, *sorted(offsets), len(MIXED)]
    assert read(*(MIXED[start:end] for start, end in itertools.pairwise(edges))) == read(MIXED)


def test_byte_by_byte_changes_nothing() -> None:
    assert read(*(MIXED[n : n + 1] for n in range(len(MIXED)))) == read(MIXED)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\n\n\n", b"\n\r\n", b"", b"\r", b" \t\n  \n", b"\n\x0b\n"])
def test_ends_of_lines_and_blank_lines(end: bytes) -> None:
    assert read(envelope(b'{"x":1}') + end) == [ROW]


def test_an_input_without_anything() -> None:
    assert read() == read(b"") == read(b"\n") == read(b"\r\n \n") == []


@pytest.mark.parametrize(
    "line",
    [
        b'{"record":{"emitted_at":1,"data":{"x":1},"stream":"a"},"type":"RECORD"}',
        b'{ "type" : "RECORD" ,\t"record" : { "stream" : "a" , "data" : {"x":1} , "emitted_at" : 1 } }',
        b'{"type":"\\u0052ECORD","record":{"stream":"\\u0061","data":{"x":1},"emitted_at":1}}',
        b'{"type":"RECORD","record":{"stream":"a","data":{"x":1},"emitted_at":1,"namespace":null,"meta":null}}',
        b'{"type":"RECORD","record":{"stream":"a","data":{"x":1},"emitted_at":1.9,"file_reference":null}}',
        b'{"type":"LOG","type":"RECORD","record":{"stream":"b","data":{}},'
        b'"record":{"stream":"z","stream":"a","data":7,"data":{"x":1},"emitted_at":1}}',
        b'{"log":null,"state":null,"type":"RECORD","record":{"new":[{"data":{"x":2}}],"stream":"a","data":{"x":1},'
        b'"emitted_at":1},"more":{"type":"STATE"}}',
    ],
)
def test_envelopes_of_other_makers(line: bytes) -> None:
    assert read(line + b"\n") == [ROW]


@pytest.mark.parametrize(
    ("emitted_at", "expected"),
    [("null", 0), ("1.5", 1), ("1e3", 1000), ("0", 0), ("-5", -5), ("9" * 23, 0), ("1e300", 0), ("-1e18", -(10**18))],
)
def test_times_that_are_none_count_as_unknown(emitted_at: str, expected: int) -> None:
    found = read(envelope(b'{"x":1}', after=b',"emitted_at":%s' % emitted_at.encode()) + b"\n")
    assert found == [(StreamName(None, "a"), b'{"x":1}', expected, None)]


def test_a_record_without_a_time() -> None:
    assert read(envelope(b'{"x":1}', after=b"") + b"\n") == [(StreamName(None, "a"), b'{"x":1}', 0, None)]


def test_no_namespace_is_not_the_empty_namespace() -> None:
    text = b"\n".join(
        envelope(b"{}", before=b'"stream":"a",' + namespace)
        for namespace in (b"", b'"namespace":null,', b'"namespace":"",', b'"namespace":" ",')
    )
    assert [item[0] for item in read(text)] == [(None, "a"), (None, "a"), ("", "a"), (" ", "a")]


def test_meta_belongs_to_its_row() -> None:
    metas: list[bytes | None] = [None, b'{"changes":[{"field":"a"}]}', b"null", b"{}", None, b'{"x":1}']
    rows = [envelope(b"{}", after=b',"meta":' + meta if meta else b"") for meta in metas]
    assert [item[3] for item in read(b"\n".join(rows))] == [None, metas[1], None, b"{}", None, metas[5]]


@pytest.mark.parametrize(
    "line",
    [
        b"null",
        b"5",
        b"1e999",
        b'"text"',
        b"[]",
        b"[[1],{}]",
        b"{}",
        b'{"type":null}',
        b'{"type":5,"x":1e999}',
        b'{"type":"LOG"}',
        b'{"type":"LOG","record":5}',
        b'{"type":"TRACE","trace":7}',
        b'{"type":"SOMETHING_NEW","record":{"stream":1}}',
        b'{"type":"CONTROL","control":null,"record":null}',
        b'{"message":"a log line of some library","n":123456789012345678901234567890}',
    ],
)
def test_json_of_other_kinds_passes_as_it_is(line: bytes) -> None:
    assert read(envelope(b'{"x":1}') + b"\n" + line + b"\n" + envelope(b'{"x":1}')) == [ROW, line, ROW]


SECRET = "PLACE-OF-BIRTH"


@pytest.mark.parametrize(
    "line",
    [
        f"hello {SECRET}",
        f"2024-01-01 10:00:00 INFO {SECRET}",
        f"12 {SECRET}",
        f'"{SECRET}',
        f"[1, {SECRET}",
        f"[{SECRET}]",
        f'{{"type":"RECORD","record":{{"stream":"a","data":{{"x":"{SECRET}"}}}}',
        f'{{"type":"LOG","record":5 {SECRET}',
        f'{{"type":5, {SECRET}',
        f'{{"type":"LOG"}} {SECRET}',
        f"{{'type':'RECORD','{SECRET}':1}}",
        f'{{"type":"LOG","x":{SECRET}}}',
        f'{{"type":"LOG","n":NaN,"x":"{SECRET}"}}',
        f'\ufeff{{"type":"LOG","x":"{SECRET}"}}',
        f"{{}}{{}}{SECRET}",
        f"\x00{SECRET}",
    ],
)
def test_a_line_that_is_no_json_is_told_by_number_and_not_by_text(line: str) -> None:
    text = envelope(b'{"x":1}') + b"\n\n" + line.encode() + b"\n" + envelope(b'{"x":1}') + b"\n"
    with pytest.raises(ConfigError, match=r"Line 3 .* is not JSON") as caught:
        read(text)
    assert SECRET not in str(caught.value)
    assert SECRET not in repr(caught.value.internal)


@pytest.mark.parametrize(
    "record",
    [
        "null",
        "5",
        "{}",
        '{"stream":"a"}',
        '{"data":{}}',
        '{"stream":null,"data":{}}',
        '{"stream":5,"data":{"x":1e999}}',
        '{"stream":"a","data":null}',
        '{"stream":"a","data":[{}]}',
        '{"stream":"a","data":"{}"}',
        '{"stream":"a","data":{},"emitted_at":"2024-01-01"}',
        '{"stream":"a","data":{},"namespace":5}',
    ],
)
def test_a_record_that_is_none_is_told(record: str) -> None:
    with pytest.raises(ConfigError, match=r"Line 1 .* is a RECORD without"):
        read(b'{"type":"RECORD","record":%s}\n' % record.encode())
    with pytest.raises(ConfigError, match=r"Line 2 .* is a RECORD without"):
        read(b'\n{"record":%s,"type":"RECORD"}\n' % record.encode())


@pytest.mark.parametrize(
    "data",
    [
        b'{"a":01}',
        b'{"a":1,}',
        b'{"a":+1}',
        b'{"a":.5}',
        b'{"a":1.}',
        b'{"a":1e}',
        b'{"a":-}',
        b'{"a":tru}',
        b"{a:1}",
        b'{"a":"\x01"}',
        b'{"a":"\t"}',
        b'{"a":"\\x"}',
        b'{"a":"\\u12g4"}',
        b'{"a" 1}',
        b'{"a":NaN}',
        b'{"a":"}',
        b"{",
    ],
)
def test_data_that_is_passed_on_unread_is_known_to_be_json(data: bytes) -> None:
    with pytest.raises(ConfigError, match="not JSON"):
        read(envelope(data) + b"\n")


@pytest.mark.parametrize("place", [b'{"x":"%s"}', b'{"%s":1}'])
@pytest.mark.parametrize("bad", [b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf5\x80\x80\x80"])
def test_text_that_is_not_utf8_is_told(place: bytes, bad: bytes) -> None:
    with pytest.raises(ConfigError, match=r"Line 2 .* not UTF-8"):
        read(envelope(b"{}") + b"\n" + envelope(place % bad) + b"\n")
    with pytest.raises(ConfigError, match=r"Line 1 .* not UTF-8"):
        read(b'{"type":"LOG","log":' + place % bad + b"}\n")


@pytest.mark.parametrize("half", [b"\\ud800", b"\\udc00 and more", b"\\ud83d\\u0041"])
def test_half_of_a_surrogate_pair_stops_the_run_and_is_told(half: bytes) -> None:
    """No UTF-8 can carry it, though the grammar of JSON lets it pass; Python's json module writes it so."""
    with pytest.raises(ConfigError, match=r"Line 1 .* not JSON"):
        read(envelope(b'{"x":"%s"}' % half) + b"\n")
    assert len(read(envelope(b'{"x":"\\ud83d\\ude00 \\\\ud800"}') + b"\n")) == 1


def test_rows_before_a_bad_line_are_given_before_it_is_told() -> None:
    reader = LineReader()
    items = reader.feed(envelope(b'{"x":1}') + b"\n" + envelope(b'{"x":1}') + b"\noops\n" + envelope(b"{}") + b"\n")
    assert list(flat([next(items)])) == [ROW, ROW]
    with pytest.raises(ConfigError, match="Line 3"):
        next(items)


# The end of the input


def test_the_last_line_may_lack_its_line_break() -> None:
    assert read(envelope(b'{"x":1}')) == [ROW]
    assert read(b'{"type":"STATE","state":{}}') == [b'{"type":"STATE","state":{}}']


def test_an_input_that_ends_within_a_line_was_cut_off() -> None:
    line = envelope('{"x":"한"}'.encode(), after=b',"emitted_at":1,"meta":{"changes":[]}')
    for end in range(1, len(line)):
        reader = LineReader()
        assert list(reader.feed(envelope(b'{"x":1}') + b"\n" + line[:end]))
        with pytest.raises(TransientError, match="in the middle of line 2") as caught:
            list(reader.close())
        assert "한" not in str(caught.value)


# Depth and size


def nested(depth: int, opening: bytes = b"[", closing: bytes = b"]") -> bytes:
    return b'{"x":' + opening * (depth - 1) + b"1" + closing * (depth - 1) + b"}"


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"k":', b"}"), (b'[{"]}":', b"}]")])
def test_depth_500_passes_and_deeper_than_the_limit_is_told(opening: bytes, closing: bytes) -> None:
    levels = opening.replace(b'"]}"', b"").count(b"[") + opening.count(b"{")
    fits = nested(1 + 499 // levels, opening, closing)
    assert read(envelope(fits) + b"\n")[0][1] == fits
    json.loads(fits)
    for depth in (MAX_DEPTH, 600, 5000, 200_000):
        with pytest.raises(ConfigError, match=r"Line 1 .* nested deeper than 512 levels"):
            read(envelope(nested(1 + depth // levels, opening, closing)) + b"\n")


def test_the_limit_of_depth_is_exact() -> None:
    assert len(read(envelope(nested(MAX_DEPTH - 2)) + b"\n")) == 1
    with pytest.raises(ConfigError, match="nested deeper"):
        read(envelope(nested(MAX_DEPTH - 1)) + b"\n")
    assert len(read(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"\n")) == 1
    with pytest.raises(ConfigError, match="nested deeper"):
        read(b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1) + b"\n")


def test_brackets_in_texts_and_side_by_side_are_no_depth() -> None:
    for data in (
        b'{"x":"' + b"[{" * 5000 + b'"}',
        b'{"x":"' + b'\\"[' * 5000 + b'"}',
        b'{"x":"\\\\","y":[' + b'"[","{",' * 3000 + b'"\\\\"]}',
        b'{"x":[' + b'{"a":[]},' * 3000 + b"{}]}",
        b'{"x":[' + b'"]",["["],' * 3000 + b'""]}',
    ):
        json.loads(data)
        assert read(envelope(data) + b"\n")[0][1] == data


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@few
@given(st.lists(st.dictionaries(st.text(max_size=5), json_values, max_size=4), max_size=8), st.data())
def test_any_rows_arrive_byte_for_byte(rows: list[dict[str, Any]], data: st.DataObject) -> None:
    bodies = [json.dumps(row, ensure_ascii=data.draw(st.booleans())).encode() for row in rows]
    text = b"\n".join(map(envelope, bodies))
    cut = data.draw(st.integers(0, len(text)))
    assert [item[1] for item in read(text[:cut], text[cut:])] == bodies


@few
@given(st.binary(max_size=60), st.integers(0, len(envelope(b'{"x":1}'))), st.integers(0, 5))
@example(b"\n", 5, 0)
@example(b'"', 40, 1)
def test_a_damaged_line_is_told_or_harmless_but_never_a_crash(junk: bytes, place: int, lost: int) -> None:
    """What is passed on as a row is JSON by the judgement of another parser, too."""
    line = envelope(b'{"x":1}')
    try:
        found = read(line[:place] + junk + line[place + lost :] + b"\n")
    except (ConfigError, TransientError):
        return
    for item in found:
        body = json.loads(item if isinstance(item, bytes) else item[1])
        assert isinstance(item, bytes) or isinstance(body, dict)


def test_a_row_of_40_mb_is_passed_on_and_takes_a_few_times_its_size() -> None:
    size = 40_000_000
    data = b'{"a":[' + b'{"[":"]"},' * 1000 + b'"' + b'\\"[x' * (size // 4) + b'"]}'
    line = envelope(data) + b"\n"
    chunks = [line[start : start + (1 << 18)] for start in range(0, len(line), 1 << 18)]
    del line
    reader = LineReader()
    tracemalloc.start()
    blocks = [block for chunk in chunks for block in reader.feed(chunk)]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(blocks) == 1
    assert isinstance(blocks[0], Block)
    assert blocks[0].lines == data + b"\n"
    assert peak < 6 * size


def test_rows_with_many_brackets_cost_no_step_a_character() -> None:
    """Nor memory a character: looking for brackets with one alternative a character takes gigabytes for 40 MB."""
    text = b'{"a":[' + b"{}," * 1000 + b'"' + b"x" * 4_000_000 + b'"]}'
    tracemalloc.start()
    assert read(envelope(text) + b"\n")[0][1] == text
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 40_000_000


# Blocks and batches

blocks_of_rows = st.lists(st.binary(max_size=30).map(lambda raw: json.dumps({"v": raw.hex()}).encode()), max_size=20)


@few
@given(blocks_of_rows, st.integers(1, 25), st.integers(1, 200), st.sets(st.integers(0, 19)))
def test_cutting_a_block_loses_nothing(rows: list[bytes], most: int, size: int, with_meta: set[int]) -> None:
    text = b"\n".join(
        envelope(row, after=b',"emitted_at":%d%s' % (n, b',"meta":{"n":%d}' % n if n in with_meta else b""))
        for n, row in enumerate(rows)
    )
    blocks = [block for block in LineReader().feed(text + b"\n") if isinstance(block, Block)]
    rest = blocks[0] if blocks else None
    parts: list[Item] = []
    while rest is not None:
        part, rest = rest.cut(most, size)
        if part is None:
            assert rest is not None
            assert len(rest.lines.split(b"\n")[0]) + 1 > size
            part, rest = rest.cut(1, len(rest.lines))
        else:
            assert part.count <= most
            assert len(part.lines) <= size
        assert part is not None
        parts += flat([part])
    metas = [b'{"n":%d}' % n if n in with_meta else None for n in range(len(rows))]
    assert parts == [(StreamName(None, "a"), row, n, metas[n]) for n, row in enumerate(rows)]


def test_a_batch_gives_rows_lines_and_changes() -> None:
    change = {"field": "b", "change": "NULLED", "reason": "SOURCE_SERIALIZATION_ERROR"}
    meta = b',"meta":{"changes":[%s]}' % json.dumps(change).encode()
    reader = LineReader()
    blocks = [
        block
        for text in (
            envelope(b'{"a":1}') + b"\n" + envelope(b'{"a":2,"b":null}', after=meta) + b"\n",
            envelope(b"{}", after=b',"meta":{}') + b"\n" + envelope(b'{"a":3}', after=meta) + b"\n",
        )
        for block in reader.feed(text)
        if isinstance(block, Block)
    ]
    batch = Batch(ConfiguredStream("a"), blocks)
    assert len(batch) == batch.count == 4
    assert batch.lines == b'{"a":1}\n{"a":2,"b":null}\n{}\n{"a":3}\n'
    assert batch.size == len(batch.lines)
    assert batch.rows == [{"a": 1}, {"a": 2, "b": None}, {}, {"a": 3}]
    assert batch.changes == {1: [change], 3: [change]}


def batch_of(data: bytes, after: bytes = b"") -> Batch:
    return Batch(
        ConfiguredStream("a"),
        [block for block in LineReader().feed(envelope(data, after=after) + b"\n") if isinstance(block, Block)],
    )


@pytest.mark.parametrize("meta", [b'"m"', b"1", b"[]", b'{"changes":1}', b'{"changes":[null]}', b'{"changes":null}'])
def test_a_meta_that_is_none_says_nothing(meta: bytes) -> None:
    batch = batch_of(b'{"a":1}', b',"meta":' + meta)
    assert batch.rows == [{"a": 1}]
    assert batch.changes == {}


@pytest.mark.parametrize("number", [b"1" * 4301, b"1e1000000000000000000"])
def test_a_number_that_nobody_can_read_is_told(number: bytes) -> None:
    batch = batch_of(b'{"a":%b}' % number)
    assert number in batch.lines
    with pytest.raises(ConfigError, match="The stream a holds a number that cannot be read"):
        _ = batch.rows
