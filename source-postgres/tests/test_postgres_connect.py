"""Connections: every way to fail says what to do next and no secret; encryption, tunnels, the environment."""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from connector_parts import Missing
from connector_parts.postgres import Database, Postgres, system_version
from connector_sdk import ConfigError, TransientError
from source_postgres.config import PostgresConfig
from source_postgres.connect import certificates, connections, parameters
from source_postgres.discover import check, discover

Make = Callable[..., Any]
PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def guarded() -> Iterator[Postgres]:
    """A server that asks for a password."""
    with Postgres("18", password=PASSWORD) as server:
        server.execute("create table t (id int); insert into t values (1)")
        yield server


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def refusal(reader: Any, kind: type[Exception]) -> str:
    with pytest.raises(kind) as caught:
        check(reader.config)
    assert PASSWORD not in str(caught.value)
    return str(caught.value)


def test_the_password_is_right(guarded: Postgres, reader_of: Make) -> None:
    check(reader_of(guarded.default).config)


def test_the_password_is_wrong(guarded: Postgres, reader_of: Make) -> None:
    wrong = "a wrong password"
    text = refusal(reader_of(guarded.default, password=wrong), ConfigError)
    assert "check username and password" in text
    assert wrong not in text


def test_there_is_no_such_user(guarded: Postgres, reader_of: Make) -> None:
    assert "check username and password" in refusal(reader_of(guarded.default, username="nobody"), ConfigError)


def test_there_is_no_such_database(guarded: Postgres, reader_of: Make) -> None:
    assert "check the option database" in refusal(reader_of(guarded.default, database="nope"), ConfigError)


def test_nobody_listens(guarded: Postgres, reader_of: Make, closed_port: int) -> None:
    text = refusal(reader_of(guarded.default, port=closed_port), TransientError)
    assert f"Nothing listens on 127.0.0.1:{closed_port}" in text


def test_there_is_no_such_host(guarded: Postgres, reader_of: Make) -> None:
    with pytest.raises((ConfigError, TransientError), match=r"There is no host|cannot be looked up"):
        check(reader_of(guarded.default, host="no-such-host.invalid").config)


def test_the_server_does_not_encrypt(guarded: Postgres, reader_of: Make) -> None:
    for mode in ("require", "verify-full"):
        reader = reader_of(guarded.default, ssl_mode={"mode": mode})
        assert "does not encrypt" in refusal(reader, ConfigError)


def test_the_role_may_not_connect(guarded: Postgres, reader_of: Make) -> None:
    database = guarded.create_database()
    database.execute(
        f"create role outside login password '{PASSWORD}'; revoke connect on database {database.database} from public"
    )
    assert "GRANT CONNECT" in refusal(reader_of(database, username="outside"), ConfigError)


def test_the_server_is_full(guarded: Postgres, reader_of: Make) -> None:
    guarded.execute(f"create role full_up login password '{PASSWORD}' connection limit 0")
    text = refusal(reader_of(guarded.default, username="full_up"), TransientError)
    assert "takes no connection now" in text


