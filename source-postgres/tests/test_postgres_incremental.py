"""Incremental reads: nothing is lost, whoever commits late, and what is read twice is bounded."""

from __future__ import annotations

import itertools
import logging
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from connector_parts.postgres import Database, Postgres
from connector_sdk import Checkpoint, ConfigError
from source_postgres import incremental, scan

Make = Callable[..., Any]


def ids(result: Any) -> list[Any]:
    found: list[Any] = result.column("id")
    return found


def last(result: Any) -> dict[str, Any]:
    state: dict[str, Any] = result.states[-1]
    return state


@pytest.fixture
def reader(any_database: Database, reader_of: Make) -> Any:
    return reader_of(any_database)


# By cursor


def test_inserts_and_updates(any_database: Database, reader: Any) -> None:
    any_database.execute("create table t (id int primary key, at timestamptz)")
    any_database.execute(
        "insert into t select g, timestamptz '2024-01-01' + g * interval '1 s' from generate_series(1, 9) g"
    )
    first = reader.read("t", cursor="at")
    assert ids(first) == list(range(1, 10))
    assert last(first)["cursor"] == "2024-01-01 00:00:09+00"
    assert reader.read("t", cursor="at", state=last(first)).rows == []
    any_database.execute("insert into t values (10, '2024-02-01'); update t set at = '2024-03-01' where id = 5")
    second = reader.read("t", cursor="at", state=last(first))
    assert ids(second) == [5, 10]
    any_database.execute("update t set id = 60 where id = 6")
    assert ids(reader.read("t", cursor="at", state=last(second))) == [60]


CURSORS = {
    "int2": ("1", "2", "3"),
    "int8": ("-9223372036854775808", "0", "9223372036854775807"),
    "numeric": ("-1e100", "0.10", "NaN"),
    "float8": ("-Infinity", "1e-300", "NaN"),
    "float4": ("0.1", "0.2", "Infinity"),
    "text": ("", 'it\'s \\ "so"', "한국어"),
    "varchar(20)": ("a", "b", "c"),
    "char(5)": ("a", "b", "c"),
    "name": ("a", "b", "c"),
    "bool": ("false", "true", "true"),
    "date": ("4713-01-01 BC", "2024-01-01", "infinity"),
    "timestamp": ("-infinity", "0044-03-15 12:00:00 BC", "2024-01-01 00:00:00.000001"),
    "timestamptz": ("2024-01-01 00:00:00+09", "2024-01-01 00:00:00+00", "infinity"),
    "time": ("00:00", "00:00:00.000001", "24:00"),
    "timetz": ("00:00+09", "00:00+00", "00:00-09"),
    "interval": ("-1 day", "1 hour", "1 month"),
    "uuid": ("00000000-0000-0000-0000-000000000000", "00000000-0000-0000-0000-000000000001", "f" * 32),
    "bytea": ("\\x", "\\x00ff", "\\xff"),
    "inet": ("10.0.0.1", "10.0.0.2", "::1"),
    "cidr": ("10.0.0.0/8", "10.1.0.0/16", "::/0"),
    "macaddr": ("08:00:2b:01:02:03", "08:00:2b:01:02:04", "ff:00:2b:01:02:04"),
    "bit(3)": ("000", "001", "111"),
    "varbit": ("0", "001", "111"),
    "money": ("-1.50", "0", "1234567.89"),
    "oid": ("1", "2", "4294967295"),
    "pg_lsn": ("0/0", "0/1", "FF/1"),
    "int[]": ("{1}", "{1,2}", "{2}"),
    "int4range": ("empty", "[1,5)", "[2,)"),
    "jsonb": ("1", "2", "3"),
    "tsvector": ("a", "a b", "a b c"),
    "mood": ("sad", "ok", "happy"),
    "positive": ("1", "2", "3"),
    "pair": ("(1,a)", "(1,b)", "(2,a)"),
    'odd."Strange type"': ("z", "a", "m"),
    "citext": ("a", "B", "c"),
    "ltree": ("a", "a.b", "b"),
}


@pytest.fixture
def with_types(any_database: Database) -> Database:
    any_database.execute(
        """
        create type mood as enum ('sad', 'ok', 'happy'); create domain positive as int check (value > 0);
        create type pair as (a int, b text); create schema odd; create type odd."Strange type" as enum ('z', 'a', 'm');
        """
    )
    return any_database


