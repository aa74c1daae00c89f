"""Runs one server for its owner and outlives neither of them.

Started as a script by `process.Process`, without this package or anything beside the standard library. Its standard
input is a pipe from the owner: every byte on it is the number of a signal for the server, and its end means that the
owner is gone, however it went. Then the server, and whatever that has started, is ended and its folder removed.
If the guard itself is killed, the kernel ends the server (PR_SET_PDEATHSIG).
"""

from __future__ import annotations

import ctypes
import os
import select
import shutil
import signal
import sys
import time
from contextlib import suppress

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
PATIENCE = 10.0
"""Seconds between the polite signal and SIGKILL."""


def prctl(option: int, value: int) -> None:
    """Ask the kernel, where it is Linux; elsewhere the pipe alone has to do."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def run_server(command: list[str], user: str, end_signal: int, guard: int) -> None:
    """Become the server. The death signal is set last: a change of user clears it."""
    os.setpgid(0, 0)
    if user:
        uid, gid = (int(part) for part in user.split(":"))
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    prctl(PR_SET_PDEATHSIG, end_signal)
    if os.getppid() != guard:
        os._exit(1)
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    os.execv(command[0], command)


def children(parent: int) -> list[int]:
    """Processes whose parent this is, as far as /proc tells."""
    found = []
    for entry in os.listdir("/proc") if os.path.isdir("/proc") else []:
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", "rb") as stat:
                    if int(stat.read().rpartition(b")")[2].split()[1]) == parent:
                        found.append(int(entry))
            except OSError:
                continue
    return found


def send(process: int, number: int) -> None:
    """Send a signal; a process that has gone already is fine."""
    with suppress(ProcessLookupError):
        os.kill(process, number)


def send_all(process: int, number: int) -> None:
    """Send a signal to a process and all of its descendants, none of which can start another meanwhile."""
    if number == signal.SIGKILL:
        send(process, signal.SIGSTOP)
        for child in children(process):
            send_all(child, number)
    send(process, number)


def gone(process: int) -> int | None:
    """The exit code of a child that has ended, collected."""
    ended, status = os.waitpid(process, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if ended else None


def watch(server: int, wakeup: int) -> int | None:
    """Pass signals on until the server ends (its exit code) or the owner is gone (None)."""
    while True:
        ready, _, _ = select.select([0, wakeup], [], [])
        if wakeup in ready:
            os.read(wakeup, 512)
            if (code := gone(server)) is not None:
                return code
        if 0 in ready:
            if not (numbers := os.read(0, 16)):
                return None
            for number in numbers:
                send_all(server, number)


def end(server: int, end_signal: int, wakeup: int) -> None:
    """End the server, politely first. Returns when it has ended."""
    send(server, end_signal)
    send(server, signal.SIGCONT)
    deadline = time.monotonic() + PATIENCE
    while gone(server) is None:
        ready, _, _ = select.select([wakeup], [], [], max(0.0, deadline - time.monotonic()))
        if ready:
            os.read(wakeup, 512)
        else:
            send_all(server, signal.SIGKILL)
            deadline += PATIENCE


def end_orphans() -> None:
    """End what the server left behind: as a subreaper, the guard has become its parent."""
    while orphans := children(os.getpid()):
        for orphan in orphans:
            send_all(orphan, signal.SIGKILL)
        try:
            while os.waitpid(-1, 0)[0]:
                pass
        except ChildProcessError:
            return


def main() -> None:
    end_signal, user, folder = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    wakeup, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake)
    guard = os.getpid()
    server = os.fork()
    if server == 0:
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        run_server(sys.argv[4:], user, end_signal, guard)
    print(server, flush=True)
    os.close(1)
    code = watch(server, wakeup)
    if code is None:
        end(server, end_signal, wakeup)
    end_orphans()
    if folder and code is None:
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(0 if code is None else 1)


if __name__ == "__main__":
    main()
