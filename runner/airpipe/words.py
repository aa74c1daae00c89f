"""Times, sizes, numbers and texts as people write and read them."""

from __future__ import annotations

import hashlib
import re
from urllib.parse import quote

LONGEST = 200
"""Characters of a name of a file, before its ending."""
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_NAMES = {"second": "s", "sec": "s", "minute": "m", "min": "m", "hour": "h", "hr": "h", "day": "d", "week": "w"}
_SIZES = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3, "t": 1000**4}
_BINARY = {"ki": 1 << 10, "mi": 1 << 20, "gi": 1 << 30, "ti": 1 << 40}
_time_part = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*")
_size = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?i?)b?\s*", re.IGNORECASE)


def seconds(text: str | float) -> float:
    """`30s`, `1 hour`, `1h 30m`, or a number of seconds."""
    if isinstance(text, (int, float)):
        return float(text)
    rest, total = text.lower(), 0.0
    while rest:
        part = _time_part.match(rest)
        unit = _unit(part[2]) if part else None
        if part is None or unit is None:
            raise ValueError('give a time such as "30s", "5 minutes" or "1h 30m"')
        total, rest = total + float(part[1]) * _SECONDS[unit], rest[part.end() :]
    return total


def _unit(word: str) -> str | None:
    if not word:
        return "s"
    if word in _SECONDS:
        return word
    return _NAMES.get(word.removesuffix("s"))


def size(text: str | int) -> int:
    """`2GB`, `512 MiB`, or a number of bytes."""
    if isinstance(text, int):
        return text
    found = _size.fullmatch(text)
    if found is None:
        raise ValueError('give a size such as "512MB" or "2GiB"')
    unit = found[2].lower()
    return int(float(found[1]) * (_SIZES | _BINARY)[unit])


def size_text(bytes_: float) -> str:
    """Bytes as a person says them: `1.5 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if bytes_ < 1000:
            return f"{bytes_:.0f} {unit}" if unit == "B" else f"{bytes_:.1f} {unit}"
        bytes_ /= 1000
    return f"{bytes_:.1f} TB"


def time_text(duration: float) -> str:
    """Seconds as a person says them: `1.5 s`, `2 min 5 s`, `3 h 4 min`."""
    if duration < 60:
        return f"{duration:.1f} s"
    minutes, rest = divmod(round(duration), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


_control = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_break = re.compile(r"\s*[\n\r]\s*")


def harmless(text: str) -> str:
    """Without the characters that would steer a terminal. Lines stay lines."""
    return _control.sub("�", text.replace("\r\n", "\n"))


def one_line(text: str) -> str:
    """Harmless, and as one line."""
    return harmless(_break.sub(" ", text.strip()))


def sentences(text: str) -> str:
    """A text of several lines as one: each line ends as a sentence does."""
    lines = [line.strip() for line in text.strip().splitlines()]
    ended = (line if line.endswith((".", "?", "!", ":", ",", ";")) else f"{line}." for line in lines[:-1] if line)
    return " ".join([*ended, *lines[-1:]])


def amount(number: int, noun: str) -> str:
    """`1 row`, `1,000 rows`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def file_name(text: str) -> str:
    """A name that every file system takes, another for each text."""
    name = quote(text, safe=" ")
    return name if len(name) <= LONGEST else f"{name[:LONGEST]}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"
