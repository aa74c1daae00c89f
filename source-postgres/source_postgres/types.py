"""What becomes of a PostgreSQL type: one table, and the way from a column to its line there.

To add a type, add a line to `TYPES` and, where no decoder fits, one to `values.DECODERS` (and to its native twin).
A type that is not in the table is cast to text by the server.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from connector_sdk.schema import (
    ANY,
    BOOLEAN,
    DATE,
    INTEGER,
    NUMBER,
    OBJECT,
    STRING,
    TIME,
    TIME_TZ,
    TIMESTAMP,
    TIMESTAMP_TZ,
    Type,
    array,
)

JsonAs = Literal["value", "text"]

AS_IT_IS = "{}"
AS_TEXT = "{}::pg_catalog.text"
AS_NUMERIC = "{}::pg_catalog.numeric"
AS_JSON = "pg_catalog.to_json({})"


@dataclass(frozen=True, slots=True)
class Layout:
    """How the bytes of a value are read: a decoder's name and, for arrays and composites, those of its parts.

    The one part of an array is its element, under the key "". Those of a composite stand in the order of its
    attributes, under their names.
    """

    decoder: str
    parts: tuple[tuple[str, Layout], ...] = ()


@dataclass(frozen=True, slots=True)
class Kind:
    """A line of the table. `select` is the expression to read, with `{}` where the quoted column goes."""

    schema: Type
    layout: Layout
    select: str = AS_IT_IS


def _kind(schema: Type, decoder: str, select: str = AS_IT_IS) -> Kind:
    return Kind(schema, Layout(decoder), select)


_TEXT = _kind(STRING, "text")
_CAST = _kind(STRING, "text", AS_TEXT)

TYPES: Mapping[str, Kind] = {
    "bool": _kind(BOOLEAN, "bool"),
    "int2": _kind(INTEGER, "int2"),
    "int4": _kind(INTEGER, "int4"),
    "int8": _kind(INTEGER, "int8"),
    "oid": _kind(INTEGER, "uint4"),
    "xid": _kind(INTEGER, "uint4"),
    "cid": _kind(INTEGER, "uint4"),
    "xid8": _kind(INTEGER, "uint8"),
    "float4": _kind(NUMBER, "float4"),
    "float8": _kind(NUMBER, "float8"),
    "numeric": _kind(NUMBER, "numeric"),
    "money": _kind(NUMBER, "numeric", AS_NUMERIC),
    "text": _TEXT,
    "varchar": _TEXT,
    "bpchar": _TEXT,
    "name": _TEXT,
    "char": _CAST,
    "bytea": _kind(STRING, "bytea"),
    "uuid": _kind(STRING, "uuid"),
    "json": _kind(ANY, "json"),
    "jsonb": _kind(ANY, "jsonb"),
    "xml": _CAST,
    "date": _kind(DATE, "date"),
    "time": _kind(TIME, "time"),
    "timetz": _kind(TIME_TZ, "timetz"),
    "timestamp": _kind(TIMESTAMP, "timestamp"),
    "timestamptz": _kind(TIMESTAMP_TZ, "timestamptz"),
    "interval": _kind(STRING, "interval"),
    "inet": _kind(STRING, "inet"),
    "cidr": _kind(STRING, "inet"),
    "macaddr": _kind(STRING, "macaddr"),
    "macaddr8": _kind(STRING, "macaddr"),
    "bit": _kind(STRING, "bit"),
    "varbit": _kind(STRING, "bit"),
    "pg_lsn": _kind(STRING, "lsn"),
    "point": _CAST,
    "line": _CAST,
    "lseg": _CAST,
    "box": _CAST,
    "path": _CAST,
    "polygon": _CAST,
    "circle": _CAST,
    "tsvector": _CAST,
    "tsquery": _CAST,
    "regclass": _CAST,
    "regcollation": _CAST,
    "regconfig": _CAST,
    "regdictionary": _CAST,
    "regnamespace": _CAST,
    "regoper": _CAST,
    "regoperator": _CAST,
    "regproc": _CAST,
    "regprocedure": _CAST,
    "regrole": _CAST,
    "regtype": _CAST,
    # Types of extensions live in a schema of the user's choice.
    "*.citext": _TEXT,
    "*.hstore": _kind(OBJECT, "hstore"),
    "*.ltree": _CAST,
    "*.vector": _kind(array(NUMBER), "vector"),
    "*.halfvec": _kind(array(NUMBER), "halfvec"),
    "*.sparsevec": _CAST,
    "*.geometry": _CAST,
    "*.geography": _CAST,
}
"""Built-in types by their name in pg_catalog, those of extensions as `*.name`."""

JSON_AS_TEXT: Mapping[str, Kind] = {"json": _TEXT, "jsonb": _kind(STRING, "jsonb_text")}
"""The lines that change with `json_as: text`."""

ENUM = _TEXT
UNKNOWN = _CAST
"""Ranges, multiranges and whatever the table lacks."""


@dataclass(frozen=True, slots=True)
class PgType:
    """A row of pg_type, as `TYPES_NEEDED` gives it."""

    oid: int
    name: str
    namespace: str
    typtype: str
    category: str
    base: int = 0
    """What a domain stands on."""
    element: int = 0
    attributes: Sequence[str] = ()
    """The names of a composite's attributes; dropped ones are left out."""
    attribute_types: Sequence[int] = ()


