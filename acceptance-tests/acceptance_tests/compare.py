"""When two values say the same, and what a stored result lacks or has too much."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

from acceptance_tests.protocol import dumps, loads

Row = Mapping[str, Any]

_time = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d)(?:[T ](?P<clock>\d\d:\d\d:\d\d)(?P<part>\.\d+)?)?(?P<zone>Z|[+-]\d\d(?::?\d\d)?)?"
)


def plain(value: Any) -> Any:
    """The value in the one form that stands for all that say the same: it can be compared and hashed.

    A field that is null counts as absent, numbers count by value, points in time by instant.
    """
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float | Decimal):
        return ("number", Decimal(str(value)) if isinstance(value, float) else Decimal(value))
    if isinstance(value, str):
        return _instant(value) or value
    if isinstance(value, Mapping):
        return ("object", frozenset((key, plain(inner)) for key, inner in value.items() if inner is not None))
    return ("array", tuple(plain(inner) for inner in value))


def _instant(text: str) -> Any:
    """`2024-01-01T00:00:00.500Z` and `2024-01-01 00:00:00.5+00:00` are the same point in time."""
    if not 19 <= len(text) <= 40 or not text[:4].isdigit():
        return None
    found = _time.fullmatch(text)
    if not found or not found["clock"]:
        return None
    zone = {None: "", "Z": "+00:00"}.get(found["zone"], found["zone"] or "")
    zone = f"{zone}:00" if len(zone) == 3 else f"{zone[:3]}:{zone[3:]}" if len(zone) == 5 else zone
    try:
        moment = datetime.fromisoformat(f"{found['day']}T{found['clock']}{zone}")
        moment = moment.astimezone(timezone.utc) if zone else moment
    except (ValueError, OverflowError):
        return None
    return ("time", moment.isoformat(), Decimal(f"0{found['part'] or '.0'}").normalize())


def same(one: Any, other: Any) -> bool:
    return bool(plain(one) == plain(other))


# Rows of a store


def content(row: Row) -> dict[str, Any]:
    """The row as the source sent it: without `_airbyte_*` columns, out of `_airbyte_data` where it lies in there."""
    inner = row.get("_airbyte_data")
    if isinstance(inner, str):
        inner = loads(inner)
    return {
        key: value
        for key, value in (inner if isinstance(inner, dict) else row).items()
        if not key.startswith("_airbyte_")
    }


def told(row: Row) -> set[str]:
    """Fields whose loss the row's `_airbyte_meta` tells."""
    meta = row.get("_airbyte_meta")
    if isinstance(meta, str):
        meta = loads(meta)
    changes = meta.get("changes") if isinstance(meta, dict) else None
    return {change["field"] for change in changes or [] if isinstance(change, dict) and "field" in change}


def difference(expected: Iterable[Row], stored: Iterable[Row]) -> str | None:
    """In words how what is stored differs from what is expected, as multisets; None where it does not."""
    rows, kept = list(expected), list(stored)
    wanted = Counter(plain(row) for row in rows)
    there = Counter(plain(content(row)) for row in kept)
    if wanted == there:
        return None
    missing = _pick(rows, wanted - there, lambda row: row)
    surplus = _pick(kept, there - wanted, content)
    if missing and len(missing) == len(surplus) and (unlike := _unlike(missing, surplus)) is not None:
        return unlike or None
    parts = [f"{len(rows)} rows expected, {len(kept)} there"]
    if missing:
        parts.append(f"{len(missing)} missing, such as {shown(missing[0])}")
    if surplus:
        parts.append(f"{len(surplus)} too many, such as {shown(content(surplus[0]))}")
    return "; ".join(parts)


def _pick(rows: Sequence[Any], which: Counter[Any], form: Any) -> list[Any]:
    left = Counter(which)
    found = []
    for row in rows:
        key = plain(form(row))
        if left[key] > 0:
            left[key] -= 1
            found.append(row)
    return found


def _unlike(missing: Sequence[Row], surplus: Sequence[Row]) -> str | None:
    """Rows that came, but changed: which fields. Empty where every change is told in the row's own meta."""
    pairs = []
    rest = list(surplus)
    for row in missing:
        near = max(rest, key=lambda other: _alike(row, content(other)))
        if not _alike(row, content(near)):
            return None
        rest.remove(near)
        pairs.append((row, near))
    texts = []
    for row, other in pairs:
        found = content(other)
        fields = [key for key in {**row, **found} if not same(row.get(key), found.get(key)) and key not in told(other)]
        texts += [f"{key}: {_value(row, key)} came back as {_value(found, key)}" for key in fields]
    return "; ".join(texts[:5]) + (f" … and {len(texts) - 5} more" if len(texts) > 5 else "")


def _alike(row: Row, other: Row) -> int:
    return sum(1 for key, value in row.items() if value is not None and same(value, other.get(key)))


def _value(row: Row, key: str) -> str:
    return shown(row[key]) if row.get(key) is not None else "nothing"


def shown(value: Any, most: int = 160) -> str:
    """A value for a report: short, in ASCII where it has to be seen what it is."""
    text = dumps(value)
    text = text if text.isprintable() else ascii(text)[1:-1]
    return text if len(text) <= most else f"{text[:most]}… ({len(text)} characters)"


def missing(expected: Iterable[Row], stored: Iterable[Row]) -> list[Row]:
    """Expected rows that are not there."""
    rows = list(expected)
    there = Counter(plain(content(row)) for row in stored)
    return _pick(rows, Counter(plain(row) for row in rows) - there, lambda row: row)
