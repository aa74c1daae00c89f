"""One snapshot of one table: taken and held so that nothing that happens to the table can hide a row."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import psycopg

from connector_sdk import ConfigError, ConfiguredStream, TransientError, log
from source_postgres.config import PostgresConfig
from source_postgres.connect import Connection
from source_postgres.discover import Table, look_up
from source_postgres.session import begin, close_path, end, literal, name, one, open_path, run

LOCK_SECONDS = 10
"""How long one try for the lock takes. While we wait, we may stand in the way of others."""
PATIENCE = 1800
"""Seconds after which a table that stays locked is given up for this run."""
TRIES = 10

WITH_TID_RANGES = 140000
"""From this version on the server finds a range of blocks without reading the whole table."""


@dataclass(frozen=True, slots=True)
class Part:
    """A relation that holds rows: the table itself, or one of its partitions."""

    source: str
    """For FROM."""
    pages: int
    rows: int | None
    bytes: int
    ranged: bool
    """May be read by ranges of its blocks."""


@dataclass(frozen=True, slots=True)
class Held:
    """A table under a snapshot. It lasts as long as the transaction of the connection that holds it."""

    table: Table
    parts: Sequence[Part]
    xmin: int
    """Every transaction below this one is over, in 64 bits: what it wrote is seen, or never will be."""
    xmax: int
    """No transaction from this one on has begun yet, as far as the snapshot knows."""


def hold(connection: Connection, config: PostgresConfig, stream: ConfiguredStream) -> Held:
    """Begin a transaction, lock the table against changes of its form, and take a snapshot of it.

    A snapshot from before somebody else's TRUNCATE or rewrite would see an empty table: such a one is not used.
    """
    assert stream.discovered is not None
    table: Table = stream.discovered.detail
    for _ in range(TRIES):
        _lock(connection, config, table)
        if _untouched(connection):
            held = _facts(connection, table)
            if held is not None:
                return held
            log.warning("The table %s has changed its form since the run began: it is looked up again.", table.id)
            table = _again(connection, config, table)
        end(connection)
    raise TransientError(f"The table {table.id} is changed by somebody again and again; try again later.")


def _lock(connection: Connection, config: PostgresConfig, table: Table) -> None:
    """Begin; take ACCESS SHARE on the table and all that belongs to it, then the snapshot, as far as one can choose."""
    deadline = time.monotonic() + PATIENCE
    first = f"LOCK TABLE {table.source} IN ACCESS SHARE MODE; " if table.kind in "rp" and table.whole else ""
    while True:
        begin(connection, config)
        try:
            open_path(connection, config)
            run(connection, f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'; {first}SELECT FROM {table.source} LIMIT 0")
            run(connection, "SET LOCAL lock_timeout = 0")
            close_path(connection)
            return
        except psycopg.errors.LockNotAvailable:
            end(connection)
            log.warning("Somebody holds a lock on %s that keeps it from being read; waiting.", table.id)
        if time.monotonic() > deadline:
            raise TransientError(f"The table {table.id} has been locked for {PATIENCE // 60} minutes; try again later.")


_UNTOUCHED = """
SELECT coalesce(pg_catalog.bool_and(c.oid IS NOT NULL AND (c.relkind IN ('i', 'I')
           OR nullif(c.relfilenode, 0) IS NOT DISTINCT FROM pg_catalog.pg_relation_filenode(c.oid))), true)
FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_class c ON c.oid = l.relation
WHERE l.locktype = 'relation' AND l.pid = pg_catalog.pg_backend_pid() AND l.relation >= 16384
"""
"""Whether every relation that we have locked still has the file that the snapshot knows."""


def _untouched(connection: Connection) -> bool:
    return bool(one(connection, _UNTOUCHED)[0])


_FACTS = """
SELECT pg_catalog.txid_snapshot_xmin(s.now), pg_catalog.txid_snapshot_xmax(s.now), c.oid,
       (SELECT pg_catalog.array_agg(a.attname::text) FROM pg_catalog.pg_attribute a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
       (SELECT pg_catalog.array_agg(a.atttypid) FROM pg_catalog.pg_attribute a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
FROM (SELECT pg_catalog.txid_current_snapshot() AS now) s,
     pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = {schema} AND c.relname = {table}
"""


def _facts(connection: Connection, table: Table) -> Held | None:
    """What is under the snapshot; None where it is not what `table` says."""
    schema, relation = table.id
    row = run(connection, _FACTS.format(schema=literal(schema or ""), table=literal(relation))).fetchone()
    if row is None:
        return None
    xmin, xmax, oid, names, types = row
    if oid != table.oid or not set(table.shape) <= set(zip(names or (), types or (), strict=True)):
        return None
    return Held(table, _parts(connection, table), xmin, xmax)


def _again(connection: Connection, config: PostgresConfig, table: Table) -> Table:
    """The table as it is now. The transaction ends."""
    end(connection)
    for stream in look_up(connection, config, {table.id}):
        found: Table = stream.detail
        return found
    raise ConfigError(f"The table {table.id} is gone since the run began, or may not be read any more.")


_PARTS = """
WITH RECURSIVE tree (oid) AS (
    SELECT {oid}::oid
    UNION
    SELECT i.inhrelid FROM tree t JOIN pg_catalog.pg_inherits i ON i.inhparent = t.oid {attached}
)
SELECT n.nspname, c.relname, coalesce(a.amname = 'heap', false),
       (c.oid = {oid} OR c.relispartition AND NOT EXISTS (
               SELECT FROM pg_catalog.pg_attribute v WHERE v.attrelid = {oid} AND v.attgenerated = 'v'))
           AND pg_catalog.has_table_privilege(c.oid, 'SELECT') AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')
           AND NOT pg_catalog.row_security_active(c.oid)
           AND c.oid IN (SELECT l.relation FROM pg_catalog.pg_locks l
                         WHERE l.locktype = 'relation' AND l.pid = pg_catalog.pg_backend_pid()),
       c.reltuples::int8, coalesce(pg_catalog.pg_table_size(c.oid), 0),
       coalesce(pg_catalog.pg_relation_size(c.oid), 0) / pg_catalog.current_setting('block_size')::int8
FROM tree t JOIN pg_catalog.pg_class c ON c.oid = t.oid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_am a ON a.oid = c.relam
WHERE c.relkind <> 'p'
"""


def _parts(connection: Connection, table: Table) -> list[Part]:
    """What holds the rows. Partitions are read by themselves only where that shows the same as their parent.

    That is not so with virtual generated columns, which each partition may compute in a way of its own. Other tables
    that inherit are never read by themselves: one may be another session's temporary table, or keep its rows where
    only an extension finds them, by way of the parent (TimescaleDB).
    """
    version = connection.info.server_version
    attached = "AND NOT i.inhdetachpending" if version >= 140000 else ""
    parts = [
        (Part(f"ONLY {name(schema, relation)}", pages, rows if rows >= 0 else None, size, heap), free)
        for schema, relation, heap, free, rows, size, pages in run(
            connection, _PARTS.format(oid=table.oid, attached=attached)
        )
    ]
    alone = not table.has_parts and len(parts) == 1
    if alone or not table.whole or table.secured or not all(free for _, free in parts):
        return [_single(table, [part for part, _ in parts], connection)]
    return [replace(part, ranged=part.ranged and version >= WITH_TID_RANGES) for part, _ in parts]


def _single(table: Table, parts: Sequence[Part], connection: Connection) -> Part:
    """The relation as one part, with all that belongs to it."""
    ranged = table.heap and table.whole and not table.secured and not table.has_parts and len(parts) == 1
    alone = table.kind == "r" and len(parts) == 1
    return Part(
        source=f"ONLY {table.source}" if alone else table.source,
        pages=sum(part.pages for part in parts),
        rows=total([part.rows for part in parts]),
        bytes=sum(part.bytes for part in parts),
        ranged=ranged and connection.info.server_version >= WITH_TID_RANGES,
    )


def total(numbers: Sequence[int | None]) -> int | None:
    """Their sum, or None where one of them is not known."""
    return None if None in numbers else sum(number for number in numbers if number is not None)
