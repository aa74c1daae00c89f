"""Transactions, with settings of their own, so that no default of a role or a database changes what is read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from psycopg import pq

from source_postgres.config import PostgresConfig
from source_postgres.connect import Connection, search_path

SETTINGS = {
    "TimeZone": "UTC",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "xmlbinary": "base64",
    "quote_all_identifiers": "off",
    "standard_conforming_strings": "on",
    "client_min_messages": "warning",
    "tcp_user_timeout": "0",
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "search_path": "",  # So that what somebody has put into a schema is never taken for PostgreSQL's own.
}
"""They are set for one transaction at a time: behind a pooler the next one may run on another connection."""

Cursor = Any
Row = tuple[Any, ...]


def begin(connection: Connection, config: PostgresConfig, level: str = "REPEATABLE READ") -> None:
    """Start a read-only transaction with all settings. No snapshot is taken yet, so that locks may come first.

    Names are looked for in pg_catalog only, until `open_path`.
    """
    settings = dict(SETTINGS)
    if connection.info.server_version >= 170000:
        settings["transaction_timeout"] = "0"
    lines = [f"BEGIN ISOLATION LEVEL {level} READ ONLY"]
    lines += [f"SET LOCAL {key} = {literal(value)}" for key, value in settings.items()]
    run(connection, "; ".join(lines))


def end(connection: Connection) -> None:
    """End the transaction, so that the connection can be used again."""
    if connection.pgconn.transaction_status in (pq.TransactionStatus.INTRANS, pq.TransactionStatus.INERROR):
        run(connection, "ROLLBACK")


def open_path(connection: Connection, config: PostgresConfig) -> None:
    """Let functions of views and policies find their tables. Our own SQL has to name every operator in full then."""
    run(connection, f"SET LOCAL search_path = {', '.join(name(schema) for schema in search_path(config))}")


def close_path(connection: Connection) -> None:
    """As it was at the start of the transaction."""
    run(connection, "SET LOCAL search_path = ''")


@contextmanager
def transaction(connection: Connection, config: PostgresConfig, level: str = "REPEATABLE READ") -> Iterator[None]:
    """A read-only transaction that ends with the block. After an error the connection is left to its owner to close."""
    begin(connection, config, level)
    yield
    end(connection)


def run(connection: Connection, text: str) -> Any:
    """Run SQL that we have put together; names in it went through `name`, values through `literal`."""
    return connection.execute(text.encode())


def one(connection: Connection, text: str) -> Row:
    """The only row of a query."""
    row = run(connection, text).fetchone()
    assert row is not None
    return tuple(row)


def name(*parts: str) -> str:
    """A quoted name, with its schema before it where there is one."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in parts)


def literal(text: str) -> str:
    """A string constant, as `standard_conforming_strings` reads it."""
    return "'" + text.replace("'", "''") + "'"
