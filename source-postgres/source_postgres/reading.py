"""Reading one stream: whole, or what has changed."""

from __future__ import annotations

from collections.abc import Iterator

from connector_sdk import ConfiguredStream, Estimate, log
from connector_sdk.rows import Yielded
from source_postgres.config import PostgresConfig
from source_postgres.connect import connections
from source_postgres.discover import Table
from source_postgres.errors import told
from source_postgres.hold import Held, hold, total
from source_postgres.incremental import changes
from source_postgres.scan import by_ranges
from source_postgres.session import end


def read(config: PostgresConfig, stream: ConfiguredStream) -> Iterator[Yielded]:
    """All rows of the stream, or those since its state; then, if it is incremental, a last checkpoint."""
    with told(), connections(config).one() as connection:
        held = hold(connection, config, stream)
        _tell_differences(stream, held.table)
        if stream.state is None or not stream.incremental:
            yield from _estimate(held)
        if stream.incremental:
            yield from changes(config, stream, connection, held)
        else:
            yield from by_ranges(config, stream, connection, held)
        end(connection)


def _estimate(held: Held) -> Iterator[Estimate]:
    """Nothing, where the server knows nothing: of a view, or of what was never analysed."""
    rows, size = total([part.rows for part in held.parts]), sum(part.bytes for part in held.parts)
    if rows is not None or size:
        yield Estimate(rows, size or None)


def _tell_differences(stream: ConfiguredStream, table: Table) -> None:
    """The catalog is of another day than the table: what has gone and what is new is told."""
    asked, there = set(stream.schema.get("properties", ())), {column.name for column in table.columns}
    if asked and (gone := asked - there):
        log.warning("%s has lost columns that the catalog names; they are left out: %s.", stream.id, _list(gone))
    if asked and (new := there - asked):
        log.info("%s has columns that the catalog does not name; they are read as well: %s.", stream.id, _list(new))


def _list(names: set[str]) -> str:
    return ", ".join(sorted(names))