def test_what_the_environment_says(guarded: Postgres, reader_of: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGUSER", guarded.user)
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    check(reader_of(guarded.default, username=None, password=None).config)


def test_connection_parameters(guarded: Postgres, reader_of: Make, caplog: pytest.LogCaptureFixture) -> None:
    params = "ApplicationName=my%20sync&loginTimeout=7&targetServerType=master&socketTimeout=3&currentSchema=a,b"
    reader = reader_of(guarded.default, jdbc_url_params=params)
    given = parameters(reader.config)
    assert given["application_name"] == "my sync"
    assert given["connect_timeout"] == "7"
    assert given["target_session_attrs"] == "primary"
    assert "socketTimeout has no effect" in caplog.text
    check(reader.config)
    wrong = reader_of(guarded.default, jdbc_url_params="sslnegotiation=perhaps")
    assert "jdbc_url_params" in refusal(wrong, ConfigError)
    assert "passfile" not in parameters(reader_of(guarded.default, jdbc_url_params="passfile=/etc/passwd").config)


def test_a_connection_that_was_cut_while_idle_is_replaced(database: Database, reader_of: Make) -> None:
    database.execute("create table t (id int)")
    reader = reader_of(database)
    check(reader.config)
    assert connections(reader.config)._idle
    database.execute(
        "select pg_terminate_backend(pid, 10000) from pg_stat_activity where application_name = 'source-postgres'"
    )
    check(reader.config)


# Encryption


@pytest.fixture(scope="module")
def encrypted() -> Iterator[Postgres]:
    """A server with a certificate. It asks `certified` for one as well."""
    try:
        server = Postgres(system_version() or "15", ssl=True, hba=["hostssl all certified all cert"]).start()
    except Missing as missing:
        pytest.skip(f"MISSING {missing}")
    try:
        server.execute("create table t (id int); create role certified login superuser")
        yield server
    finally:
        server.stop()


@pytest.fixture
def authority(encrypted: Postgres) -> str:
    assert encrypted.authority
    return encrypted.authority.certificate.read_text()


def in_use(reader: Any) -> bool:
    with connections(reader.config).one() as connection:
        return bool(connection.execute("select ssl from pg_stat_ssl where pid = pg_backend_pid()").fetchall()[0][0])


@pytest.mark.parametrize(
    ("mode", "expected"), [("disable", False), ("allow", False), ("prefer", True), ("require", True)]
)
def test_encryption_without_proof(encrypted: Postgres, reader_of: Make, mode: str, expected: bool) -> None:
    assert in_use(reader_of(encrypted.default, ssl_mode={"mode": mode})) is expected


@pytest.mark.parametrize("mode", ["verify-ca", "verify-full"])
def test_the_server_proves_who_it_is(encrypted: Postgres, reader_of: Make, mode: str, authority: str) -> None:
    for text in (authority, authority.replace("\n", "\\n")):
        assert in_use(reader_of(encrypted.default, ssl_mode={"mode": mode, "ca_certificate": text}))


def test_the_certificate_is_for_another_host(encrypted: Postgres, reader_of: Make, authority: str) -> None:
    names = {"ssl_mode": {"mode": "verify-full", "ca_certificate": authority}, "host": "127.0.0.2"}
    encrypted.execute("alter system set listen_addresses = '127.0.0.1,127.0.0.2'")
    encrypted.restart()
    try:
        assert "not for 127.0.0.2" in refusal(reader_of(encrypted.default, **names), ConfigError)
    finally:
        encrypted.execute("alter system reset listen_addresses")
        encrypted.restart()


@pytest.mark.parametrize("mode", ["verify-ca", "verify-full"])
def test_the_certificate_is_not_of_this_authority(encrypted: Postgres, reader_of: Make, mode: str) -> None:
    reader = reader_of(encrypted.default, ssl_mode={"mode": mode})
    assert "not signed by the authority" in refusal(reader, ConfigError)
    broken = reader_of(encrypted.default, ssl_mode={"mode": mode, "ca_certificate": "no certificate"})
    assert "ssl_mode" in refusal(broken, ConfigError)


def test_a_client_certificate(encrypted: Postgres, reader_of: Make, authority: str) -> None:
    certificate, key = encrypted.client_certificate("certified")
    verified = {"mode": "verify-full", "ca_certificate": authority}
    with_key = {**verified, "client_certificate": certificate.read_text(), "client_key": key.read_text()}
    check(reader_of(encrypted.default, username="certified", password=None, ssl_mode=with_key).config)
    without = reader_of(encrypted.default, username="certified", password=None, ssl_mode=verified)
    assert "client certificate" in refusal(without, ConfigError)
    broken = {**with_key, "client_key": "-----BEGIN PRIVATE KEY-----\nnonsense\n-----END PRIVATE KEY-----"}
    text = refusal(reader_of(encrypted.default, username="certified", ssl_mode=broken), ConfigError)
    assert "ssl_mode" in text
    assert "nonsense" not in text


def test_certificate_files_are_private_and_go(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    ssl_mode = {"mode": "verify-ca", "ca_certificate": "A", "client_certificate": "B", "client_key": "C"}
    config = PostgresConfig.model_validate({"host": "h", "database": "d", "ssl_mode": ssl_mode})
    with certificates(config) as files:
        for path in files.values():
            assert os.stat(path).st_mode & 0o777 == 0o600
            assert os.stat(os.path.dirname(path)).st_mode & 0o777 == 0o700
    assert list(tmp_path.iterdir()) == []


def test_an_open_line_to_another_host_is_told(
    encrypted: Postgres,
    reader_of: Make,
    authority: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("source_postgres.connect.NEAR", ())
    check(reader_of(encrypted.default, ssl_mode={"mode": "disable"}).config)
    assert "is not encrypted" in caplog.text
    check(reader_of(encrypted.default, ssl_mode={"mode": "require"}).config)
    assert "nobody has checked who answers" in caplog.text
    caplog.clear()
    check(reader_of(encrypted.default, ssl_mode={"mode": "verify-full", "ca_certificate": authority}).config)
    assert caplog.text == ""


# Tunnels


class Jump(asyncssh.SSHServer):
    """A jump host: one user, by key or password."""

    key: asyncssh.SSHKey
    allowed: tuple[str, int]

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == ("me", PASSWORD)

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return username == "me" and key.public_data == self.key.public_data

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> bool:
        return (dest_host, dest_port) == self.allowed


class Jumps:
    """A jump host that runs in a thread, and the way to the database behind it."""

    def __init__(self, database: Database) -> None:
        self.host_key = asyncssh.generate_private_key("ssh-ed25519")
        Jump.key = asyncssh.generate_private_key("ssh-rsa")
        Jump.allowed = (database.host, database.port)
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.server = self.run(self.listen())
        self.port = self.server.get_port()

    async def listen(self) -> asyncssh.SSHAcceptor:
        return await asyncssh.listen("127.0.0.1", 0, server_factory=Jump, server_host_keys=[self.host_key])

    def run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def way(self, method: str, **more: Any) -> dict[str, Any]:
        return {
            "tunnel_method": method,
            "tunnel_host": "127.0.0.1",
            "tunnel_port": self.port,
            "tunnel_user": "me",
            **more,
        }

    def close(self) -> None:
        async def end() -> None:
            self.server.close()
            await self.server.wait_closed()
            rest = asyncio.all_tasks() - {asyncio.current_task()}
            await asyncio.wait_for(asyncio.gather(*rest, return_exceptions=True), 10) if rest else None

        self.run(end())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


@pytest.fixture
def jumps(database: Database) -> Iterator[Jumps]:
    database.execute("create table t (id int, pad text)")
    database.execute("insert into t select g, repeat('x', 1000) from generate_series(1, 3000) g")
    made = Jumps(database)
    yield made
    made.close()


def test_a_tunnel_by_password(database: Database, jumps: Jumps, reader_of: Make, caplog: Any) -> None:
    reader = reader_of(database, tunnel_method=jumps.way("SSH_PASSWORD_AUTH", tunnel_user_password=PASSWORD))
    assert reader.read("t").column("id") == list(range(1, 3001))
    public = jumps.host_key.export_public_key().decode().strip()
    assert f"set tunnel_host_key to: {public}" in caplog.text


@pytest.mark.parametrize("form", ["pkcs1-pem", "pkcs8-pem", "openssh"])
def test_a_tunnel_by_key(database: Database, jumps: Jumps, reader_of: Make, form: str, caplog: Any) -> None:
    public = jumps.host_key.export_public_key().decode()
    for host_key in (public, f"127.0.0.1 {public}", f"# comment\n[jump]:22 {public}"):
        way = jumps.way("SSH_KEY_AUTH", ssh_key=Jump.key.export_private_key(form).decode(), tunnel_host_key=host_key)
        reader = reader_of(database, tunnel_method=way, max_db_connections=2)
        assert len(list(discover(reader.config))) == 1
    assert caplog.text == ""


def test_a_tunnel_and_the_name_in_the_certificate(encrypted: Postgres, reader_of: Make, authority: str) -> None:
    jumps = Jumps(encrypted.default)
    try:
        reader = reader_of(
            encrypted.default,
            tunnel_method=jumps.way("SSH_PASSWORD_AUTH", tunnel_user_password=PASSWORD),
            ssl_mode={"mode": "verify-full", "ca_certificate": authority},
        )
        assert in_use(reader)
        reader.close()
    finally:
        jumps.close()


def test_a_tunnel_that_cannot_be(database: Database, jumps: Jumps, reader_of: Make, closed_port: int) -> None:
    def told(kind: type[Exception], way: dict[str, Any], **options: Any) -> str:
        return refusal(reader_of(database, tunnel_method=way, **options), kind)

    def by_password(password: str = PASSWORD, **more: Any) -> dict[str, Any]:
        return jumps.way("SSH_PASSWORD_AUTH", tunnel_user_password=password, **more)

    assert "refuses the login" in told(ConfigError, by_password("a wrong password"))
    other = asyncssh.generate_private_key("ssh-ed25519")
    assert "another key than tunnel_host_key" in told(
        ConfigError, by_password(tunnel_host_key=other.export_public_key().decode())
    )
    assert "cannot be read" in told(ConfigError, by_password(tunnel_host_key="no key"))
    assert "refuses the login" in told(
        ConfigError, jumps.way("SSH_KEY_AUTH", ssh_key=other.export_private_key().decode())
    )
    assert "cannot be read" in told(ConfigError, jumps.way("SSH_KEY_AUTH", ssh_key="no key"))
    locked = other.export_private_key("pkcs8-pem", passphrase="secret").decode()
    assert "passphrase" in told(ConfigError, jumps.way("SSH_KEY_AUTH", ssh_key=locked))
    assert "cannot reach" in told(ConfigError, by_password(), port=closed_port)
    assert "jump host" in told(TransientError, by_password(tunnel_port=closed_port))
    assert "no host" in told(ConfigError, by_password(tunnel_host="no-such-host.invalid"))


def test_a_tunnel_that_breaks_is_built_anew(database: Database, jumps: Jumps, reader_of: Make) -> None:
    reader = reader_of(database, tunnel_method=jumps.way("SSH_PASSWORD_AUTH", tunnel_user_password=PASSWORD))
    items = reader.start("t")
    next(items)
    tunnel = connections(reader.config)._tunnel
    tunnel._loop.call_soon_threadsafe(tunnel._ssh.abort)
    with pytest.raises(TransientError, match="connection was lost"):
        list(items)
    assert reader.read("t").column("id") == list(range(1, 3001))
