"""Columns of typed files: what type a field of the schema gets, and how its JSON values become values of that type.

One table for Parquet and Avro: `Type.kind` chooses the converter here and the type of the file in its format.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

import msgspec

from connector_sdk import ConfiguredStream, log

Kind = Literal[
    "string", "digits", "boolean", "integer", "number", "date", "time", "timestamp", "timestamp_tz", "json", "list"
]


@dataclass(frozen=True, slots=True)
class Type:
    kind: Kind
    items: Type | None = None
    """Of a list."""


ADDITIONAL = "_airbyte_additional_properties"
"""The column for fields that the schema does not name."""
AIRBYTE_COLUMNS = ("_airbyte_raw_id", "_airbyte_extracted_at", "_airbyte_meta", "_airbyte_generation_id")


# Types


def columns_of(stream: ConfiguredStream, numbers: str, reserved: Iterable[str]) -> dict[str, Type]:
    """The top-level fields of the schema with their types. A field with a reserved name is not among them."""
    properties = stream.schema.get("properties") or {}
    taken = {*reserved, ADDITIONAL}
    return {name: type_of(schema, numbers) for name, schema in properties.items() if name not in taken}


def type_of(schema: Any, numbers: str = "binary") -> Type:
    """The type of a column. What has no single type, and every object, is JSON text: so nothing in it is lost."""
    kinds, schema = _kinds(schema)
    if kinds == {"string"}:
        return Type(_text_kind(schema))
    if kinds == {"array"} and isinstance(schema.get("items"), dict):
        items = type_of(schema["items"], numbers)
        return Type("json") if items.kind == "json" else Type("list", items)
    if kinds and kinds <= {"integer", "number"}:
        whole = kinds == {"integer"} or schema.get("airbyte_type") == "integer"
        return Type("digits" if numbers == "text" else "integer" if whole else "number")
    return Type("boolean") if kinds == {"boolean"} else Type("json")


def _kinds(schema: Any) -> tuple[set[str], Mapping[str, Any]]:
    """The JSON types that are allowed beside null, and the part of the schema that says so."""
    if not isinstance(schema, Mapping):
        return set(), {}
    found = [option for option in schema.get("anyOf") or schema.get("oneOf") or () if option != {"type": "null"}]
    if len(found) == 1 and isinstance(found[0], Mapping):
        beside = {key: value for key, value in schema.items() if key not in ("anyOf", "oneOf")}
        return _kinds({**beside, **found[0]})
    kind = schema.get("type")
    # As text, since a whole schema may stand among the names: it is one more kind, and none that we know.
    return set(map(str, kind if isinstance(kind, list) else [kind] if kind else ())) - {"null"}, schema


def _text_kind(schema: Mapping[str, Any]) -> Kind:
    zoned = not str(schema.get("airbyte_type", "")).endswith("without_timezone")
    match schema.get("format"):
        case "date":
            return "date"
        case "date-time":
            return "timestamp_tz" if zoned else "timestamp"
        case "time":
            return "string" if zoned else "time"  # No file format has a time of day with a zone.
    return "string"


# Values


class Lost(ValueError):
    """A value that does not fit: what is kept of it, None or a shortened value."""

    def __init__(self, kept: Any = None) -> None:
        super().__init__()
        self.kept = kept


Converter = Callable[[Any], Any]
"""A value that is not None → what the file gets; raises `Lost`."""

json_text = msgspec.json.Encoder(decimal_format="number").encode


def _json(value: Any) -> str:
    return json_text(value).decode()


def _string(value: Any) -> str:
    return value if isinstance(value, str) else _digits(value) if _is_number(value) else _json(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _digits(value: Any) -> str:
    """Every digit of a number, as JSON writes it."""
    if _is_number(value):
        return _json(value)
    _decimal(value)
    return str(value)


def _decimal(value: Any) -> Decimal:
    """A number, or text that is one."""
    if isinstance(value, str) or _is_number(value):
        try:
            found = Decimal(repr(value) if isinstance(value, float) else value)
        except InvalidOperation:
            raise Lost from None
        if found.is_finite():
            return found
    raise Lost


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if value in ("true", "false"):
        return bool(value == "true")
    raise Lost


def _integer(value: Any) -> int:
    """64 bits. A number with a fraction is no integer; `1.0` is one."""
    exact = value if type(value) is int else _decimal(value)
    if not -(2**63) <= exact < 2**63 or exact != int(exact):
        raise Lost
    return int(exact)


def _number(value: Any) -> float:
    """A double; where it cannot have all digits, the nearest one, told as shortened."""
    exact = _decimal(value)
    try:
        near = float(exact)
    except OverflowError:
        raise Lost from None
    if near in (float("inf"), float("-inf")):
        raise Lost
    if exact != Decimal(repr(near)) and exact != Decimal(near):
        raise Lost(near)
    return near


_DAY = date(1970, 1, 1).toordinal()
_EPOCH = datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)


def _date(value: Any) -> int:
    """Days since 1970. A time that stands behind the date, other than midnight, is told as lost."""
    text = value if isinstance(value, str) else ""
    try:
        days = date.fromisoformat(text[:10]).toordinal() - _DAY
    except ValueError:
        raise Lost from None
    if len(text) > 10 and _moment(text).time() != time():
        raise Lost(days)
    return days


def _moment(value: Any) -> datetime:
    """RFC 3339, which msgspec reads fast, or else ISO 8601. A bare date is its midnight."""
    try:
        return msgspec.convert(value, datetime)
    except msgspec.ValidationError:
        pass
    try:
        return datetime.fromisoformat(spelled_out(value))
    except (ValueError, TypeError):
        raise Lost from None


_short_zone = re.compile(r"(.+:\d\d)(\.\d+)?(Z|[+-]\d\d)", re.ASCII).fullmatch


def spelled_out(text: str) -> str:
    """A time with a zone such as `Z` or `+02` as Python 3.10 reads it: minutes in the zone, six digits of a second."""
    found = _short_zone(text)
    if not found:
        return text
    clock, fraction, zone = found.groups("")
    micros = f"{fraction:0<7.7}" if fraction else ""
    return f"{clock}{micros}{zone.replace('Z', '+00')}:00"


def _timestamp(value: Any) -> int:
    """Microseconds since 1970 on the clock of the place. What says its zone all the same is turned to UTC."""
    moment = _moment(value)
    if moment.tzinfo is not None:
        try:
            moment = moment.astimezone(timezone.utc).replace(tzinfo=None)
        except OverflowError:  # A year that readers do not have: one such value would make the file unreadable.
            raise Lost from None
    return _precise(value, (moment - _EPOCH) // _MICROSECOND)


def _timestamp_tz(value: Any) -> int:
    """Microseconds since 1970 in UTC. What does not say its zone is taken as UTC."""
    return _timestamp(value)


def _time(value: Any) -> int:
    """Microseconds since midnight."""
    try:
        clock = msgspec.convert(value, time)
    except msgspec.ValidationError:
        try:
            clock = time.fromisoformat(value)
        except (ValueError, TypeError):
            raise Lost from None
    if clock.tzinfo is not None:
        raise Lost
    micros = ((clock.hour * 60 + clock.minute) * 60 + clock.second) * 1_000_000 + clock.microsecond
    return _precise(value, micros)


_beyond_micros = re.compile(r"[.,]\d{6}\d*[1-9]", re.ASCII).search


def _precise(text: str, micros: int) -> int:
    """The same, unless digits beyond the microsecond were rounded."""
    if _beyond_micros(text):
        raise Lost(micros)
    return micros


def _list(convert: Converter) -> Converter:
    """Elements of one type. One that does not fit becomes null, and the list is told as shortened."""

    def whole(value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise Lost
        result, lost = [], False
        for element in value:
            try:
                result.append(None if element is None else convert(element))
            except Lost as problem:
                result.append(problem.kept)
                lost = True
        if lost:
            raise Lost(result)
        return result

    return whole


_CONVERTERS: Mapping[Kind, Converter] = {
    "string": _string,
    "digits": _digits,
    "boolean": _boolean,
    "integer": _integer,
    "number": _number,
    "date": _date,
    "time": _time,
    "timestamp": _timestamp,
    "timestamp_tz": _timestamp_tz,
    "json": _json,
}
_AS_THEY_ARE: Mapping[Kind, set[type]] = {"string": {str}, "boolean": {bool}, "number": {float}}
"""Values of these types need no converter. The decoder gives a float only where it is exact."""


def converter(kind: Type) -> Converter:
    return _list(converter(kind.items)) if kind.items else _CONVERTERS[kind.kind]


# Whole columns


class Losses:
    """What of one stream did not fit: for the meta column of each row, and counted for the log."""

    def __init__(self, stream: ConfiguredStream) -> None:
        self._stream = stream
        self._counts: Counter[tuple[str, str]] = Counter()

    def add(self, field: str, kept: Any) -> dict[str, str]:
        change, reason = ("NULLED", "TYPECAST_ERROR") if kept is None else ("TRUNCATED", "FIELD_SIZE_LIMITATION")
        self._counts[field, change] += 1
        return {"field": field, "change": change, "reason": f"DESTINATION_{reason}"}

    def tell(self) -> None:
        """Warn of what was lost since the last time."""
        for (field, change), number in sorted(self._counts.items()):
            what = "did not fit the type of the column and are null" if change == "NULLED" else "were shortened to fit"
            log.warning("The stream %s: %d values of %s %s.", self._stream.id, number, field, what)
        self._counts.clear()


Changes = dict[int, list[dict[str, str]]]
"""Row number → what it lost."""


class Column:
    """One field of all rows, turned into what the file holds."""

    def __init__(self, name: str, kind: Type, losses: Losses) -> None:
        self.name = name
        self.type = kind
        self._convert = converter(kind)
        self._as_they_are = _AS_THEY_ARE.get(kind.kind, set()) | {type(None)}
        self._losses = losses

    def values(self, rows: Sequence[Mapping[str, Any]], changes: Changes) -> list[Any]:
        """The values of this field; what did not fit is noted in `changes`."""
        found = [row.get(self.name) for row in rows]
        if set(map(type, found)) <= self._as_they_are:
            return found
        convert = self._convert
        try:
            return [None if value is None else convert(value) for value in found]
        except Lost:
            return [self._value(number, value, changes) for number, value in enumerate(found)]

    def _value(self, number: int, value: Any, changes: Changes) -> Any:
        try:
            return None if value is None else self._convert(value)
        except Lost as problem:
            changes.setdefault(number, []).append(self._losses.add(self.name, problem.kept))
            return problem.kept


class Additional:
    """Fields that no column holds, gathered as JSON text. They are told once, by name."""

    def __init__(self, stream: ConfiguredStream, known: Iterable[str]) -> None:
        self._stream = stream
        self._known = frozenset(known)
        self._told: set[str] = set()

    def among(self, rows: Iterable[Mapping[str, Any]]) -> bool:
        """Whether any of these rows has such fields."""
        known = self._known
        return not all(known.issuperset(row) for row in rows)

    def text(self, row: Mapping[str, Any]) -> str | None:
        """The fields of this row that have no column, or None."""
        if self._known.issuperset(row):
            return None
        rest = {name: value for name, value in row.items() if name not in self._known}
        self._tell(rest)
        return _json(rest)

    def _tell(self, names: Iterable[str]) -> None:
        new = sorted(set(names) - self._told)
        if new and len(self._told) < 100:
            self._told.update(new)
            some = ", ".join(new[:10]) + (f" and {len(new) - 10} more" if len(new) > 10 else "")
            log.warning(
                "The stream %s has fields without a column of their own: %s. They are in %s.",
                self._stream.id,
                some,
                ADDITIONAL,
            )
