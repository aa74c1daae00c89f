"""The bytes of one PostgreSQL value, as COPY BINARY gives them, to JSON: one decoder for each layout.

These definitions are the meaning; whatever else decodes the same bytes gives the same JSON, byte for byte.

- **Text** is a JSON string in UTF-8. `"` and `\\` become `\\"` and `\\\\`; U+0008, 9, A, C and D become
  `\\b \\t \\n \\f \\r`; other characters below U+0020 become `\\u00xx` with small letters. Nothing else is escaped, not
  even `/` or U+007F.
- **Integers** are their digits; **numeric** has all its digits and as many places as PostgreSQL shows.
- **Floats** have the fewest digits that lead back to the same float4 or float8. From 1e-4 up to 1e16 they are written
  plainly and hold a point (`1.0`), beyond as `1e-05`, `1.5e+300`: Python's `repr`.
- **Times** are written as ISO 8601, a fraction of a second without trailing zeros as PostgreSQL does:
  `2024-05-05T22:08:09.5`, with a time zone in UTC and `Z`; the offset of a timetz as `+09:00`, or `+09:00:30` if it
  has seconds. Years have at least four digits, years before Christ end in ` BC` (`0044-03-15T12:00:00Z BC`).
- **Intervals** are PostgreSQL's own words (`1 year 2 mons -3 days +04:05:06.7`): any PostgreSQL reads them back,
  months and days stay apart, and the stock connector gives the same.
- **JSON** passes unchanged, but raw line breaks, which stand only between tokens, become spaces.
- **Lost**, so null and told: NaN and the infinities of numbers, infinite dates and timestamps, text that is not UTF-8,
  JSON nested more than `MAX_DEPTH` levels deep or with half of a surrogate pair (`"\\ud83d"`), which is no character.

A decoder raises an error (`CopyError`, `struct.error`) for bytes that PostgreSQL does not write.
"""

from __future__ import annotations

import binascii
import codecs
import datetime
import math
import re
import struct
from collections.abc import Callable, Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address
from json import JSONEncoder

from source_postgres.types import Layout

MAX_DEPTH = 500
"""Levels of arrays and objects in one json value."""

PIECE = 1 << 20
"""Text longer than this is converted piece by piece, or a row of 40 MB would need ten times its size."""


class CopyError(Exception):
    """The bytes are not what PostgreSQL's COPY BINARY writes for these columns, or end too early."""


class Lossy(bytes):
    """JSON in which something is missing: null stands where a value could not be carried."""


Decode = Callable[[memoryview], bytes]

NULL = b"null"
LOST = Lossy(NULL)


def decoder(layout: Layout) -> Decode:
    """The decoder of a column, chosen once."""
    if layout.decoder == "array":
        return _array(decoder(layout.parts[0][1]))
    if layout.decoder == "composite":
        return _composite([(quote(name), decoder(part)) for name, part in layout.parts])
    return DECODERS[layout.decoder]


# Text, and JSON

_quoted = JSONEncoder(ensure_ascii=False).encode


def quote(text: str) -> bytes:
    """Text as a JSON string."""
    return _quoted(text).encode()


def _text(raw: memoryview) -> bytes:
    try:
        if len(raw) <= PIECE:
            return quote(str(raw, "utf-8"))
        return b'"%s"' % b"".join(quote(piece)[1:-1] for piece in _pieces(raw))
    except UnicodeDecodeError:
        return LOST


def _pieces(raw: memoryview) -> Iterator[str]:
    utf8 = codecs.getincrementaldecoder("utf-8")()
    for start in range(0, len(raw), PIECE):
        yield utf8.decode(raw[start : start + PIECE], final=start + PIECE >= len(raw))


def _json(raw: memoryview) -> bytes:
    try:
        value = b"".join(piece.replace("\n", " ").replace("\r", " ").encode() for piece in _pieces(raw))
    except UnicodeDecodeError:
        return LOST
    return LOST if _deeper_than(MAX_DEPTH, value) or _holds_half_a_pair(value) else value


_STEP = re.compile(rb'\\.|["\[{}\]]')


def _deeper_than(limit: int, value: bytes) -> bool:
    if value.count(b"[") + value.count(b"{") <= limit:
        return False
    depth, in_string = 0, False
    for step in _STEP.finditer(value):
        if step[0] == b'"':
            in_string = not in_string
        elif not in_string and not step[0].startswith(b"\\"):
            depth += 1 if step[0] in b"[{" else -1
            if depth > limit:
                return True
    return False


_SURROGATES = re.compile(
    rb"\\u[dD][89abAB]..\\u[dD][c-fC-F](?:..)?"  # A pair,
    rb"|(\\u[dD][89a-fA-F])"  # half of one,
    rb"|\\.",  # or another escape.
    re.DOTALL,
)


