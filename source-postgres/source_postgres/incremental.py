"""What has changed: by a cursor column, by the transactions that wrote the rows, or by both.

A row is *late* when the transaction that wrote it was not over when the last snapshot was taken: whatever its cursor
says, it has not been delivered. PostgreSQL keeps the writer of each row in the system column xmin, and a snapshot knows
the oldest transaction that was still running (its own xmin): every row from that one on is read again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from connector_sdk import Checkpoint, ConfigError, ConfiguredStream, log
from connector_sdk.rows import Yielded
from source_postgres.config import PostgresConfig
from source_postgres.connect import Connection
from source_postgres.discover import Table
from source_postgres.hold import Held
from source_postgres.scan import Step, by_ranges, in_order
from source_postgres.session import literal, name, one, run
from source_postgres.state import State, anew, load

SORTABLE = 4 << 30
"""Bytes of a table that the server may be asked to sort, where no index has its order."""
TURN = 1 << 32
"""Transaction numbers in rows have 32 bits and start again after so many."""
ENDLESS = {
    **dict.fromkeys(["float4", "float8", "numeric"], "Infinity"),
    **dict.fromkeys(["date", "timestamp", "timestamptz", "interval"], "infinity"),
}
"""From this value on no row that is to come can exceed a cursor."""


def changes(config: PostgresConfig, stream: ConfiguredStream, connection: Connection, held: Held) -> Iterator[Yielded]:
    """The rows that the state does not cover, with checkpoints, and a last one that covers them all."""
    if stream.cursor is not None:
        return _by_cursor(config, stream, connection, held)
    if held.table.has_xmin:
        return _by_xmin(config, stream, connection, held)
    raise ConfigError(
        f"The stream {stream.id} has no cursor field, and its rows do not tell who wrote them (a view, a foreign "
        "table, or a role that may read some columns only): choose a cursor field, or full refresh.",
        stream=stream.id,
    )


# Who wrote a row

_DISTANCE = "(pg_catalog.age({xid})::pg_catalog.int8 OPERATOR(pg_catalog.&) 4294967295)"
"""How many transactions ago, counted round the turn; age() itself calls the older half of them the future."""


def _late(xmin: int) -> str:
    """Of rows that were written by this transaction or a later one."""
    return f"{_DISTANCE.format(xid='xmin')} OPERATOR(pg_catalog.<=) {_back_to(xmin)}"


def _back_to(xmin: int) -> str:
    """The distance of a transaction number in 64 bits, computed once a query."""
    return f"(SELECT {_DISTANCE.format(xid=f'{literal(str(xmin % TURN))}::pg_catalog.xid')})"


def _usable(stream: ConfiguredStream, state: State, held: Held, system: str | None) -> bool:
    """Whether the state is of this table, and its transaction numbers mean something here and now. If not, that is
    told."""
    since = held.xmax - int(state.xmin) if held.table.has_xmin and state.xmin else 0
    if state.system is not None and system is not None and state.system != system:
        anew(stream, "its state is of another database cluster (restored from a dump, or upgraded)")
    elif state.table not in (None, _identity(held.table)):
        anew(stream, "another table has its name now (made anew, or swapped in by a rename)")
    elif since < 0:
        anew(stream, "the server counts fewer transactions than its state; it was set back, or is another one")
    elif since >= TURN - (1 << 20):
        anew(stream, "its state is so old that the server's transaction numbers have gone round")
    else:
        return True
    return False


def _identity(table: Table) -> str | None:
    """What a table has for itself, whatever its name. Views and foreign tables may be made anew over the same rows."""
    return str(table.oid) if table.kind in "rmp" else None


def _system(connection: Connection) -> str | None:
    """The identity of the cluster, where the role may ask for it."""
    allowed = "SELECT pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE')"
    if not one(connection, allowed)[0]:
        return None
    return str(one(connection, "SELECT system_identifier FROM pg_catalog.pg_control_system()")[0])


# By xmin


def _by_xmin(config: PostgresConfig, stream: ConfiguredStream, connection: Connection, held: Held) -> Iterator[Yielded]:
    system = _system(connection)
    state = load(stream)
    if state and state.cursor_field is not None:
        anew(stream, f"it was read by the cursor {state.cursor_field}, and now by xmin")
        state = None
    if state and not _usable(stream, state, held, system):
        state = None
    _tell_limits(held.table, stream)
    done = State(xmin=str(held.xmin), system=system, table=_identity(held.table))
    if state is None or state.xmin is None:
        yield from by_ranges(config, stream, connection, held)
    elif held.xmax > int(state.xmin):
        yield from _written_since(config, stream, connection, held, int(state.xmin), done)
    yield Checkpoint(done.dump())


def _written_since(
    config: PostgresConfig, stream: ConfiguredStream, connection: Connection, held: Held, xmin: int, done: State
) -> Iterator[Yielded]:
    """Oldest first, so that a checkpoint can say: all below this one were delivered."""
    distance = _DISTANCE.format(xid="xmin")
    step = Step(_late(xmin), f"{distance} DESC", f"{_back_to(xmin)} OPERATOR(pg_catalog.-) {distance}")

    def state(place: str) -> dict[str, object]:
        return replace(done, xmin=str(min(xmin + int(place), held.xmin))).dump()

    return in_order(config, stream, connection, held, [step], state)


# By cursor


@dataclass(frozen=True, slots=True)
class Cursor:
    """A cursor column, and how PostgreSQL compares its values."""

    field: str
    type: str
    """The quoted name of its type; of a domain, the type below."""
    kind: str
    """The plain name of a type of PostgreSQL's own, else nothing."""
    indexed: bool
    """An index has its order, so that nothing has to be sorted."""
    endless: str | None
    """The value of `ENDLESS`, as far as the server knows it."""
    operators: Mapping[int, str]
    """By btree strategy: 1 <, 2 <=, 4 >=, 5 >."""

    def compared(self, strategy: int, value: str) -> str:
        return f"{name(self.field)} {self.operators[strategy]} {value}"

    def value(self, text: str) -> str:
        return f"{literal(text)}::{self.type}"


