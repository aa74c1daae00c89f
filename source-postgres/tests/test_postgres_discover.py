"""What is offered: kinds of relations, keys, comments, and only what was asked for and may be read."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from connector_parts.postgres import Database
from connector_sdk import ConfigError, StreamName
from source_postgres.discover import check, discover, find

Make = Callable[..., Any]

HOSTILE = [
    'say "hi"',
    "it's",
    "semi; colon -- comment",
    "select",
    "Ünïcödé 한국어",
    "😀" * 15,
    "x" * 63,
    "back\\slash",
    "new\nline",
    "per%cent_{}{0}",
    "%s",
    "r",
    " ",
    "public.t",
    "a*b?",
]
"""Names that break careless quoting."""


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def test_kinds_keys_and_comments(any_database: Database, reader_of: Make) -> None:
    any_database.execute(
        """
        create table plain (b int, a int, note text, primary key (a, b) include (note));
        comment on table plain is 'all of it';
        comment on column plain.note is 'what was said';
        create view seen as select a, note from plain;
        create materialized view kept as select a from plain;
        create table split (id int primary key, at date) partition by range (id);
        create table split_1 partition of split for values from (0) to (10);
        create table no_key (id int unique);
        """
    )
    streams = reader_of(any_database).streams()
    assert sorted(streams) == ["kept", "no_key", "plain", "seen", "split"]
    assert streams["plain"].primary_key == ["a", "b"]
    assert streams["split"].primary_key == ["id"]
    assert not streams["no_key"].primary_key
    assert streams["plain"].schema["description"] == "all of it"
    assert streams["plain"].schema["properties"]["note"]["description"] == "what was said"
    assert list(streams["plain"].schema["properties"]) == ["b", "a", "note"]
    assert all(stream.namespace == "public" and stream.incremental and not stream.cursor for stream in streams.values())


def test_foreign_tables(database: Database, reader: Any) -> None:
    database.execute(
        f"""
        create extension postgres_fdw;
        create server here foreign data wrapper postgres_fdw
            options (host '{database.host}', port '{database.port}', dbname '{database.database}');
        create user mapping for current_user server here
            options (user '{database.user}', password '{database.password}');
        create table near (id int, note text);
        insert into near values (1, 'one'), (2, 'two');
        create foreign table far (id int, note text) server here options (table_name 'near');
        """
    )
    assert {"far", "near"} <= set(reader.streams())
    assert reader.read("far").column("note") == ["one", "two"]


def test_xmin_is_offered_only_where_there_is_one(database: Database, reader: Any) -> None:
    database.execute("create table t (a int); create view v as select a from t; create materialized view m as table t")
    streams = reader.with_options(replication_method={"method": "Xmin"}).streams()
    assert {name: stream.incremental for name, stream in streams.items()} == {"t": True, "v": False, "m": True}
    assert streams["t"].cursor_is_fixed


def test_only_what_was_asked_for(database: Database, reader: Any) -> None:
    database.execute(
        """
        create schema "Sales"; create schema other;
        create table t (a int); create table u (a int); create table log_1 (a int); create table logs (a int);
        create table "Sales".t (a int); create table other.v (a int);
        """
    )

    def names(**options: Any) -> list[str]:
        return [str(stream.id) for stream in discover(reader.with_options(**options).config)]

    assert names() == ["public.log_1", "public.logs", "public.t", "public.u"]
    assert names(schemas=["Sales", "other"]) == ["Sales.t", "other.v"]
    assert names(tables=["t"]) == ["public.t"]
    assert names(tables=["t"], schemas=["Sales"]) == ["Sales.t"]
    assert names(tables=["other.*", "log_*"]) == ["other.v", "public.log_1"]
    assert names(tables=["*.t"]) == ["Sales.t", "public.t"]
    assert names(tables=["*.*"]) == [
        "Sales.t", "other.v", "public.log_1", "public.logs", "public.t", "public.u"
    ]  # fmt: skip
    assert names(tables=["pg_catalog.pg_class"]) == ["pg_catalog.pg_class"]
    assert names(tables=["sales.t"]) == []


def test_find_gives_only_the_wanted(database: Database, reader: Any) -> None:
    database.execute("create table t (a int); create table u (a int); create schema s; create table s.t (a int)")
    wanted = {StreamName("public", "t"), StreamName("s", "t"), StreamName("public", "gone"), StreamName(None, "u")}
    assert [str(stream.id) for stream in find(reader.config, wanted)] == ["public.t"]
    assert [str(s.id) for s in find(reader.with_options(tables=["*.*"]).config, wanted)] == ["public.t", "s.t"]
    assert list(find(reader.config, set())) == []


def test_only_what_the_role_may_read(database: Database, reader: Any) -> None:
    database.execute(
        """
        create role some_columns login; create schema closed; create table closed.t (a int);
        grant select on closed.t to some_columns;
        create table open (a int primary key, b int); grant select on open to some_columns;
        create table part (a int primary key, b int, secret text); grant select (a, b) on part to some_columns;
        create table keyless (a int primary key, b int); grant select (b) on keyless to some_columns;
        create table none (a int);
        """
    )
    try:
        mine = reader.with_options(username="some_columns", schemas=["public", "closed"])
        streams = mine.streams()
        assert sorted(streams) == ["keyless", "open", "part"]
        assert list(streams["part"].schema["properties"]) == ["a", "b"]
        assert streams["part"].primary_key == ["a"]
        assert not streams["keyless"].primary_key
        assert "none" in mine.with_options(check_privileges=False).streams()
    finally:
        database.execute("drop owned by some_columns; drop role some_columns")


def test_partitions_are_offered_where_their_parent_is_not(database: Database, reader: Any) -> None:
    database.execute(
        """
        create schema parts; create table p (id int) partition by range (id);
        create table parts.p1 partition of p for values from (0) to (10) partition by range (id);
        create table parts.p11 partition of parts.p1 for values from (0) to (5);
        """
    )
    assert sorted(reader.with_options(schemas=["public", "parts"]).streams()) == ["p"]
    assert sorted(reader.with_options(schemas=["parts"]).streams()) == ["p1"]
    assert sorted(reader.with_options(tables=["p", "parts.p11"]).streams()) == ["p", "p11"]
    assert sorted(reader.with_options(tables=["parts.p11"]).streams()) == ["p11"]


def test_a_table_without_columns_is_left_out_and_told(
    database: Database, reader: Any, caplog: pytest.LogCaptureFixture
) -> None:
    database.execute("create table nothing (); create table gone (a int); alter table gone drop column a")
    with caplog.at_level(logging.WARNING):
        assert reader.streams() == {}
    assert "public.nothing has no columns" in caplog.text
    assert "public.gone has no columns" in caplog.text


def test_hostile_names(database: Database, reader: Any) -> None:
    for number, name in enumerate(HOSTILE):
        database.execute(
            f"create table {quoted(name)} ({quoted(name)} int primary key, v int);"
            f"insert into {quoted(name)} values ({number}, {number})"
        )
    assert sorted(reader.streams()) == sorted(HOSTILE)
    for number, name in enumerate(HOSTILE):
        assert reader.read(name).rows == [{name: number, "v": number}]
        for cursor in (name, None):
            first = reader.read(name, cursor=cursor, state=None)
            assert first.rows == [{name: number, "v": number}]
            again = reader.read(name, cursor=cursor, state=first.states[-1])
            deadline = time.monotonic() + 60
            while again.rows:  # Repeated while an older transaction runs anywhere, such as autovacuum.
                assert cursor is None
                assert again.rows == first.rows
                assert time.monotonic() < deadline, "it is repeated for ever"
                again = reader.read(name, cursor=cursor, state=again.states[-1])
        as_text = '"' + name.replace('"', '""') + '"'
        assert list(reader.with_options(tables=[as_text]).streams()) == [name]


def test_many_columns(database: Database, reader: Any) -> None:
    columns = [f"c{number}" for number in range(1600)]
    database.execute(f"create table wide ({', '.join(f'{column} int' for column in columns)})")
    database.execute("insert into wide (c0, c1599) values (1, 2)")
    assert list(reader.streams()["wide"].schema["properties"]) == columns
    assert reader.read("wide", cursor="c0").rows == [{**dict.fromkeys(columns), "c0": 1, "c1599": 2}]


def test_check_tells_what_is_missing(database: Database, reader: Any) -> None:
    with pytest.raises(ConfigError, match=r"nothing to read in public\.\*"):
        check(reader.config)
    database.execute("create table t (a int)")
    check(reader.config)
    check(reader.with_options(tables=["t", "log_*"]).config)
    with pytest.raises(ConfigError, match=r"no table public\.u, s\.t"):
        check(reader.with_options(tables=["t", "public.u", "s.t"]).config)


def test_the_number_of_queries_does_not_depend_on_the_tables(
    database: Database, reader: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute = psycopg.Connection.execute
    queries: list[Any] = []

    def counted(connection: Any, query: Any, *rest: Any, **more: Any) -> Any:
        queries.append(query)
        return execute(connection, query, *rest, **more)

    def count() -> int:
        queries.clear()
        reader.streams()
        return len(queries)

    database.execute("create table t (id int primary key, a text[], v int8range)")
    reader.streams()
    with monkeypatch.context() as patched:
        patched.setattr(psycopg.Connection, "execute", counted)
        before = count()
        make_tables(database, 50)
        assert count() == before


def make_tables(database: Database, number: int) -> None:
    columns = ", ".join(f"c{number} text" for number in range(20))
    for first in range(0, number, 500):
        database.execute(
            f"do $$ begin for n in {first}..{min(first + 500, number) - 1} loop "
            f"execute format('create table t%s (id int primary key, {columns})', n); end loop; end $$"
        )


@pytest.mark.slow
def test_ten_thousand_tables(database: Database, reader: Any) -> None:
    make_tables(database, 10_000)
    assert len(reader.streams()) == 10_000
    names = [f"t{number}" for number in range(10_000)]
    assert len(list(find(reader.config, {StreamName("public", name) for name in names}))) == 10_000
    assert len(reader.with_options(tables=names).streams()) == 10_000