@pytest.mark.slow
@pytest.mark.parametrize("kind", CURSORS)
def test_a_cursor_of_any_type(with_types: Database, reader: Any, kind: str) -> None:
    """Whatever the order of a type is, each step finds what is above, and the guard what is not."""
    if kind in ("citext", "ltree"):
        try:
            with_types.execute(f"create schema ext; create extension {kind} schema ext")
        except Exception as error:
            pytest.skip(f"{kind} is not there: {error}")
    column = f"ext.{kind}" if kind in ("citext", "ltree") else kind
    with_types.execute(f"create table t (id int, c {column})")
    low, middle, high = (value.replace("'", "''") for value in CURSORS[kind])
    with_types.execute(f"insert into t values (1, '{low}'), (2, '{middle}'), (0, null)")
    first = reader.read("t", cursor="c")
    assert ids(first) == [0, 1, 2]
    with_types.execute(f"insert into t values (3, '{high}'), (4, '{middle}'), (5, '{low}'), (6, null)")
    second = reader.read("t", cursor="c", state=last(first))
    assert ids(second) == [3, 4, 5, 6]
    assert reader.read("t", cursor="c", state=last(second)).rows == []
    unfinished = {**last(first), "complete": False}
    assert set(ids(reader.read("t", cursor="c", state=unfinished))) >= {2, 3, 4, 5, 6}
    with_types.execute("create view v as table t")
    seen = reader.read("v", cursor="c")
    assert ids(seen) == [0, 1, 2, 3, 4, 5, 6]
    with_types.execute(f"insert into t values (7, '{high}')")
    again = ids(reader.read("v", cursor="c", state=last(seen)))
    assert {0, 6, 7} <= set(again)


def test_citext_is_compared_by_its_own_operators(any_database: Database, reader: Any) -> None:
    """They are found wherever the extension lives; text would put B before a."""
    any_database.execute("create schema ext; create extension citext schema ext")
    any_database.execute("create table t (id int, c ext.citext); create view v as table t")
    any_database.execute("insert into t values (1, 'a')")
    first = reader.read("v", cursor="c")
    any_database.execute("insert into t values (2, 'B')")
    assert ids(reader.read("v", cursor="c", state=last(first))) == [1, 2]


@pytest.mark.parametrize("kind", ["json", "xml", "point"])
def test_a_cursor_without_an_order_is_refused(database: Database, reader_of: Make, kind: str) -> None:
    try:
        database.execute(f"create table t (id int, c {kind}, cs {kind}[])")
    except Exception as error:
        pytest.skip(f"{kind} is not there: {error}")
    database.execute("insert into t (id) values (1)")
    reader = reader_of(database)
    with pytest.raises(ConfigError, match=rf"cursor field c of public\.t has the type {kind}"):
        reader.read("t", cursor="c")
    with pytest.raises(ConfigError, match="ordering operator"):
        reader.read("t", cursor="cs")
    with pytest.raises(ConfigError, match=r"cursor field nope is no column of public\.t"):
        reader.read("t", cursor="nope")


@pytest.mark.parametrize("cursor", ["c", None])
def test_rows_that_are_committed_late(any_database: Database, reader: Any, cursor: str | None) -> None:
    """A transaction takes its place in the order when it begins, and its rows are seen when it ends."""
    any_database.execute("create table t (id int, c int)")
    any_database.execute("insert into t values (1, 1)")
    with any_database.connect(autocommit=False) as late, any_database.connect(autocommit=False) as later:
        late.execute("insert into t values (100, 0), (101, null), (102, 2)")
        any_database.execute("insert into t values (2, 2)")
        later.execute("insert into t values (200, 1)")
        any_database.execute("insert into t values (3, 3)")
        first = reader.read("t", cursor=cursor, state=None)
        assert ids(first) == [1, 2, 3]
        late.commit()
        second = reader.read("t", cursor=cursor, state=last(first))
        assert {100, 101, 102} <= set(ids(second)) <= {2, 3, 100, 101, 102}
        later.commit()
        third = reader.read("t", cursor=cursor, state=last(second))
        assert 200 in ids(third)
        assert set(ids(third)) <= {3, 200}
    assert reader.read("t", cursor=cursor, state=last(third)).rows == []