BELOW, UP_TO, FROM, ABOVE = 1, 2, 4, 5


def _by_cursor(
    config: PostgresConfig, stream: ConfiguredStream, connection: Connection, held: Held
) -> Iterator[Yielded]:
    cursor = _cursor(connection, held.table, stream)
    guarded = held.table.has_xmin
    system = _system(connection) if guarded else None
    before = _start(stream, cursor, held, system)
    _tell_limits(held.table, stream)
    done = State(
        cursor_field=cursor.field,
        cursor_type=cursor.type,
        cursor=before.cursor if before else None,
        xmin=str(held.xmin) if guarded else None,
        system=system,
        table=_identity(held.table),
    )

    def state(place: str) -> dict[str, Any]:
        return replace(done, cursor=place, complete=False).dump()

    place = None
    if before is None and guarded and not cursor.indexed and sum(part.bytes for part in held.parts) > SORTABLE:
        yield from by_ranges(config, stream, connection, held)
        place = _highest(connection, held.table, cursor)
    elif not _nothing_new(config, before, held):
        steps = _steps(config, stream, cursor, before, held.table)
        place = yield from in_order(config, stream, connection, held, steps, state)
    yield Checkpoint((done if place is None else replace(done, cursor=place)).dump())


def _start(stream: ConfiguredStream, cursor: Cursor, held: Held, system: str | None) -> State | None:
    """The state to go on from, or None to begin anew; a reason for that is told."""
    state = load(stream)
    if state is None:
        return None
    if state.cursor_field is None:
        anew(stream, f"it was read by xmin, and now by the cursor {cursor.field}")
    elif state.cursor_field != cursor.field:
        anew(stream, f"its cursor was {state.cursor_field} and is {cursor.field} now")
    elif state.cursor_type != cursor.type:
        anew(stream, f"the type of its cursor was {state.cursor_type} and is {cursor.type} now")
    elif _usable(stream, state, held, system):
        return state if held.table.has_xmin else replace(state, xmin=None)
    return None


