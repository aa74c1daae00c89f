"""One COPY: binary rows from the server, blocks of RECORD lines out."""

from __future__ import annotations

import select
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import psycopg
from psycopg import pq

from connector_sdk import ConfiguredStream, native
from source_postgres.connect import Connection
from source_postgres.decode import BLOCK, CopyError, Decoder
from source_postgres.types import Column

TICK = 200
"""Milliseconds between two looks at whether the result is still wanted."""


class Decodes(Protocol):
    """What turns the bytes of one COPY into RECORD lines; see `decode.Decoder`, which defines it."""

    @property
    def hidden(self) -> tuple[str | None, ...]: ...

    def feed(self, message: bytes | memoryview) -> bool: ...

    def take(self) -> tuple[bytes, int]: ...

    def finish(self) -> None: ...


def make_decoder(columns: Sequence[Column], stream: ConfiguredStream, hidden: int = 0) -> Decodes:
    """The decoder for these columns: the native one where it is to be had. The only place where one is chosen."""
    module = native.module()
    if module is None:
        return Decoder(columns, stream.envelope, hidden)
    decoder: Decodes = module.CopyDecoder(columns, stream.envelope, hidden, BLOCK, CopyError)
    return decoder


def copy(
    connection: Connection, query: str, decoder: Decodes, check: Callable[[], None]
) -> Iterator[tuple[bytes, int]]:
    """Blocks of lines of a query, and how many lines each holds.

    `check` is called while there is nothing to do, and may raise. What does not end well leaves the connection at work.
    """
    pgconn = connection.pgconn
    poll = select.poll()
    poll.register(pgconn.socket, select.POLLIN)
    pgconn.send_query(f"COPY ({query}) TO STDOUT (FORMAT binary)".encode())
    while pgconn.is_busy():
        _wait(pgconn, poll, check)
    _expect(connection, pq.ExecStatus.COPY_OUT)
    get_copy_data, feed = pgconn.get_copy_data, decoder.feed  # Looked up once: this loop runs once a row.
    waited = False
    while True:
        size, message = get_copy_data(1)
        if size > 0:
            waited = False
            if feed(message):
                yield decoder.take()
        elif size < 0:
            break
        elif waited:
            if not _wait(pgconn, poll, check):
                yield from _taken(decoder)  # The server is slow: nobody should wait for a block to fill.
        else:
            pgconn.consume_input()
            waited = True
    _expect(connection, pq.ExecStatus.COMMAND_OK)
    _done(connection)
    decoder.finish()
    yield from _taken(decoder)


def _taken(decoder: Decodes) -> Iterator[tuple[bytes, int]]:
    lines, count = decoder.take()
    if count:
        yield lines, count


def _wait(pgconn: pq.abc.PGconn, poll: select.poll, check: Callable[[], None]) -> bool:
    """Until the server has said something, for a tick at most; false where it has not."""
    check()
    heard = bool(poll.poll(TICK))
    pgconn.consume_input()
    return heard


def _expect(connection: Connection, status: pq.ExecStatus) -> None:
    """Take a result that must have this status, or raise what went wrong."""
    result = connection.pgconn.get_result()
    if result is None:
        raise psycopg.OperationalError("the server gave no result")
    if result.status != status:
        raise psycopg.errors.error_from_result(result)


def _done(connection: Connection) -> None:
    """Take what is left, so that the connection can be used again."""
    while connection.pgconn.get_result() is not None:
        continue
