"""Drive both twins of each part with bytes of all kinds for a while: `python native/fuzz.py [SECONDS] [SEED]`.

Good inputs are damaged again and again, cut anywhere, and fed to the Python code and to the native one. The first
difference ends the run with the input that shows it. Hypothesis tests the same by design (native/tests); this goes
further by sheer number, and finds crashes and hangs as well.
"""

from __future__ import annotations

import random
import struct
import sys
import time
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from connector_sdk import Block, StreamName
from connector_sdk.schema import STRING
from source_postgres.types import Column, Layout
from source_postgres.values import DECODERS
from tests.twins import NATIVE, WHY_NOT, decode_both, flat, one_line_both, pieces, read_both, read_pipe, wrap_both

Check = Callable[[random.Random], None]
"""Makes one input and asserts that both twins say the same."""


def main(seconds: float, seed: int) -> None:
    chance = random.Random(seed)
    end = time.monotonic() + seconds
    done = dict.fromkeys(CHECKS, 0)
    while time.monotonic() < end:
        for check in CHECKS:
            state = chance.getstate()
            try:
                check(chance)
            except AssertionError as difference:
                chance.setstate(state)
                sys.exit(f"{check.__name__}, seed {seed}, after {done[check]} inputs:\n{difference}")
            done[check] += 1
    print("no difference in", ", ".join(f"{count} {check.__name__}" for check, count in done.items()))


# Inputs

