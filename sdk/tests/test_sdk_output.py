"""The way out: what leaves when, who notices that nobody reads, and how a signal ends a run with whole lines."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from connector_sdk.output import Interrupted, Output, ReaderGone

LONG = 30.0
"""Seconds that a busy machine may take for what should take none."""


class Reader:
    """Takes messages from a pipe as they come, with the time."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._rest = b""
        self.lines: list[bytes] = []

    def until(self, word: bytes, seconds: float = LONG) -> float:
        """Read until a line holds `word`; returns the seconds it took. Fails at the end of the input or of patience."""
        started = time.monotonic()
        while not any(word in line for line in self.lines):
            left = started + seconds - time.monotonic()
            assert left > 0, f"no {word!r} within {seconds} s, but {self.lines[-3:]}"
            if select.select([self._fd], [], [], left)[0]:
                assert self._take(), f"the output ended without {word!r}: {self.lines[-3:]}"
        return time.monotonic() - started

    def rest(self) -> list[dict[str, Any]]:
        """Everything to the end, as messages: each line whole."""
        while self._take():
            pass
        assert self._rest == b"", "the last line is torn"
        return [json.loads(line) for line in self.lines]

    def _take(self) -> bool:
        chunk = os.read(self._fd, 1 << 20)
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        self.lines += lines
        return bool(chunk)


# When a message leaves

SLOW = """
    class C(Config):
        rows: int = 3
        pause: float = 3600
        checkpoint: bool = False
        size: int = 10

    def read(c, s):
        n = (s.state or {"n": 0})["n"]
        while True:
            for _ in range(c.rows):
                n += 1
                yield {"n": n, "text": "x" * c.size}
            if c.checkpoint:
                yield Checkpoint({"n": n})
            time.sleep(c.pause)

    Source(C, check=lambda c: None, discover=lambda c: [Stream("a", {}, incremental=True)], read=read).main()
"""


@pytest.fixture
def slow(connector: Any) -> Any:
    return connector(SLOW)


def incremental(say: Any) -> Any:
    return say.catalog("a", sync_mode="incremental")


def test_a_row_leaves_although_nothing_follows_it(slow: Any, say: Any) -> None:
    """A source may wait for hours for the next row: the last one must not wait with it."""
    with slow.running("read", {"rows": 1}, incremental(say)) as process:
        Reader(process.stdout.fileno()).until(b'"n":1')


def test_a_state_leaves_at_once_with_all_rows_before_it(slow: Any, say: Any) -> None:
    with slow.running("read", {"rows": 500, "checkpoint": True}, incremental(say)) as process:
        reader = Reader(process.stdout.fileno())
        reader.until(b'"STATE"')
        records = [line for line in reader.lines if b'"RECORD"' in line]
        assert len(records) == 500
        assert reader.lines[-1].find(b'"STATE"') > 0


