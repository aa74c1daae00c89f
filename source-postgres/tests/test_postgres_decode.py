"""The frame and the lines: streams made by hand, cut anywhere, cut short, broken; what decoders say to any bytes."""

from __future__ import annotations

import json
import struct
import tracemalloc
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector_sdk import Envelope
from connector_sdk.schema import STRING
from source_postgres.decode import BLOCK, CopyError, Decoder
from source_postgres.types import Column, Layout
from source_postgres.values import DECODERS, PIECE, decoder

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
END = b"\xff\xff"
ENVELOPE = Envelope(b'{"head":', b"}", b',"changes":', b"}")


def columns(**decoders: str) -> list[Column]:
    return [Column(name, STRING, Layout(decoder)) for name, decoder in decoders.items()]


def row(*values: bytes | None) -> bytes:
    sized = (b"\xff\xff\xff\xff" if value is None else struct.pack(">i", len(value)) + value for value in values)
    return struct.pack(">h", len(values)) + b"".join(sized)


def decoded(columns: Sequence[Column], messages: Sequence[bytes], hidden: int = 0) -> bytes:
    decoder = Decoder(columns, lambda: ENVELOPE, hidden)
    for message in messages:
        decoder.feed(message)
    decoder.finish()
    return decoder.take()[0]


COLUMNS = columns(**{"id": "int4", 'na"me': "text", "score": "float8", "data": "json"})
ROWS = [
    row(struct.pack(">i", -7), 'Zoë "문서"\n'.encode(), struct.pack(">d", 0.1), b'{"a": [1,\n2]}'),
    row(None, None, None, None),
    row(struct.pack(">i", 2**31 - 1), b"", struct.pack(">d", float("nan")), b"null"),
]
STREAM = HEADER + b"".join(ROWS) + END
LINES = [
    '{"head":{"id":-7,"na\\"me":"Zoë \\"문서\\"\\n","score":0.1,"data":{"a": [1, 2]}}}\n',
    '{"head":{"id":null,"na\\"me":null,"score":null,"data":null}}\n',
    '{"head":{"id":2147483647,"na\\"me":"","score":null,"data":null},'
    '"changes":[{"field":"score","change":"NULLED","reason":"SOURCE_SERIALIZATION_ERROR"}]}\n',
]
EXPECTED = "".join(LINES).encode()


def test_lines_have_the_envelope_the_columns_in_order_and_what_was_lost() -> None:
    assert decoded(COLUMNS, [STREAM]) == EXPECTED
    assert all(json.loads(line) for line in EXPECTED.splitlines())


def test_the_same_lines_for_a_cut_at_every_offset() -> None:
    for at in range(len(STREAM) + 1):
        assert decoded(COLUMNS, [STREAM[:at], STREAM[at:]]) == EXPECTED
    assert decoded(COLUMNS, [bytes([byte]) for byte in STREAM]) == EXPECTED


@given(st.lists(st.integers(0, len(STREAM))).map(sorted))
def test_the_same_lines_for_many_cuts(cuts: list[int]) -> None:
    assert decoded(COLUMNS, [STREAM[a:b] for a, b in pairwise([0, *cuts, len(STREAM)])]) == EXPECTED


def test_a_stream_cut_short_gives_whole_rows_and_an_error() -> None:
    for at in range(len(STREAM)):
        decoder = Decoder(COLUMNS, lambda: ENVELOPE)
        decoder.feed(STREAM[:at])
        with pytest.raises(CopyError, match="before its end"):
            decoder.finish()
        lines, count = decoder.take()
        assert lines == "".join(LINES[:count]).encode()


@given(st.integers(0, len(STREAM) - 1), st.integers(0, 255))
def test_a_broken_byte_gives_valid_lines_or_an_error(at: int, byte: int) -> None:
    decoder = Decoder(COLUMNS[:3], lambda: ENVELOPE)
    stream = bytearray(HEADER + b"".join(row(*fields) for fields in _fields()) + END)
    stream[at % len(stream)] = byte
    with suppress(CopyError):
        decoder.feed(bytes(stream))
        decoder.finish()
    for line in decoder.take()[0].splitlines():
        json.loads(line)


def _fields() -> list[tuple[bytes | None, ...]]:
    return [(struct.pack(">i", 5), b"five", struct.pack(">d", 5.5)), (None, b"", None)]


@pytest.mark.parametrize(
    ("stream", "message"),
    [
        (b"PGCOPY\n\xff\r\n\1" + bytes(8), "header"),
        (b"PGCOPY\n\xff\r\n\0\0\1\0\0" + bytes(4), "header"),
        (b"PGCOPY\n\xff\r\n\0\0\0\0\0\xff\xff\xff\xff", "header"),
        (HEADER + row(b"\0\0\0\1"), "a row has 1 values instead of 4"),
        (HEADER + struct.pack(">hi", 4, -2), "negative length"),
        (HEADER + row(b"\0\0\1", None, None, None), "column id: "),
        (HEADER + row(None, None, b"\0", None), "column score: "),
        (STREAM + b"\0", "after the end"),
    ],
)
def test_what_the_server_does_not_write_is_an_error(stream: bytes, message: str) -> None:
    for messages in ([stream], [bytes([byte]) for byte in stream]):
        decoder = Decoder(COLUMNS, lambda: ENVELOPE)
        with pytest.raises(CopyError, match=message):
            for part in messages:
                decoder.feed(part)
        with pytest.raises(CopyError, match="broken before"):
            decoder.feed(b"")
        with pytest.raises(CopyError, match="before its end"):
            decoder.finish()


