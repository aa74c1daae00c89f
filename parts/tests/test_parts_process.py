"""Whatever happens to the owner of a server, nothing of the server is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from connector_parts import Postgres
from connector_parts.guard import children
from connector_parts.process import Failed, Process, new_folder

pytestmark = pytest.mark.slow

OWNER = """
import signal
from connector_parts import S3, Postgres
server = {part}.start()
print(server.pid, server._folder, flush=True)
signal.pause()
"""


def alive(process: int) -> bool:
    """Whether it still runs; one that has ended and was not collected yet does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def becomes(condition: Callable[[], bool], seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not condition() and time.monotonic() < deadline:
        pause.wait(0.02)
    return condition()


def at_home(folder: Path) -> list[str]:
    """Processes that work in this folder, or did before it was removed."""
    return [cwd for path in Path("/proc").glob("[0-9]*/cwd") if (cwd := readlink(path)).startswith(str(folder))]


def readlink(path: Path) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""


def family(process: int) -> list[int]:
    return [process, *(found for child in children(process) for found in family(child))]


@pytest.mark.parametrize("part", ["Postgres()", "S3.best()", "S3('moto')"])
def test_nothing_is_left_of_a_server_whose_owner_was_killed(part: str) -> None:
    with subprocess.Popen([sys.executable, "-c", OWNER.format(part=part)], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        pid, folder = owner.stdout.readline().split()
        processes = family(owner.pid)
        assert int(pid) in processes
        assert Path(folder).exists()
        owner.send_signal(signal.SIGKILL)
    assert becomes(lambda: not any(map(alive, processes)))
    assert not Path(folder).exists()


def test_a_server_ends_with_its_guard() -> None:
    """The kernel sees to it, where the guard cannot."""
    with Postgres() as server:
        assert server.pid is not None
        guard = next(child for child in children(os.getpid()) if server.pid in children(child))
        processes = family(guard)
        os.kill(guard, signal.SIGKILL)
        assert becomes(lambda: not any(map(alive, processes)))


def test_stop_leaves_nothing() -> None:
    server = Postgres().start()
    assert server.pid is not None
    processes, folder = family(server.pid), server._folder
    assert folder is not None
    server.stop()
    server.stop()
    assert not any(map(alive, processes))
    assert not folder.exists()


def test_a_server_outlives_the_thread_that_started_it() -> None:
    server = Postgres()
    thread = threading.Thread(target=server.start)
    thread.start()
    thread.join()
    with server.default.connect() as connection:
        assert connection.execute("select 1").fetchone() == (1,)
    server.stop()


@pytest.mark.parametrize("kill", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_server_that_does_not_listen_is_ended_all_the_same(kill: bool) -> None:
    """Also what it has started and disowned."""
    folder = new_folder()
    deaf = "trap '' TERM; (setsid sleep 600 &); touch started; sleep 600; sleep 600"
    process = Process(["/bin/sh", "-c", deaf], folder=folder)
    process.wait_until((folder / "started").exists)
    assert len(at_home(folder)) >= 2
    if kill:
        process.send(signal.SIGKILL)
        process.wait()
    process.stop()
    assert at_home(folder) == []
    assert not folder.exists()


def test_a_server_that_ends_at_once_is_told_with_its_log() -> None:
    folder = new_folder()
    process = Process(["/bin/sh", "-c", "echo it hurts; exit 1"], folder=folder)
    with pytest.raises(Failed, match=r"sh ended at once(.|\n)*it hurts"):
        process.wait_until(lambda: False)