@pytest.mark.parametrize("cursor", ["c", None])
def test_rows_of_subtransactions_and_of_prepared_ones(reader_of: Make, prepared: Database, cursor: str | None) -> None:
    prepared.execute("create table t (id int, c int); insert into t values (1, 1)")
    reader = reader_of(prepared)
    with prepared.connect(autocommit=False) as late:
        late.execute("insert into t values (10, 0); savepoint a; insert into t values (11, 0)")
        prepared.execute("insert into t values (2, 2)")
        late.execute("savepoint b; insert into t values (12, 0); prepare transaction 'two'")
    first = reader.read("t", cursor=cursor, state=None)
    assert ids(first) == [1, 2]
    prepared.execute("insert into t values (3, 3)")
    second = reader.read("t", cursor=cursor, state=last(first))
    prepared.execute("commit prepared 'two'")
    third = reader.read("t", cursor=cursor, state=last(second))
    assert {10, 11, 12} <= set(ids(third))
    assert 1 not in ids(third)


@pytest.fixture
def prepared() -> Iterator[Database]:
    with Postgres("18", settings={"max_prepared_transactions": "5"}) as server:
        yield server.create_database()


def test_nulls_and_ties(any_database: Database, reader: Any) -> None:
    any_database.execute("create table t (id int, c int); insert into t select g, 7 from generate_series(1, 50) g")
    any_database.execute("insert into t select g, null from generate_series(51, 60) g")
    first = reader.read("t", cursor="c")
    assert ids(first) == list(range(1, 61))
    any_database.execute("insert into t values (61, 7), (62, null); update t set c = null where id = 1")
    second = reader.read("t", cursor="c", state=last(first))
    assert ids(second) == [1, 61, 62]


def test_all_cursors_are_null(any_database: Database, reader: Any) -> None:
    any_database.execute(
        "create table t (id int, c int); create table e (id int, c int); insert into t values (1, null)"
    )
    first, empty = reader.read("t", cursor="c"), reader.read("e", cursor="c")
    any_database.execute("insert into t values (2, null), (3, 1); insert into e values (1, 1), (2, null)")
    assert ids(reader.read("t", cursor="c", state=last(first))) == [2, 3]
    assert ids(reader.read("e", cursor="c", state=last(empty))) == [1, 2]


def test_nulls_where_none_should_be(database: Database, reader_of: Make) -> None:
    """NOT NULL need not hold for rows that were there before, nor for tables that inherit."""
    database.execute("create table t (id int, c int); insert into t values (1, null), (2, 1)")
    database.execute("alter table t add constraint full_soon not null c not valid")
    database.execute("create table a (id int, c int not null no inherit); create table b () inherits (a)")
    database.execute("insert into b values (1, null)")
    reader = reader_of(database)
    assert ids(reader.read("t", cursor="c")) == [1, 2]
    assert ids(reader.read("a", cursor="c")) == [1]


def test_the_column_is_shown_otherwise_than_it_is_ordered(any_database: Database, reader: Any) -> None:
    """The row has a text for it; the order is that of its type."""
    any_database.execute("create table t (id int, c money); insert into t select g, g from generate_series(1, 200) g")
    assert last(reader.read("t", cursor="c"))["cursor"].endswith("200.00")


# Lookback


LOOKBACKS = [
    ("int", "g", "10", list(range(90, 101))),
    ("int", "g", "2.5", [98, 99, 100]),
    ("numeric", "g", "2.5", [98, 99, 100]),
    ("float8", "g", "2", [98, 99, 100]),
    ("timestamptz", "'2024-01-01'::timestamptz + g * interval '1 hour'", "2 hours 30 minutes", [98, 99, 100]),
    ("timestamp", "'2024-01-01'::timestamp + g * interval '1 hour'", "7200", [98, 99, 100]),
    ("date", "'2024-01-01'::date + g", "2", [98, 99, 100]),
    ("date", "'2024-01-01'::date + g", "2 days", [98, 99, 100]),
    ("text", "lpad(g::text, 3, '0')", "2 days", [100]),
    ("int", "g", "2 days", [100]),
]


