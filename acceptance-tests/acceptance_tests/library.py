"""The library of streams that are hard to keep: data files, with words for what is too big to be written down."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from acceptance_tests.protocol import Json, loads

FOLDER = Path(__file__).with_name("data")


@dataclass(frozen=True)
class Sample:
    """One file: columns and rows.

    In a row, `{"$repeat": TEXT, "times": N}` is a long text and `{"$nest": KEY, "depth": N}` a deep object. `$columns`
    makes so many columns of one, each with a number behind its name, and `$rows` so many rows of one.
    """

    name: str
    about: str
    slow: bool
    content: Json

    @property
    def columns(self) -> Json:
        found: Json = {}
        for name, kind in self.content["columns"].items():
            kind = dict(kind)
            count = kind.pop("$columns", None)
            found |= {f"{name}{number}": kind for number in range(count)} if count else {name: kind}
        return found

    def rows(self) -> list[Json]:
        return [row for template in self.content["rows"] for row in _rows(template, self)]


def _rows(template: Json, sample: Sample) -> Iterator[Json]:
    count = template.get("$rows", 1)
    for number in range(count):
        row: Json = {}
        for key, value in template.items():
            if key == "$rows":
                continue
            if isinstance(value, dict) and "$columns" in value:
                row |= {f"{key}{column}": f"{number}.{column}" for column in range(value["$columns"])}
            else:
                row[key] = _value(value, number)
        yield row


def _value(value: Any, number: int) -> Any:
    if isinstance(value, list):
        return [_value(inner, number) for inner in value]
    if not isinstance(value, dict):
        return value
    if "$repeat" in value:
        return value["$repeat"] * value["times"]
    if "$number" in value:
        return number + value["$number"]
    if "$nest" in value:
        found: Any = 1
        for _ in range(value["depth"]):
            found = {value["$nest"]: found}
        return found
    return {key: _value(inner, number) for key, inner in value.items()}


@cache
def samples() -> list[Sample]:
    """All files of the library, by name."""
    found = []
    for path in sorted(FOLDER.glob("*.json")):
        content = loads(path.read_bytes())
        found.append(Sample(path.stem, content["about"], bool(content.get("slow")), content))
    return found
