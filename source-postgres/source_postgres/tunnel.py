"""An SSH tunnel: a port on this machine that leads through a jump host to the database."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

import asyncssh

from connector_sdk import ConfigError, TransientError, log
from connector_sdk.errors import ConnectorError
from source_postgres.config import KeyTunnel, PasswordTunnel

T = TypeVar("T")
SECONDS = 30
KEEPALIVE = 30


class Forward:
    """Listens on `port` of 127.0.0.1 and forwards to `host:port` as the jump host sees it, until `close`."""

    def __init__(self, way: KeyTunnel | PasswordTunnel, host: str, port: int) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="ssh-tunnel", daemon=True)
        self._thread.start()
        self._ssh: asyncssh.SSHClientConnection | None = None
        self._listener: asyncssh.SSHListener | None = None
        try:
            self.port = self._run(self._open(way, host, port))
        except BaseException as error:
            self.close()
            raise _explained(error, way, f"{host}:{port}") from None

    @property
    def alive(self) -> bool:
        return self._ssh is not None and not self._ssh.is_closed()

    def close(self) -> None:
        """End the tunnel and all that goes through it. May be called twice."""
        if self._loop.is_closed():
            return
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(2 * SECONDS)

    async def _open(self, way: KeyTunnel | PasswordTunnel, host: str, port: int) -> int:
        self._ssh = await asyncssh.connect(
            way.tunnel_host,
            way.tunnel_port,
            username=way.tunnel_user,
            known_hosts=_trusted(way.tunnel_host_key),
            connect_timeout=SECONDS,
            login_timeout=SECONDS,
            keepalive_interval=KEEPALIVE,
            config=None,
            agent_path=None,
            **_login(way),
        )
        if not way.tunnel_host_key:
            _tell_key(self._ssh, way.tunnel_host)
        _, writer = await self._ssh.open_connection(host, port)  # Better now than as a closed connection later.
        writer.close()
        self._listener = await self._ssh.forward_local_port("127.0.0.1", 0, host, port)
        return self._listener.get_port()

    async def _end(self) -> None:
        if self._listener is not None:
            self._listener.close()
            await self._listener.wait_closed()
        if self._ssh is not None:
            self._ssh.abort()
            await self._ssh.wait_closed()
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)


def _login(way: KeyTunnel | PasswordTunnel) -> dict[str, Any]:
    if isinstance(way, PasswordTunnel):
        return {"password": way.tunnel_user_password.get_secret_value(), "client_keys": None}
    text = way.ssh_key.get_secret_value().replace("\\n", "\n").strip() + "\n"
    return {"client_keys": [asyncssh.import_private_key(text)], "password": None}


def _trusted(host_key: str | None) -> Any:
    """For asyncssh: None accepts any host, else the keys that are accepted."""
    if not host_key:
        return None
    lines = [line.split() for line in host_key.splitlines() if line.strip() and not line.startswith("#")]
    keys = [words[1:3] if len(words) > 2 and not words[0].startswith(("ssh-", "ecdsa-")) else words for words in lines]
    return [asyncssh.import_public_key(" ".join(words)) for words in keys], [], []


def _tell_key(ssh: asyncssh.SSHClientConnection, host: str) -> None:
    key = ssh.get_server_host_key()
    assert key is not None
    log.warning(
        "Nobody has checked that the jump host %s is the right one. It showed the key %s; to accept no other one, set "
        "tunnel_host_key to: %s",
        host,
        key.get_fingerprint(),
        key.export_public_key().decode().strip(),
    )


def _explained(error: BaseException, way: KeyTunnel | PasswordTunnel, database: str) -> BaseException:
    """The error in words for the user, or itself where it is none of the tunnel's."""
    jump = f"{way.tunnel_host}:{way.tunnel_port}"
    meanings: list[tuple[Any, type[ConnectorError], str]] = [
        (asyncssh.HostKeyNotVerifiable, ConfigError, f"The jump host {jump} shows another key than tunnel_host_key"),
        (asyncssh.PermissionDenied, ConfigError, f"The jump host {jump} refuses the login of tunnel_user"),
        (asyncssh.ChannelOpenError, ConfigError, f"The jump host {jump} cannot reach {database}, or may not"),
        (
            (asyncssh.KeyImportError, asyncssh.KeyEncryptionError),
            ConfigError,
            "ssh_key or tunnel_host_key cannot be read: give the key's whole text, without a passphrase",
        ),
        (socket.gaierror, ConfigError, f"There is no host {way.tunnel_host}: check tunnel_host"),
        (TimeoutError, TransientError, f"The jump host {jump} does not answer"),
        (asyncio.TimeoutError, TransientError, f"The jump host {jump} does not answer"),
        (OSError, TransientError, f"There is no way to the jump host {jump}"),
        (asyncssh.Error, TransientError, f"No SSH connection to the jump host {jump}"),
    ]
    for kind, ours, meaning in meanings:
        if isinstance(error, kind):
            return ours(f"{meaning}. ({type(error).__name__}: {' '.join(str(error).split())})")
    return error