@pytest.mark.parametrize(("kind", "value", "window", "expected"), LOOKBACKS)
def test_lookback(
    database: Database, reader_of: Make, caplog: pytest.LogCaptureFixture,
    kind: str, value: str, window: str, expected: list[int],
) -> None:  # fmt: skip
    database.execute(f"create table t (id int, c {kind}); create view v as table t")
    database.execute(f"insert into t select g, {value} from generate_series(1, 100) g")
    reader = reader_of(database, lookback_window=window)
    assert ids(reader.read("v", cursor="c", state=last(reader.read("v", cursor="c")))) == expected
    again = ids(reader.read("t", cursor="c", state=last(reader.read("t", cursor="c"))))
    if expected == [100]:
        assert "does not fit the cursor c" in caplog.text
        assert again == []
    else:
        assert set(expected[1:]) <= set(again) <= set(expected)


# Checkpoints


def test_a_checkpoint_speaks_for_what_came_before(database: Database, reader_of: Make, monkeypatch: Any) -> None:
    """From each of the states of a run, whatever was committed meanwhile, the rest is read and little more."""
    database.execute("create table t (id int, c int, pad text)")
    database.execute("insert into t select g, g / 10, repeat('x', 3000) from generate_series(1, 2000) g")
    database.execute("insert into t select g, null from generate_series(2001, 2010) g")
    reader = reader_of(database)
    monkeypatch.setattr("source_postgres.scan.time.monotonic", itertools.count(step=1000).__next__)
    monkeypatch.setattr("source_postgres.pull.SIZE", 1)  # Each block is one to be asked about.
    seen: set[int] = set()
    points = []
    with database.connect(autocommit=False) as late:
        late.execute("insert into t values (5000, 1), (5001, null), (5002, 199)")
        database.execute("create table somebody_elses (id int)")
        result = reader.result()
        for item in reader.start("t", cursor="c"):
            result.take(item)
            if isinstance(item, Checkpoint):
                points.append((dict(item.state), set(result.column("id"))))
        late.commit()
    everything = {*range(1, 2011), 5000, 5001, 5002}
    assert len(points) > 10
    for state, seen in points:
        rest = ids(reader.read("t", cursor="c", state=state))
        assert set(rest) | seen == everything
        assert len(rest) <= 2013 - len(seen) + 20
    unfinished = [state for state, _ in points if not state["complete"]]
    for (before, _), (after, _) in itertools.pairwise(points):
        assert before["cursor"] is None or int(before["cursor"]) <= int(after["cursor"])
    assert len(unfinished) == len(points) - 1


def test_checkpoints_by_xmin(database: Database, reader_of: Make, monkeypatch: Any) -> None:
    database.execute("create table t (id int, pad text); insert into t values (0)")
    reader = reader_of(database)
    start = last(reader.read("t", state=None))
    for number in range(20):
        first = number * 100 + 1
        database.execute(f"insert into t select g, repeat('x', 3000) from generate_series({first}, {first + 99}) g")
    monkeypatch.setattr("source_postgres.scan.time.monotonic", itertools.count(step=1000).__next__)
    monkeypatch.setattr("source_postgres.pull.SIZE", 1)  # Each block is one to be asked about.
    result, points = reader.result(), []
    with database.connect(autocommit=False) as late:
        late.execute("insert into t values (5000)")
        database.execute("create table somebody_elses (id int)")
        for item in reader.start("t", state=start):
            result.take(item)
            if isinstance(item, Checkpoint):
                points.append((dict(item.state), set(result.column("id"))))
        late.commit()
    assert len(points) > 10
    for state, seen in points:
        rest = ids(reader.read("t", state=state))
        assert set(rest) | seen == {*range(1, 2001), 5000}
        assert len(rest) <= 2001 - len(seen) + 200


def test_a_large_table_without_an_index_is_not_sorted(database: Database, reader_of: Make, monkeypatch: Any) -> None:
    monkeypatch.setattr(incremental, "SORTABLE", 0)
    database.execute("create table t (id int, c int); insert into t select g, 1200 - g from generate_series(1, 1199) g")
    reader = reader_of(database)
    sorted_ones: list[Any] = []

    def in_order(*arguments: Any) -> Any:
        sorted_ones.append(arguments)
        return scan.in_order(*arguments)

    monkeypatch.setattr(incremental, "in_order", in_order)
    first = reader.read("t", cursor="c")
    assert not sorted_ones
    assert ids(first) == list(range(1, 1200))
    assert last(first)["cursor"] == "1199"  # As numbers go: of the texts, 999 is the highest.
    database.execute("insert into t values (1200, 5), (1201, 1200)")
    assert ids(reader.read("t", cursor="c", state=last(first))) == [1200, 1201]
    database.execute("create index on t (c)")
    sorted_ones.clear()
    assert len(reader.read("t", cursor="c").rows) == 1201
    assert sorted_ones


