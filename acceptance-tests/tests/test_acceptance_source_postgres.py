"""source-postgres passes the suite."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from psycopg import sql
from psycopg.types.json import Jsonb

from acceptance_tests.plugin import Acceptance, source_suite
from acceptance_tests.protocol import Json, StreamId, dumps
from connector_parts import Postgres

pytestmark = pytest.mark.slow  # The fast lane runs the suite on the good connectors.

COMMAND = Path(sys.executable).with_name("source-postgres")
SECRET = "swordfish-of-the-suite"

TABLES = """
    create table documents (
        id bigint primary key, title text, body text, tags text[], meta jsonb, price numeric(38, 9),
        published date, changed_at timestamptz not null
    );
    insert into documents
        select n, 'title ' || n, repeat('words and more 문서 ', 100), array['a', 'b' || n], jsonb_build_object('n', n),
            n / 7.0, date '2024-01-01' + n % 100, timestamptz '2024-01-01' + n / 3 * interval '1 second'
        from generate_series(1, 3000) n;
    create table empty (id int primary key, text text);
    create table "No Key; drop" ("a 'b'" int, "ü" text);
    insert into "No Key; drop" values (1, 'x'), (1, 'x'), (2, null);
    create table pairs (left_id int, right_id int, changed_at timestamp not null, primary key (left_id, right_id));
    insert into pairs select n % 7, n, timestamp '2024-01-01' + n * interval '1 minute' from generate_series(1, 50) n;
    create view recent as select id, title from documents where id > 2990;
"""


@pytest.fixture(scope="module")
def connector(postgres: Postgres) -> Acceptance:
    database = postgres.create_database()
    database.execute(TABLES)

    def put(stream: StreamId, rows: Sequence[Json], delete: Sequence[Json]) -> None:
        """Each row takes the place of the one with its key."""
        table = sql.Identifier(stream.namespace or "public", stream.name)
        gone = [{name: row[name] for name in _key(stream)} for row in rows] if _key(stream) else []
        with database.connect(autocommit=False) as connection:
            for key in [*gone, *delete]:
                where = sql.SQL(" and ").join(sql.SQL("{} = %s").format(sql.Identifier(name)) for name in key)
                connection.execute(sql.SQL("delete from {} where {}").format(table, where), list(key.values()))
            insert = sql.SQL("insert into {} select * from jsonb_populate_recordset(null::{}, %s)").format(table, table)
            connection.execute(insert, [Jsonb(list(rows), dumps=dumps)])

    config = {
        "host": postgres.host,
        "port": postgres.port,
        "database": database.database,
        "username": postgres.user,
        "password": SECRET,
        "checkpoint_target_interval_seconds": 1,
    }
    return Acceptance(
        config=config, command=[str(COMMAND)], put=put, cursors={"documents": "changed_at", "pairs": "changed_at"}
    )


def _key(stream: StreamId) -> list[str]:
    return {"documents": ["id"], "empty": ["id"], "pairs": ["left_id", "right_id"]}.get(stream.name, [])


FAST = (
    "spec.*",
    "read.[!fgt]*",
    "state.*",
    "resume.goes_on_from_every_state_of_an_incremental_read",
    "judge.accepts_an_incremental_sync",
    "always.*",
)
test_source_postgres = source_suite(FAST)
