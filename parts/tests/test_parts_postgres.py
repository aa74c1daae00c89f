"""PostgreSQL as a part: it starts, answers, comes back with its data, and asks for what it was told to ask for."""

from __future__ import annotations

import psycopg
import pytest

from connector_parts import Missing, Postgres
from connector_parts.postgres import system_version
from connector_parts.process import User
from connector_parts.pytest_plugin import session_part

pytestmark = pytest.mark.slow


def test_answers_with_the_version_that_was_asked_for(postgres: Postgres) -> None:
    assert postgres.execute("select current_setting('server_version_num')::int / 10000") == [(18,)]


def test_has_pgvector(postgres: Postgres) -> None:
    database = postgres.create_database()
    database.execute("create extension vector")
    assert database.execute("select '[1,2]'::vector <-> '[1,3]'::vector") == [(1.0,)]


def test_the_older_one_answers(postgres15: Postgres) -> None:
    version = int(postgres15.version)
    assert postgres15.execute("select current_setting('server_version_num')::int / 10000") == [(version,)]


def test_databases_are_separate(postgres: Postgres) -> None:
    first, second = postgres.create_database(), postgres.create_database()
    first.execute("create table t (i int)")
    assert second.execute("select to_regclass('t')") == [(None,)]


def test_statements_with_percent_signs_and_parameters(postgres: Postgres) -> None:
    assert postgres.execute("select '%s'") == [("%s",)]
    assert postgres.execute("select %s::int + 1", [1]) == [(2,)]


def test_settings_reach_the_server() -> None:
    with Postgres(settings={"cluster_name": "it's \\ here", "wal_level": "logical"}) as server:
        assert server.execute("show wal_level") == [("logical",)]
        assert server.execute("show cluster_name") == [("it's \\ here",)]


def test_keeps_its_data_through_restart_and_kill() -> None:
    with Postgres() as server:
        server.execute("create table t as select 1 as i")
        server.restart()
        assert server.execute("select i from t") == [(1,)]
        with server.connect() as connection:
            server.kill()
            with pytest.raises(psycopg.OperationalError):
                connection.execute("select 1")
        server.start()
        assert server.execute("select i from t") == [(1,)]


def test_asks_for_the_password() -> None:
    with Postgres(password="p@ss'word") as server:
        with psycopg.connect(server.dsn) as connection:
            assert connection.execute("select 1").fetchone() == (1,)
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            server.connect(password="another")


def test_a_wrong_setting_is_told_with_the_log() -> None:
    with pytest.raises(Exception, match="no_such_setting"):
        Postgres(settings={"no_such_setting": "1"}).start()


def test_a_version_that_is_not_there_is_missing() -> None:
    with pytest.raises(Missing, match="PostgreSQL 7: no server of this version found; install: apt-get"):
        Postgres("7").start()


def test_speaks_tls_and_knows_client_certificates() -> None:
    part = session_part(lambda: Postgres(system_version() or "15", ssl=True, hba=["hostssl all known all cert"]))
    for server in part:
        assert server.authority is not None
        tls = {"sslmode": "verify-full", "sslrootcert": str(server.authority.certificate)}
        server.execute("create role known login")
        known = server.client_certificate("known")
        proof = {"sslcert": str(known.certificate), "sslkey": str(known.key)}
        with server.connect(user="known", **tls, **proof) as connection:
            assert connection.execute("select ssl from pg_stat_ssl where pid = pg_backend_pid()").fetchone() == (True,)
        with pytest.raises(psycopg.OperationalError, match="certificate"):
            server.connect(user="known", **tls)
        with pytest.raises(psycopg.OperationalError, match="certificate"):
            server.connect(sslmode="verify-full", sslrootcert=str(known.certificate))


def test_the_wheel_says_that_it_has_no_tls() -> None:
    with pytest.raises(Missing, match="PostgreSQL 18 with TLS"):
        Postgres(ssl=True).start()


def test_starts_where_its_user_cannot_reach_the_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a virtual environment in root's home; not as root there is no other user, and nothing to copy."""
    reachable = User.may_read
    monkeypatch.setattr(User, "may_read", lambda self, path: path.name != "postgres" and reachable(self, path))
    with Postgres() as server:
        assert server.execute("select 1") == [(1,)]
