"""The pipe, read by both twins: the same bytes in, the same blocks, lines and errors out."""

from __future__ import annotations

import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from connector_sdk import Block
from connector_sdk.lines import BLOCK, CutOff, LineReader, NativeLineReader

from .twins import NATIVE, WHY_NOT, flat, pieces, read_both, read_pipe

pytestmark = pytest.mark.skipif(not NATIVE, reason=WHY_NOT)

BLANKS = st.sampled_from([b"", b"", b"", b" ", b"\t", b"\r", b"  ", b" \r\t "])
NUMBERS = st.sampled_from(
    "0 -0 1 1700000000000 1.5 -1e3 1E+2 1e999 1e-999 01 - 1. .5 1e +1 0x1 -01 NaN Infinity 9.3e18".split()
    + "9223372036854775807 9223372036854775808 -9223372036854775808 -9223372036854775809".split()
    + ["9" * 19, "-" + "9" * 18, "9" * 400, "9" * 4300, "9" * 4301, "-" + "9" * 4301]
)
TEXTS = st.one_of(
    st.text().map(lambda text: json.dumps(text, ensure_ascii=False).encode("utf-8", "surrogatepass")),
    st.text().map(lambda text: json.dumps(text).encode()),
    st.sampled_from(
        [rb'"\ud800"', rb'"\udc00\ud800"', rb'"\ud83d\ude00"', rb'"\ud83d\n"', rb'"\u00e"', rb'"\x"']
        + [rb'"\/\b\f\n\r\t"']
        + [b'"\x00"', b'"\x1f"', b'"\x7f"', b'"\t"', b'"\xff"', b'"\xed\xa0\x80"', b'"\xc2\x85"', b'"', b'"\\', b'"\\"']
        + [b'"%s"' % (b"x" * size) for size in (7, 8, 9, 15, 16, 17, 31, 32, 33, 100)]
        + [b'"%s\x01"' % (b"x" * size) for size in (6, 7, 8, 15, 16, 40)]
        + [b'"%s\\n%s"' % (b"x" * size, b"y" * 20) for size in (6, 7, 8, 15, 16, 40)]
    ),
)
WORDS = st.sampled_from([b"null", b"true", b"false", b"nul", b"{}", b"[]", b""])
LEAVES = st.one_of(TEXTS, NUMBERS.map(str.encode), WORDS)


def _spaced(parts: list[bytes], blanks: list[bytes]) -> bytes:
    return b"".join(part + blank for part, blank in zip(parts, blanks, strict=True))


@st.composite
def _object(draw: st.DrawFn, keys: st.SearchStrategy[bytes], values: Any, most: int = 6) -> bytes:
    members = draw(st.lists(keys.flatmap(lambda key: st.tuples(st.just(key), _value_of(values, key))), max_size=most))
    between = [b",", b"", b",,"][draw(st.sampled_from([0] * 20 + [1, 2]))]
    parts = [b"{"]
    for at, (key, value) in enumerate(members):
        parts += [between if at else b"", key, b":", value]
    parts.append(b"}")
    return _spaced(parts, draw(st.lists(BLANKS, min_size=len(parts), max_size=len(parts))))


def _value_of(values: Any, key: bytes) -> st.SearchStrategy[bytes]:
    found: st.SearchStrategy[bytes] = values if isinstance(values, st.SearchStrategy) else values(key)
    return found