LINES = [
    b'{"type":"RECORD","record":{"stream":"s","namespace":"n","emitted_at":1700000000000,"data":{"a":[1,2.5e3],"b":"\xc3\xa9"}}}',
    b' {"record" : {"data":{"a":{"b":"\\ud83d\\ude00\\n"}},"meta":{"a":[]},"stream":"\\u0073"} , "type":"RECORD"}\r',
    b'{"type": "RECORD", "log": null, "record": {"namespace": null, "data": {}, "stream": "s", "emitted_at": 1.5}}',
    b'{"type":"STATE","state":{"type":"STREAM","stream":{"stream_descriptor":{"name":"s"},"stream_state":{}},"id":7}}',
    b'{"type":"TRACE","trace":{"type":"STREAM_STATUS","stream_status":{"status":"COMPLETE"}}}',
    b'{"type":"RECORD","record":{"stream":"s","data":{"deep":' + b"[" * 508 + b"]" * 508 + b"}}}",
    b'{"type":"RECORD","record":{"stream":"s","data":{"text":"' + b"lorem ipsum " * 30 + b'"}}}',
    b"",
]
TOKENS = [
    b'"',
    b"\\",
    b"\\u",
    b"\\ud800",
    b"\\udc00",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b",",
    b"\n",
    b"\r",
    b" ",
    b"\t",
    b"\0",
]
TOKENS += [
    b"null",
    b"true",
    b"-",
    b"0",
    b"1e999",
    b".",
    b"e",
    b'"type"',
    b'"RECORD"',
    b'"record"',
    b'"data"',
    b'"stream"',
]
TOKENS += [
    b'"meta":',
    b'"emitted_at":',
    b"\xff",
    b"\xed\xa0\x80",
    b"\xc2\x85",
    b"\xef\xbb\xbf",
    b"\x0b",
    b"9" * 25,
    b"{}",
]
TOKENS += [b"[" * 300, b"]" * 300, b'{"a":' * 300, b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\0\0\0\1"]


def damaged(text: bytes, chance: random.Random, most: int = 4) -> bytes:
    """The text with some bytes changed, taken out, doubled or put in."""
    for _ in range(chance.randrange(most)):
        at = chance.randrange(len(text) + 1)
        size = chance.choice((0, 1, 1, 2, 8))
        token = chance.choice((chance.choice(TOKENS), chance.randbytes(1), text[at : at + chance.randrange(40)]))
        text = text[:at] + token + text[at + size :]
    return text


def cuts(text: bytes, chance: random.Random) -> list[bytes]:
    return pieces(text, [chance.randrange(len(text) + 1) for _ in range(chance.randrange(4))])


def columns(chance: random.Random) -> list[Column]:
    return [Column(f"c{at}", STRING, _layout(chance, 2)) for at in range(chance.randrange(4))]


def _layout(chance: random.Random, depth: int) -> Layout:
    kind = chance.choice([*DECODERS, *(["array", "composite"] * 4 if depth else [])])
    parts = {"array": 1, "composite": chance.randrange(3)}.get(kind, 0)
    return Layout(
        kind, tuple((f"p{at}" if kind == "composite" else "", _layout(chance, depth - 1)) for at in range(parts))
    )


SIZES = {"bool": 1, "int2": 2, "int4": 4, "uint4": 4, "float4": 4, "date": 4, "uuid": 16, "macaddr": 6, "timetz": 12}
SIZES |= {"interval": 16} | dict.fromkeys(("int8", "uint8", "float8", "time", "timestamp", "timestamptz", "lsn"), 8)
TEXTS = [
    b"",
    b"text",
    b'"\\\n\0',
    "é한😀".encode(),
    b"\xff",
    b'{"a": [1,\n2]}',
    b"x" * 70 + b"\n",
    b"[" * 501 + b"]" * 501,
]


def value(layout: Layout, chance: random.Random) -> bytes:
    """A value of this layout, or nearly."""
    kind, parts = layout.decoder, [part for _, part in layout.parts]
    if kind == "array":
        lengths = [chance.randrange(4) for _ in range(chance.randrange(3))]
        count = 0 if not lengths else lengths[0] * (lengths[1] if len(lengths) > 1 else 1)
        head = struct.pack(
            f">iii{2 * len(lengths)}i", len(lengths), 0, 25, *(n for length in lengths for n in (length, 1))
        )
        return head + b"".join(_sized(parts[0], chance) for _ in range(count))
    if kind == "composite":
        return struct.pack(">i", len(parts)) + b"".join(b"\0\0\0\x19" + _sized(part, chance) for part in parts)
    if kind in SIZES:
        return chance.choice((chance.randbytes(SIZES[kind]), bytes(SIZES[kind] - 1) + chance.randbytes(1)))
    return _irregular(kind, chance)


def _irregular(kind: str, chance: random.Random) -> bytes:
    text = chance.choice(TEXTS)
    match kind:
        case "numeric":
            count = chance.randrange(6)
            groups = [chance.choice((0, 9999, chance.randrange(10_000))) for _ in range(count)]
            sign = chance.choice((0, 0x4000, 0xC000))
            return struct.pack(f">HhHH{count}H", count, chance.randrange(-5, 8), sign, chance.randrange(20), *groups)
        case "vector" | "halfvec":
            count = chance.randrange(4)
            return struct.pack(">HH", count, 0) + chance.randbytes(count * (4 if kind == "vector" else 2))
        case "inet":
            size, family, most = chance.choice(((4, 2, 32), (16, 3, 128)))
            address = chance.choice((bytes(size), chance.randbytes(size), bytes(size - 4) + chance.randbytes(4)))
            return bytes((family, chance.randrange(most + 2), chance.randrange(2), size)) + address
        case "bit":
            size = chance.randrange(40)
            return struct.pack(">i", size) + chance.randbytes((size + 7) // 8)
        case "hstore":
            pairs = [(chance.choice(TEXTS), chance.choice(TEXTS)) for _ in range(chance.randrange(3))]
            parts = [struct.pack(">i", len(part)) + part for pair in pairs for part in pair]
            return struct.pack(">i", len(pairs)) + b"".join(parts)
        case "jsonb" | "jsonb_text":
            return b"\1" + text
    return text


def _sized(layout: Layout, chance: random.Random) -> bytes:
    if chance.random() < 0.1:
        return b"\xff\xff\xff\xff"
    raw = value(layout, chance)
    return struct.pack(">i", len(raw)) + raw


def stream(wanted: list[Column], hidden: int, chance: random.Random) -> Iterator[bytes]:
    yield b"PGCOPY\n\xff\r\n\0" + bytes(8)
    for _ in range(chance.randrange(4)):
        yield struct.pack(">h", len(wanted) + hidden)
        yield from (_sized(column.layout, chance) for column in wanted)
        yield from (_sized(Layout("text"), chance) for _ in range(hidden))
    yield b"\xff\xff"


# Checks


def pipes(chance: random.Random) -> None:
    _read_both([damaged(chance.choice(LINES), chance) for _ in range(chance.randrange(1, 5))], chance)


def pipes_of_rows_alike(chance: random.Random) -> None:
    """Good rows of one kind, and damaged ones among them: what is known of those before must not hide the damage."""
    good = damaged(chance.choice(LINES), chance, 2)
    _read_both([chance.choice((good, damaged(good, chance))) for _ in range(chance.randrange(2, 8))], chance)


def _read_both(lines: list[bytes], chance: random.Random) -> None:
    text = b"\n".join(lines) + chance.choice((b"", b"\n"))
    chunks = cuts(text, chance)
    limits = chance.choice(((), (2, 100)))
    python, native = read_both(chunks, *limits)
    assert native == python, f"{chunks} {limits}\nPython: {python}\nnative: {native}"
    gathered, problem = read_pipe(chunks, *limits)
    assert (flat(gathered), problem) == (flat(python[0]), python[1]), f"{chunks} {limits}\nfrom a pipe: {gathered}"


def copies(chance: random.Random) -> None:
    wanted, hidden = columns(chance), chance.randrange(2)
    text = damaged(b"".join(stream(wanted, hidden, chance)), chance, 3)
    chunks, take_each = cuts(text, chance), chance.random() < 0.5
    python, native = decode_both(wanted, chunks, hidden, take_each)
    assert native == python, f"{wanted} {chunks}\nPython: {python}\nnative: {native}"


def values_on_one_line(chance: random.Random) -> None:
    text = damaged(chance.choice(LINES), chance)
    python, native = one_line_both(text)
    assert native == python, f"{text!r}\nPython: {python!r}\nnative: {native!r}"


def columns_around_rows(chance: random.Random) -> None:
    rows = [chance.choice((b"{}", b"{ }", b'{"a":"%d"}', b'{ "a" : [1]}')) for _ in range(chance.randrange(1, 6))]
    times = [chance.choice((0, -1, chance.getrandbits(41), -(2**63))) for _ in rows]
    block = Block(StreamName(None, "s"), b"".join(row + b"\n" for row in rows), array("q", times), {})
    python, native = wrap_both([block], chance.getrandbits(chance.randrange(60)), chance.random() < 0.5)
    assert native == python, f"{rows} {times}\nPython: {python!r}\nnative: {native!r}"


CHECKS: list[Check] = [pipes, pipes_of_rows_alike, copies, values_on_one_line, columns_around_rows]

if __name__ == "__main__":
    if not NATIVE:
        sys.exit(WHY_NOT)
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60
    main(seconds, int(sys.argv[2]) if len(sys.argv) > 2 else random.SystemRandom().randrange(10**9))