def test_data_leaves_within_a_tenth_of_a_second_and_a_state_before_the_call_returns(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    try:
        output = Output(writing)
        waited = []
        for _ in range(5):
            started = time.monotonic()
            output.data(b'{"type":"RECORD"}\n')
            assert select.select([reading], [], [], LONG)[0]
            waited.append(time.monotonic() - started)
            assert os.read(reading, 1000) == b'{"type":"RECORD"}\n'
        assert min(waited) < 0.15
        output.data(b"data\n")
        output.state(b"state\n")
        assert select.select([reading], [], [], 0)[0]
        assert os.read(reading, 1000) == b"data\nstate\n"
    finally:
        os.close(writing)
        os.close(reading)


def test_many_threads_never_tear_a_line(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    output = Output(writing)
    sizes = (10, 1000, 70_000, 300_000)

    def write(number: int) -> None:
        for turn in range(12):
            line = json.dumps({"t": number, "n": turn, "x": "y" * sizes[(number + turn) % 4]}).encode() + b"\n"
            (output.state if turn % 3 else output.data)(line)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    got: list[bytes] = []
    collector = threading.Thread(target=lambda: got.extend(iter(lambda: os.read(reading, 1 << 16), b"")))
    collector.start()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    output.flush()
    os.close(writing)
    collector.join()
    os.close(reading)
    found = [json.loads(line) for line in b"".join(got).splitlines()]
    for number in range(4):
        assert [line["n"] for line in found if line["t"] == number] == list(range(12))


# Nobody reads


def test_head_ends_a_source_quietly(slow: Any, say: Any) -> None:
    with slow.running("read", {"rows": 10, "pause": 0}, incremental(say)) as process:
        assert process.stdout.readline()
        process.stdout.close()
        assert process.wait(LONG) == 128 + signal.SIGPIPE
        assert process.stderr.read() == b""


def test_head_ends_the_other_commands_quietly(slow: Any) -> None:
    for verb in ("spec", "check", "discover"):
        reading, writing = os.pipe()
        os.close(reading)
        process = slow.start(verb, stdout=writing)
        os.close(writing)
        _, err = process.communicate(timeout=LONG)
        assert process.returncode != 0
        assert err == b""


DESTINATION = """
    from contextlib import contextmanager
    class C(Config):
        delay: float = 0

    @contextmanager
    def open_stream(c, s):
        def write(batch):
            time.sleep(c.delay)
        yield write

    Destination(C, check=lambda c: None, open_stream=open_stream, limits=Limits(seconds=0.05)).main()
"""


def test_a_destination_whose_states_nobody_takes_has_failed(connector: Any, say: Any) -> None:
    with connector(DESTINATION).running("write", {}, say.catalog("a")) as process:
        process.stdout.close()
        process.stdin.write(say.lines(say.record("a", {}), say.state("a", {})))
        process.stdin.close()
        assert process.wait(LONG) == 1
        err = process.stderr.read().decode()
        assert "closed" in err
        assert "Traceback" not in err


def test_it_has_failed_also_while_the_input_stays_open(connector: Any, say: Any) -> None:
    with connector(DESTINATION).running("write", {}, say.catalog("a")) as process:
        process.stdout.close()
        process.stdin.write(say.lines(say.record("a", {}), say.state("a", {})))
        assert process.wait(LONG) == 1


@pytest.mark.parametrize("closed", ["1>&-", "2>&-", "1>&- 2>&-"])
def test_closed_descriptors(connector: Any, say: Any, closed: str) -> None:
    """Without a standard output no STATE can be delivered; without a standard error all goes on."""
    what = connector(DESTINATION)
    command = " ".join(what.command("write", {}, say.catalog("a"))) + f" {closed}"
    text = say.lines(say.record("a", {}), say.state("a", {"x": 1}))
    done = subprocess.run(
        command, shell=True, input=text, capture_output=True, env=what.environment(), timeout=60, check=False
    )
    if "1>&-" in closed:
        assert done.returncode != 0
        assert b"Traceback" not in done.stderr
    else:
        assert done.returncode == 0
        assert b'"x": 1' in done.stdout
        assert all(json.loads(line) for line in done.stdout.splitlines())


def test_a_full_disk_is_told(connector: Any, say: Any) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    what = connector(DESTINATION)
    text = say.lines(say.record("a", {}), say.state("a", {"x": 1}))
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            what.command("write", {}, say.catalog("a")),
            input=text,
            stdout=full,
            stderr=subprocess.PIPE,
            env=what.environment(),
            timeout=60,
            check=False,
        )
    assert done.returncode != 0
    assert b"No space left" in done.stderr


# Signals


def ended(process: subprocess.Popen[bytes], started: float) -> None:
    assert process.wait(LONG) in (128 + signal.SIGTERM, 128 + signal.SIGINT, 128 + signal.SIGPIPE)
    assert time.monotonic() - started < 12, "ten seconds, and two for a busy machine"


def told(messages: list[dict[str, Any]]) -> None:
    """The last STATE vouches for no row that did not come, and the stream is INCOMPLETE."""
    rows = [m["record"]["data"]["n"] for m in messages if m["type"] == "RECORD"]
    assert rows == list(range(1, len(rows) + 1))
    states = [m["state"]["stream"]["stream_state"]["n"] for m in messages if m["type"] == "STATE"]
    assert not states or states[-1] <= len(rows)
    statuses = [m["trace"]["stream_status"]["status"] for m in messages if "stream_status" in m.get("trace", {})]
    assert statuses[-1] == "INCOMPLETE"
    assert "COMPLETE" not in statuses


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("config", [{"rows": 7, "pause": 0}, {"rows": 7, "pause": 3600}, {"size": 500_000, "pause": 0}])
def test_a_signal_while_somebody_reads(slow: Any, say: Any, config: dict[str, Any], number: int) -> None:
    with slow.running("read", {"checkpoint": True, **config}, incremental(say)) as process:
        reader = Reader(process.stdout.fileno())
        reader.until(b'"STATE"')
        process.send_signal(number)
        started = time.monotonic()
        messages = reader.rest()
        ended(process, started)
        assert process.returncode == 128 + number
        told(messages)
        assert process.stderr.read() == b""


@pytest.mark.parametrize("size", [10, 3_000_000])
def test_a_signal_while_a_write_is_blocked_and_the_reader_comes_back(slow: Any, say: Any, size: int) -> None:
    with slow.running("read", {"checkpoint": True, "pause": 0, "size": size}, incremental(say)) as process:
        reader = Reader(process.stdout.fileno())
        reader.until(b'"STATE"')
        blocked(process)
        process.send_signal(signal.SIGTERM)
        started = time.monotonic()
        time.sleep(0.5)
        messages = reader.rest()
        ended(process, started)
        assert process.returncode == 128 + signal.SIGTERM
        told(messages)


@pytest.mark.slow
def test_a_signal_while_a_slow_reader_takes_little_at_a_time(slow: Any, say: Any) -> None:
    with slow.running("read", {"checkpoint": True, "pause": 0, "size": 1000}, incremental(say)) as process:
        reader = Reader(process.stdout.fileno())
        reader.until(b'"STATE"')
        blocked(process)
        process.send_signal(signal.SIGTERM)
        started = time.monotonic()
        while process.poll() is None:
            reader.lines += [b""] if not os.read(process.stdout.fileno(), 0) else []
            if select.select([process.stdout], [], [], 0.05)[0]:
                reader._rest += os.read(process.stdout.fileno(), 20_000)
            time.sleep(0.05)
        ended(process, started)
        *lines, reader._rest = (reader._rest + process.stdout.read()).split(b"\n")
        reader.lines = [line for line in reader.lines + lines if line]
        told(reader.rest())


@pytest.mark.slow
@pytest.mark.parametrize("config", [{"rows": 7, "pause": 0}, {"size": 3_000_000, "pause": 0}])
def test_a_signal_while_the_reader_has_stopped_for_good(slow: Any, say: Any, config: dict[str, Any]) -> None:
    """There is nobody to tell. It ends all the same, and what lies in the pipe is no lie."""
    with slow.running("read", {"checkpoint": True, **config}, incremental(say)) as process:
        blocked(process)
        process.send_signal(signal.SIGTERM)
        started = time.monotonic()
        time.sleep(1)
        process.send_signal(signal.SIGTERM)  # Impatience gives no new time.
        ended(process, started)
        whole = process.stdout.read().split(b"\n")[:-1]
        rows = [json.loads(line)["record"]["data"]["n"] for line in whole if b'"RECORD"' in line]
        assert rows == list(range(1, len(rows) + 1))
        assert process.stderr.read() == b""


def blocked(process: subprocess.Popen[bytes]) -> None:
    """Wait until the pipe is full: as much lies in it as a moment ago, and it is not little."""
    import fcntl
    import termios

    def filled() -> int:
        return int.from_bytes(fcntl.ioctl(process.stdout, termios.FIONREAD, b"\0\0\0\0"), "little")  # type: ignore[arg-type]

    deadline = time.monotonic() + LONG
    before = -1
    while (now := filled()) != before or now < 30_000:
        assert time.monotonic() < deadline
        before = now
        time.sleep(0.3)


STUBBORN = """
    class C(Config):
        how: str = "finally"

    def read(c, s):
        yield {"n": 1}
        yield Checkpoint({"n": 1})
        try:
            if c.how == "thread":
                t = threading.Thread(target=time.sleep, args=(3600,))
                t.start()
                t.join()
            if c.how == "except":
                while True:
                    try:
                        time.sleep(3600)
                    except Exception:
                        pass
            time.sleep(3600)
        finally:
            if c.how == "finally":
                time.sleep(3600)

    Source(C, check=lambda c: None, discover=lambda c: [Stream("a", {}, incremental=True)], read=read).main()
"""


@pytest.mark.parametrize("how", ["except", "thread", pytest.param("finally", marks=pytest.mark.slow)])
def test_a_source_that_hangs_in_its_own_code_ends_too(connector: Any, say: Any, how: str) -> None:
    with connector(STUBBORN).running("read", {"how": how}, incremental(say)) as process:
        reader = Reader(process.stdout.fileno())
        reader.until(b'"STATE"')
        process.send_signal(signal.SIGTERM)
        started = time.monotonic()
        messages = reader.rest()
        ended(process, started)
        if how != "finally":
            told(messages)


@pytest.mark.parametrize(
    ("delay", "seconds"), [(0.0, LONG), pytest.param(3600.0, 12.0, marks=pytest.mark.slow)], ids=["idle", "in a write"]
)
def test_a_signal_ends_a_destination(connector: Any, say: Any, delay: float, seconds: float) -> None:
    with connector(DESTINATION).running("write", {"delay": delay}, say.catalog("a")) as process:
        reader = Reader(process.stdout.fileno())
        process.stdin.write(say.lines(say.state("a", {"first": 1}), say.record("a", {}), say.state("a", {"second": 1})))
        reader.until(b'"second"' if not delay else b'"first"')
        process.send_signal(signal.SIGTERM)
        started = time.monotonic()
        messages = reader.rest()
        assert process.wait(LONG) == 128 + signal.SIGTERM
        assert time.monotonic() - started < seconds
        states = [m["state"]["stream"]["stream_state"] for m in messages if m["type"] == "STATE"]
        assert states == ([{"first": 1}] if delay else [{"first": 1}, {"second": 1}])


def test_a_signal_before_the_first_message(connector: Any, say: Any) -> None:
    what = connector("""
        def discover(c):
            Path(os.environ["READY"]).touch()
            time.sleep(3600)
        Source(Config, check=lambda c: None, discover=discover, read=lambda c, s: iter([])).main()
    """)
    ready = what.folder / "ready"
    os.environ["READY"] = str(ready)
    try:
        with what.running("read", {}, say.catalog("a", "b")) as process:
            deadline = time.monotonic() + LONG
            while not ready.exists():
                assert time.monotonic() < deadline
                time.sleep(0.02)
            process.send_signal(signal.SIGTERM)
            messages = Reader(process.stdout.fileno()).rest()
            assert process.wait(LONG) == 143
    finally:
        del os.environ["READY"]
    statuses = [m["trace"]["stream_status"]["status"] for m in messages]
    assert statuses == ["STARTED", "STARTED", "INCOMPLETE", "INCOMPLETE"]


# The object itself


@contextmanager
def pipe() -> Iterator[tuple[int, Output]]:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    try:
        yield reading, Output(writing)
    finally:
        os.close(writing)
        os.close(reading)


def test_an_interrupt_outside_of_a_write_is_raised_at_once() -> None:
    with pipe() as (_, output), pytest.raises(Interrupted):
        output.interrupt(15, 1.0)


def test_an_interrupt_within_a_write_waits_for_its_end(monkeypatch: Any) -> None:
    with pipe() as (reading, output):
        write = os.write

        def interrupted(fd: int, parts: Any) -> int:
            output.interrupt(15, 5.0)
            return write(fd, parts[0][:3])  # As a signal would: a part was written, then the handler runs.

        monkeypatch.setattr(os, "writev", interrupted)
        with pytest.raises(Interrupted):
            output.state(b"0123456789\n")
        monkeypatch.undo()
        assert os.read(reading, 100) == b"0123456789\n"
        output.state(b"after\n")
        assert os.read(reading, 100) == b"after\n"


def test_lines_that_write_themselves_come_in_their_turn() -> None:
    """After what waits, and before what follows, what they hand back included; a signal is raised when that is kept."""
    with pipe() as (reading, output):

        def write(fd: int) -> bytes:
            output.interrupt(15, 5.0)
            os.write(fd, b"one\ntw")
            return b"o\n"

        output.data(b"zero\n")
        with pytest.raises(Interrupted):
            output.flow(write)
        output.state(b"three\n")
        assert os.read(reading, 100) == b"zero\none\ntwo\nthree\n"


def test_what_is_said_while_lines_write_themselves_comes_after_them() -> None:
    """By the thread that lets them: a notice of the server, or progress. It must neither wait for itself nor tear."""
    with pipe() as (reading, output):

        def write(fd: int) -> bytes:
            os.write(fd, b"one\ntw")
            output.message(b"said\n")
            output.interrupt(15, 5.0)
            output.data(b"more\n")
            return b"o\n"

        with pytest.raises(Interrupted):
            output.flow(write)
        assert os.read(reading, 100) == b"one\ntwo\nsaid\nmore\n"


def test_what_was_said_before_lines_fail_is_kept() -> None:
    with pipe() as (reading, output):

        def write(fd: int) -> bytes:
            output.message(b"said\n")
            raise ValueError

        with pytest.raises(ValueError):
            output.flow(write)
        assert os.read(reading, 100) == b"said\n"


def test_a_pipe_that_never_blocks_and_that_somebody_else_fills(monkeypatch: Any) -> None:
    with pipe() as (reading, output):
        writev, refused = os.writev, []

        def full_at_first(fd: int, parts: Any) -> int:
            if not refused:
                refused.append(True)
                raise BlockingIOError
            return writev(fd, parts)

        monkeypatch.setattr(os, "writev", full_at_first)
        output.state(b"state\n")
        assert os.read(reading, 100) == b"state\n"


@pytest.mark.parametrize("verb", ["spec", "check", "read"])
def test_a_disk_that_is_full(slow: Any, say: Any, verb: str) -> None:
    """One line says so, whatever is written first."""
    with open("/dev/full", "wb") as full:
        given = [{"rows": 10, "pause": 0}, incremental(say)] if verb == "read" else []
        process = slow.start(verb, *given, stdout=full)
        _, err = process.communicate(timeout=LONG)
    assert (process.returncode, err) == (1, b"error: the output cannot be written: No space left on device\n")


def test_after_the_deadline_nobody_is_waited_for() -> None:
    with pipe() as (_, output):
        with pytest.raises(Interrupted):
            output.interrupt(15, 0.1)
        with pytest.raises(ReaderGone):
            output.data(b"x" * 10_000_000)


def test_a_second_signal_gives_no_new_time() -> None:
    with pipe() as (_, output):
        for _ in range(2):
            with pytest.raises(Interrupted):
                output.interrupt(15, 0.1)
            time.sleep(0.06)
        with pytest.raises(Interrupted):
            output.interrupt(15, 3600.0)
        with pytest.raises(ReaderGone):
            output.data(b"x" * 10_000_000)


DEAF = """
import hashlib, os, signal
from connector_sdk import cli
from connector_sdk.output import Output

cli.AT_MOST = 0.5
cli._listen(Output(1))
try:
    os.write(1, b"ready")
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)
except BaseException:  # The signal came before.
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)
"""


def test_a_signal_while_the_main_thread_never_looks() -> None:
    """Foreign code that takes no notice: Python's own handler does not run before it ends."""
    with subprocess.Popen([sys.executable, "-c", DEAF], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.read(5) == b"ready"
            process.terminate()
            assert process.wait(30) == 128 + signal.SIGTERM
        finally:
            process.kill()


ASLEEP = """
import os, signal, threading, time
from connector_sdk import cli
from connector_sdk.output import Interrupted, Output

cli._listen(Output(1))
threading.Timer(0.2, lambda: signal.pthread_kill(threading.get_ident(), signal.SIGTERM)).start()
try:
    time.sleep(3600)  # What is tested: only the nudge ends it in time.
except Interrupted as interrupted:
    os.write(1, b"heard %d" % interrupted.signal)
    os._exit(3)
"""


def test_a_signal_that_does_not_wake_the_main_thread() -> None:
    """As one that comes just before it begins to sleep: the system has handed it over, and Python has not looked."""
    done = subprocess.run([sys.executable, "-c", ASLEEP], stdout=subprocess.PIPE, timeout=LONG, check=False)
    assert (done.stdout, done.returncode) == (b"heard %d" % signal.SIGTERM, 3)