def _deeper(inner: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    arrays = st.lists(inner, max_size=4).map(lambda parts: b"[" + b",".join(parts) + b"]")
    return arrays | _object(TEXTS, inner, 4)


VALUES = st.recursive(LEAVES, _deeper, max_leaves=8)
DATA = _object(TEXTS, VALUES)
RECORD_KEYS = st.sampled_from(
    [b'"stream"', b'"data"', b'"data"', b'"emitted_at"', b'"namespace"', b'"meta"', b'"other"', rb'"d\u0061ta"', b'""']
)
LINE_KEYS = st.sampled_from([b'"type"', b'"record"', b'"record"', b'"log"', b'"state"', rb'"t\u0079pe"'])
NAMES = TEXTS | st.sampled_from(
    [b'"s"', b'"t"', rb'"\u0073"', b'""', '"고객"'.encode(), rb'"\ud83d\ude00"', b"null", b"5"]
)
MORE = st.sampled_from([b'"emitted_at":1700000000000', b'"meta":{"changes":[]}', b'"namespace":"n"'])


def _in_record(key: bytes) -> st.SearchStrategy[bytes]:
    if key in (b'"stream"', b'"namespace"'):
        return NAMES
    if key == b'"emitted_at"':
        return NUMBERS.map(str.encode) | LEAVES
    return st.one_of(DATA, DATA, VALUES)


def _in_line(key: bytes) -> st.SearchStrategy[bytes]:
    if key == b'"record"':
        return st.one_of(_object(RECORD_KEYS, _in_record), _object(RECORD_KEYS, _in_record), VALUES)
    types = st.sampled_from([b'"RECORD"', b'"RECORD"', rb'"\u0052ECORD"', b'"LOG"', b"null", b"5", b'"STATE"'])
    return types if b"type" in key else VALUES


@st.composite
def _whole_record(draw: st.DrawFn) -> bytes:
    """A record as a source would write it, with its keys in any order."""
    inner = [b'"stream":' + draw(st.sampled_from([b'"s"', b'"t"', rb'"\u0073"'])), b'"data":' + draw(DATA)]
    inner += draw(st.lists(MORE, max_size=4))
    record = b'"record":{' + b",".join(draw(st.permutations(inner))) + b"}"
    return b"{" + b",".join(draw(st.permutations([b'"type":"RECORD"', record, b'"log":null']))) + b"}"


LINES = st.one_of(
    _whole_record(),
    _whole_record(),
    _object(LINE_KEYS, _in_line),
    VALUES,
    st.sampled_from([b"", b" ", b"\r", b"\x0b", b"\x1c", b"\xef\xbb\xbf{}", b'{"type":"LOG"}', b"\xc2\x85", b"{} x"]),
)


@given(st.lists(LINES, max_size=6), st.sampled_from([b"\n", b"\r\n"]), st.booleans(), st.lists(st.integers(0, 2000)))
@example([b'{"type":"RECORD","record":{"stream":"s","data":{}}}', b"", b"x"], b"\n", True, [])
@example([b'{"type":"RECORD","record":{"stream":5}} x'], b"\n", True, [])
@example([b"[1,"], b"\n", True, [])
@example([b'{"t\\u0079pe":[],"type":"RECORD"}', b'{"type":"RECORD","type":5}'], b"\n", True, [])
@example([b'{"type":null,"type":"RECORD"}'], b"\n", True, [])
@settings(deadline=None)
def test_any_lines(lines: list[bytes], end: bytes, ended: bool, cuts: list[int]) -> None:
    text = end.join(lines) + (end if ended else b"")
    python, native = read_both(pieces(text, cuts))
    assert native == python


@given(st.lists(LINES, max_size=12), st.lists(st.integers(0, 2000)), st.integers(1, 4), st.integers(0, 200))
@settings(deadline=None)
def test_blocks_within_limits(lines: list[bytes], cuts: list[int], rows: int, size: int) -> None:
    text = b"\n".join(lines) + b"\n"
    python, native = read_both(pieces(text, cuts), rows, size)
    assert native == python
    blocks = [item for item in native[0] if isinstance(item, Block)]
    assert all(block.count <= rows and (block.count == 1 or len(block.lines) <= size) for block in blocks)
    gathered, problem = read_pipe(pieces(text, cuts), rows, size)
    assert (flat(gathered), problem) == (flat(python[0]), python[1])
    blocks = [item for item in gathered if isinstance(item, Block)]
    assert all(block.count <= rows and (block.count == 1 or len(block.lines) <= size) for block in blocks)


@given(_whole_record(), st.integers(0), st.binary(min_size=1, max_size=2), st.booleans())
@settings(deadline=None)
def test_any_damage(line: bytes, place: int, other: bytes, longer: bool) -> None:
    place %= len(line)
    damaged = line[:place] + other + line[place + (0 if longer else len(other)) :]
    python, native = read_both([line + b"\n" + damaged + b"\n" + line + b"\n"])
    assert native == python


@st.composite
def _rows_alike(draw: st.DrawFn) -> list[bytes]:
    """Records with the same texts between values that may be anything, and some that differ in the texts."""
    names = draw(st.lists(TEXTS, max_size=4))
    blank = draw(BLANKS)
    inner = [b'"stream":"s"', b'"data":%b']
    inner += draw(
        st.lists(st.sampled_from([b'"emitted_at":%b', b'"meta":%b', b'"namespace":"n"', b'"x":%b']), max_size=3)
    )
    outer = draw(st.permutations([b'"type":"RECORD"', b'"record":{%b}', *draw(st.sampled_from([[], [b'"log":%b']]))]))
    inner = draw(st.permutations(inner))
    rows = []
    for _ in range(draw(st.integers(2, 6))):
        more = draw(st.sampled_from([blank, blank, blank, b" "]))
        data = b"{" + b",".join(name + b":" + more + draw(LEAVES | VALUES) for name in names) + b"}"
        record = b",".join(_filled(draw, part, data) for part in inner)
        rows.append(b"{" + b",".join(_filled(draw, part, record) for part in outer) + b"}" + draw(BLANKS))
    return rows


def _filled(draw: st.DrawFn, part: bytes, inner: bytes) -> bytes:
    if b"%b" not in part:
        return part
    if part.startswith((b'"data"', b'"record"')):
        return part % inner
    times = st.sampled_from(["1700000000000", "-5", "0", "1.5", "null", "1e3", "9" * 18, "9" * 19, "01", '"1"', " 7"])
    return part % draw(times.map(str.encode) if part.startswith(b'"emitted_at"') else VALUES)


@given(_rows_alike(), st.lists(st.integers(0, 2000)))
@settings(deadline=None)
def test_rows_that_look_alike(rows: list[bytes], cuts: list[int]) -> None:
    """What is known of the rows before saves work, and hides nothing."""
    python, native = read_both(pieces(b"\n".join(rows) + b"\n", cuts))
    assert native == python


@pytest.mark.parametrize(
    "after", [b"x", b"5", b"1 2", b'"a" "b"', b"nul", b"[1,]", b"{,}", b"", b"1,2", b"01", b'"\\x"']
)
def test_what_is_no_value_is_found_between_good_rows(after: bytes) -> None:
    row = b'{"type":"RECORD","record":{"stream":"s","data":{"a":%b,"b":%b},"emitted_at":%b}}\n'
    for values in ((after, b"1", b"2"), (b"1", after, b"2"), (b"1", b"2", after)):
        python, native = read_both([row % (b"1", b"2", b"3") * 3 + row % values + row % (b"1", b"2", b"3")])
        assert native == python


@pytest.mark.parametrize("end", [b"x", b" x", b"}", b"{}", b",", b" ", b"\r", b"\x00"])
def test_what_follows_a_good_row_is_found(end: bytes) -> None:
    row = b'{"type":"RECORD","record":{"stream":"s","data":{}}}'
    python, native = read_both([b"\n".join([row, row, row + end, row])])
    assert native == python


@pytest.mark.parametrize("key", ["stream", "namespace", "emitted_at", "meta", "data", "type", "record"])
def test_of_a_repeated_key_the_last_counts_in_each_row(key: str) -> None:
    """Both are values of that key, in every row: the first of them must not be taken for it."""
    inner = {"stream": '"s%d"', "namespace": '"n%d"', "emitted_at": "17%d", "meta": '{"m":%d}', "data": '{"a":%d}'}
    record = ",".join(f'"{name}":{value % 1}' for name, value in inner.items())
    outer = f'"type":"RECORD","record":{{{record}}}'
    if key in inner:
        repeated = f'"type":"RECORD","record":{{{record},"{key}":{inner[key] % 2}}}'
    else:
        repeated = f'{outer},"type":"RECORD"' if key == "type" else f'"record":{{"stream":"x","data":{{}}}},{outer}'
    python, native = read_both([f"{{{repeated}}}\n".encode() * 3])
    assert native == python
    assert not native[1]


def test_a_meta_of_null_is_none_in_each_row() -> None:
    row = b'{"type":"RECORD","record":{"stream":"s","data":{},"meta":%b}}\n'
    python, native = read_both([row % b'{"changes":[]}' * 2 + row % b"null" * 2])
    assert native == python
    assert [list(block.metas) for block in native[0] if isinstance(block, Block)] == [[0, 1]]


@pytest.mark.parametrize("fields", [4095, 4096, 4097])
def test_rows_of_very_many_fields(fields: int) -> None:
    data = b",".join(b'"f%d":%d' % (at, at) for at in range(fields))
    row = b'{"type":"RECORD","record":{"stream":"s","data":{%b}}}\n'
    python, native = read_both([row % data * 3 + row % b'"f0":x'])
    assert native == python
    assert native[1]


def test_levels_are_counted_within_rows_alike() -> None:
    row = b'{"type":"RECORD","record":{"stream":"s","x":%b,"data":{"a":%b}},"y":%b}\n'
    for place, most in ((0, 510), (1, 509), (2, 511)):
        for levels in (most, most + 1):
            values = [b"1", b"1", b"1"]
            values[place] = b"[" * levels + b"]" * levels
            python, native = read_both([row % (b"1", b"1", b"1") * 2 + row % tuple(values)])
            assert native == python
            assert bool(native[1]) == (levels > most)


SAMPLE = "\n".join(
    [
        '{"type":"RECORD","record":{"stream":"s","emitted_at":1,"data":{"a":"é\\n\\"","b":[{},[1e3]]}}}',
        ' {"record" : {"data" : {"a":{"b":"\\ud83d\\ude00"}} , "stream" : "\\u0073", "meta":{}},"type":"RECORD"}\r',
        "",
        '{"type":"STATE","state":{"type":"STREAM","id":1}}',
        '{"type":"RECORD","record":{"stream":"s","namespace":"n","emitted_at":1.5,"data":{}}}',
    ]
).encode()


def test_cut_anywhere() -> None:
    for end in (b"", b"\n", b"\n{", b"\nx\n"):
        text = SAMPLE + end
        for first in range(len(text) + 1):
            python, native = read_both([text[:first], text[first:]])
            assert native == python
    python, native = read_both([SAMPLE[at : at + 1] for at in range(len(SAMPLE))])
    assert native == python
    assert len(native[0]) == 4


def test_ended_anywhere() -> None:
    """All that is cut short is either told or a whole message."""
    for size in range(len(SAMPLE)):
        python, native = read_both([SAMPLE[:size]])
        assert native == python


@pytest.mark.parametrize("depth", [1, 63, 64, 65, 500, 510, 511, 512, 513, 10_000, 200_000])
@pytest.mark.parametrize("brackets", ["[ ]", '{"a": }', '[{"a":[ ]}]', "[ ", " ]"])
def test_any_depth(depth: int, brackets: str) -> None:
    """Deep is an error and never a crash."""
    opening, closing = brackets.encode().split(b" ")
    levels = depth // max(1, opening.count(b"[") + opening.count(b"{"))
    inner = b"1" if opening and closing else b""
    data = b'{"a":%s}' % (opening * levels + inner + closing * levels)
    python, native = read_both([b'{"type":"RECORD","record":{"stream":"s","data":%s}}\n' % data])
    assert native == python
    assert native[1] or levels <= 512


def test_a_large_row_in_small_pieces() -> None:
    row = b'{"type":"RECORD","record":{"stream":"s","data":{"a":"%s"}}}\n' % (b"x\\n" * 700_000)
    python, native = read_both(pieces(row, range(0, len(row), 4096)))
    assert native == python
    assert not native[1]


def test_both_take_what_has_come_to_a_descriptor() -> None:
    """Lines cut anywhere, a moment without any, a line that is longer than all buffers, the end."""
    import connector_native

    row = b'{"type":"RECORD","record":{"stream":"s","data":{"a":"%b"}}}\n'
    given = [
        row % b"1" * 3,
        row[:20],
        b"",
        row[20:] % b"2",
        b'{"type":"LOG"}\n' + row[:5],
        row[5:] % (b"3" * 60_000),
        b"x",
    ]
    for reader in (LineReader(), NativeLineReader(connector_native)):
        ours, theirs = os.pipe()
        found: list[list[Any]] = []
        for chunk in given:
            os.write(theirs, chunk)
            items = reader.read(ours, 0.0)
            assert items is not None
            found.append(list(items))
        os.close(theirs)
        assert reader.read(ours, 10.0) is None
        os.close(ours)
        with pytest.raises(CutOff):
            list(reader.close())
        rows = [[item.count if isinstance(item, Block) else item for item in items] for items in found]
        assert rows == [[3], [], [], [1], [b'{"type":"LOG"}'], [1], []]


def test_a_line_of_any_length_comes_through_a_pipe() -> None:
    import connector_native

    row = b'{"type":"RECORD","record":{"stream":"s","data":{"a":"%b"}}}\n' % (b"x" * 5_000_000)
    reader = NativeLineReader(connector_native)
    ours, theirs = os.pipe()
    with open(theirs, "wb") as pipe, ThreadPoolExecutor(1) as writer:
        writer.submit(lambda: [pipe.write(row), pipe.write(row), pipe.close()])
        found: list[Any] = []
        while (items := reader.read(ours, 10.0)) is not None:
            found += items
    os.close(ours)
    assert [len(item.lines) for item in found] == [5_000_009] * 2
    with pytest.raises(OSError, match="Bad file descriptor"):
        reader.read(ours, 0.0)


def test_rows_that_come_one_after_the_other_make_full_blocks() -> None:
    """As long as nothing else comes between; what does waits for no more rows."""
    import connector_native

    row = b'{"type":"RECORD","record":{"stream":"s","data":{"a":%d},"emitted_at":%d%b}}\n'
    meta = b',"meta":{"n":%d}'
    rows = [row % (n, n, meta % n if n % 1000 == 7 else b"") for n in range(400_000)]
    other = b'{"type":"LOG"}\n'
    reader = NativeLineReader(connector_native)
    ours, theirs = os.pipe()
    found: list[Block | bytes] = []
    with open(theirs, "wb", buffering=0) as pipe, ThreadPoolExecutor(1) as writer:
        written = writer.submit(pipe.write, b"".join([*rows, other, *rows[:3], other]))
        while found.count(other[:-1]) < 2:
            items = reader.read(ours, 60.0)
            assert items is not None
            found += items
        assert written.result()
    os.close(ours)
    sizes = [len(item.lines) for item in found if isinstance(item, Block)]
    assert len(sizes) > 5
    assert [BLOCK - 20 < size <= BLOCK for size in sizes[:-3]] == [True] * (len(sizes) - 3)
    python, _ = read_both([b"".join([*rows, other, *rows[:3], other])])
    assert flat(found) == flat(python[0])


def test_other_rows_do_not_wait_for_each_other() -> None:
    """Rows of two streams by turns: each is handed over in its place, and none is lost at the end."""
    row = b'{"type":"RECORD","record":{"stream":"%b","data":{"a":%d}}}\n'
    chunks = [row % (b"ab"[n // 2 % 2 :][:1], n) for n in range(40)]
    python, _ = read_both([b"".join(chunks)])
    assert flat(read_pipe(chunks)[0]) == flat(python[0])
    together = read_pipe([b"".join(chunks[:20]), b"".join(chunks[20:])])[0]
    assert [item.count for item in together if isinstance(item, Block)] == [2] * 20


def test_a_signal_is_heard_while_nothing_comes() -> None:
    import connector_native

    ours, theirs = os.pipe()
    before = signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(InterruptedError("heard")))
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        with pytest.raises(InterruptedError, match="heard"):
            while NativeLineReader(connector_native).read(ours, 60.0) is not None:
                pass
    finally:
        signal.signal(signal.SIGALRM, before)
        os.close(ours)
        os.close(theirs)