def _holds_half_a_pair(value: bytes) -> bool:
    if rb"\ud" not in value and rb"\uD" not in value:
        return False
    return any(escape[1] for escape in _SURROGATES.finditer(value))


def _versioned(decode: Decode) -> Decode:
    """The layout of jsonb: a byte 1, then the text."""

    def versioned(raw: memoryview) -> bytes:
        if bytes(raw[:1]) != b"\x01":
            raise CopyError("a jsonb value of an unknown version")
        return decode(raw[1:])

    return versioned


# Numbers


def _integer(layout: str) -> Decode:
    unpack = struct.Struct(layout).unpack
    return lambda raw: b"%d" % unpack(raw)[0]


def _float8(raw: memoryview) -> bytes:
    (value,) = struct.unpack(">d", raw)
    return repr(value).encode() if math.isfinite(value) else LOST


def _float4(raw: memoryview) -> bytes:
    (value,) = struct.unpack(">f", raw)
    return _shortest(value) if math.isfinite(value) else LOST


_SCALE = 2**151 * 10**54
"""Times this, every float4 is whole, as are the middle between two of them and the decimals of nine digits near it."""
_UNITS = {place: _SCALE * 10**place if place >= 0 else _SCALE // 10**-place for place in range(-54, 40)}


def _shortest(value: float) -> bytes:
    """A finite float4 as the decimal with the fewest digits among those nearer to it than to any other float4.

    If there are several, it is the nearest; of two as near, that with an even last digit. A float4 with an even
    mantissa owns the middle to its neighbours, too. Exact, as a detour through float8 is wrong for some.
    """
    if value == 0:
        return repr(value).encode()
    numerator, denominator = abs(value).as_integer_ratio()
    exponent = max(math.frexp(value)[1] - 24, -149)
    exact, half = numerator * (_SCALE // denominator), 2 ** (exponent + 150) * 10**54
    mantissa = exact // (2 * half)
    low = exact - (half // 2 if mantissa == 2**23 and exponent > -149 else half)
    places = range(math.floor(math.log10(abs(value))) + 1, -55, -1)
    near = _roundest(places, low, exact, exact + half, closed=mantissa % 2 == 0)
    return repr(math.copysign(float(near), value)).encode()


def _roundest(places: range, low: int, exact: int, high: int, closed: bool) -> str:
    """Of the multiples of a power of ten between `low` and `high` the one next to `exact`; the first place with any."""
    for place in places:
        unit = _UNITS[place]
        first, last = (-(-low // unit), high // unit) if closed else (low // unit + 1, -(-high // unit) - 1)
        if first <= last:
            below, rest = divmod(exact, unit)
            near = below + (2 * rest > unit or (2 * rest == unit and below % 2))
            return f"{min(max(near, first), last)}e{place}"
    raise AssertionError("nine digits are always enough")


_NUMERIC = struct.Struct(">HhHH")
_MINUS, _NAN, _INFINITY, _MINUS_INFINITY = 0x4000, 0xC000, 0xD000, 0xF000


def _numeric(raw: memoryview) -> bytes:
    """`count` groups of four digits, the first worth 10000 ** `weight`; `scale` digits are shown after the point."""
    count, weight, sign, scale = _NUMERIC.unpack_from(raw)
    groups = struct.unpack(f">{count}H", raw[8:])
    if sign in (_NAN, _INFINITY, _MINUS_INFINITY):
        return LOST
    if sign not in (0, _MINUS) or any(group > 9999 for group in groups):
        raise CopyError("not a numeric value")
    digits = "".join([f"{group:04}" for group in groups])
    point = 4 * (weight + 1)
    whole = digits[: max(point, 0)].ljust(point, "0").lstrip("0") or "0"
    fraction = digits[point:] if point >= 0 else "0" * -point + digits
    number = f"{whole}.{fraction[:scale].ljust(scale, '0')}" if scale else whole
    return f"-{number}".encode() if sign else number.encode()


def _floats(size: int, decode: Decode) -> Decode:
    """The layout of pgvector: the number of dimensions, two bytes of nothing, the numbers."""

    def floats(raw: memoryview) -> bytes:
        (count,) = struct.unpack_from(">H", raw)
        if len(raw) != 4 + count * size:
            raise CopyError("a vector of another length than it says")
        return _list([decode(raw[at : at + size]) for at in range(4, len(raw), size)])

    return floats


def _float2(raw: memoryview) -> bytes:
    (value,) = struct.unpack(">e", raw)
    return _shortest(value) if math.isfinite(value) else LOST


# Times

DAY = 86_400_000_000
"""In microseconds, as all times here."""


def _between(low: int, value: int, high: int) -> int:
    if not low <= value <= high:
        raise CopyError("a date or time that PostgreSQL does not know")
    return value


def _calendar(days: int) -> tuple[str, str]:
    """A date by its distance from 2000-01-01, and what follows it; the calendar repeats itself every 400 years."""
    cycle, day = divmod(days + 730_119, 146_097)
    date = datetime.date.fromordinal(day + 1)
    year = date.year + 400 * cycle
    shown, era = (year, "") if year > 0 else (1 - year, " BC")
    return f"{shown:04}-{date.month:02}-{date.day:02}", era


def _clock(micros: int) -> str:
    seconds, fraction = divmod(micros, 1_000_000)
    text = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return f"{text}.{fraction:06}".rstrip("0") if fraction else text


def _date(raw: memoryview) -> bytes:
    (days,) = struct.unpack(">i", raw)
    if days in (-(2**31), 2**31 - 1):
        return LOST
    date, era = _calendar(_between(-2_451_545, days, 2_145_031_948))
    return f'"{date}{era}"'.encode()


def _timestamp(zone: str) -> Decode:
    def timestamp(raw: memoryview) -> bytes:
        (micros,) = struct.unpack(">q", raw)
        if micros in (-(2**63), 2**63 - 1):
            return LOST
        days, rest = divmod(_between(-211_813_488_000_000_000, micros, 9_223_371_331_199_999_999), DAY)
        date, era = _calendar(days)
        return f'"{date}T{_clock(rest)}{zone}{era}"'.encode()

    return timestamp


def _time(raw: memoryview) -> bytes:
    (micros,) = struct.unpack(">q", raw)
    return f'"{_clock(_between(0, micros, DAY))}"'.encode()


def _timetz(raw: memoryview) -> bytes:
    """The zone is in seconds west of Greenwich."""
    micros, west = struct.unpack(">qi", raw)
    hours, seconds = divmod(abs(_between(-57_599, west, 57_599)), 3600)
    offset = f"{'-' if west > 0 else '+'}{hours:02}:{seconds // 60:02}"
    if seconds % 60:
        offset += f":{seconds % 60:02}"
    return f'"{_clock(_between(0, micros, DAY))}{offset}"'.encode()


_ENDLESS = {
    (2**63 - 1, 2**31 - 1, 2**31 - 1): b'"infinity"',
    (-(2**63), -(2**31), -(2**31)): b'"-infinity"',
}
"""Text can carry these, so nothing is lost."""


def _interval(raw: memoryview) -> bytes:
    """A positive part after a negative one has a plus, or it would read as negative too."""
    micros, days, months = struct.unpack(">qii", raw)
    if (micros, days, months) in _ENDLESS:
        return _ENDLESS[micros, days, months]
    years, rest = divmod(abs(months), 12)
    turn = -1 if months < 0 else 1
    words, after_minus = [], False
    for number, unit in ((turn * years, "year"), (turn * rest, "mon"), (days, "day")):
        if number:
            plus = "+" if after_minus and number > 0 else ""
            words.append(f"{plus}{number} {unit}{'' if number == 1 else 's'}")
            after_minus = number < 0
    if micros or not words:
        words.append(f"{'-' if micros < 0 else '+' if after_minus else ''}{_clock(abs(micros))}")
    return f'"{" ".join(words)}"'.encode()


# The rest


def _bool(raw: memoryview) -> bytes:
    (value,) = struct.unpack(">?", raw)
    return b"true" if value else b"false"


def _bytea(raw: memoryview) -> bytes:
    return b'"\\\\x' + binascii.hexlify(raw) + b'"'


def _uuid(raw: memoryview) -> bytes:
    parts = struct.unpack(">4s2s2s2s6s", raw)
    return f'"{"-".join(part.hex() for part in parts)}"'.encode()


def _macaddr(raw: memoryview) -> bytes:
    if len(raw) not in (6, 8):
        raise CopyError("not a MAC address")
    return f'"{raw.hex(":")}"'.encode()


def _bit(raw: memoryview) -> bytes:
    (size,) = struct.unpack_from(">i", raw)
    content = raw[4:]
    if size < 0 or len(content) != (size + 7) // 8:
        raise CopyError("a bit string of another length than it says")
    return f'"{int.from_bytes(content, "big"):0{8 * len(content)}b}"'.encode()[: size + 1] + b'"'


def _lsn(raw: memoryview) -> bytes:
    high, low = struct.unpack(">II", raw)
    return f'"{high:X}/{low:X}"'.encode()


_IP4, _IP6 = 2, 3


def _inet(raw: memoryview) -> bytes:
    """The mask is shown for a cidr, and where it is not that of a single host."""
    family, bits, is_cidr, size = struct.unpack_from(">BBBB", raw)
    address = bytes(raw[4:])
    if (family, size) not in ((_IP4, 4), (_IP6, 16)) or len(address) != size or bits > 8 * size:
        raise CopyError("not a network address")
    text = str(IPv4Address(address)) if family == _IP4 else _ip6(address)
    return f'"{text}/{bits}"'.encode() if is_cidr or bits != 8 * size else f'"{text}"'.encode()


def _ip6(address: bytes) -> str:
    """As PostgreSQL writes it: an address of the fourth version inside one of the sixth is shown as such."""
    head, tail = address[:12], address[12:]
    if head == bytes(10) + b"\xff\xff":
        return f"::ffff:{IPv4Address(tail)}"
    if head == bytes(12) and tail[:2] != bytes(2):
        return f"::{IPv4Address(tail)}"
    return str(IPv6Address(address))


# What is made of other values


class _Front:
    """Takes parts off the front of a composed value, and never more than there is."""

    def __init__(self, raw: memoryview) -> None:
        self.raw = raw
        self.at = 0

    def take(self, size: int) -> memoryview:
        start, self.at = self.at, self.at + size
        if size < 0 or self.at > len(self.raw):
            raise CopyError("a part that is longer than the whole")
        return self.raw[start : self.at]

    def int4(self) -> int:
        return int.from_bytes(self.take(4), "big", signed=True)

    def value(self, decode: Decode) -> bytes:
        """A value with its length before it; -1 is a null."""
        size = self.int4()
        return NULL if size == -1 else decode(self.take(size))

    def end(self) -> None:
        if self.at != len(self.raw):
            raise CopyError("bytes after the last part of a value")


def _join(pattern: bytes, parts: Sequence[bytes]) -> bytes:
    """The parts between the brackets of `pattern`; what one of them lost is lost here."""
    value = pattern % b",".join(parts)
    return Lossy(value) if any(type(part) is Lossy for part in parts) else value


def _list(parts: Sequence[bytes]) -> bytes:
    return _join(b"[%s]", parts)


def _array(decode: Decode) -> Decode:
    """Dimensions, whether there are nulls, the element's type; each dimension's length and first index; elements."""

    def array(raw: memoryview) -> bytes:
        front = _Front(raw)
        dimensions, _, _ = front.int4(), front.int4(), front.int4()
        most = len(raw) // 4
        lengths = [(_within(front.int4(), most), front.int4())[0] for _ in range(_within(dimensions, 6))]
        size = math.prod(lengths) if lengths else 0
        parts = [front.value(decode) for _ in range(_within(size, most))]
        front.end()
        for length in reversed(lengths[1:] if parts else []):
            parts = [_list(parts[start : start + length]) for start in range(0, len(parts), length)]
        return _list(parts)

    return array


def _within(value: int, most: int) -> int:
    if not 0 <= value <= most:
        raise CopyError("an array larger than its bytes")
    return value


def _composite(fields: Sequence[tuple[bytes, Decode]]) -> Decode:
    """The number of attributes, then for each one its type and its value."""

    def composite(raw: memoryview) -> bytes:
        front = _Front(raw)
        if front.int4() != len(fields):
            raise CopyError("a composite value with other attributes than its type had")
        parts = []
        for key, decode in fields:
            front.int4()
            parts.append(_pair(key, front.value(decode)))
        front.end()
        return _join(b"{%s}", parts)

    return composite


def _pair(key: bytes, value: bytes) -> bytes:
    pair = key + b":" + value
    return Lossy(pair) if type(value) is Lossy else pair


def _hstore(raw: memoryview) -> bytes:
    """The number of pairs, then keys and values, in hstore's own order. A key that is lost takes all with it."""
    front = _Front(raw)
    keys, parts = [], []
    for _ in range(_within(front.int4(), len(raw) // 8)):
        keys.append(_text(front.take(front.int4())))
        parts.append(_pair(keys[-1], front.value(_text)))
    front.end()
    return LOST if LOST in keys else _join(b"{%s}", parts)


DECODERS: dict[str, Decode] = {
    "bool": _bool,
    "int2": _integer(">h"),
    "int4": _integer(">i"),
    "int8": _integer(">q"),
    "uint4": _integer(">I"),
    "uint8": _integer(">Q"),
    "float4": _float4,
    "float8": _float8,
    "numeric": _numeric,
    "vector": _floats(4, _float4),
    "halfvec": _floats(2, _float2),
    "text": _text,
    "json": _json,
    "jsonb": _versioned(_json),
    "jsonb_text": _versioned(_text),
    "hstore": _hstore,
    "bytea": _bytea,
    "uuid": _uuid,
    "date": _date,
    "time": _time,
    "timetz": _timetz,
    "timestamp": _timestamp(""),
    "timestamptz": _timestamp("Z"),
    "interval": _interval,
    "inet": _inet,
    "macaddr": _macaddr,
    "bit": _bit,
    "lsn": _lsn,
}
"""By the names in `types.TYPES`; arrays and composites are made of these by `decoder`."""
