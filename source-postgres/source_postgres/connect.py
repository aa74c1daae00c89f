"""Connections: parameters, certificates, the tunnel, and how many may be open."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import psycopg
from psycopg import pq

from connector_sdk import ConfigError, log
from source_postgres.config import NoTunnel, PostgresConfig, Verified
from source_postgres.errors import connect_error

Connection = psycopg.Connection[tuple[Any, ...]]

CONNECT_SECONDS = 30
OLDEST = 120000
CLOSE_SECONDS = 2.0
NEAR = ("/", "@", "localhost", "127.", "::1")
"""How names of this machine begin."""


class Connections:
    """At most `limit` connections to one database. An idle one is used again."""

    def __init__(self, config: PostgresConfig) -> None:
        self.config = config
        self.limit = config.max_db_connections or max(1, min(4, _processors()))
        self._idle: list[Connection] = []
        self._lock = threading.Lock()
        self._taken = 0
        self._tunnel: Any = None
        self._told = False

    @contextmanager
    def one(self) -> Iterator[Connection]:
        """A connection without an open transaction. It goes back when it is still without one, else it is closed."""
        connection = self._take()
        try:
            yield connection
        except BaseException:
            close(connection)
            raise
        finally:
            self._give(connection)

    def close(self) -> None:
        """Close what is idle, and the tunnel."""
        with self._lock:
            idle, self._idle = self._idle, []
            tunnel, self._tunnel = self._tunnel, None
        for connection in idle:
            connection.close()
        if tunnel is not None:
            tunnel.close()

    def _take(self) -> Connection:
        with self._lock:
            assert self._taken < self.limit, "more connections than the config allows"
            self._taken += 1
            while self._idle:
                connection = self._idle.pop()
                if _usable(connection):
                    return connection
                connection.close()
        try:
            return self._connect()
        except BaseException:
            self._taken -= 1
            raise

    def _give(self, connection: Connection) -> None:
        with self._lock:
            self._taken -= 1
            if connection.pgconn.transaction_status == pq.TransactionStatus.IDLE:
                self._idle.append(connection)
                return
        connection.close()

    def _connect(self) -> Connection:
        with certificates(self.config) as files:
            try:
                connection = psycopg.connect(**{**parameters(self.config), **files, **self._way()})
            except psycopg.Error as error:
                raise connect_error(error, self.config) from None
        connection.autocommit = True
        connection.prepare_threshold = None
        connection.add_notice_handler(_notice)
        if not self._told:
            self._told = True
            _judge(connection, self.config)
        return connection

    def _way(self) -> Mapping[str, Any]:
        """Through the tunnel, where there is one. The name of the host stays, since its certificate carries it."""
        tunnel = self.config.tunnel_method
        if isinstance(tunnel, NoTunnel):
            return {}
        from source_postgres.tunnel import Forward

        with self._lock:
            if self._tunnel is not None and not self._tunnel.alive:
                self._tunnel.close()
                self._tunnel = None
            if self._tunnel is None:
                self._tunnel = Forward(tunnel, self.config.host, self.config.port)
            return {"hostaddr": "127.0.0.1", "port": self._tunnel.port}


_open: dict[int, Connections] = {}


def connections(config: PostgresConfig) -> Connections:
    """The connections of this config. There is one such thing in a process, so that streams share what is open."""
    if id(config) not in _open:
        _open[id(config)] = Connections(config)
    return _open[id(config)]


def close(connection: Connection) -> None:
    """Close a connection that may be at work: the server is asked to stop, and not waited for."""
    if connection.pgconn.transaction_status == pq.TransactionStatus.ACTIVE:
        with suppress(psycopg.Error):
            connection.cancel_safe(timeout=CLOSE_SECONDS)
    connection.close()


def _usable(connection: Connection) -> bool:
    """Whether the server has neither closed nor said something while the connection was idle."""
    import select

    poll = select.poll()
    try:
        poll.register(connection.fileno(), select.POLLIN)
    except psycopg.Error:
        return False
    return not poll.poll(0)


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _notice(notice: psycopg.errors.Diagnostic) -> None:
    log.debug("PostgreSQL: %s", notice.message_primary)


def _judge(connection: Connection, config: PostgresConfig) -> None:
    """What is worth knowing of the first connection: too old a server is refused, an open line is told."""
    if connection.info.server_version < OLDEST:
        version = connection.info.parameter_status("server_version")
        connection.close()
        raise ConfigError(f"The server is PostgreSQL {version}; version 12 is the oldest that can be read.")
    info = connection.pgconn
    far = not config.host.startswith(NEAR)
    if not far or not isinstance(config.tunnel_method, NoTunnel):
        return
    if not info.ssl_in_use:
        log.warning("The connection to %s is not encrypted. ssl_mode verify-full makes it safe.", config.host)
    elif not isinstance(config.ssl_mode, Verified):
        log.warning(
            "The connection to %s is encrypted, but nobody has checked who answers there: ssl_mode verify-full does.",
            config.host,
        )


# Parameters


def parameters(config: PostgresConfig) -> dict[str, Any]:
    """What libpq is told. What the config leaves open libpq takes from its environment variables and files."""
    given: dict[str, Any] = {
        "host": config.host,
        "port": config.port,
        "dbname": config.database,
        "user": config.username or None,
        "password": config.password.get_secret_value() or None if config.password else None,
        "sslmode": config.ssl_mode.mode,
        "client_encoding": "UTF8",
        "application_name": "source-postgres",
        "connect_timeout": CONNECT_SECONDS,
        "keepalives_idle": 60,
        **_more(config.jdbc_url_params),
    }
    return {name: value for name, value in given.items() if value is not None}


_LIBPQ = {
    "application_name", "channel_binding", "connect_timeout", "gssencmode", "keepalives", "keepalives_count",
    "keepalives_idle", "keepalives_interval", "krbsrvname", "load_balance_hosts", "max_protocol_version",
    "min_protocol_version", "options", "require_auth", "ssl_max_protocol_version", "ssl_min_protocol_version",
    "sslnegotiation", "sslsni", "target_session_attrs", "tcp_user_timeout",
}  # fmt: skip
"""Parameters of libpq that may be given. Those that name files, hosts or logins have options of their own."""

_JDBC = {
    "ApplicationName": "application_name",
    "channelBinding": "channel_binding",
    "connectTimeout": "connect_timeout",
    "gssEncMode": "gssencmode",
    "kerberosServerName": "krbsrvname",
    "loginTimeout": "connect_timeout",
    "options": "options",
    "sslNegotiation": "sslnegotiation",
    "targetServerType": "target_session_attrs",
}
"""Parameters of the JDBC driver, and what libpq calls them."""

_SERVERS = {"master": "primary", "slave": "standby", "secondary": "standby", "preferSlave": "prefer-standby",
            "preferSecondary": "prefer-standby", "preferPrimary": "any"}  # fmt: skip


def _more(text: str | None) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in parse_qsl(text or "", keep_blank_values=True):
        name = _JDBC.get(key, key)
        if name in _LIBPQ:
            found[name] = _SERVERS.get(value, value) if name == "target_session_attrs" else value
        elif key != "currentSchema":
            log.warning("jdbc_url_params: %s has no effect here.", key)
    return found


def search_path(config: PostgresConfig) -> list[str]:
    """Where functions of views look for tables: as PostgreSQL does by itself, or as `currentSchema` says."""
    given = dict(parse_qsl(config.jdbc_url_params or "")).get("currentSchema")
    return [schema.strip().strip('"') for schema in given.split(",")] if given else ["$user", "public"]


# Certificates


@contextmanager
def certificates(config: PostgresConfig) -> Iterator[dict[str, str]]:
    """Parameters that name certificate files. The files are for this user only, and gone afterwards."""
    mode = config.ssl_mode
    if not isinstance(mode, Verified):
        yield {}
        return
    with tempfile.TemporaryDirectory(prefix="source-postgres-") as folder:
        secrets = {"sslrootcert": mode.ca_certificate, "sslcert": mode.client_certificate, "sslkey": mode.client_key}
        files = {
            name: _private(Path(folder, name), secret.get_secret_value()) for name, secret in secrets.items() if secret
        }
        files.setdefault("sslrootcert", _system_authorities())
        if mode.client_key_password:
            files["sslpassword"] = mode.client_key_password.get_secret_value()
        yield files


def _private(path: Path, text: str) -> str:
    """Write a PEM; forms and environment variables may have turned its line breaks into `\\n`."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w", encoding="ascii", errors="replace") as file:
        file.write(text.replace("\\n", "\n").strip() + "\n")
    return str(path)


def _system_authorities() -> str:
    import ssl

    found = ssl.get_default_verify_paths()
    for path in (found.cafile, "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"):
        if path and os.path.exists(path):
            return path
    raise ConfigError("This machine has no list of certificate authorities: give ca_certificate in ssl_mode.")
