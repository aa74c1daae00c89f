"""Stands over one connector: ends it and all that it started when airpipe goes, however that happens.

Run as `python -I -S guard.py CONTROL REPORT MEMORY FOLDER CLEANUP… -- COMMAND…`, by itself: it imports nothing of
airpipe, and little else, since one stands over each process. CONTROL is the reading end of a pipe whose other end only
airpipe holds: its end says that airpipe is gone, `T` asks the connector to end, `K` kills it. REPORT takes a line
`started PID`, and at the end `ended CODE CPU-SECONDS PEAK-BYTES WHY`.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
ORPHAN = 5.0
"""Seconds between asking an orphan to end and killing it."""
LOOK = 0.2
"""Seconds between two looks at the memory."""


def main() -> None:
    control, report = int(sys.argv[1]), int(sys.argv[2])
    limit, folder = int(sys.argv[3]), sys.argv[4]
    end = sys.argv.index("--")
    cleanup, command = sys.argv[5:end], sys.argv[end + 1 :]
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    own = os.getpid()
    child = os.fork()
    if not child:
        _become(command, own)
    _let_go()
    _say(report, f"started {child}")
    watch = _Watch(child, limit, cleanup)
    code, cpu = watch.until_it_ends(control, woken)
    watch.end_the_rest()
    if watch.orphaned and folder:
        import shutil

        shutil.rmtree(folder, ignore_errors=True)
    _say(report, f"ended {code} {cpu:.6f} {watch.peak} {watch.why}")


def _become(command: list[str], guard: int) -> NoReturn:
    """Turn into the connector, in a process group of its own, bound to the life of the guard."""
    os.setpgid(0, 0)
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != guard:
        os._exit(137)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    try:
        os.execvp(command[0], command)
    except OSError as error:
        os.write(2, f"{command[0]} cannot be started: {error.strerror}\n".encode())
        os._exit(126 if isinstance(error, PermissionError) else 127)


def _let_go() -> None:
    """The pipes of the connector are its own: their ends must be seen."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)


class _Watch:
    def __init__(self, child: int, limit: int, cleanup: list[str]) -> None:
        self._child = child
        self._limit = limit
        self._cleanup = cleanup
        self._kill_at = float("inf")
        self.orphaned = False
        self.peak = 0
        self.why = ""

    def until_it_ends(self, control: int, woken: int) -> tuple[int, float]:
        """Wait for the connector, obeying `control`. Returns its exit code and its CPU seconds."""
        looking = [control, woken]
        while True:
            done, status, used = os.wait4(self._child, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime
            self._reap()
            ready = select.select(looking, [], [], LOOK)[0]
            if woken in ready:
                os.read(woken, 4096)
            if control in ready and not self._obey(os.read(control, 1)):
                looking = [woken]
            self._look_at_memory()
            if time.monotonic() > self._kill_at:
                self._kill()

    def _reap(self) -> None:
        """Take leave of what was left to us by processes of the connector."""
        try:
            while (found := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
                if found.si_pid == self._child:
                    return
                os.waitpid(found.si_pid, 0)
        except ChildProcessError:
            return

    def _obey(self, order: bytes) -> bool:
        """Do what airpipe says; False where it will say nothing any more."""
        if order == b"K":
            self._kill()
        else:
            self._signal(signal.SIGTERM)
        if not order:
            self.orphaned = True
            self._kill_at = time.monotonic() + ORPHAN
        return bool(order)

    def _look_at_memory(self) -> None:
        used = sum(map(_memory, self._family()))
        self.peak = max(self.peak, used)
        if self._limit and used > self._limit:
            self.why = "memory"
            self._kill()

    def _kill(self) -> None:
        self._clean_up()
        self._signal(signal.SIGKILL)
        for pid in self._family():
            _send(pid, signal.SIGKILL)

    def _signal(self, number: int) -> None:
        _send(-self._child, number)

    def _clean_up(self) -> None:
        """What a container needs: it is no child of ours."""
        if self._cleanup:
            import subprocess

            subprocess.run(self._cleanup, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=5, check=False)
            self._cleanup = []

    def end_the_rest(self) -> None:
        """Whatever the connector has started and left behind goes with it."""
        if self.orphaned:
            self._clean_up()
        self._signal(signal.SIGKILL)
        deadline = time.monotonic() + 2
        while (rest := self._family()) and time.monotonic() < deadline:
            for pid in rest:
                _send(pid, signal.SIGKILL)
            self._reap_all()
            time.sleep(0.01)

    def _reap_all(self) -> None:
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return

    def _family(self) -> list[int]:
        """All processes below the guard."""
        found, todo = [], [os.getpid()]
        while todo:
            children = _children(todo.pop())
            found += children
            todo += children
        return found


def _children(pid: int) -> list[int]:
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as children:
                found += map(int, children.read().split())
    except OSError:
        return found
    return found


def _memory(pid: int) -> int:
    """Bytes that are this process's own; files that it has mapped belong to the system's cache."""
    try:
        with open(f"/proc/{pid}/status", "rb") as status:
            sizes = [line.split() for line in status if line.startswith((b"RssAnon", b"RssShmem"))]
    except OSError:
        return 0
    return sum(int(parts[1]) for parts in sizes) << 10


def _send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except OSError:
        return


def _prctl(option: int, value: int) -> None:
    """Only Linux has it."""
    import ctypes

    try:
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
    except (OSError, AttributeError):
        return


def _say(report: int, what: str) -> None:
    try:
        os.write(report, what.encode() + b"\n")
    except OSError:
        return


if __name__ == "__main__":
    main()
