"""PostgreSQL's errors in words of ours: what happened, and what to do next."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from connector_sdk import ConfigError, TransientError
from connector_sdk.errors import ConnectorError
from source_postgres.config import NoTunnel, PostgresConfig


def _text(error: BaseException) -> str:
    """The server's primary message, on one line."""
    primary = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    return " ".join((primary or str(error)).split()).rstrip(".")


# While connecting: libpq gives a text and no code. English texts are known; else only what the text cannot hide.

_LOGIN = (
    r"password authentication failed|no password supplied|authentication failed|role .* does not exist|"
    r"not permitted to log in"
)
_NAME = r"name or service not known|could not translate host name|no address associated|nodename nor|resolve host"
_PARAMETER = r"invalid (connection option|integer value|value for parameter|.* value)|unrecognized configuration"
_BUSY = r"starting up|shutting down|recovery mode|not yet accepting|too many (clients|connections)|connection slots"

_REFUSALS: list[tuple[str, type[ConnectorError], str]] = [
    (_BUSY, TransientError, "The server takes no connection now"),
    (r"time(d )?out", TransientError, "{place} does not answer: is it right, is a firewall between?"),
    (r"temporary failure in name resolution|try again", TransientError, "The name {host} cannot be looked up now"),
    (_NAME, ConfigError, "There is no host {host}: check the option host"),
    (r"connection refused", TransientError, "Nothing listens on {place}: does the server run, is the port right?"),
    (r"no such file or directory.*socket|running locally", TransientError, "Nothing listens on {place}"),
    (r"network is unreachable|no route to host", TransientError, "There is no way to {place} from this machine"),
    (r"no pg_hba.conf entry", ConfigError, "The server's pg_hba.conf does not let this user come from this machine, or "
     "not without encryption (ssl_mode)"),
    (r"database .* does not exist", ConfigError, "There is no such database: check the option database"),
    (r"permission denied for database", ConfigError, "The user may not connect to this database: GRANT CONNECT"),
    (r"certificate authentication failed|certificate required|bad certificate|unknown ca", ConfigError,
     "The server does not accept the client certificate, or asks for one: see ssl_mode"),
    (_LOGIN, ConfigError, "The server refuses the login: check username and password"),
    (r"server does not support SSL", ConfigError, "The server does not encrypt, but ssl_mode asks for it"),
    (r"does not match host name|hostname mismatch", ConfigError, "The server's certificate is not for {host}: use the "
     "name that it has, or ssl_mode verify-ca"),
    (r"certificate verify failed|self.signed certificate|local issuer", ConfigError, "The server's certificate is not "
     "signed by the authority in ssl_mode (ca_certificate)"),
    (r"could not read (root )?certificate|could not load|private key file|key values mismatch|bad decrypt|PEM",
     ConfigError, "A certificate or key in ssl_mode cannot be read: give the whole PEM text"),
    (_PARAMETER, ConfigError, "A connection parameter is not right: check jdbc_url_params"),
    (r"SSL|certificate", ConfigError, "Encryption could not be set up: check ssl_mode"),
]  # fmt: skip


def connect_error(error: psycopg.Error, config: PostgresConfig) -> ConnectorError:
    """Why no connection could be made. The text names options, host and port, never a password."""
    text = _text(error)
    place = f"{config.host}:{config.port}"
    for pattern, kind, meaning in _REFUSALS:
        if re.search(pattern, text, re.IGNORECASE):
            told = meaning.format(place=place, host=config.host)
            return kind(f"{told}{'' if told.endswith('?') else '.'} ({text})")
    if re.search(r"closed the connection|connection reset|broken pipe|EOF", text, re.IGNORECASE):
        through = "" if isinstance(config.tunnel_method, NoTunnel) else " through the SSH tunnel"
        return TransientError(f"The connection to {place}{through} was closed at once. ({text})")
    answered = "FATAL" in text or ": " in text.partition("failed: ")[2]
    return (ConfigError if answered else TransientError)(f"No connection to {place}: {text}.")


# Afterwards: by SQLSTATE

_CODES: list[tuple[str, type[ConnectorError], str]] = [
    ("57014", TransientError, "The server cancelled the query"),
    ("57", TransientError, "The server ended the connection"),
    ("08", TransientError, "The connection was lost"),
    ("25P0", TransientError, "The server ended a transaction that took too long"),
    ("25006", ConfigError, "A view or policy writes to the database, but only reading is allowed here"),
    ("53300", TransientError, "The server has no connection left; max_db_connections lowers how many are used"),
    ("53", TransientError, "The server is short of a resource"),
    ("40", TransientError, "The server gave up the transaction because of others"),
    ("72", TransientError, "The snapshot has become too old for the server"),
    ("55P03", TransientError, "The table is locked by somebody else"),
    ("55000", ConfigError, "The relation cannot be read as it is"),
    ("42501", ConfigError, "The role may not read this: GRANT SELECT ON … TO …, and USAGE on its schema"),
    ("42P01", TransientError, "The table is gone since the run began"),
    ("42703", TransientError, "A column is gone since the run began"),
    ("28", ConfigError, "The server refuses the login"),
    ("3D000", ConfigError, "There is no such database"),
    ("42", ConfigError, "PostgreSQL cannot run the query"),
    ("22", ConfigError, "PostgreSQL cannot compute a value (of a view or a policy, perhaps)"),
    ("54", ConfigError, "A limit of PostgreSQL is exceeded"),
    ("XX00", ConfigError, "The server reports damaged data or a fault of its own"),
    ("58", TransientError, "The server has trouble with its files"),
    ("HV", TransientError, "The foreign server behind the table cannot be read"),
]


def server_error(error: psycopg.Error) -> ConnectorError:
    """What an error after the login means. A lost connection has no code."""
    code = error.sqlstate or ""
    for start, kind, meaning in _CODES:
        if code.startswith(start):
            return kind(f"{meaning}: {_text(error)}.", internal=f"SQLSTATE {code}")
    if not code and isinstance(error, psycopg.OperationalError):
        return TransientError(f"The connection was lost: {_text(error)}.")
    return ConfigError(f"PostgreSQL says: {_text(error)}.", internal=f"SQLSTATE {code}")


@contextmanager
def told() -> Iterator[None]:
    """Turn PostgreSQL's errors into ours."""
    try:
        yield
    except psycopg.Error as error:
        raise server_error(error) from error
