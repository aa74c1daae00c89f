"""Runs one command and outlives neither its owner nor a process that the command leaves behind.

Started as a script by `process.Process`, with the standard library alone. Its first argument is the number of a socket
to the owner: each byte that comes is the number of a signal for the command (SIGKILL goes to all of its processes), and
its end means that the owner is gone. At the end one line of JSON goes back: the exit code, the processes that outlived
the command, the CPU time. The second argument lists folders, joined by `:`; where there are any, nothing else of the
file system can be written to (Landlock, which needs no rights).
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import socket
import sys
import time

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 36, 38
LANDLOCK_CREATE_RULESET, LANDLOCK_ADD_RULE, LANDLOCK_RESTRICT_SELF = 444, 445, 446
GRACE = 2.0
"""Seconds that a process may outlive the command before it counts as left behind."""

LINUX = sys.platform == "linux"
libc = ctypes.CDLL(None, use_errno=True)


def prctl(option: int, value: int) -> None:
    """Ask the kernel, where it is Linux. Elsewhere processes that hide from their parent are not found."""
    if LINUX:
        libc.prctl(option, value, 0, 0, 0)


def landlock_version() -> int:
    """0 where the kernel has none."""
    return max(0, libc.syscall(LANDLOCK_CREATE_RULESET, None, 0, 1)) if LINUX else 0


def write_only_below(folders: list[str]) -> None:
    """From here on, this process and its children write, make and remove files below these folders only."""
    version = landlock_version()
    if not version:
        raise OSError("this kernel has no Landlock")
    rights = 1 << 1 | sum(1 << bit for bit in range(4, 13))
    rights |= 1 << 13 if version >= 2 else 0
    rights |= 1 << 14 if version >= 3 else 0
    ruleset = libc.syscall(LANDLOCK_CREATE_RULESET, rights.to_bytes(8, sys.byteorder), 8, 0)
    for folder in folders:
        fd = os.open(folder, os.O_PATH | os.O_CLOEXEC)
        rule = rights.to_bytes(8, sys.byteorder) + fd.to_bytes(4, sys.byteorder)
        if libc.syscall(LANDLOCK_ADD_RULE, ruleset, 1, rule, 0):
            raise OSError(ctypes.get_errno(), "landlock_add_rule", folder)
        os.close(fd)
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    if libc.syscall(LANDLOCK_RESTRICT_SELF, ruleset, 0):
        raise OSError(ctypes.get_errno(), "landlock_restrict_self")


def become(command: list[str], writable: list[str]) -> None:
    """Become the command, with the signals that a shell would give it."""
    os.setsid()
    for number in (signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    try:
        if writable:
            write_only_below(writable)
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        os.execvp(command[0], command)
    except OSError as error:
        os.write(2, f"{command[0]} cannot be started: {error.strerror or error}\n".encode())
    os._exit(127)


def status(pid: int) -> tuple[int, str] | None:
    """Parent and name of a process, None where it is gone (or waits to be collected)."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            head, _, tail = file.read().rpartition(b")")
    except OSError:
        return None
    state, parent = tail.split()[:2]
    return None if state == b"Z" else (int(parent), head.partition(b"(")[2].decode(errors="replace"))


def children(of: int) -> dict[int, str]:
    """The living children of a process and their names."""
    found = {int(entry): status(int(entry)) for entry in os.listdir("/proc") if entry.isdigit()} if LINUX else {}
    return {pid: known[1] for pid, known in found.items() if known and known[0] == of}


def send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def kill_tree(pid: int) -> None:
    """SIGKILL a process and all below it; none of them can start another meanwhile."""
    send(pid, signal.SIGSTOP)
    for child in children(pid):
        kill_tree(child)
    send(pid, signal.SIGKILL)


def collect(wanted: int) -> int | None:
    """Collect what has ended. The exit code of `wanted`, where it is among that."""
    code = None
    while True:
        try:
            pid, ended = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return code
        if not pid:
            return code
        if pid == wanted:
            code = os.waitstatus_to_exitcode(ended)


def watch(command: int, owner: socket.socket, wakeup: int) -> int | None:
    """Pass signals on until the command ends (its exit code), or until the owner is gone (None)."""
    while True:
        ready, _, _ = select.select([owner.fileno(), wakeup], [], [])
        if wakeup in ready:
            os.read(wakeup, 512)
            if (code := collect(command)) is not None:
                return code
        if owner.fileno() in ready:
            numbers = owner.recv(16)
            if not numbers:
                return None
            for number in numbers:
                if number == signal.SIGKILL:
                    kill_tree(command)
                else:
                    send(command, number)


def leftovers(grace: float) -> list[str]:
    """Names of the processes that are still there after `grace` seconds. They are ended."""
    deadline = time.monotonic() + grace
    while (left := children(os.getpid())) and time.monotonic() < deadline:
        collect(0)
        time.sleep(0.02)
    names = sorted(left.values())
    while left := children(os.getpid()):
        for pid in left:
            kill_tree(pid)
        time.sleep(0.005)
        collect(0)
    return names


def main() -> None:
    owner = socket.socket(fileno=int(sys.argv[1]))
    writable = [folder for folder in sys.argv[2].split(":") if folder]
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    wakeup, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    command = os.fork()
    if not command:
        owner.detach()
        become(sys.argv[3:], writable)
    nothing = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(nothing, fd)
    code = watch(command, owner, wakeup)
    if code is None:
        kill_tree(command)
    left = leftovers(GRACE if code is not None and code >= 0 else 0.0)
    used = os.times()
    report = {"code": code, "left": left, "cpu": used.children_user + used.children_system}
    if code is not None:
        owner.sendall(json.dumps(report).encode() + b"\n")


if __name__ == "__main__":
    main()
