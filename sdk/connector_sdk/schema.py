"""Types of columns as JSON Schema with Airbyte's words. Each allows null, since any source may lose a value.

Source: Airbyte's "supported data types" (`airbyte_type`, `format`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Type = Mapping[str, Any]


def _nullable(kind: str, **more: str) -> Type:
    return {"type": ["null", kind], **more}


STRING = _nullable("string")
BOOLEAN = _nullable("boolean")
INTEGER = _nullable("integer")
NUMBER = _nullable("number")
DATE = _nullable("string", format="date")
TIME = _nullable("string", format="time", airbyte_type="time_without_timezone")
TIME_TZ = _nullable("string", format="time", airbyte_type="time_with_timezone")
TIMESTAMP = _nullable("string", format="date-time", airbyte_type="timestamp_without_timezone")
TIMESTAMP_TZ = _nullable("string", format="date-time", airbyte_type="timestamp_with_timezone")
OBJECT = _nullable("object")
ANY: Type = {"type": ["null", "object", "array", "string", "number", "boolean"]}
"""Any JSON value, as a json column holds it."""


def array(items: Type | None = None) -> Type:
    """An array; without `items` its elements are of any type."""
    return {"type": ["null", "array"], "items": dict(items)} if items else {"type": ["null", "array"]}


def described(kind: Type, text: str | None) -> Type:
    """The same type with a description, where there is one."""
    return {**kind, "description": text} if text else kind


def table(columns: Mapping[str, Type]) -> dict[str, Any]:
    """The schema of a stream: an object with these top-level fields. New fields may appear at any time."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": {name: dict(kind) for name, kind in columns.items()},
        "additionalProperties": True,
    }
