"""Full refresh: no row is lost or read twice, whatever happens to the table meanwhile."""

from __future__ import annotations

import json
import logging
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from connector_parts.postgres import Database, Postgres
from connector_sdk import ConfigError, Records, TransientError, native
from source_postgres import hold, pull, scan
from source_postgres.connect import connections
from source_postgres.discover import check
from source_postgres.fan import ROOM, Fan
from source_postgres.reading import read

Make = Callable[..., Any]
WIDE = "repeat(md5(random()::text), 20)"
"""640 characters, so that a few thousand rows fill many blocks."""


@pytest.fixture
def small_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "RANGE_PAGES", 16)


def fill(database: Database, rows: int = 5000, table: str = "t") -> None:
    database.execute(f"create table {table} (id int primary key, v int, pad text)")
    database.execute(f"insert into {table} select g, 0, {WIDE} from generate_series(1, {rows}) g")


def drain(items: Iterator[Any]) -> list[int]:
    ids: list[int] = []
    for item in items:
        if isinstance(item, Records):
            ids += [json.loads(line)["record"]["data"]["id"] for line in item.data.splitlines()]
    return sorted(ids)


def first_rows(items: Iterator[Any]) -> list[int]:
    """Read on to the first block."""
    for item in items:
        if isinstance(item, Records) and item.count:
            return [json.loads(line)["record"]["data"]["id"] for line in item.data.splitlines()]
    raise AssertionError("no rows")


@pytest.mark.parametrize("number", [1, 2, 4])
@pytest.mark.usefixtures("small_ranges")
def test_every_row_once(any_database: Database, reader_of: Make, number: int) -> None:
    fill(any_database)
    any_database.execute("delete from t where id % 7 = 0; analyze t")
    reader = reader_of(any_database, max_db_connections=number)
    result = reader.read("t")
    assert result.column("id") == [n for n in range(1, 5001) if n % 7]
    assert result.estimates[0].rows == len(result.rows)
    assert result.estimates[0].bytes
    assert result.states == []


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.usefixtures("small_ranges")
def test_no_more_connections_than_allowed(database: Database, reader_of: Make, number: int) -> None:
    fill(database, 30_000)  # More than the queue holds, so that nobody is ready before all have come.
    database.execute(f"create role few login connection limit {number}; grant select on t to few")
    try:
        items = reader_of(database, username="few", max_db_connections=number).start("t")
        first_rows(items)
        count = "select count(*) from pg_stat_activity where usename = 'few'"
        wait_until(database, f"({count}) = {number}")
        assert len(drain(items)) > 0
        assert database.execute(count)[0][0] <= number
    finally:
        database.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'few'")
        database.execute("drop owned by few; drop role few")


@pytest.mark.usefixtures("small_ranges")
def test_fewer_connections_than_hoped_for(
    database: Database, reader_of: Make, caplog: pytest.LogCaptureFixture
) -> None:
    fill(database)
    database.execute("create role one login connection limit 1; grant select on t to one")
    reader = reader_of(database, username="one", max_db_connections=3)
    try:
        assert reader.read("t").column("id") == list(range(1, 5001))
        assert caplog.text.count("One connection less than max_db_connections") == 2
        assert reader.read("t").column("id") == list(range(1, 5001))
        assert caplog.text.count("One connection less than max_db_connections") == 2
    finally:
        reader.close()
        database.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'one'")
        database.execute("drop owned by one; drop role one")


