"""Reading what is held: by ranges over several connections, or in order over one."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any, NamedTuple

import psycopg

from connector_sdk import Checkpoint, ConfiguredStream, Records, log
from connector_sdk.errors import ConnectorError
from connector_sdk.rows import Yielded
from source_postgres.config import PostgresConfig
from source_postgres.connect import Connection, connections
from source_postgres.copy import copy, flow, make_decoder
from source_postgres.discover import Table
from source_postgres.fan import Fan
from source_postgres.hold import Held, Part
from source_postgres.session import begin, end, literal, name, one, open_path, run

RANGE_PAGES = 4096
"""Blocks of a range: 32 MB where a block has its usual size."""
LOCK_SECONDS = 2
"""How long a helper waits for its lock. It may stand behind somebody who waits for us, so it must not wait long."""


class Step(NamedTuple):
    """One query of an ordered read."""

    where: str
    order: str = ""
    place: str = ""
    """An expression whose text says how far we are, where this step can be broken off and gone on with."""


Jobs = deque["Job"]


class Job(NamedTuple):
    """One query of a read by ranges."""

    source: str
    query: str


# By ranges


def by_ranges(
    config: PostgresConfig, stream: ConfiguredStream, connection: Connection, held: Held
) -> Iterator[Yielded]:
    """All rows, in no order. `connection` holds the table and reads too; others help it where there is enough to do."""
    limit = connections(config).limit
    jobs: Jobs = deque(job for part in held.parts for job in _jobs(held.table, part, split=limit > 1))
    helpers = min(limit, len(jobs)) - 1
    open_path(connection, config)
    if helpers < 1:
        for job in jobs:
            yield from flow(connection, job.query, make_decoder(held.table.columns, stream))
        return
    fan = Fan()
    try:
        (snapshot,) = one(connection, "SELECT pg_catalog.pg_export_snapshot()")
        for _ in range(helpers):
            fan.start(partial(_help, config, stream, held.table, snapshot, jobs, fan))
        while True:  # Once at least: helpers may have done all the work by now, and what they read waits in the fan.
            fan.start(partial(_work, connection, stream, held.table, jobs, fan))
            yield from fan
            if not jobs:
                break  # Else a helper that could not help gave its job back.
    finally:
        fan.close()


def _jobs(table: Table, part: Part, split: bool) -> Iterator[Job]:
    """The queries of a part.

    The last range has no end: blocks that were added since hold no row that the snapshot sees, but who knows.
    """
    query = f"SELECT {columns(table)} FROM {part.source}"
    if not split or not part.ranged or part.pages <= RANGE_PAGES:
        yield Job(part.source, query)
        return
    for start in range(0, part.pages, RANGE_PAGES):
        stop = start + RANGE_PAGES
        below = f" AND ctid OPERATOR(pg_catalog.<) '({stop},0)'::pg_catalog.tid" if stop < part.pages else ""
        yield Job(part.source, f"{query} WHERE ctid OPERATOR(pg_catalog.>=) '({start},0)'::pg_catalog.tid{below}")


def _work(connection: Connection, stream: ConfiguredStream, table: Table, jobs: Jobs, fan: Fan) -> None:
    while job := _next(jobs):
        _read(connection, stream, table, job, fan)


def _next(jobs: Jobs) -> Job | None:
    """A job that nobody else has; None where all are taken."""
    try:
        return jobs.popleft()
    except IndexError:
        return None


def _read(connection: Connection, stream: ConfiguredStream, table: Table, job: Job, fan: Fan) -> None:
    for lines, count in copy(connection, job.query, make_decoder(table.columns, stream), fan.check):
        fan.put(Records(lines, count), len(lines))


def _help(config: PostgresConfig, stream: ConfiguredStream, table: Table, snapshot: str, jobs: Jobs, fan: Fan) -> None:
    """Read jobs over a connection of its own, under the snapshot. Who cannot join leaves the work to others."""
    with ExitStack() as stack:
        try:
            connection = stack.enter_context(connections(config).one())
        except ConnectorError as error:
            connections(config).limit -= 1  # The next table need not try it again.
            log.warning("One connection less than max_db_connections is used from here on: %s", error)
            return
        joined = ""
        while job := _next(jobs):
            if job.source != joined:
                try:
                    _join(connection, config, snapshot, job)
                except psycopg.Error as error:
                    jobs.appendleft(job)
                    problem = error.diag.message_primary or error
                    log.warning("%s is read over fewer connections than it might be: %s", stream.id, problem)
                    return
                joined = job.source
            _read(connection, stream, table, job, fan)
        end(connection)


def _join(connection: Connection, config: PostgresConfig, snapshot: str, job: Job) -> None:
    """Take part in the snapshot, with a lock on the table and its indexes."""
    end(connection)
    begin(connection, config)
    run(connection, f"SET TRANSACTION SNAPSHOT {literal(snapshot)}")
    open_path(connection, config)
    run(connection, f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'; SELECT FROM {job.source} LIMIT 0")
    run(connection, "SET LOCAL lock_timeout = 0")


# In order

State = Callable[[str], Mapping[str, Any]]
"""Makes a state of a place."""


def in_order(
    config: PostgresConfig,
    stream: ConfiguredStream,
    connection: Connection,
    held: Held,
    steps: Sequence[Step],
    state: State,
) -> Generator[Yielded, None, str | None]:
    """One step after the other, with checkpoints in between. Returns the place of the last row that has one."""
    open_path(connection, config)
    found = None
    last = time.monotonic()
    for step in steps:
        decoder = make_decoder(held.table.columns, stream, 1 if step.place else 0)
        for item in flow(connection, _query(held.table, step), decoder):
            yield item
            if not step.place or decoder.hidden[0] is None:
                continue
            found = decoder.hidden[0]
            if time.monotonic() - last >= config.checkpoint_target_interval_seconds:
                yield Checkpoint(state(found))
                last = time.monotonic()
    return found


def _query(table: Table, step: Step) -> str:
    place = f", ({step.place})::pg_catalog.text" if step.place else ""
    order = f" ORDER BY {step.order}" if step.order else ""
    return f"SELECT {columns(table)}{place} FROM {table.source} WHERE {step.where}{order}"


def columns(table: Table) -> str:
    """What is selected: each column as its decoder wants it."""
    return ", ".join(column.select.format(name(column.name)) for column in table.columns)
