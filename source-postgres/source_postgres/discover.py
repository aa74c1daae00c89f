"""What there is to read: tables, their columns, keys and comments, in a constant number of queries."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connector_sdk import ConfigError, Stream, StreamName, log, schema
from source_postgres.config import PostgresConfig
from source_postgres.connect import Connection, connections
from source_postgres.errors import told
from source_postgres.session import name, transaction
from source_postgres.types import TYPES_NEEDED, Column, PgType, column


@dataclass(frozen=True, slots=True)
class Table:
    """What `read` needs to know of a relation."""

    oid: int
    id: StreamName
    kind: str
    """As pg_class has it: r table, v view, m materialised view, p partitioned, f foreign."""
    columns: tuple[Column, ...]
    types: tuple[int, ...]
    """The types of `columns`, by oid."""
    whole: bool
    """The role may read all of it, system columns included."""
    secured: bool
    """Row security hides rows from this role."""
    heap: bool
    has_parts: bool
    """Rows of other tables belong to it: partitions, or tables that inherit from it."""
    has_xmin: bool
    """Its rows tell which transaction wrote them."""
    rows: int | None
    """An estimate."""

    @property
    def source(self) -> str:
        """For FROM."""
        return name(self.id.namespace or "", self.id.name)

    @property
    def shape(self) -> list[tuple[str, int]]:
        """Names and types of the columns: what must not change between here and the read."""
        return [(column.name, oid) for column, oid in zip(self.columns, self.types, strict=True)]


def check(config: PostgresConfig) -> None:
    """Return if everything that the config names can be reached and read."""
    with told(), connections(config).one() as connection, transaction(connection, config):
        found = {(relation.schema, relation.name) for relation in _relations(connection, config, None)}
    missing = [pattern.text for pattern in config.wanted if pattern.missed and pattern.exact not in found]
    if missing:
        raise ConfigError(
            f"There is no table {', '.join(missing)} that the role may read: check the option tables, and GRANT SELECT."
        )
    if not found:
        places = ", ".join(pattern.text for pattern in config.wanted)
        raise ConfigError(
            f"There is nothing to read in {places}: check the options schemas and tables, and what the role may read "
            "(USAGE on the schema, SELECT on tables)."
        )


def discover(config: PostgresConfig) -> Iterator[Stream]:
    """All that the config asks for and the role may read. A partition is offered only where its parent is not."""
    with told(), connections(config).one() as connection, transaction(connection, config):
        relations = _relations(connection, config, None)
        offered = {relation.oid for relation in relations}
        named = {pattern.exact for pattern in config.wanted if pattern.missed}
        kept = [r for r in relations if r.parent not in offered or (r.schema, r.name) in named]
        streams = list(_streams(connection, config, kept))
    yield from streams


def find(config: PostgresConfig, wanted: Collection[StreamName]) -> Iterator[Stream]:
    """Those of the named streams that there are and that the config allows."""
    with told(), connections(config).one() as connection:
        streams = look_up(connection, config, wanted)
    yield from streams


def look_up(connection: Connection, config: PostgresConfig, wanted: Collection[StreamName]) -> list[Stream]:
    """As `find`, over a connection without a transaction."""
    with transaction(connection, config):
        return list(_streams(connection, config, _relations(connection, config, wanted)))


def _streams(connection: Connection, config: PostgresConfig, relations: Sequence[_Relation]) -> Iterator[Stream]:
    oids, whole = [relation.oid for relation in relations], [relation.whole for relation in relations]
    about = {"oids": oids, "whole": whole, "check": config.check_privileges}
    columns = {oid: _Columns(*rest) for oid, *rest in connection.execute(_COLUMNS, about)}
    keys: dict[int, list[str]] = dict(connection.execute(_KEYS, about).fetchall())
    parts: dict[int, bool] = dict(connection.execute(_PARTS, about).fetchall())
    types = _types(connection, columns.values())
    for relation in relations:
        if relation.oid in columns:
            yield _stream(config, relation, columns[relation.oid], keys.get(relation.oid, []), parts, types)
        else:
            log.warning("%s has no columns, so there is nothing to read: it is left out.", relation.id)


def _types(connection: Connection, columns: Collection[_Columns]) -> dict[int, PgType]:
    needed = sorted({oid for entry in columns for oid in entry.types})
    return {row[0]: PgType(*row) for row in connection.execute(TYPES_NEEDED, [needed])}


def _stream(
    config: PostgresConfig,
    relation: _Relation,
    columns: _Columns,
    key: Sequence[str],
    parts: Mapping[int, bool],
    types: Mapping[int, PgType],
) -> Stream:
    made = tuple(
        column(field, oid, types, config.json_as) for field, oid in zip(columns.names, columns.types, strict=True)
    )
    local = parts.get(relation.oid, relation.heap)
    table = Table(
        oid=relation.oid,
        id=relation.id,
        kind=relation.kind,
        columns=made,
        types=tuple(columns.types),
        whole=relation.whole,
        secured=relation.secured,
        heap=relation.heap,
        has_parts=relation.oid in parts,
        has_xmin=relation.whole and local and relation.kind in "rmp",
        rows=relation.rows if relation.rows >= 0 else None,
    )
    return Stream(
        name=relation.name,
        namespace=relation.schema,
        schema=_schema(relation, columns, made),
        primary_key=key if set(key) <= set(columns.names) else (),
        incremental=table.has_xmin or not config.by_xmin,
        cursor_is_fixed=config.by_xmin,
        detail=table,
    )


def _schema(relation: _Relation, columns: _Columns, made: Sequence[Column]) -> dict[str, Any]:
    fields = {
        column.name: schema.described(column.schema, comment)
        for column, comment in zip(made, columns.comments, strict=True)
    }
    described = schema.table(fields)
    return {**described, "description": relation.comment} if relation.comment else described


# The catalog

_RELATIONS = """
SELECT c.oid, n.nspname, c.relname, c.relkind,
       coalesce(a.amname = 'heap', false) AS heap,
       pg_catalog.has_table_privilege(c.oid, 'SELECT') AS whole,
       pg_catalog.row_security_active(c.oid) AS secured,
       c.reltuples::bigint AS rows,
       CASE WHEN c.relispartition THEN (
           SELECT i.inhparent FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid LIMIT 1) ELSE 0 END AS parent,
       pg_catalog.obj_description(c.oid, 'pg_class') AS comment
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_am a ON a.oid = c.relam
WHERE c.relkind IN ('r', 'v', 'm', 'p', 'f') AND c.relpersistence <> 't'
  AND ((n.nspname::text, c.relname::text) IN (
           SELECT * FROM unnest(%(exact_schemas)s::text[], %(exact_tables)s::text[]))
       OR EXISTS (SELECT FROM unnest(%(schemas)s::text[], %(tables)s::text[]) p (s, t)
                  WHERE n.nspname LIKE p.s AND c.relname LIKE p.t)
       AND (n.nspname::text = ANY(%(asked)s::text[])
            OR n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')))
  AND (%(names)s::text[] IS NULL OR (n.nspname::text, c.relname::text) IN (
           SELECT * FROM unnest(%(homes)s::text[], %(names)s::text[])))
  AND (NOT %(check)s OR pg_catalog.has_schema_privilege(n.oid, 'USAGE')
       AND (pg_catalog.has_table_privilege(c.oid, 'SELECT') OR pg_catalog.has_any_column_privilege(c.oid, 'SELECT')))
ORDER BY n.nspname, c.relname
"""

_COLUMNS = """
SELECT a.attrelid, pg_catalog.array_agg(a.attname::text ORDER BY a.attnum),
       pg_catalog.array_agg(a.atttypid ORDER BY a.attnum), pg_catalog.array_agg(d.description ORDER BY a.attnum)
FROM unnest(%(oids)s::oid[], %(whole)s::bool[]) r (oid, whole)
JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid
LEFT JOIN pg_catalog.pg_description d
       ON d.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objoid = a.attrelid AND d.objsubid = a.attnum
WHERE a.attnum > 0 AND NOT a.attisdropped
  AND (r.whole OR NOT %(check)s OR pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'SELECT'))
GROUP BY a.attrelid
"""

_KEYS = """
SELECT i.indrelid, pg_catalog.array_agg(a.attname::text ORDER BY k.place)
FROM pg_catalog.pg_index i,
     LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY k (attnum, place)
JOIN pg_catalog.pg_attribute a ON true
WHERE i.indrelid = ANY(%(oids)s::oid[]) AND i.indisprimary AND i.indisvalid
  AND k.place <= i.indnkeyatts AND a.attrelid = i.indrelid AND a.attnum = k.attnum
GROUP BY i.indrelid
"""


_PARTS = """
WITH RECURSIVE parts (root, oid) AS (
    SELECT c.oid, c.oid FROM pg_catalog.pg_class c
    WHERE c.oid = ANY(%(oids)s::oid[]) AND (c.relkind = 'p' OR c.relhassubclass)
    UNION
    SELECT p.root, i.inhrelid FROM parts p JOIN pg_catalog.pg_inherits i ON i.inhparent = p.oid
)
SELECT p.root, pg_catalog.bool_and(c.relkind = 'p' OR coalesce(a.amname = 'heap', false))
FROM parts p JOIN pg_catalog.pg_class c ON c.oid = p.oid LEFT JOIN pg_catalog.pg_am a ON a.oid = c.relam
GROUP BY p.root HAVING pg_catalog.count(*) > 1 OR pg_catalog.bool_or(c.relkind = 'p')
"""
"""Relations whose rows lie in others, and whether all of those are tables of the usual kind."""


@dataclass(frozen=True, slots=True)
class _Relation:
    oid: int
    schema: str
    name: str
    kind: str
    heap: bool
    whole: bool
    secured: bool
    rows: int
    parent: int
    comment: str | None

    @property
    def id(self) -> StreamName:
        return StreamName(self.schema, self.name)


@dataclass(frozen=True, slots=True)
class _Columns:
    names: Sequence[str]
    types: Sequence[int]
    comments: Sequence[str | None]


def _relations(connection: Connection, config: PostgresConfig, names: Collection[StreamName] | None) -> list[_Relation]:
    exact = [pattern.exact for pattern in config.wanted if pattern.exact]
    like = [pattern for pattern in config.wanted if not pattern.exact]
    named = None if names is None else [wanted for wanted in names if wanted.namespace is not None]
    about = {
        "exact_schemas": [schema for schema, _ in exact],
        "exact_tables": [table for _, table in exact],
        "schemas": [pattern.schema.like for pattern in like],
        "tables": [pattern.table.like for pattern in like],
        "asked": [pattern.schema.name for pattern in like if pattern.schema.name],
        "homes": None if named is None else [wanted.namespace for wanted in named],
        "names": None if named is None else [wanted.name for wanted in named],
        "check": config.check_privileges,
    }
    return [_Relation(*row) for row in connection.execute(_RELATIONS, about)]
