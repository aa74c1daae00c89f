"""Which tables are asked for: names and patterns as a person writes them."""

from __future__ import annotations

import re
from typing import NamedTuple

_part = re.compile(r'"((?:[^"]|"")+)"|([^".]+)')
_special = str.maketrans({"\\": r"\\", "%": r"\%", "_": r"\_"})


class Part(NamedTuple):
    """A name, or a pattern of SQL's LIKE."""

    like: str
    name: str | None
    """What the pattern fits, where that is one name only."""


class Pattern(NamedTuple):
    """A schema and a table to look for."""

    schema: Part
    table: Part
    text: str
    """As it was written, for messages."""
    missed: bool = False
    """It names one table, so that somebody misses it when it is not there."""

    @property
    def exact(self) -> tuple[str, str] | None:
        """The schema and the table that it fits, where it can fit but one."""
        return (self.schema.name, self.table.name) if self.schema.name and self.table.name else None


def parse(text: str, schemas: list[str]) -> list[Pattern]:
    """`table`, `schema.table`, `schema.*`, `"a.b"."c*"`. A table without a schema is looked for in `schemas`.

    `*` stands for any characters and `?` for one, outside of double quotes. Raises ValueError with what is wrong.
    """
    *schema, table = _parts(text)
    if schema:
        return [Pattern(schema[0], table, text, bool(schema[0].name and table.name))]
    return [Pattern(_literal(name), table, text, bool(table.name) and len(schemas) == 1) for name in schemas]


def everything(schema: str) -> Pattern:
    """All tables of one schema."""
    return Pattern(_literal(schema), Part("%", None), f"{schema}.*")


def _parts(text: str) -> list[Part]:
    """The names between the dots: one or two."""
    found: list[Part] = []
    place = 0
    while match := _part.match(text, place):
        found.append(_read(match))
        place = match.end() + 1
        if text[match.end() : place] != ".":
            break
    if place != len(text) + 1 or len(found) not in (1, 2):
        raise ValueError(f"{text!r} names no table: write `table`, `schema.table` or `schema.*`, odd names quoted")
    return found


def _read(part: re.Match[str]) -> Part:
    quoted, plain = part.groups()
    if quoted is not None:
        return _literal(quoted.replace('""', '"'))
    if not re.search(r"[*?]", plain):
        return _literal(plain)
    return Part(_literal(plain).like.replace("*", "%").replace("?", "_"), None)


def _literal(name: str) -> Part:
    return Part(name.translate(_special), name)
