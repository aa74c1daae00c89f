"""Rows that a stream's schema allows: with new keys and with cursors above all that are there."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

Row = dict[str, Any]
Schema = Mapping[str, Any]


def types(schema: Schema) -> set[str]:
    """The JSON types that a field may have, without null; from its branches where it has only those."""
    kind = schema.get("type")
    found = {kind} if isinstance(kind, str) else set(kind or ())
    for branch in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
        found |= types(branch) if isinstance(branch, Mapping) else set()
    return found - {"null"}


def value(schema: Schema, number: int) -> Any:
    """Some value that this schema allows; others for other numbers."""
    if "const" in schema:
        return schema["const"]
    if choices := [choice for choice in schema.get("enum", ()) if choice is not None]:
        return choices[number % len(choices)]
    kinds = types(schema)
    if "string" in kinds:
        return _text(schema, number)
    if "integer" in kinds or schema.get("airbyte_type") == "integer":
        return max(number, int(schema.get("minimum", number)))
    if "number" in kinds:
        return number
    if "boolean" in kinds:
        return number % 2 == 0
    if "object" in kinds:
        inner = schema.get("properties") or {}
        return {name: value(part, number) for name, part in inner.items() if isinstance(part, Mapping)}
    if "array" in kinds:
        items = schema.get("items")
        return [value(items, number)] if isinstance(items, Mapping) and items else []
    return f"text {number}"


def _text(schema: Schema, number: int) -> str:
    moment = datetime(2021, 1, 1) + timedelta(minutes=number)
    zone = "Z" if schema.get("airbyte_type") in (None, "timestamp_with_timezone", "time_with_timezone") else ""
    formats = {
        "date": moment.date().isoformat(),
        "date-time": moment.isoformat() + zone,
        "time": moment.time().isoformat() + ("Z" if schema.get("airbyte_type") == "time_with_timezone" else ""),
        "uuid": str(uuid.uuid5(uuid.NAMESPACE_OID, str(number))),
        "email": f"row{number}@example.org",
        "uri": f"https://example.org/{number}",
    }
    return formats.get(str(schema.get("format")), f"text {number}")


_whole = re.compile(r"-?\d+")
_day = re.compile(r"\d{4}-\d\d-\d\d")
_moment = re.compile(r"(\d{4}-\d\d-\d\d)([T ])(\d\d:\d\d:\d\d)(\.\d+)?(.*)")
_uuid = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def above(values: Iterable[Any], steps: int, schema: Schema) -> Any:
    """A value that lies `steps` above all of these, in the way that their type is ordered."""
    known = [one for one in values if one is not None]
    if not known:
        return value(schema, steps)
    if all(isinstance(one, int | Decimal) and not isinstance(one, bool) for one in known):
        top = max(known)
        return int(top) + steps if isinstance(top, int) or "integer" in types(schema) else top + steps
    if all(isinstance(one, str) for one in known):
        return _text_above(known, steps)
    return value(schema, steps)


def _text_above(known: Sequence[str], steps: int) -> str:
    if all(_uuid.fullmatch(one) for one in known):
        return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{max(known)}{steps}"))
    if all(_moment.fullmatch(one) for one in known):
        return later(max(known), timedelta(seconds=steps))
    if all(_day.fullmatch(one) for one in known):
        return (date.fromisoformat(max(known)) + timedelta(days=steps)).isoformat()
    if all(_whole.fullmatch(one) for one in known):
        return str(max(map(int, known)) + steps)
    return f"{max(known)}~{steps:06d}"


def later(text: str, by: timedelta) -> str:
    """The point in time so much later, spelt in the same way. Unchanged where no calendar holds it."""
    found = _moment.fullmatch(text)
    if not found:
        return text
    day, between, clock, part, zone = found.groups()
    try:
        moment = datetime.fromisoformat(f"{day}T{clock}") + by
    except (ValueError, OverflowError):
        return text
    return f"{moment:%Y-%m-%d}{between}{moment:%H:%M:%S}{part or ''}{zone}"


def at(row: Mapping[str, Any], path: Sequence[str]) -> Any:
    """The value at a path of keys, None where there is none."""
    found: Any = row
    for key in path:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def place(row: Row, path: Sequence[str], new: Any) -> None:
    """Set the value at a path of keys."""
    for key in path[:-1]:
        row = row.setdefault(key, {})
    row[path[-1]] = new


def schema_at(fields: Mapping[str, Any], path: Sequence[str]) -> Schema:
    """The schema of the field at a path."""
    found: Any = {"properties": fields}
    for key in path:
        found = (found.get("properties") or {}).get(key) or {}
    return found if isinstance(found, Mapping) else {}