def test_rows_before_an_error_are_there() -> None:
    decoder = Decoder(COLUMNS, lambda: ENVELOPE)
    with pytest.raises(CopyError):
        decoder.feed(HEADER + ROWS[0] + row())
    assert decoder.take() == (LINES[0].encode(), 1)


def test_a_header_with_an_extension_and_harmless_flags() -> None:
    header = b"PGCOPY\n\xff\r\n\0" + struct.pack(">Ii", 0x0000FFFF, 3) + b"abc"
    assert decoded(COLUMNS, [header + b"".join(ROWS) + END]) == EXPECTED


def test_no_rows_and_rows_without_columns() -> None:
    assert decoded(COLUMNS, [HEADER + END]) == b""
    assert decoded([], [HEADER + row() + row() + END]) == b'{"head":{}}\n' * 2


def test_hidden_values_are_those_of_the_last_row() -> None:
    decoder = Decoder(columns(a="text"), lambda: ENVELOPE, hidden=2)
    assert list(decoder.hidden) == [None, None]
    decoder.feed(HEADER + row(b"x", "7é".encode(), b"(0,1)") + row(b"y", None, b"")[:-2])
    assert list(decoder.hidden) == ["7é", "(0,1)"]
    decoder.feed(row(b"y", None, b"")[-2:] + END)
    assert list(decoder.hidden) == [None, ""]
    assert decoder.take() == (b'{"head":{"a":"x"}}\n{"head":{"a":"y"}}\n', 2)
    assert list(decoder.hidden) == [None, ""]


def test_a_hidden_value_that_is_not_text_is_an_error() -> None:
    with pytest.raises(CopyError, match="not UTF-8"):
        Decoder([], lambda: ENVELOPE, hidden=1).feed(HEADER + row(b"\xff"))


def test_a_block_is_told_and_gets_an_envelope_of_its_own() -> None:
    heads = iter([b"1", b"2", b"3"])
    decoder = Decoder(columns(a="text"), lambda: Envelope(next(heads), b"", b"", b""))
    assert not decoder.feed(HEADER + row(b"x" * (BLOCK - 100)))
    assert decoder.feed(row(b"y" * 100))
    lines, count = decoder.take()
    assert count == 2
    assert [line[:1] for line in lines.splitlines()] == [b"1", b"1"]
    assert not decoder.feed(END)
    assert decoder.take() == (b"", 0)
    assert next(heads) == b"2", "an envelope was made for a block without rows"


def test_a_value_lost_twice_is_told_once_and_several_fields_in_their_order() -> None:
    floats = Layout("array", (("", Layout("float8")),))
    nan = struct.pack(">id", 8, float("nan"))
    array = struct.pack(">iiiii", 1, 0, 701, 2, 1) + nan + nan
    stream = HEADER + row(b"\xff", array, b"fine", b"\x7f\xff\xff\xff") + END
    kinds = [*columns(a="text"), Column("b", STRING, floats), *columns(c="text", d="date")]
    line = json.loads(decoded(kinds, [stream]))
    assert line["head"] == {"a": None, "b": [None, None], "c": "fine", "d": None}
    assert [change["field"] for change in line["changes"]] == ["a", "b", "d"]


def test_many_columns() -> None:
    names = {f"column {number}": "int4" for number in range(1600)}
    values = row(*(struct.pack(">i", number) for number in range(1600)))
    stream = HEADER + values * 2 + END
    line = decoded(columns(**names), [stream])
    assert line == decoded(columns(**names), [stream[at : at + 7] for at in range(0, len(stream), 7)])
    assert json.loads(line.splitlines()[1])["head"] == {f"column {number}": number for number in range(1600)}


@pytest.mark.parametrize(("kind", "character"), [("text", "x"), ("text", "😀"), ("json", "한")])
def test_a_huge_value_in_pieces_costs_a_few_times_its_size(character: str, kind: str) -> None:
    size = 40 << 20
    value = f'"{character * (size // len(character.encode()))}"'.encode()
    stream = HEADER + row(value) + END
    del value
    messages = [memoryview(stream)[at : at + BLOCK] for at in range(0, len(stream), BLOCK)]
    tracemalloc.start()
    try:
        decoder = Decoder(columns(a=kind), lambda: ENVELOPE)
        for message in messages:
            decoder.feed(message)
        lines, count = decoder.take()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    text = json.loads(lines)["head"]["a"]
    assert count == 1
    assert text.strip('"') == character * (size // len(character.encode()))
    assert peak < 4 * size


# Text and JSON, without a server: what no server may send, and what is long


def value_of(layout: Layout, raw: bytes) -> str:
    return decoder(layout)(memoryview(raw)).decode()


def value(kind: str, raw: bytes) -> str:
    return value_of(Layout(kind), raw)


def test_exactly_these_characters_are_escaped() -> None:
    short = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}
    for code in [*range(0x300), 0x2028, 0x2029, 0xFEFF, 0xFFFF, 0x10FFFF]:
        character = chr(code)
        expected = short.get(character) or (f"\\u{code:04x}" if code < 0x20 else character)
        assert value("text", character.encode()) == f'"{expected}"'


