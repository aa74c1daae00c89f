"""A server process that cannot outlive its owner, and what it needs: a user, a folder, a port."""

from __future__ import annotations

import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self

HOST = "127.0.0.1"
GUARD = Path(__file__).with_name("guard.py")


class Failed(Exception):
    """A server that should start did not. The text ends with the last lines of its log."""


@dataclass(frozen=True, slots=True)
class User:
    """Somebody to run a server as."""

    uid: int
    gid: int

    def may_read(self, path: Path) -> bool:
        """Whether a user without rights of its own reaches `path`: anybody may enter it and all folders above."""
        return all(folder.stat().st_mode & 0o001 for folder in (path, *path.resolve().parents))


def unprivileged() -> User | None:
    """Who runs servers that refuse to run as root; None where we are not root ourselves."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return User(entry.pw_uid, entry.pw_gid)
    return User(65534, 65534)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on, and that no outgoing connection is given by chance later on."""
    for _ in range(1000):
        port = random.SystemRandom().randrange(15_000, 32_000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
    raise Failed("no free port on 127.0.0.1 between 15000 and 32000")


def listening(port: int) -> bool:
    """Whether somebody accepts connections on this port."""
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def new_folder(user: User | None = None) -> Path:
    """A new temporary folder that belongs to `user` and lies where that user can reach it."""
    places = [Path(tempfile.gettempdir()), Path("/var/tmp"), Path("/tmp")]
    place = next((place for place in places if user is None or user.may_read(place)), places[0])
    folder = Path(tempfile.mkdtemp(prefix="connector-parts-", dir=place))
    if user:
        os.chown(folder, user.uid, user.gid)
        folder.chmod(0o755)
    return folder


class Process:
    """One run of a server, under a guard that ends it and removes `folder` when this process goes, even by SIGKILL."""

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        folder: Path,
        user: User | None = None,
        environment: Mapping[str, str] | None = None,
        end_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.name = Path(command[0]).name
        self.log = folder / f"{self.name}.log"
        self._folder = folder
        identity = f"{user.uid}:{user.gid}" if user else ""
        guard = [sys.executable, "-I", "-S", GUARD, str(int(end_signal)), identity, folder, *command]
        with self.log.open("ab") as log:
            self._guard = subprocess.Popen(
                [str(part) for part in guard],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, **(environment or {})},
                cwd=folder,
                start_new_session=True,
                bufsize=0,
            )
        assert self._guard.stdout is not None
        with self._guard.stdout as answer:
            self.pid = int(answer.readline() or 0)
            """The process id of the server itself."""

    @property
    def running(self) -> bool:
        return self._guard.poll() is None

    def wait_until(self, ready: Callable[[], bool], seconds: float = 60) -> None:
        """Return when `ready()`. A server that ends or takes too long is stopped and raises `Failed` with its log."""
        deadline = time.monotonic() + seconds
        while not ready():
            if not self.running or time.monotonic() > deadline:
                what = "took too long to start" if self.running else "ended at once"
                text = f"{self.name} {what}. Its log ends with:\n{self.log_tail()}"
                self.stop()
                raise Failed(text)
            self._wait(0.02)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the server; SIGKILL goes to all of its processes. Nothing happens if it has ended."""
        assert self._guard.stdin is not None
        if self.running:
            self._guard.stdin.write(bytes([number]))

    def wait(self, seconds: float = 60) -> None:
        """Return when the server and all of its processes have ended."""
        if not self._wait(seconds):
            raise Failed(f"{self.name} did not end within {seconds:.0f} s")
        assert self._guard.stdin is not None
        self._guard.stdin.close()

    def stop(self) -> None:
        """End the server, politely first, and remove its folder. Returns when it is done; may be called twice."""
        assert self._guard.stdin is not None
        self._guard.stdin.close()
        self._guard.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def log_tail(self, lines: int = 20) -> str:
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def _wait(self, seconds: float) -> bool:
        try:
            self._guard.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True


class Server(ABC):
    """A part that runs: `with Postgres() as server:`. A child says how it starts, and sets `_folder` and `_process`."""

    host = HOST
    port: int

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._process: Process | None = None

    @abstractmethod
    def start(self) -> Self:
        """Return when the server answers. After `kill`, it comes back on the same port, with the same data if any."""

    def stop(self) -> None:
        """End the server at once and remove its data. May be called twice."""
        if self._process:
            self._process.stop()
            self._process = None
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def kill(self) -> None:
        """End all of its processes by SIGKILL: no client hears a goodbye. `start` brings it back."""
        self._end(signal.SIGKILL)

    @property
    def pid(self) -> int | None:
        """The process id of the server while it runs."""
        return self._process.pid if self._process else None

    def _end(self, number: signal.Signals) -> None:
        assert self._process is not None, "not started"
        self._process.send(number)
        self._process.wait()
        self._process = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *error: object) -> None:
        self.stop()
