"""COPY BINARY, decoded by both twins: the same bytes in, the same lines, blocks, hidden values and errors out."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from connector_sdk import Envelope
from connector_sdk.schema import STRING
from source_postgres.decode import CopyError, Decoder
from source_postgres.types import Column, Layout
from source_postgres.values import DECODERS

from .twins import NATIVE, WHY_NOT, decode_both, native_decoder, pieces

pytestmark = pytest.mark.skipif(not NATIVE, reason=WHY_NOT)

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
END = b"\xff\xff"


def layout_of(name: str, *parts: Layout) -> Layout:
    return Layout(name, tuple((f'"{at}" ключ' if name == "composite" else "", part) for at, part in enumerate(parts)))


def columns_of(layouts: Sequence[Layout]) -> list[Column]:
    return [Column(f'column "{at}"', STRING, layout) for at, layout in enumerate(layouts)]


def row(values: Sequence[bytes | None]) -> bytes:
    sized = (b"\xff\xff\xff\xff" if value is None else struct.pack(">i", len(value)) + value for value in values)
    return struct.pack(">h", len(values)) + b"".join(sized)


def same(layouts: Sequence[Layout], rows: Sequence[Sequence[bytes | None]]) -> None:
    """Each row alone (an error ends a stream), then all of them in one."""
    columns = columns_of(layouts)
    for values in rows:
        python, native = decode_both(columns, [HEADER, row(values), END])
        assert native == python
    python, native = decode_both(columns, [HEADER + b"".join(map(row, rows)) + END])
    assert native == python


INT4 = struct.Struct(">i").pack
EDGES8 = [0, 1, -1, 2**63 - 1, -(2**63), 2**63 - 2, -(2**63) + 1, 10**15, -(10**15), 86_400_000_000, 86_399_999_999]
EDGES8 += [-211_813_488_000_000_000, -211_813_488_000_000_001, 9_223_371_331_199_999_999, 9_223_371_331_200_000_000]
INT8S = st.one_of(st.sampled_from(EDGES8), st.integers(-(2**63), 2**63 - 1), st.integers(-(10**12), 10**12))
EDGES4 = [
    0,
    1,
    -1,
    2**31 - 1,
    -(2**31),
    2**31 - 2,
    -2_451_545,
    -2_451_546,
    2_145_031_948,
    2_145_031_949,
    57_599,
    57_600,
]
INT4S = st.one_of(st.sampled_from(EDGES4), st.integers(-(2**31), 2**31 - 1), st.integers(-800_000, 800_000))


def packed(form: str, *numbers: st.SearchStrategy[int]) -> st.SearchStrategy[bytes]:
    return st.tuples(*numbers).map(lambda parts: struct.pack(form, *parts))


@st.composite
def numerics(draw: st.DrawFn) -> bytes:
    groups = draw(st.lists(st.sampled_from([0, 1, 10, 9999, 1234, 1000, 7]) | st.integers(0, 10_000), max_size=12))
    weight = draw(st.integers(-6, 14) | st.sampled_from([-32768, 32767]))
    sign = draw(st.sampled_from([0, 0, 0, 0x4000, 0x4000, 0xC000, 0xD000, 0xF000, 1]))
    scale = draw(st.integers(0, 40) | st.sampled_from([16383, 65535]))
    count = len(groups) + draw(st.sampled_from([0] * 20 + [1, -1]))
    return struct.pack(f">HhHH{len(groups)}H", max(count, 0), weight, sign, scale, *groups)


TEXTS = st.one_of(
    st.text().map(str.encode),
    st.text(alphabet='a"\\\n\t\x00\x1f\x7f한😀').map(str.encode),
    st.builds(
        lambda size, end: b"x" * size + end, st.integers(0, 40), st.sampled_from([b"", b'"', b"\n", b"\xff", b"\x1f"])
    ),
    st.binary(max_size=30),
    st.sampled_from([b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"cut \xec\x9e", b"\xe2\x80\xa8"]),
)
JSONS = st.one_of(
    TEXTS,
    st.sampled_from([b'{"a": [1,\n2]}', b'"\\"\r"', b"[" * 500 + b"]" * 500, b"[" * 501 + b"]" * 501, b"[" * 501]),
    st.just(b"[" * 251 + b"\\" + b"[" * 251),
    st.lists(st.sampled_from([rb"\ud83d", rb"\uDE00", rb"\u00e4", b"\\", b"\\u", b"d", b"8", b'"', b"x"])).map(
        b"".join
    ),
    st.lists(st.sampled_from([b"[" * 250, b"]" * 250, b"{" * 200, b'"', b"\\", b"\n", b"[", b"}", b"a"])).map(b"".join),
)
FLOATS = st.floats(width=64) | st.integers(-1100, 1100).map(lambda power: math.ldexp(1.0, max(-1074, min(1023, power))))
DECIMALS = st.builds(
    lambda digits, power: float(f"{digits}e{power}"), st.integers(-(10**17), 10**17), st.integers(-20, 20)
)
VALUES: dict[str, st.SearchStrategy[bytes]] = {
    "bool": st.sampled_from([b"\0", b"\1", b"\2"]),
    "int2": packed(">h", st.integers(-(2**15), 2**15 - 1)),
    "int4": packed(">i", INT4S),
    "int8": packed(">q", INT8S),
    "uint4": packed(">i", INT4S),
    "uint8": packed(">q", INT8S),
    "float4": st.one_of(
        st.floats(width=32).map(lambda value: struct.pack(">f", value)),
        st.integers(0, 2**32 - 1).map(lambda bits: struct.pack(">I", bits)),
        st.integers(0, 511).map(lambda top: struct.pack(">I", top << 23)),
        st.integers(1, 511).map(lambda top: struct.pack(">I", (top << 23) - 1)),
    ),
    "float8": (FLOATS | DECIMALS).map(lambda value: struct.pack(">d", value)),
    "numeric": numerics(),
    "vector": st.lists(st.floats(width=32)).map(lambda all: struct.pack(f">HH{len(all)}f", len(all), 0, *all)),
    "halfvec": st.lists(st.integers(0, 65535)).map(lambda all: struct.pack(f">HH{len(all)}H", len(all), 0, *all)),
    "text": TEXTS,
    "json": JSONS,
    "jsonb": JSONS.map(lambda text: b"\1" + text),
    "jsonb_text": JSONS.map(lambda text: b"\1" + text),
    "bytea": st.binary(),
    "uuid": st.binary(min_size=16, max_size=16),
    "date": packed(">i", INT4S),
    "time": packed(">q", st.one_of(INT8S, st.integers(0, 86_400_000_000))),
    "timetz": packed(
        ">qi", st.one_of(INT8S, st.integers(0, 86_400_000_000)), st.one_of(INT4S, st.integers(-60000, 60000))
    ),
    "timestamp": packed(">q", INT8S),
    "timestamptz": packed(">q", INT8S),
    "interval": packed(">qii", INT8S, INT4S | st.integers(-2, 2), INT4S | st.integers(-30, 30)),
    "inet": st.builds(
        lambda head, address: head + address,
        st.sampled_from(
            [b"\2\x20\0\4", b"\2\x18\0\4", b"\2\x21\0\4", b"\3\x80\0\x10", b"\3\x40\1\x10", b"\3\x81\0\x10"]
        ),
        st.lists(st.sampled_from([b"\0\0", b"\0\0", b"\xff\xff", b"\0\1", b"\x0a\xb0"]), min_size=2, max_size=8).map(
            b"".join
        ),
    ),
    "macaddr": st.binary(min_size=5, max_size=8),
    "bit": st.builds(lambda size, raw: INT4(size) + raw, st.integers(-1, 33), st.binary(max_size=5)),
    "lsn": packed(">q", INT8S),
    "hstore": st.lists(st.tuples(TEXTS, TEXTS | st.none())).map(
        lambda pairs: (
            INT4(len(pairs))
            + b"".join(INT4(len(k)) + k + (INT4(-1) if v is None else INT4(len(v)) + v) for k, v in pairs)
        )
    ),
}


def test_every_decoder_has_a_twin_and_a_test() -> None:
    assert VALUES.keys() == DECODERS.keys()


@pytest.mark.parametrize("name", sorted(DECODERS))
@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_values(name: str, data: st.DataObject) -> None:
    values = data.draw(st.lists(VALUES[name], min_size=1, max_size=8))
    same([Layout(name)], [[value] for value in values])


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(DECODERS))
@given(raw=st.binary(max_size=40), value=st.data())
@settings(max_examples=50, deadline=None)
def test_any_bytes(name: str, raw: bytes, value: st.DataObject) -> None:
    damaged = bytearray(value.draw(VALUES[name]))
    if damaged:
        damaged[value.draw(st.integers(0, len(damaged) - 1))] = value.draw(st.integers(0, 255))
    same([Layout(name)], [[prefix + raw] for prefix in (b"", bytes(4), b"\0\1", b"\1")] + [[bytes(damaged)]])
    same([Layout(name)], [[bytes(damaged) + raw], [bytes(damaged)[: len(raw)]]])


SHAPES = [
    layout_of("array", Layout("int2")),
    layout_of("array", Layout("float8")),
    layout_of("array", layout_of("composite", Layout("text"), layout_of("array", Layout("date")))),
    layout_of("composite"),
    layout_of("composite", Layout("text"), Layout("bool"), Layout("hstore")),
]


def sized(value: bytes | None) -> bytes:
    return INT4(-1) if value is None else INT4(len(value)) + value


@st.composite
def composed(draw: st.DrawFn, layout: Layout) -> bytes:
    """A value of this layout as PostgreSQL writes it, but for arrays of uneven sizes now and then."""
    if layout.decoder == "composite":
        parts = [draw(composed(part) | st.none()) for _, part in layout.parts]
        return INT4(len(parts)) + b"".join(INT4(25) + sized(part) for part in parts)
    if layout.decoder == "array":
        lengths = draw(st.lists(st.integers(0, 3), max_size=4))
        count = math.prod(lengths) if lengths else 0
        count += draw(st.sampled_from([0] * 20 + [1, -1]))
        elements = draw(
            st.lists(composed(layout.parts[0][1]) | st.none(), min_size=max(count, 0), max_size=max(count, 0))
        )
        head = struct.pack(
            f">iii{2 * len(lengths)}i", len(lengths), 0, 21, *(n for length in lengths for n in (length, 1))
        )
        return head + b"".join(map(sized, elements))
    return draw(VALUES[layout.decoder])


@pytest.mark.parametrize("layout", SHAPES, ids=str)
@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_composed_values(layout: Layout, data: st.DataObject) -> None:
    same([layout], [[data.draw(composed(layout))] for _ in range(3)])


@pytest.mark.slow
@pytest.mark.parametrize("layout", SHAPES, ids=str)
@given(numbers=st.lists(st.integers(-2, 7) | INT4S, max_size=14), raw=st.binary(max_size=12))
@example(numbers=[2, 0, 21, -2, 1, -3, 1] + [-1] * 6, raw=b"")
@example(numbers=[2, 0, 21, 2, 1, 0, 1], raw=b"")
@example(numbers=[6, 0, 21] + [2**31 - 1, 1] * 6, raw=b"")
@settings(max_examples=300, deadline=None)
def test_any_composed_bytes(layout: Layout, numbers: list[int], raw: bytes) -> None:
    same([layout], [[struct.pack(f">{len(numbers)}i", *numbers) + raw]])


LAYOUTS = [Layout("int4"), Layout("text"), Layout("float8"), layout_of("array", Layout("json"))]
ROWS: list[list[bytes | None]] = [
    [INT4(-7), 'Zoë "문서"\n'.encode(), struct.pack(">d", 0.1), struct.pack(">iii", 0, 0, 114), b"hidden", None],
    [None, None, None, None, None, "ü".encode()],
    [INT4(2**31 - 1), b"\xff", struct.pack(">d", math.nan), None, b"", b"1"],
]
STREAM = HEADER + b"".join(map(row, ROWS)) + END
COLUMNS = columns_of(LAYOUTS)


def test_cut_anywhere() -> None:
    for stream in (STREAM, STREAM + b"x", STREAM[:-1] + b"\0", HEADER[:15] + INT4(3) + b"abc" + STREAM[19:]):
        for cut in range(len(stream) + 1):
            python, native = decode_both(COLUMNS, [stream[:cut], stream[cut:]], 2, take_each=True)
            assert native == python
        python, native = decode_both(COLUMNS, [stream[at : at + 1] for at in range(len(stream))], 2, take_each=True)
        assert native == python


def test_ended_anywhere() -> None:
    for size in range(len(STREAM)):
        python, native = decode_both(COLUMNS, [STREAM[:size]], 2)
        assert native == python


@given(
    st.lists(st.tuples(st.integers(0, len(STREAM) - 1), st.integers(0, 255)), max_size=3),
    st.lists(st.integers(0, len(STREAM)), max_size=5),
    st.booleans(),
)
@settings(max_examples=500, deadline=None)
def test_any_damage(damage: list[tuple[int, int]], cuts: list[int], take_each: bool) -> None:
    stream = bytearray(STREAM)
    for at, byte in damage:
        stream[at] = byte
    python, native = decode_both(COLUMNS, pieces(bytes(stream), cuts), 2, take_each)
    assert native == python


def test_hidden_values_must_be_text() -> None:
    messages = [HEADER, row([*ROWS[0][:4], b"before", b"this"]), row([*ROWS[0][:4], b"fine", b"\xff"]), END]
    python, native = decode_both(COLUMNS, messages, 2, take_each=True)
    assert native == python
    assert native[1] == "a hidden value is not UTF-8"


def test_nothing_is_decoded_after_an_error() -> None:
    for make in (Decoder, native_decoder):
        decoder = make(COLUMNS, lambda: Envelope(b"", b"", b"", b""), 2)
        with pytest.raises(CopyError, match="not the header"):
            decoder.feed(b"x" * 19)
        with pytest.raises(CopyError, match="broken before"):
            decoder.feed(b"")
        with pytest.raises(CopyError, match="before its end mark"):
            decoder.finish()


def test_blocks_and_rows_of_any_size() -> None:
    columns = columns_of([Layout("text")])
    rows = [row([b"x" * size]) for size in (0, 70_000, 10, 300_000, 1_000, 5_000_000, 1)] + [row([b"y" * 900])] * 900
    for size in (1 << 12, 1 << 16, 1 << 20):
        stream = HEADER + b"".join(rows) + END
        python, native = decode_both(columns, [stream[at : at + size] for at in range(0, len(stream), size)])
        assert native == python
    python, native = decode_both(columns, [HEADER, *rows, END])
    assert native == python
    assert len(native[0]) > 8


def test_messages_of_every_kind() -> None:
    for kind in (bytes, bytearray, memoryview):
        python, native = decode_both(COLUMNS, [kind(STREAM[:50]), kind(STREAM[50:])], 2)
        assert native == python


def test_an_error_of_the_envelope_is_handed_on() -> None:
    def envelope() -> None:
        raise LookupError("of the envelope")

    for size in (10, 10_000_000):
        decoder = native_decoder(columns_of([Layout("text")]), envelope)
        with pytest.raises(LookupError, match="of the envelope"):
            decoder.feed(HEADER + row([b"x" * size]) + END)


def test_a_decoder_that_is_not_known_is_told() -> None:
    with pytest.raises(KeyError, match="no such"):
        native_decoder(columns_of([layout_of("array", Layout("no such"))]), tuple)
