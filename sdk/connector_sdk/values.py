"""Values: numbers read exactly; what JSON or a receiver cannot carry found quickly, made null, and told."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from math import isfinite
from typing import Any

from connector_sdk.rows import Change, Row

_plain = frozenset({str, int, bool, type(None)})


def number(text: str) -> float | Decimal:
    """A float where it says the same as the text, a Decimal where it would lose digits or overflow."""
    exact = Decimal(text)
    near = float(text)
    return near if Decimal(repr(near)) == exact else exact


def carry(row: Mapping[str, Any]) -> Mapping[str, Any] | Row:
    """The row itself where all of it can be carried, else a Row that names the top-level fields that lost a value."""
    lost = [key for key, value in row.items() if type(value) not in _plain and not _carried(value)]
    return _without(row, lost) if lost else row


def _carried(value: Any) -> bool:
    """Whether all that stands in a value can be carried, however deep."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Mapping):
            waiting.extend(value.values())
        elif isinstance(value, list | tuple | set | frozenset):
            waiting.extend(value)
        elif not _finite(value):
            return False
    return True


def _finite(value: Any) -> bool:
    if isinstance(value, float):
        return isfinite(value)
    return value.is_finite() if isinstance(value, Decimal) else True


def _without(row: Mapping[str, Any], lost: list[str]) -> Row:
    kept = {key: _shallow_nulled(value) if key in lost else value for key, value in row.items()}
    return Row(kept, tuple(Change(field) for field in lost))


def _shallow_nulled(value: Any) -> Any:
    """As `_nulled`; null altogether where it stands deeper than Python goes."""
    try:
        return _nulled(value)
    except RecursionError:
        return None


def _nulled(value: Any) -> Any:
    """The value with null in place of what cannot be carried, however deep it stands."""
    if isinstance(value, Mapping):
        return {key: _nulled(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_nulled(inner) for inner in value]
    return value if _carried(value) else None


def repaired(row: Mapping[str, Any], encode: Any) -> Row:
    """The row without the fields that `encode` refuses as text (half of a surrogate pair). Other types are a bug."""
    lost = []
    for key, value in row.items():
        try:
            encode({key: value})
        except UnicodeEncodeError:
            lost.append(key)
        except TypeError as error:
            raise TypeError(f"the field {key!r} holds a {type(value).__name__}, no JSON value: {error}") from None
    kept = {_text(key): None if key in lost else value for key, value in row.items()}
    return Row(kept, tuple(Change(_text(key)) for key in lost))


def _text(key: str) -> str:
    """The key itself, with `?` for what is no character."""
    return key.encode(errors="replace").decode()
