"""One COPY: binary rows from the server, blocks of RECORD lines out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import psycopg
from psycopg import pq

from connector_sdk import ConfiguredStream, Records, native
from connector_sdk.rows import Flow
from source_postgres.connect import Connection
from source_postgres.decode import BLOCK, CopyError, Decoder, Decodes
from source_postgres.pull import flowing, puller, wait
from source_postgres.types import Column


def make_decoder(columns: Sequence[Column], stream: ConfiguredStream, hidden: int = 0) -> Decodes:
    """The decoder for these columns: the native one where it is to be had. The only place where one is chosen."""
    module = native.module()
    if module is None:
        return Decoder(columns, stream.envelope, hidden)
    decoder: Decodes = module.CopyDecoder(columns, stream.envelope, hidden, BLOCK, CopyError)
    return decoder


def nothing() -> None:
    """There is nothing to look at while one waits."""


def copy(
    connection: Connection, query: str, decoder: Decodes, check: Callable[[], None] = nothing
) -> Iterator[tuple[bytes, int]]:
    """Blocks of lines of a query, and how many lines each holds.

    A block is given when it is full, or when it has waited for a while: nobody should wait for a slow server to fill
    it. `check` is called while there is nothing to do, and may raise. What does not end well leaves the connection at
    work.
    """
    _begin(connection, query, check)
    pull = puller(connection.pgconn, decoder)
    while (full := pull()) is not None:
        if not full:
            check()
        yield from _taken(decoder)
    _end(connection, decoder)
    yield from _taken(decoder)


def flow(connection: Connection, query: str, decoder: Decodes) -> Iterator[Records | Flow]:
    """As `copy`, for lines that need not be seen here: they flow from the server to the output, where they can."""
    current = flowing(connection.pgconn, decoder)
    if current is None:
        for lines, count in copy(connection, query, decoder):
            yield Records(lines, count)
        return
    _begin(connection, query, nothing)
    while not current.over:
        yield Flow(current.write)
    _end(connection, decoder)


def _begin(connection: Connection, query: str, check: Callable[[], None]) -> None:
    pgconn = connection.pgconn
    pgconn.send_query(f"COPY ({query}) TO STDOUT (FORMAT binary)".encode())
    while pgconn.is_busy():
        check()
        wait(pgconn)
    _expect(connection, pq.ExecStatus.COPY_OUT)


def _end(connection: Connection, decoder: Decodes) -> None:
    _expect(connection, pq.ExecStatus.COMMAND_OK)
    _done(connection)
    decoder.finish()


def _taken(decoder: Decodes) -> Iterator[tuple[bytes, int]]:
    lines, count = decoder.take()
    if count:
        yield lines, count


def _expect(connection: Connection, status: pq.ExecStatus) -> None:
    """Take a result that must have this status, or raise what went wrong."""
    result = connection.pgconn.get_result()
    if result is None:
        raise psycopg.OperationalError("the server gave no result")
    if result.status != status:
        if not result.error_field(pq.DiagnosticField.SQLSTATE):  # Not the server's word: the connection is lost.
            raise psycopg.OperationalError(result.error_message.decode(errors="replace"))
        raise psycopg.errors.error_from_result(result)


def _done(connection: Connection) -> None:
    """Take what is left, so that the connection can be used again."""
    while connection.pgconn.get_result() is not None:
        continue
