"""The image of source-postgres passes the acceptance suite, run by `docker run`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from psycopg import sql
from psycopg.types.json import Jsonb

from acceptance_tests.plugin import Acceptance, source_suite
from acceptance_tests.protocol import Json, StreamId
from connector_parts import Postgres

pytestmark = pytest.mark.timeout(900)
TABLES = """
    create table documents (id bigint primary key, title text, changed_at timestamptz not null);
    insert into documents select n, repeat('words 문서 ', 20), timestamptz '2024-01-01' + n * interval '1 second'
        from generate_series(1, 2000) n;
    create table empty (id int primary key, text text);
"""


@pytest.fixture(scope="module")
def connector(docker: Any, postgres: Postgres) -> Acceptance:
    database = postgres.create_database()
    database.execute(TABLES)

    def put(stream: StreamId, rows: Sequence[Json], delete: Sequence[Json]) -> None:
        table = sql.Identifier(stream.namespace or "public", stream.name)
        with database.connect(autocommit=False) as connection:
            ids = [row["id"] for row in [*rows, *delete]]
            connection.execute(sql.SQL("delete from {} where id = any(%s)").format(table), [ids])
            insert = sql.SQL("insert into {} select * from jsonb_populate_recordset(null::{}, %s)").format(table, table)
            connection.execute(insert, [Jsonb(list(rows))])

    config = {
        "host": postgres.host,
        "port": postgres.port,
        "database": database.database,
        "username": postgres.user,
        "password": "swordfish-of-the-suite",
        "checkpoint_target_interval_seconds": 1,
    }
    return Acceptance(
        config=config,
        image=docker.images["source-postgres"],
        put=put,
        cursors={"documents": "changed_at"},
        **docker.here,
    )


test_image_of_source_postgres = source_suite(())
