"""Records against their stream's schema."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import jsonschema

from acceptance_tests.compare import shown
from acceptance_tests.protocol import Json

MOST = 20_000
"""Records that are looked at, spread evenly."""


def _is_integer(_checker: Any, value: Any) -> bool:
    return not isinstance(value, bool) and (isinstance(value, int) or (isinstance(value, Decimal) and value % 1 == 0))


def _is_number(_checker: Any, value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


_checker = jsonschema.Draft7Validator.TYPE_CHECKER.redefine_many({"integer": _is_integer, "number": _is_number})

_DAY, _CLOCK, _ZONE = r"[+-]?\d{4,}-\d\d-\d\d", r"\d\d:\d\d(:\d\d([.,]\d+)?)?", r" ?(Z|[+-]\d\d(:?\d\d){0,2})"
_SPELT = {
    "date": re.compile(rf"{_DAY}( BC)?"),
    "time": re.compile(rf"{_CLOCK}({_ZONE})?", re.IGNORECASE),
    "date-time": re.compile(rf"{_DAY}[T ]{_CLOCK}({_ZONE})?( BC)?", re.IGNORECASE),
}
"""How the values of a format may be spelt."""


def _format(_validator: Any, kind: Any, value: Any, _schema: Json) -> Iterator[jsonschema.ValidationError]:
    pattern = _SPELT.get(kind) if isinstance(kind, str) else None
    if pattern is not None and isinstance(value, str) and not pattern.fullmatch(value):
        yield jsonschema.ValidationError(f"no {kind}")


def _airbyte_type(_validator: Any, kind: Any, value: Any, _schema: Json) -> Iterator[jsonschema.ValidationError]:
    """An integer is whole. A time whose type has a zone may lack it: stores take it for UTC."""
    if kind == "integer" and isinstance(value, Decimal) and value % 1:
        yield jsonschema.ValidationError(f"no {kind}")


_extend: Any = jsonschema.validators.extend
_Validator: Any = _extend(
    jsonschema.Draft7Validator, {"format": _format, "airbyte_type": _airbyte_type}, type_checker=_checker
)


def mistakes(schema: Json, rows: Sequence[Json]) -> Iterator[str]:
    """The first mistake of each field, in words."""
    validator = _Validator(schema)
    known = set()
    for row in rows[:: max(1, len(rows) // MOST)]:
        for error in validator.iter_errors(row):
            where = ".".join(str(part) for part in error.absolute_path if isinstance(part, str)) or "the record"
            if (where, error.validator) not in known:
                known.add((where, error.validator))
                rule = f"{error.validator}: {shown(error.validator_value, 80)}"
                yield f"{where} is {shown(error.instance, 60)}, which breaks {rule}"