@pytest.mark.parametrize("raw", [b"\xff", b"a\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"cut \xec\x9e"])
def test_text_that_is_not_utf8_is_lost(raw: bytes) -> None:
    assert value("text", raw) == "null"
    assert value("text", b"x" * PIECE + raw) == "null"
    assert value("json", b'"' + raw + b'"') == "null"


@given(st.text(alphabet="a한\n\\😀", min_size=1, max_size=5), st.integers(-3, 3))
@settings(max_examples=20)
def test_text_in_pieces_is_the_same(text: str, offset: int) -> None:
    long = "x" * (PIECE + offset) + text * 3
    assert json.loads(value("text", long.encode())) == long
    assert json.loads(value("json", json.dumps(long, ensure_ascii=False).encode())) == long


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (b"[" * 500 + b"]" * 500, True),
        (b"[" * 501 + b"]" * 501, False),
        (b'{"a":' * 500 + b"1" + b"}" * 500, True),
        (b'{"a":' * 501 + b"1" + b"}" * 501, False),
        (b'{"[":' * 250 + b"[" * 250 + b"]" * 250 + b"}" * 250, True),
        (b"[" + b'"' + b"[" * 1000 + b'"]', True),
        (b"[" + b'"\\"' + b"{" * 1000 + b'\\\\"]', True),
        (b'["\\\\",' + b"[" * 500 + b"]" * 501, False),
        (b"[" + b"[]," * 1000 + b"{}]", True),
    ],
)
def test_json_deeper_than_500_levels_is_lost(document: bytes, expected: bool) -> None:
    assert value("json", document) == (document.decode() if expected else "null")
    assert value("jsonb", b"\1" + document) == (document.decode() if expected else "null")


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (rb'"\ud83d\ude00"', True),
        (rb'{"\uD83D\uDE00":"\u00e4"}', True),
        (rb'"cut \ud83d"', False),
        (rb'["\ud83d", "\ude00"]', False),
        (rb'"\ude00\ud83d"', False),
        (rb'"\ud83d\ud83d\ude00"', False),
        (rb'{"\uDE00":1}', False),
        (rb'"\\ud83d \\\\uDE00"', True),
        (rb'"\\\ud83d"', False),
        (rb'"\n\ud83d\n"', False),
        (rb'"\udab1\udfff\"\ud7ff\ue000"', True),
    ],
)
def test_half_of_a_surrogate_pair_is_lost(document: bytes, expected: bool) -> None:
    """PostgreSQL's json takes it; nobody who reads the line as JSON in UTF-8 does."""
    assert value("json", document) == (document.decode() if expected else "null")


# Bytes of any kind


@pytest.mark.parametrize("kind", sorted(set(DECODERS) - {"json", "jsonb"}))
@given(raw=st.binary(max_size=40))
@settings(max_examples=200)
def test_any_bytes_are_valid_json_or_an_error(kind: str, raw: bytes) -> None:
    for prefix in (b"", bytes(4), b"\0\1", b"\1"):
        with suppress(CopyError, struct.error):
            json.loads(value(kind, prefix + raw), parse_constant=pytest.fail)


SHAPES = [
    Layout("array", (("", Layout("int2")),)),
    Layout("array", (("", Layout("text")),)),
    Layout("composite", (("a", Layout("text")), ("b", Layout("bool")))),
]


@pytest.mark.parametrize("layout", SHAPES, ids=str)
@given(numbers=st.lists(st.integers(-2, 7), max_size=12), raw=st.binary(max_size=12))
@settings(max_examples=300)
def test_any_composed_bytes_are_valid_json_or_an_error(layout: Layout, numbers: list[int], raw: bytes) -> None:
    with suppress(CopyError, struct.error):
        json.loads(value_of(layout, struct.pack(f">{len(numbers)}i", *numbers) + raw))


def test_an_array_larger_than_its_bytes_is_an_error_at_once() -> None:
    huge = struct.pack(">iiiiiiiii", 3, 0, 23, 2**31 - 1, 1, 2**31 - 1, 1, 2**31 - 1, 1)
    with pytest.raises(CopyError, match="larger than its bytes"):
        value_of(SHAPES[0], huge)
    assert value_of(SHAPES[0], struct.pack(">iii", 0, 0, 23)) == "[]"
    assert value_of(SHAPES[0], struct.pack(">iiiii", 1, 0, 21, 0, 1)) == "[]"
    assert value_of(SHAPES[0], struct.pack(">iiiiiii", 2, 0, 21, 3, 1, 0, 1)) == "[]"