def _nothing_new(config: PostgresConfig, before: State | None, held: Held) -> bool:
    """Nobody has written anything since."""
    if before is None or before.xmin is None or not before.complete or config.lookback_window is not None:
        return False
    return held.xmax == int(before.xmin)


def _steps(
    config: PostgresConfig, stream: ConfiguredStream, cursor: Cursor, before: State | None, table: Table
) -> list[Step]:
    """First what has no place in the order, then the rest in it: a checkpoint there speaks for all that came before."""
    low = before and before.cursor and _low(config, stream, cursor, before.cursor)
    inclusive = before is not None and (before.xmin is None or not before.complete)
    apart = [f"{name(cursor.field)} IS NULL"]  # Even where it is declared NOT NULL: not all of that is enforced.
    rest = [cursor.compared(FROM if inclusive else ABOVE, low) if low else f"{name(cursor.field)} IS NOT NULL"]
    if not table.has_xmin and cursor.endless:
        end = cursor.value(cursor.endless)
        apart.append(cursor.compared(FROM, end))
        rest.append(cursor.compared(BELOW, end))
    late = ""
    if before is not None and before.xmin is not None:
        apart += [cursor.compared(BELOW if inclusive else UP_TO, low)] if low else []
        late = f" AND {_late(int(before.xmin))}"
    column = _column(table, cursor)
    return [Step(f"({' OR '.join(apart)}){late}"), Step(" AND ".join(rest), column, column)]


def _column(table: Table, cursor: Cursor) -> str:
    """For ORDER BY, where a bare name would mean the output, which may be a text by now."""
    return f"{table.source}.{name(cursor.field)}"


def _low(config: PostgresConfig, stream: ConfiguredStream, cursor: Cursor, text: str) -> str:
    """Where to begin: at the cursor of the state, or as far before it as the config says."""
    value, window = cursor.value(text), config.lookback_window
    if window is None:
        return value
    number = re.fullmatch(r"[\d.]+", str(window)) is not None
    unit = UNITS.get(cursor.kind)
    if number and unit == "":
        return f"({value} OPERATOR(pg_catalog.-) {window})"
    if unit:
        earlier = f"{value} OPERATOR(pg_catalog.-) INTERVAL '{window}{f' {unit}' if number else ''}'"
        return f"LEAST({earlier}, {value})" if cursor.kind in ("time", "timetz") else f"({earlier})"
    log.warning("%s: the lookback window %s does not fit the cursor %s of type %s; it is left out.",
                stream.id, window, cursor.field, cursor.type)  # fmt: skip
    return value


UNITS = {
    **dict.fromkeys(["int2", "int4", "int8", "float4", "float8", "numeric"], ""),
    **dict.fromkeys(["timestamp", "timestamptz", "time", "timetz", "interval"], "seconds"),
    "date": "days",
}
"""What a bare number in the lookback window counts, by the cursor's type."""


def _tell_limits(table: Table, stream: ConfiguredStream) -> None:
    """What a read cannot find where rows do not tell who wrote them, or where that is not enough."""
    if not table.has_xmin:
        log.warning(
            "%s is read by its cursor alone, since its rows do not tell who wrote them: a row that is committed late, "
            "with a cursor below the last one, is missed (lookback_window helps); rows without one come every time.",
            stream.id,
        )
    elif table.has_parts:
        found = "written since the last run" if stream.cursor is None else "above the cursor or written since"
        log.info("%s: of a table that is attached to it when it has rows, only those %s are found.", stream.id, found)