@pytest.mark.usefixtures("small_ranges")
def test_helpers_may_have_read_everything_before_the_first_connection_begins(
    database: Database, reader_of: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow(Fan):
        def start(self, work: Callable[[], None]) -> None:
            super().start(work)
            self._threads[-1].join(20)

    monkeypatch.setattr(scan, "Fan", Slow)
    fill(database, 1000)
    assert reader_of(database, max_db_connections=2).read("t").column("id") == list(range(1, 1001))


@pytest.mark.parametrize("number", [1, 3])
@pytest.mark.usefixtures("small_ranges")
def test_rows_that_move_are_read_once(any_database: Database, reader_of: Make, number: int) -> None:
    """A row moved from the last block to the first, between two ranges, is in neither under a snapshot of each."""
    fill(any_database)
    items = reader_of(any_database, max_db_connections=number).start("t")
    seen = first_rows(items)
    for step in range(3):
        any_database.execute(f"update t set v = v + 1, pad = {WIDE} where id % 3 = {step}")
        any_database.execute("vacuum t")
    any_database.execute(f"insert into t select g, 1, {WIDE} from generate_series(5001, 6000) g")
    assert sorted(seen + drain(items)) == list(range(1, 5001))


DDL = [
    "truncate t",
    "vacuum full t",
    "cluster t using t_pkey",
    "alter table t alter column v type bigint",
    "drop table t",
    "alter table t drop column pad",
    "reindex table t",
]


@pytest.mark.slow
@pytest.mark.parametrize("number", [1, 3])
@pytest.mark.parametrize("statement", DDL)
@pytest.mark.usefixtures("small_ranges")
def test_ddl_waits_for_the_read(database: Database, reader_of: Make, statement: str, number: int) -> None:
    """Whoever waits for the table blocks new locks on it; we still get to the end, and then they do."""
    fill(database, 20_000)
    items = reader_of(database, max_db_connections=number).start("t")
    seen = first_rows(items)
    changer = threading.Thread(target=database.execute, args=(statement,))
    changer.start()
    wait_until(database, "exists (select from pg_locks where not granted)")
    assert sorted(seen + drain(items)) == list(range(1, 20_001))
    items.close()
    changer.join(30)
    assert not changer.is_alive()


@pytest.mark.parametrize("statement", DDL[:3])
@pytest.mark.usefixtures("small_ranges")
def test_helpers_that_come_too_late(
    database: Database, reader_of: Make, statement: str, monkeypatch: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody waits for the table before a second connection has its lock: the first one reads alone."""
    fill(database, 3000)
    monkeypatch.setattr(scan, "LOCK_SECONDS", 0.2)
    join = scan._join
    changers: list[threading.Thread] = []

    def late(*arguments: Any) -> None:
        if not changers:
            changers.append(threading.Thread(target=database.execute, args=(statement,)))
            changers[0].start()
        wait_until(database, "exists (select from pg_locks where not granted)")
        join(*arguments)

    monkeypatch.setattr(scan, "_join", late)
    reader = reader_of(database, max_db_connections=2)
    items = reader.start("t")
    slow = iter(items)
    seen = first_rows(slow)
    wait_until(database, "exists (select from pg_locks where not granted)")
    assert sorted(seen + drain(slow)) == list(range(1, 3001))
    assert "fewer connections" in caplog.text
    changers[0].join(30)


@pytest.mark.parametrize("finish", ["commit", "rollback"])
@pytest.mark.parametrize(
    ("statement", "left"),
    [
        ("truncate t; insert into t select g, 0 from generate_series(1, 7) g", 7),
        ("alter table t alter column v type text", 100),
        ("drop table t; create table t (id int, v int); insert into t values (1, 1)", 1),
    ],
)
def test_a_snapshot_from_before_a_rewrite_is_not_used(
    database: Database, reader_of: Make, statement: str, left: int, finish: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While we wait for the lock, the table becomes another one: an old snapshot would see it empty."""
    database.execute("create table t (id int primary key, v int)")
    database.execute("insert into t select g, 0 from generate_series(1, 100) g")
    monkeypatch.setattr(hold, "LOCK_SECONDS", 1)
    reader = reader_of(database, max_db_connections=1)
    stream = reader.stream("t")
    with database.connect(autocommit=False) as other:
        other.execute(statement.encode())
        found: list[Any] = []
        waiting = threading.Thread(target=lambda: found.append(collect(reader, stream)))
        waiting.start()
        wait_until(database, "exists (select from pg_locks where not granted)")
        other.commit() if finish == "commit" else other.rollback()
    waiting.join(30)
    assert len(found[0]) == (left if finish == "commit" else 100)


def collect(reader: Any, stream: Any) -> list[int]:
    return drain(reader.items(stream))


def test_a_view_of_a_table_that_is_rewritten_meanwhile(database: Database, reader_of: Make) -> None:
    """The lock of a view's table comes after the snapshot; the snapshot is taken anew then."""
    database.execute("create table t (id int); insert into t select generate_series(1, 100); create view w as table t")
    reader = reader_of(database)
    stream = reader.stream("w")
    with database.connect(autocommit=False) as other:
        other.execute("truncate t; insert into t select generate_series(1, 7)")
        found: list[Any] = []
        waiting = threading.Thread(target=lambda: found.append(collect(reader, stream)))
        waiting.start()
        wait_until(database, "exists (select from pg_locks where not granted)")
        other.commit()
    waiting.join(30)
    assert found == [list(range(1, 8))]


def test_a_column_changes_between_discover_and_read(
    database: Database, reader_of: Make, caplog: pytest.LogCaptureFixture
) -> None:
    database.execute("create table t (id int, v int, gone int); insert into t values (1, 2, 3)")
    reader = reader_of(database)
    stream = reader.stream("t")
    database.execute("alter table t alter column v type text using 'two', drop column gone")
    database.execute("alter table t add column fresh int default 4")
    with caplog.at_level(logging.INFO):
        lines = [item.data for item in reader.items(stream) if isinstance(item, Records) and item.count]
    assert b'"data":{"id":1,"v":"two","fresh":4}' in lines[0]
    assert "lost columns that the catalog names; they are left out: gone" in caplog.text
    assert "columns that the catalog does not name; they are read as well: fresh" in caplog.text
    stream = reader.stream("t")
    database.execute("drop table t")
    with pytest.raises(TransientError, match=r"gone.*public\.t"):
        list(read(reader.config, stream))


def test_nothing_to_read(any_database: Database, reader_of: Make) -> None:
    any_database.execute("create table t (id int); create table p (id int) partition by range (id)")
    reader = reader_of(any_database)
    assert reader.read("t").rows == []
    assert reader.read("p").rows == []


# Partitions and inheritance


@pytest.fixture
def partitioned(any_database: Database) -> Database:
    any_database.execute(
        """
        create table p (id int, pad text) partition by range (id);
        create table p_a partition of p for values from (0) to (1000);
        create table p_b (pad text, dropped int, id int); alter table p_b drop column dropped;
        alter table p attach partition p_b for values from (1000) to (2000);
        create table p_c partition of p for values from (2000) to (9000) partition by range (id);
        create table p_c_1 partition of p_c for values from (2000) to (3000);
        create table p_rest partition of p default;
        insert into p select g, repeat('x', 100) from generate_series(1, 2999) g;
        insert into p values (null, 'no id');
        """
    )
    return any_database


@pytest.mark.parametrize("number", [1, 3])
@pytest.mark.usefixtures("small_ranges")
def test_partitions(partitioned: Database, reader_of: Make, number: int) -> None:
    result = reader_of(partitioned, max_db_connections=number).read("p")
    assert result.column("id") == [*range(1, 3000), None]


def test_partitions_of_which_the_role_may_read_some(partitioned: Database, reader_of: Make) -> None:
    """Through the parent it may read all of them."""
    partitioned.execute("create role parent_only login; grant select on p, p_a to parent_only")
    try:
        reader = reader_of(partitioned, username="parent_only")
        assert reader.read("p").column("id") == [*range(1, 3000), None]
        reader.close()
    finally:
        partitioned.execute("drop owned by parent_only; drop role parent_only")


@pytest.mark.parametrize("where", ["p", "p_a"])
def test_row_security_of_partitions(partitioned: Database, reader_of: Make, where: str) -> None:
    """That of the parent counts for what is read through it, that of a partition does not."""
    partitioned.execute(
        f"create role guarded login; grant select on p, p_a, p_b, p_c, p_c_1, p_rest to guarded;"
        f"alter table {where} enable row level security; create policy seen on {where} using (id < 10)"
    )
    try:
        reader = reader_of(partitioned, username="guarded", max_db_connections=2)
        expected = list(range(1, 10)) if where == "p" else [*range(1, 3000), None]
        assert reader.read("p").column("id") == expected
        first = reader.read("p", cursor="id")
        assert first.column("id") == expected
        assert reader.read("p", cursor="id", state=first.states[-1]).rows == []
        reader.close()
    finally:
        partitioned.execute("drop owned by guarded; drop role guarded")


@pytest.mark.parametrize(
    "statement",
    ["create table p_d partition of p for values from (9000) to (9999)", "alter table p detach partition p_b"],
)
def test_a_partition_comes_or_goes_meanwhile(partitioned: Database, reader_of: Make, statement: str) -> None:
    """It has to wait, since it locks a partition that we hold."""
    reader = reader_of(partitioned, max_db_connections=1)
    items = reader.start("p", cursor="id")
    records = [next(item for item in items if isinstance(item, Records))]
    changer = threading.Thread(target=partitioned.execute, args=(statement,))
    changer.start()
    wait_until(partitioned, "exists (select from pg_locks where not granted)")
    records += [item for item in items if isinstance(item, Records)]
    assert sum(item.count for item in records) == 3000
    changer.join(30)
    assert not changer.is_alive()


@pytest.mark.usefixtures("small_ranges")
def test_inheritance(any_database: Database, reader_of: Make) -> None:
    any_database.execute(
        """
        create table a (id int); create table b (extra int) inherits (a); create table c () inherits (b);
        insert into a values (1); insert into b values (2, 2); insert into c values (3, 3);
        """
    )
    reader = reader_of(any_database)
    assert reader.read("a").column("id") == [1, 2, 3]
    assert reader.read("b").column("id") == [2, 3]
    first = reader.read("a", cursor="id")
    assert first.column("id") == [1, 2, 3]
    any_database.execute("insert into c values (0, 0)")
    assert reader.read("a", cursor="id", state=first.states[-1]).column("id") == [0]


def test_inherited_rows_are_asked_of_the_parent(any_database: Database, reader_of: Make) -> None:
    """It knows what it may show: another session's temporary table cannot be read by name."""
    any_database.execute("create table t (id int); create table child () inherits (t)")
    any_database.execute("insert into t values (1); insert into child values (2)")
    reader = reader_of(any_database)
    with any_database.connect() as other:
        other.execute("create temporary table theirs () inherits (t); insert into theirs values (3)")
        for more in ({}, {"state": None}, {"cursor": "id"}):
            assert reader.read("t", **more).column("id") == [1, 2]


@pytest.mark.usefixtures("small_ranges")
def test_virtual_columns_are_those_of_the_parent(database: Database, reader_of: Make) -> None:
    """A partition may compute its own in another way; whoever asks the parent never sees that."""
    database.execute(
        """
        create table t (id int, v int generated always as (id * 2) virtual) partition by range (id);
        create table part (id int, v int generated always as (id * 100) virtual);
        alter table t attach partition part default; insert into t values (3)
        """
    )
    reader = reader_of(database)
    assert reader.read("t").rows == reader.read("t", cursor="id").rows == [{"id": 3, "v": 6}]
    assert reader.read("part").rows == [{"id": 3, "v": 300}]


# Roles


def test_a_role_with_grants_on_columns(any_database: Database, reader_of: Make) -> None:
    fill(any_database, 100)
    any_database.execute("create role narrow login; grant select (id) on t to narrow")
    try:
        reader = reader_of(any_database, username="narrow")
        assert reader.read("t").rows[0].keys() == {"id"}
        first = reader.read("t", cursor="id")
        assert first.column("id") == list(range(1, 101))
        assert reader.read("t", cursor="id", state=first.states[-1]).column("id") == [100]
        with pytest.raises(ConfigError, match=r"public\.t has no cursor"):
            reader.read("t", state=None)
        reader.close()
    finally:
        any_database.execute("drop owned by narrow; drop role narrow")


FORGE = """
do $$
declare
    types regtype[] := '{oid,int2,int4,int8,numeric,text,name,"char",bool,xid,tid,float4,interval}';
    l regtype; r regtype; sign text;
    body text := $body$ language plpgsql as 'begin raise exception $m$forged$m$; end'$body$;
begin
    foreach l in array types loop
        execute format('create function public.unnest(%s[]) returns setof %s', l, l) || body;
        execute format('create function public.array_agg(%s) returns %s[]', l, l) || body;
        foreach r in array types loop
            execute format('create function public.forged(%s, %s) returns bool', l, r) || body;
            foreach sign in array '{=,<>,<,<=,>,>=,-,&,~~}'::text[] loop
                execute format('create operator public.%s (leftarg = %s, rightarg = %s, function = public.forged)',
                               sign, l, r);
            end loop;
        end loop;
    end loop;
end $$
"""
"""Functions and operators that fit some calls better than PostgreSQL's own, which take any type."""


@pytest.mark.parametrize("path", ["public", "public,pg_catalog"])
@pytest.mark.usefixtures("small_ranges")
def test_what_others_put_into_public_is_not_run(any_database: Database, reader_of: Make, path: str) -> None:
    any_database.execute(
        """
        create domain amount as numeric; create type pair as (a int, b amount[]);
        create table t (id int primary key, c numeric, p pair);
        insert into t select g, g, row(g, array[g]::amount[])::pair from generate_series(1, 4000) g;
        create table parts (id int, c numeric) partition by range (id);
        create table part partition of parts default; insert into parts values (1, 1);
        create view v as table parts;
        create role mallory login; grant create on schema public to mallory;
        """
    )
    reader = reader_of(any_database, max_db_connections=3, jdbc_url_params=f"currentSchema={path}")
    backward = reader_of(any_database, lookback_window=5, jdbc_url_params=f"currentSchema={path}")
    try:
        with any_database.connect(user="mallory") as mallory:
            mallory.execute(FORGE)
        check(reader.config)
        assert list(reader.streams()["t"].primary_key) == ["id"]
        assert reader.read("t").column("id") == list(range(1, 4001))
        by_xmin, by_cursor = reader.read("t", state=None), backward.read("t", cursor="c")
        any_database.execute("insert into t values (4001, 4001, null)")
        assert 4001 in reader.read("t", state=by_xmin.states[-1]).column("id")
        assert backward.read("t", cursor="c", state=by_cursor.states[-1]).column("id") == list(range(3996, 4002))
        for relation in ("parts", "v"):
            first = reader.read(relation, cursor="c")
            assert first.column("id") == [1]
            reader.read(relation, cursor="c", state=first.states[-1])
    finally:
        any_database.execute("drop owned by mallory; drop role mallory")


def test_functions_of_views_find_their_tables(any_database: Database, reader_of: Make) -> None:
    """The search path of the role, or that of the config, is theirs."""
    any_database.execute(
        """
        create table public.factor (f int); insert into public.factor values (2);
        create schema other; create table other.factor (f int); insert into other.factor values (3);
        create function public.factor() returns int stable language sql as 'select f from factor';
        create view v as select g as id, g * public.factor() as c from generate_series(1, 2) g where public.factor() > 1
        """
    )
    for params, factor in (("", 2), ("currentSchema=other", 3)):
        reader = reader_of(any_database, jdbc_url_params=params)
        expected = [{"id": 1, "c": factor}, {"id": 2, "c": 2 * factor}]
        assert reader.read("v").rows == expected
        assert reader.read("v", cursor="c").rows == expected


@pytest.mark.usefixtures("small_ranges")
def test_row_security(any_database: Database, reader_of: Make) -> None:
    fill(any_database, 3000)
    any_database.execute(
        "create role guarded login; grant select on t to guarded; alter table t enable row level security;"
        "create policy seen on t using (id <= 10)"
    )
    try:
        reader = reader_of(any_database, username="guarded")
        assert reader.read("t").column("id") == list(range(1, 11))
        assert reader.read("t", cursor="id").column("id") == list(range(1, 11))
        assert reader.read("t", state=None).column("id") == list(range(1, 11))
        reader.close()
    finally:
        any_database.execute("drop owned by guarded; drop role guarded")


HARD = {
    "timezone": "Asia/Seoul",
    "datestyle": "german",
    "intervalstyle": "sql_standard",
    "bytea_output": "escape",
    "extra_float_digits": "-15",
    "search_path": "nowhere",
    "quote_all_identifiers": "on",
    "standard_conforming_strings": "off",
    "statement_timeout": "400ms",
    "idle_in_transaction_session_timeout": "400ms",
    "lock_timeout": "1ms",
    "transaction_timeout": "400ms",
    "idle_session_timeout": "400ms",
    "tcp_user_timeout": "400ms",
    "default_transaction_isolation": "serializable",
    "default_transaction_read_only": "off",
}


@pytest.mark.usefixtures("small_ranges")
def test_settings_of_the_role_change_nothing(any_database: Database, reader_of: Make) -> None:
    version = any_database.execute("select current_setting('server_version_num')::int")[0][0]
    any_database.execute(
        """
        create type mood as enum ('it''s \\ fine');
        create table t (id int primary key, at timestamptz, d date, i interval, b bytea, f float8,
            ranged tstzrange, dates daterange, moods mood[], class regclass, ii interval[]);
        insert into t select g, '2024-05-05 22:08:09.123456+00', '2024-05-05', '1 day -02:00', '\\xdeadbeef', 0.1 + 0.2,
            '[2024-05-05 22:08:09+00,)', '[2024-05-05,2024-05-06)', array['it''s \\ fine'::mood], 't'::regclass,
            array['1 day -02:00'::interval] from generate_series(1, 4000) g;
        """
    )
    plain = reader_of(any_database).read("t", cursor="at")
    any_database.execute("create role hard login; grant select on t to hard")
    for key, value in HARD.items():
        if (key != "transaction_timeout" or version >= 170000) and (key != "quote_all_identifiers" or version >= 90000):
            any_database.execute(f"alter role hard set {key} = '{value}'")
    try:
        reader = reader_of(any_database, username="hard", max_db_connections=2)
        items = reader.start("t")
        seen = first_rows(items)
        time.sleep(1.5)  # Longer than every timeout of the role, with a transaction open on each connection.
        assert sorted(seen + drain(items)) == list(range(1, 4001))
        hard = reader.read("t", cursor="at")
        assert hard.rows[0] | {"id": 0} == plain.rows[0] | {"id": 0}
        assert hard.states[-1]["cursor"] == plain.states[-1]["cursor"] == "2024-05-05 22:08:09.123456+00"
        assert reader.read("t", cursor="at", state=hard.states[-1]).rows == []
        reader.close()
    finally:
        any_database.execute("drop owned by hard; drop role hard")


# The reader


def test_rows_are_the_same_without_a_libpq_in_sight(
    database: Database, reader_of: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Messages come from libpq by native code, or through psycopg where its libpq cannot be found."""
    fill(database, 20_000)
    near = reader_of(database).read("t")
    monkeypatch.setattr(pull, "_library", lambda: None)
    far = reader_of(database).read("t")
    assert near.column("id") == far.column("id") == list(range(1, 20_001))
    assert sorted(near.rows, key=lambda row: row["id"]) == sorted(far.rows, key=lambda row: row["id"])


@pytest.mark.skipif(native.module() is None, reason="the native part is not there or switched off")
def test_the_libpq_of_psycopg_is_found_on_linux() -> None:
    assert sys.platform != "linux" or pull._library() is not None


def test_what_is_no_libpq_is_refused() -> None:
    module = native.module()
    if module is None:
        pytest.skip("the native part is not there or switched off")
    for path in ("/no/such/libpq.so.5", ""):
        with pytest.raises(OSError, match="no libpq"):
            module.Libpq(path)


@pytest.mark.usefixtures("small_ranges")
def test_a_reader_that_stops_fills_the_queue_only(database: Database, reader_of: Make) -> None:
    fill(database, 30_000)
    reader = reader_of(database, max_db_connections=2)
    items = iter(read(reader.config, reader.stream("t")))
    seen = first_rows(items)
    held = -1
    frame: dict[str, Any] = {}
    inner: Any = items
    while inner is not None:
        frame = inner.gi_frame.f_locals
        inner = inner.gi_yieldfrom
        if "fan" in frame:
            break
    fan = frame["fan"]
    deadline = time.monotonic() + 10
    while held != fan._held and time.monotonic() < deadline:
        held = fan._held
        time.sleep(0.5)
    assert 0 < held <= ROOM
    assert sorted(seen + drain(items)) == list(range(1, 30_001))


@pytest.mark.parametrize("number", [1, 3])
@pytest.mark.usefixtures("small_ranges")
def test_a_reader_that_leaves(database: Database, reader_of: Make, number: int) -> None:
    """The threads end, the server's queries end, the locks are gone. One connection is read without a thread."""
    fill(database, 20_000)
    reader = reader_of(database, max_db_connections=number)
    items = reader.start("t")
    first_rows(items)
    threads = [thread for thread in threading.enumerate() if thread.name.startswith("reader-")]
    assert bool(threads) == (number > 1)
    items.close()
    assert not any(thread.is_alive() for thread in threads)
    mine = "select from pg_stat_activity where application_name = 'source-postgres' and datname = current_database()"
    wait_until(database, f"not exists ({mine} and state <> 'idle')")
    assert connections(reader.config)._taken == 0
    assert reader.read("t").column("id") == list(range(1, 20_001))


# A standby


@pytest.fixture
def standby() -> Iterator[tuple[Postgres, Database]]:
    """A server, and one that follows it."""
    with Postgres("18", hba=["host replication all all trust"]) as first, Postgres("18") as second:
        assert second._folder
        data = second._folder / "data"
        second._end(signal.SIGINT)
        shutil.rmtree(data)
        who = second._run_as
        user, group = (who.uid, who.gid) if who else (None, None)
        source = ["-h", first.host, "-p", str(first.port), "-U", first.user]
        command = [str(second._bin / "pg_basebackup"), *source, "-D", str(data), "-R", "-c", "fast"]
        subprocess.run(command, check=True, capture_output=True, cwd="/", user=user, group=group)
        with (data / "postgresql.conf").open("a") as file:
            file.write(f"port = {second.port}\nunix_socket_directories = '{second._folder}'\n")
        second.start()
        yield first, second.default


@pytest.mark.slow
@pytest.mark.usefixtures("small_ranges")
def test_a_standby(standby: tuple[Postgres, Database], reader_of: Make, caplog: pytest.LogCaptureFixture) -> None:
    """It has snapshots and transaction numbers too, and those of its primary."""
    primary, follower = standby
    fill(primary.default)
    wait_until(follower, "exists (select from pg_tables where tablename = 't')")
    wait_until(follower, "(select count(*) = 5000 from t)")
    of_primary, of_follower = reader_of(primary.default), reader_of(follower, max_db_connections=3)
    assert of_follower.read("t").column("id") == list(range(1, 5001))
    assert "connections" not in caplog.text
    for number, cursor in enumerate(("id", None)):
        state = of_primary.read("t", cursor=cursor, state=None).states[-1]
        with primary.default.connect(autocommit=False) as late:
            late.execute(f"insert into t values (-{number})".encode())
            primary.execute(f"insert into t values (6000 + {number})")
            wait_until(follower, f"(select exists (select from t where id = 6000 + {number}))")
            followed = of_follower.read("t", cursor=cursor, state=state)
            assert followed.column("id") == [6000 + number]
            late.commit()
        wait_until(follower, f"(select exists (select from t where id = -{number}))")
        assert -number in of_primary.read("t", cursor=cursor, state=followed.states[-1]).column("id")


def wait_until(database: Database, condition: str) -> None:
    """Until the server says so; the test fails where that takes too long."""
    deadline = time.monotonic() + 20
    while not database.execute(f"select {condition}")[0][0]:
        assert time.monotonic() < deadline, condition
        time.sleep(0.02)