def test_nothing_new_is_found_without_looking(database: Database, reader_of: Make, monkeypatch: Any) -> None:
    database.execute("create table t (id int); insert into t values (1)")
    reader = reader_of(database)
    by_cursor, by_xmin = last(reader.read("t", cursor="id")), last(reader.read("t", state=None))
    monkeypatch.setattr(incremental, "in_order", lambda *_: pytest.fail("the table was read"))
    assert reader.read("t", cursor="id", state=by_cursor).states == [by_cursor]
    assert reader.read("t", state=by_xmin).states == [by_xmin]


# Views and others that do not tell who wrote a row


def test_a_view_says_what_it_lacks(any_database: Database, reader: Any, caplog: pytest.LogCaptureFixture) -> None:
    any_database.execute("create table t (id int, c int); insert into t values (1, 1), (2, 2), (0, null)")
    any_database.execute("create view v as table t")
    first = reader.read("v", cursor="c")
    assert ids(first) == [0, 1, 2]
    assert "public.v is read by its cursor alone" in caplog.text
    any_database.execute("insert into t values (3, 2), (4, 3), (5, 1)")
    assert ids(reader.read("v", cursor="c", state=last(first))) == [0, 2, 3, 4]
    with pytest.raises(ConfigError, match=r"public\.v has no cursor field"):
        reader.read("v", state=None)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("float8", ["1", "2", "Infinity", "NaN"]),
        ("numeric", ["1", "2", "NaN"]),
        ("numeric", ["1", "2", "Infinity"]),
        ("interval", ["1 day", "2 days", "infinity"]),
        ("timestamptz", ["2024-01-01", "2024-01-02", "infinity"]),
        ("date", ["2024-01-01", "2024-01-02", "infinity"]),
    ],
)
def test_a_view_does_not_stick_at_infinity(database: Database, reader_of: Make, kind: str, values: list[str]) -> None:
    database.execute(f"create table t (id serial, c {kind}); create view v as table t")
    for value in values:
        database.execute(f"insert into t (c) values ('{value}')")
    reader = reader_of(database)
    first = reader.read("v", cursor="c")
    assert ids(first) == list(range(1, len(values) + 1))
    database.execute(f"insert into t (id, c) select 9, '{values[1]}'")
    assert 9 in ids(reader.read("v", cursor="c", state=last(first)))


def test_a_materialised_view_is_refreshed(any_database: Database, reader: Any) -> None:
    any_database.execute("create table t (id int, c int); insert into t values (1, 1)")
    any_database.execute("create materialized view m as table t")
    for cursor in ("c", None):
        first = reader.read("m", cursor=cursor, state=None)
        assert 1 in ids(first)
        number = 2 if cursor else 3
        any_database.execute(f"insert into t values ({number}, 0); refresh materialized view m")
        assert number in ids(reader.read("m", cursor=cursor, state=last(first)))


def test_partitioned_tables_are_guarded(any_database: Database, reader: Any) -> None:
    any_database.execute(
        "create table p (id int, c int) partition by range (id);"
        "create table a partition of p for values from (0) to (10);"
        "create table b partition of p for values from (10) to (99); insert into p values (1, 1), (11, 1)"
    )
    for cursor in ("c", None):
        with any_database.connect(autocommit=False) as late:
            late.execute("insert into p values (2, 0), (12, 0)")
            any_database.execute("create table somebody_elses (id int); drop table somebody_elses")
            first = reader.read("p", cursor=cursor, state=None)
            late.commit()
        assert ids(reader.read("p", cursor=cursor, state=last(first))) == [2, 12]
        any_database.execute("delete from p where id in (2, 12)")


# States


def test_a_changed_cursor_begins_anew(any_database: Database, reader: Any, caplog: pytest.LogCaptureFixture) -> None:
    any_database.execute("create table t (id int, c int); insert into t values (1, 9), (2, 8)")
    first = last(reader.read("t", cursor="id"))
    assert ids(reader.read("t", cursor="c", state=first)) == [1, 2]
    assert "public.t begins anew: its cursor was id and is c now" in caplog.text
    assert ids(reader.read("t", cursor=None, state=first)) == [1, 2]
    assert "it was read by the cursor id, and now by xmin" in caplog.text
    by_xmin = last(reader.read("t", state=None))
    assert ids(reader.read("t", cursor="id", state=by_xmin)) == [1, 2]
    assert "it was read by xmin, and now by the cursor id" in caplog.text
    any_database.execute("alter table t alter column id type text")
    assert len(ids(reader.read("t", cursor="id", state=first))) == 2
    assert 'the type of its cursor was "pg_catalog"."int4" and is "pg_catalog"."text" now' in caplog.text


