"""Commands with time limits everywhere, and no process left behind."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from acceptance_tests.guard import landlock_version
from acceptance_tests.process import Process


def shell(script: str, **options: object) -> Process:
    return Process(["/bin/sh", "-c", script], folder="/", **options)  # type: ignore[arg-type]


def alive(seconds: str) -> bool:
    """Whether `sleep SECONDS` runs."""
    return any(_words(path)[:2] == [b"sleep", seconds.encode()] for path in Path("/proc").glob("[0-9]*/cmdline"))


def _words(path: Path) -> list[bytes]:
    try:
        return path.read_bytes().split(b"\0")
    except OSError:
        return []


def test_lines_code_and_errors_come_back() -> None:
    run = shell("echo one; echo two >&2; printf three; exit 3").finish(10)
    assert (run.lines, run.tail, run.stderr, run.code) == ([b"one"], b"three", "two\n", 3)
    assert run.ended == "exit code 3"


def test_a_command_that_does_not_exist() -> None:
    run = Process(["acceptance-no-such-command"], folder="/").finish(10)
    assert run.code == 127
    assert "acceptance-no-such-command cannot be started" in run.stderr


def test_silence_is_ended() -> None:
    run = shell("echo before; sleep 611").finish(0.3)
    assert run.silent
    assert run.lines == [b"before"]
    assert not alive("611")


def test_chatter_without_end_is_ended() -> None:
    run = shell("while :; do echo again; sleep 0.01; done").finish(1, longest=0.5)
    assert run.silent
    assert run.lines[:1] == [b"again"]


def test_what_is_left_behind_is_named_and_ended() -> None:
    run = shell("(setsid sleep 612 >/dev/null 2>&1 &); echo done").finish(10)
    assert run.code == 0
    assert run.left == ["sleep"]
    assert not alive("612")


def test_kill_ends_all_of_its_processes() -> None:
    process = shell("setsid sleep 613 & echo started; wait")
    assert process.wait_for_lines(1, 10)
    assert process.kill().code == -signal.SIGKILL
    assert not alive("613")


def test_it_dies_with_its_owner() -> None:
    script = (
        "import sys, os; from acceptance_tests.process import Process;"
        "p = Process(['/bin/sh', '-c', 'echo up; setsid sleep 614 & wait'], folder='/');"
        "p.wait_for_lines(1, 10); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", script], check=False)
    deadline = time.monotonic() + 10
    while alive("614") and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not alive("614")


def test_sigterm_reaches_the_command() -> None:
    process = shell("trap 'echo bye; exit 9' TERM; echo ready; while :; do sleep 0.05; done")
    assert process.wait_for_lines(1, 10)
    process.signal(signal.SIGTERM)
    run = process.finish(10)
    assert (run.lines[-1], run.code) == (b"bye", 9)


def test_input_is_taken_while_output_is_read() -> None:
    process = Process(["cat"], folder="/", takes_input=True)
    data = b"some line of text\n" * 100_000
    assert process.send(data)
    assert len(process.finish(10).lines) == 100_000


def test_input_that_is_refused() -> None:
    process = shell("exec 0<&-; echo closed; sleep 0.5", takes_input=True)
    assert process.wait_for_lines(1, 10)
    assert not process.send(b"x" * 1_000_000, 5)
    assert process.refused
    process.end()


def test_a_long_line_stands_still_while_nobody_reads_on() -> None:
    process = shell("head -c 2000000 /dev/zero; echo; echo after")
    assert process.pump(lambda: process.partial > 100_000, 10, chunk=4096)
    assert process.partial < 200_000
    assert process.finish(10).lines[-1] == b"after"


@pytest.mark.skipif(not landlock_version(), reason="MISSING Landlock: this kernel has none")
def test_a_file_system_that_is_read_only_but_for_a_folder(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    script = f"echo x > {inside}/a && rm {inside}/a && echo inside; echo x > {outside}/a || echo denied; "
    script += f"mkdir {outside}/b || echo denied"
    run = shell(script, writable=[inside, "/dev"]).finish(10)
    assert run.lines == [b"inside", b"denied", b"denied"]
    assert not list(outside.iterdir())
