"""State in a PostgreSQL database. The lock is an advisory lock of a connection that the guards hold, too."""

from __future__ import annotations

import json
import re
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from airpipe.errors import ConfigProblem, TransientProblem
from airpipe.statestore import PATIENCE, Lock, Store, busy
from airpipe.words import sentences

if TYPE_CHECKING:
    import psycopg

T = TypeVar("T")
_TABLES = """
create table if not exists airpipe_state (pipeline text, key text, value text not null, primary key (pipeline, key));
create table if not exists airpipe_runs (pipeline text, run bigint, value text not null, primary key (pipeline, run));
"""
_CLASS = zlib.crc32(b"airpipe") - (1 << 31)


class PostgresStore(Store):
    def __init__(self, address: str) -> None:
        try:
            import psycopg
        except ImportError:
            raise ConfigProblem("state in PostgreSQL needs psycopg: pip install 'psycopg[binary]'") from None
        self._psycopg = psycopg
        _look_at(address)
        self._address = address
        self._connection = self.connect()
        self._do(lambda connection: self._create(connection))

    def connect(self) -> psycopg.Connection[Any]:
        try:
            return self._psycopg.connect(self._address, autocommit=True, connect_timeout=10, application_name="airpipe")
        except self._psycopg.Error as error:
            raise ConfigProblem(f"the database of state cannot be reached: {sentences(str(error))}") from None
        except UnicodeError:  # Of a name that no host can have.
            raise _not_right() from None

    def _create(self, connection: psycopg.Connection[Any]) -> None:
        if connection.execute("select to_regclass('airpipe_runs')").fetchone() == (None,):
            with connection.transaction():
                connection.execute("select pg_advisory_xact_lock(%s, 0)", [_CLASS])
                connection.execute(_TABLES)

    def _do(self, work: Callable[[psycopg.Connection[Any]], T]) -> T:
        """Do it, once more on a new connection where the old one is broken."""
        try:
            return work(self._connection)
        except self._psycopg.Error as error:
            if not self._connection.broken:
                raise TransientProblem(f"The database of state refuses: {sentences(str(error))}") from None
        try:
            self._connection = self.connect()
            return work(self._connection)
        except (ConfigProblem, self._psycopg.Error) as error:
            raise TransientProblem(f"The state cannot be saved: {sentences(str(error))}") from None

    def load(self, pipeline: str) -> dict[str, str]:
        sql = "select key, value from airpipe_state where pipeline = %s"
        return self._do(lambda connection: dict(connection.execute(sql, [pipeline]).fetchall()))

    def save(self, pipeline: str, changes: Mapping[str, str | None]) -> None:
        def work(connection: psycopg.Connection[Any]) -> None:
            with connection.transaction():
                for key, value in changes.items():
                    if value is None:
                        connection.execute(
                            "delete from airpipe_state where pipeline = %s and key = %s", [pipeline, key]
                        )
                    else:
                        connection.execute(
                            "insert into airpipe_state values (%s, %s, %s) "
                            "on conflict (pipeline, key) do update set value = excluded.value",
                            [pipeline, key, value],
                        )

        self._do(work)

    def runs(self, pipeline: str, limit: int = 20) -> list[dict[str, Any]]:
        sql = "select value from airpipe_runs where pipeline = %s order by run desc limit %s"
        rows = self._do(lambda connection: connection.execute(sql, [pipeline, limit]).fetchall())
        return [json.loads(value) for (value,) in rows]

    def put_run(self, pipeline: str, run: Mapping[str, Any]) -> None:
        sql = (
            "insert into airpipe_runs values (%s, %s, %s) "
            "on conflict (pipeline, run) do update set value = excluded.value"
        )
        self._do(lambda connection: connection.execute(sql, [pipeline, run["run"], json.dumps(run)]))

    @contextmanager
    def lock(self, pipeline: str) -> Iterator[Lock]:
        lock = _Held(self.connect, pipeline)
        lock.regain()
        try:
            yield lock
        finally:
            lock.close()

    def close(self) -> None:
        self._connection.close()


_address = re.compile(r"postgres(ql)?://([^/@]*@)?[^/@?]*(/[^@?]*)?(\?.*)?", re.DOTALL)
"""One @ at most stands outside of the parameters: a second one, or one after a /, is a piece of a password."""


def _look_at(address: str) -> None:
    """Raise where libpq would take the address for something else: its errors quote what may be a password."""
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    try:
        port = str(conninfo_to_dict(address).get("port") or "")
    except ProgrammingError:
        raise _not_right() from None
    if not _address.fullmatch(address) or not re.fullmatch(r"[\d,]*", port):
        raise _not_right()


def _not_right() -> ConfigProblem:
    return ConfigProblem(
        "state is no PostgreSQL URL: write postgresql://user:password@host:5432/database, and in a password %40 for @, "
        "%2F for /, %25 for %, %20 for a space"
    )


class _Held(Lock):
    """An advisory lock: the server lets it go with the connection."""

    def __init__(self, connect: Callable[[], psycopg.Connection[Any]], pipeline: str) -> None:
        self._connect = connect
        self._pipeline = pipeline
        self._connection: psycopg.Connection[Any] | None = None
        self._looked = 0.0

    def regain(self) -> None:
        if self._lives():
            return
        self.close()
        self._connection = connection = self._connected()
        number = zlib.crc32(self._pipeline.encode()) - (1 << 31)
        deadline = time.monotonic() + PATIENCE
        while connection.execute("select pg_try_advisory_lock(%s, %s)", [_CLASS, number]).fetchone() != (True,):
            if time.monotonic() > deadline:
                self.close()
                raise busy(self._pipeline)
            time.sleep(0.2)  # The server may still believe in our old connection, which holds the lock.
        self.held = (connection.fileno(),)

    def _connected(self) -> psycopg.Connection[Any]:
        """A database that was reached before will be reached again."""
        try:
            return self._connect()
        except ConfigProblem as problem:
            raise (TransientProblem(problem.message) if self.held else problem) from None

    def _lives(self) -> bool:
        """Whether the server still answers on the connection of the lock."""
        if self._connection is None:
            return False
        try:
            self._connection.execute("select 1")
        except Exception:
            return False
        return True

    def check(self) -> None:
        """The server is asked once a second."""
        if time.monotonic() - self._looked < 1:
            return
        self._looked = time.monotonic()
        if not self._lives():
            raise TransientProblem("The connection that holds the pipeline's lock is lost.")

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