OURS = {"version": 1, "cursor_field": "id", "cursor_type": "int", "cursor": "1", "xmin": "5", "system": "1",
        "complete": True}  # fmt: skip
STRANGE = [
    {"version": 2, "state_type": "cursor_based", "stream_name": "t", "cursor_field": ["id"], "cursor": "1"},
    {"version": 2, "state_type": "xmin", "num_wraparound": 0, "xmin_xid_value": 750, "xmin_raw_value": 750},
    {"state_type": "ctid_based", "ctid": "(5,1)"},
    {"version": 1},
    {**OURS, "version": 99},
    {**OURS, "cursor": 1},
    {**OURS, "xmin": "x"},
    {**OURS, "complete": "yes"},
    {"anything": []},
]


@pytest.mark.parametrize("state", STRANGE)
def test_a_state_of_another_connector_begins_anew(
    database: Database, reader_of: Make, caplog: pytest.LogCaptureFixture, state: Any
) -> None:
    database.execute("create table t (id int); insert into t values (1), (2)")
    reader = reader_of(database)
    assert ids(reader.read("t", cursor="id", state=state)) == [1, 2]
    assert ids(reader.read("t", state=state)) == [1, 2]
    assert caplog.text.count("The state of public.t is not one of this connector's") == 2


@pytest.mark.parametrize("cursor", ["id", None])
@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"system": "1"}, "another database cluster"),
        ({"xmin": str(10**15)}, "counts fewer transactions"),
    ],
)
def test_a_state_of_another_server_begins_anew(
    database: Database, reader_of: Make, caplog: pytest.LogCaptureFixture,
    cursor: str | None, change: dict[str, str], why: str,
) -> None:  # fmt: skip
    database.execute("create table t (id int); insert into t values (1), (2)")
    reader = reader_of(database)
    state = last(reader.read("t", cursor=cursor, state=None))
    assert ids(reader.read("t", cursor=cursor, state={**state, **change})) == [1, 2]
    assert why in caplog.text


@pytest.mark.parametrize("cursor", ["id", None])
def test_a_table_that_is_swapped_in_begins_anew(
    any_database: Database, reader: Any, caplog: pytest.LogCaptureFixture, cursor: str | None
) -> None:
    """Its rows may have been written long before the last run."""
    any_database.execute("create table t (id int); insert into t values (1), (2)")
    any_database.execute("create table fresh (id int); insert into fresh values (1), (3)")
    first = last(reader.read("t", cursor=cursor, state=None))
    without_table = {key: value for key, value in first.items() if key != "table"}
    any_database.execute("truncate t; insert into t values (4)")
    assert ids(reader.read("t", cursor=cursor, state=first)) == [4]
    assert ids(reader.read("t", cursor=cursor, state=without_table)) == [4]
    assert "begins anew" not in caplog.text
    any_database.execute("alter table t rename to old; alter table fresh rename to t")
    assert ids(reader.read("t", cursor=cursor, state=first)) == [1, 3]
    assert "public.t begins anew: another table has its name now" in caplog.text


def test_a_view_that_is_made_anew_goes_on(any_database: Database, reader: Any) -> None:
    any_database.execute("create table t (id int); insert into t values (1), (2); create view v as table t")
    first = last(reader.read("v", cursor="id"))
    any_database.execute("drop view v; create view v as table t")
    assert ids(reader.read("v", cursor="id", state=first)) == [2]


@pytest.mark.parametrize("cursor", ["id", None])
def test_rows_that_are_attached_are_told(
    any_database: Database, reader: Any, caplog: pytest.LogCaptureFixture, cursor: str | None
) -> None:
    any_database.execute("create table p (id int) partition by range (id)")
    with caplog.at_level(logging.INFO):
        reader.read("p", cursor=cursor, state=None)
    assert "of a table that is attached to it when it has rows, only those" in caplog.text