_CURSOR = """
WITH RECURSIVE base (oid) AS (
    SELECT a.atttypid FROM pg_catalog.pg_attribute a
    WHERE a.attrelid = {oid} AND a.attname = {field} AND NOT a.attisdropped
    UNION ALL
    SELECT t.typbasetype FROM base b JOIN pg_catalog.pg_type t ON t.oid = b.oid WHERE t.typtype = 'd'
)
SELECT n.nspname, t.typname,
       EXISTS (SELECT FROM pg_catalog.pg_index i
               JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
               JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid JOIN pg_catalog.pg_am m ON m.oid = c.relam
               WHERE i.indrelid = {oid} AND i.indisvalid AND i.indpred IS NULL AND m.amname = 'btree'
                 AND a.attname = {field}),
       t.typtype IN ('e', 'r', 'm', 'c') OR t.typcategory = 'A' OR t.typname IN ('varchar', 'cidr'),
       ARRAY(SELECT o.amopstrategy FROM {operators} ORDER BY o.amopstrategy),
       ARRAY(SELECT on_.nspname::text FROM {operators} ORDER BY o.amopstrategy),
       ARRAY(SELECT op.oprname::text FROM {operators} ORDER BY o.amopstrategy)
FROM base b JOIN pg_catalog.pg_type t ON t.oid = b.oid AND t.typtype <> 'd'
JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
"""

_OPERATORS = """
    pg_catalog.pg_opclass oc JOIN pg_catalog.pg_am oa ON oa.oid = oc.opcmethod AND oa.amname = 'btree'
    JOIN pg_catalog.pg_amop o ON o.amopfamily = oc.opcfamily AND o.amoplefttype = t.oid AND o.amoprighttype = t.oid
    JOIN pg_catalog.pg_operator op ON op.oid = o.amopopr
    JOIN pg_catalog.pg_namespace on_ ON on_.oid = op.oprnamespace
    WHERE oc.opcdefault AND oc.opcintype = t.oid
"""


def _cursor(connection: Connection, table: Table, stream: ConfiguredStream) -> Cursor:
    """The cursor column of the stream. Raises ConfigError where there is none, or it has no order."""
    field = stream.cursor or ""
    row = None
    if field in {column.name for column in table.columns}:
        query = _CURSOR.format(oid=table.oid, field=literal(field), operators=_OPERATORS)
        row = run(connection, query).fetchone()
    if row is None:
        raise ConfigError(f"The cursor field {field} is no column of {table.id} that may be read: choose another one.")
    home, kind, indexed, derived, strategies, homes, signs = row
    operators = {s: f"OPERATOR({name(home)}.{sign})" for s, home, sign in zip(strategies, homes, signs, strict=True)}
    if derived and not operators:
        operators = {s: f"OPERATOR(pg_catalog.{sign})" for s, sign in ((1, "<"), (2, "<="), (4, ">="), (5, ">"))}
    if not operators:
        raise ConfigError(
            f"The cursor field {field} of {table.id} has the type {kind}, which has no order: choose another."
        )
    kind = "text" if home == "pg_catalog" and kind == "varchar" else kind
    return Cursor(
        field=field,
        type=name(home, kind),
        kind=kind if home == "pg_catalog" else "",
        indexed=indexed,
        endless=_endless(kind, connection.info.server_version) if home == "pg_catalog" else None,
        operators=operators,
    )


def _endless(kind: str, version: int) -> str | None:
    """numeric knows infinity since version 14, interval since 17."""
    if kind == "numeric" and version < 140000:
        return "NaN"
    if kind == "interval" and version < 170000:
        return None
    return ENDLESS.get(kind)


def _highest(connection: Connection, table: Table, cursor: Cursor) -> str | None:
    """The greatest cursor that the snapshot sees."""
    column = _column(table, cursor)
    text = f"SELECT {column}::pg_catalog.text FROM {table.source}"
    row = run(connection, f"{text} WHERE {column} IS NOT NULL ORDER BY {column} DESC LIMIT 1").fetchone()
    return str(row[0]) if row else None