TYPES_NEEDED = """
WITH RECURSIVE needed (oid) AS (
    SELECT unnest(%s::oid[])
    UNION
    SELECT part.oid FROM needed JOIN pg_catalog.pg_type t ON t.oid = needed.oid, LATERAL (
        SELECT t.typbasetype UNION ALL SELECT t.typelem UNION ALL
        SELECT a.atttypid FROM pg_catalog.pg_attribute a
        WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
    ) part (oid) WHERE part.oid <> 0
)
SELECT t.oid, t.typname, n.nspname, t.typtype, t.typcategory, t.typbasetype, t.typelem,
       coalesce(a.names, '{}'), coalesce(a.types, '{}')
FROM needed
JOIN pg_catalog.pg_type t ON t.oid = needed.oid
JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
LEFT JOIN LATERAL (
    SELECT array_agg(a.attname::text ORDER BY a.attnum) AS names, array_agg(a.atttypid ORDER BY a.attnum) AS types
    FROM pg_catalog.pg_attribute a
    WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
) a ON true
"""
"""The types with these oids and all that they are made of: `PgType(*row)` of each row is what `column` needs."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column to read: its field in the row, the expression in the SELECT, and how its bytes are read."""

    name: str
    schema: Type
    layout: Layout
    select: str = AS_IT_IS
    """With `{}` where the quoted column goes."""


def column(name: str, oid: int, types: Mapping[int, PgType], json_as: JsonAs = "value") -> Column:
    """The column of this type; `types` (by oid) holds the type and all that it is made of."""
    kind = kind_of(oid, types, json_as)
    return Column(name, kind.schema, kind.layout, kind.select)


def kind_of(oid: int, types: Mapping[int, PgType], json_as: JsonAs = "value") -> Kind:
    """What becomes of a type: a domain is its base, an array or a composite is made of what its parts are."""
    pg = types[oid]
    if pg.typtype == "d":
        return kind_of(pg.base, types, json_as)
    if pg.typtype == "e":
        return ENUM
    if pg.typtype == "c":
        return _composite(pg, [kind_of(part, types, json_as) for part in pg.attribute_types])
    if pg.category == "A" and pg.element:
        return _array(kind_of(pg.element, types, json_as))
    return _listed(pg, json_as)


def _listed(pg: PgType, json_as: JsonAs) -> Kind:
    built_in = pg.namespace == "pg_catalog"
    if built_in and json_as == "text" and pg.name in JSON_AS_TEXT:
        return JSON_AS_TEXT[pg.name]
    if built_in:
        return TYPES.get(pg.name, UNKNOWN)
    return TYPES.get(f"*.{pg.name}", UNKNOWN) if pg.typtype == "b" else UNKNOWN  # Somebody's range may be named so.


def _array(element: Kind) -> Kind:
    """A cast of the element is a cast of the array; what only becomes JSON as a whole does so here too."""
    schema = array(element.schema)
    if element.select == AS_JSON:
        return Kind(schema, Layout("json"), AS_JSON)
    select = AS_IT_IS if element.select == AS_IT_IS else f"{element.select}[]"
    return Kind(schema, Layout("array", (("", element.layout),)), select)


def _composite(pg: PgType, kinds: Sequence[Kind]) -> Kind:
    """Read as it is where each attribute can be; an attribute cannot be cast inside, so else the server makes JSON."""
    if any(kind.select != AS_IT_IS for kind in kinds):
        return Kind(OBJECT, Layout("json"), AS_JSON)
    parts = tuple((name, kind.layout) for name, kind in zip(pg.attributes, kinds, strict=True))
    return Kind(OBJECT, Layout("composite", parts))