def test_a_role_loses_the_guard_and_gets_it_back(database: Database, reader_of: Make) -> None:
    database.execute("create table t (id int, c int); insert into t values (1, 1), (2, 2)")
    database.execute("create role half login; grant select (id, c) on t to half")
    try:
        whole, half = reader_of(database), reader_of(database, username="half")
        first = last(whole.read("t", cursor="c"))
        database.execute("insert into t values (3, 3)")
        second = half.read("t", cursor="c", state=first)
        assert ids(second) == [2, 3]
        database.execute("insert into t values (4, 4)")
        third = whole.read("t", cursor="c", state=last(second))
        assert ids(third) == [3, 4]
        assert last(third)["xmin"]
        half.close()
    finally:
        database.execute("drop owned by half; drop role half")


# Wraparound


PAGE = 32768
"""Transactions on a page of the server's log of commits: its counter can be set to the start of one."""


@pytest.mark.slow
@pytest.mark.parametrize("cursor", ["c", None])
def test_transaction_numbers_go_round(aging: Aging, reader_of: Make, cursor: str | None) -> None:
    """Rows of all ages are told apart, and late ones found, on both sides of the turn and of the half of it."""
    database = aging.server.create_database()
    database.execute("create table t (id int, c int); insert into t values (1, 1)")
    reader = reader_of(database)
    state = last(reader.read("t", cursor=cursor, state=None))
    old = {1}
    for number, age in enumerate([1_600_000_000, 4_100_000_000, 4_294_967_296 - PAGE, 4_400_000_000, 8_000_000_000], 2):
        reader.close()
        aging.until(age)
        ambiguous = old if age > 2**32 else set()  # Numbers that were used before: read again, rather than lost.
        with database.connect(autocommit=False) as late:
            late.execute(f"insert into t values ({number * 10}, 0)")
            database.execute(f"insert into t values ({number}, {number})")
            result = reader.read("t", cursor=cursor, state=state)
            assert {number} <= set(ids(result)) <= {number} | ambiguous, age
            state = last(result)
            assert int(state["xmin"]) >= age // PAGE * PAGE
            late.commit()
        result = reader.read("t", cursor=cursor, state=state)
        assert {number * 10} <= set(ids(result)) <= {number, number * 10}
        state = last(result)
        assert reader.read("t", cursor=cursor, state=state).rows == []
        old |= {number, number * 10}


@pytest.mark.slow
def test_a_state_of_before_the_last_turn_begins_anew(
    aging: Aging, reader_of: Make, caplog: pytest.LogCaptureFixture
) -> None:
    database = aging.server.create_database()
    database.execute("create table t (id int); insert into t values (1)")
    reader = reader_of(database)
    states = {cursor: last(reader.read("t", cursor=cursor, state=None)) for cursor in ("id", None)}
    reader.close()
    aging.until(4_294_967_296 + PAGE)
    database.execute("insert into t values (2)")
    for cursor, state in states.items():
        assert ids(reader.read("t", cursor=cursor, state=state)) == [1, 2]
    assert caplog.text.count("transaction numbers have gone round") == 2


class Aging:
    """A server whose counter of transactions can be moved on, as if it had worked for years."""

    def __init__(self, server: Postgres) -> None:
        self.server = server
        self.now = 0

    def until(self, age: int) -> None:
        """Freeze all rows before each step, as the server itself does in time."""
        while self.now < age:
            self._freeze()
            self.now = min(age, self.now + 1_500_000_000) // PAGE * PAGE
            self._set(self.now)
            if age - self.now < PAGE:
                return

    def _freeze(self) -> None:
        self.server.execute("alter database template0 allow_connections true")
        for (name,) in self.server.execute("select datname from pg_database"):
            replace(self.server.default, database=name).execute("vacuum freeze")

    def _set(self, number: int) -> None:
        server = self.server
        assert server._folder
        server._end(signal.SIGINT)
        command = [str(server._bin / "pg_resetwal"), "-x", str(number % 2**32), "-e", str(number // 2**32)]
        who = server._run_as
        user, group = (who.uid, who.gid) if who else (None, None)
        subprocess.run(
            [*command, str(server._folder / "data")], check=True, capture_output=True, cwd="/", user=user, group=group
        )
        server.start()


@pytest.fixture
def aging() -> Iterator[Aging]:
    with Postgres("18") as server:
        yield Aging(server)
