"""The real command: what it imports, what it holds in memory, and what is there when it is killed at any moment."""

from __future__ import annotations

import gzip
import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

COMMAND = [sys.executable, "-c", "from destination_s3 import main; main()"]
SCHEMA = {"type": "object", "properties": {"id": {"type": "integer"}, "text": {"type": "string"}}}


def record(stream: str, row: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "RECORD", "record": {"stream": stream, "data": row, "emitted_at": 1_700_000_000_000}}


def state(stream: str, number: int) -> dict[str, Any]:
    return {
        "type": "STATE",
        "state": {"type": "STREAM", "stream": {"stream_descriptor": {"name": stream}, "stream_state": {"n": number}}},
    }


def status(stream: str, word: str = "COMPLETE") -> dict[str, Any]:
    about = {"stream_descriptor": {"name": stream}, "status": word}
    return {"type": "TRACE", "trace": {"type": "STREAM_STATUS", "emitted_at": 1.0, "stream_status": about}}


def encoded(messages: Iterable[Mapping[str, Any]]) -> bytes:
    return b"".join(json.dumps(message).encode() + b"\n" for message in messages)


class Runner:
    """Runs the command with a config and a catalog in files."""

    def __init__(self, folder: Path, place: Any) -> None:
        self._folder = folder
        self.place = place

    def arguments(
        self, streams: Iterable[str], mode: str = "append", sync_mode: str = "full_refresh", **options: Any
    ) -> list[str]:
        config, catalog = self._folder / "config.json", self._folder / "catalog.json"
        config.write_text(json.dumps({**self.place.options, **self.place.defaults, **options}))
        configured = [
            {
                "stream": {"name": name, "json_schema": SCHEMA, "supported_sync_modes": [sync_mode]},
                "sync_mode": sync_mode,
                "destination_sync_mode": mode,
            }
            for name in streams
        ]
        catalog.write_text(json.dumps({"streams": configured}))
        return [*COMMAND, "write", "--config", str(config), "--catalog", str(catalog)]

    def start(self, arguments: list[str], **more: Any) -> subprocess.Popen[bytes]:
        self._folder.mkdir(exist_ok=True)
        return subprocess.Popen(
            arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more
        )

    def run(self, data: bytes, streams: Iterable[str], mode: str = "append", **options: Any) -> list[dict[str, Any]]:
        """A run that must succeed; its messages."""
        process = self.start(self.arguments(streams, mode, **options))
        said, _ = process.communicate(data)
        messages = [json.loads(line) for line in said.splitlines()]
        assert process.returncode == 0, messages
        return messages


@pytest.fixture
def runner(place: Any, tmp_path: Path) -> Runner:
    return Runner(tmp_path, place)


def test_a_run(runner: Runner) -> None:
    data = encoded([record("a", {"id": 1}), state("a", 1), record("a", {"id": 2}), state("a", 2), status("a")])
    states = [message["state"] for message in runner.run(data, ["a"]) if message["type"] == "STATE"]
    assert [found["stream"]["stream_state"]["n"] for found in states] == [1, 2]
    assert [found["destinationStats"]["recordCount"] for found in states] == [1, 1]
    assert runner.place.rows() == [{"id": 1}, {"id": 2}]


def test_airbytes_path_format_in_a_config_file(runner: Runner) -> None:
    data = encoded([record("a", {"id": 1}), state("a", 1), status("a")])
    runner.run(data, ["a"], s3_path_format="${NAMESPACE}/${STREAM_NAME}/${YEAR}/")
    assert next(iter(runner.place.files())).startswith("a/20")


def test_dedup_is_written_as_append(runner: Runner) -> None:
    messages = runner.run(encoded([record("a", {"id": 1}), status("a")]), ["a"], "append_dedup")
    assert any("written as append" in message["log"]["message"] for message in messages if message["type"] == "LOG")
    assert runner.place.rows() == [{"id": 1}]


def test_an_input_without_messages_removes_nothing(runner: Runner) -> None:
    runner.run(encoded([record("a", {"id": 1}), status("a")]), ["a"])
    process = runner.start(runner.arguments(["a"], "overwrite"))
    process.communicate(b"")
    assert runner.place.rows() == [{"id": 1}]


def test_a_cut_input_removes_nothing(runner: Runner) -> None:
    runner.run(encoded([record("a", {"id": 1}), status("a")]), ["a"])
    process = runner.start(runner.arguments(["a"], "overwrite"))
    process.communicate(encoded([status("a", "STARTED"), record("a", {"id": 2})]) + b'{"type":"REC')
    assert process.returncode != 0
    assert {"id": 1} in runner.place.rows()


def imported(runner: Runner, data: bytes, **options: Any) -> set[str]:
    """The top-level modules that an incremental run imports."""
    _, *rest = runner.arguments(["a"], sync_mode="incremental", **options)
    process = runner.start([sys.executable, "-X", "importtime", *rest])
    _, told = process.communicate(data)
    assert process.returncode == 0
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in told.decode().splitlines() if "|" in line}


HEAVY = {"botocore", "pyarrow", "fastavro", "isal"}


def test_a_run_without_rows_imports_nothing_heavy(runner: Runner) -> None:
    data = encoded([status("a", "STARTED"), state("a", 1), status("a")])
    assert not imported(runner, data, format="parquet") & HEAVY
    assert not imported(runner, data, format="jsonl", compression="gzip") & HEAVY


def test_a_run_imports_only_what_it_uses(runner: Runner) -> None:
    data = encoded([record("a", {"id": 1}), status("a")])
    s3 = {"botocore"} if runner.place.kind == "s3" else set()
    assert imported(runner, data, format="jsonl", compression="gzip") & HEAVY == {"isal"} | s3
    assert imported(runner, data, format="parquet") & HEAVY == {"pyarrow"} | s3


@pytest.mark.parametrize("option", ["spec", "--help"])
def test_what_needs_no_config_imports_nothing_heavy(option: str) -> None:
    arguments = [sys.executable, "-X", "importtime", *COMMAND[1:], option]
    told = subprocess.run(arguments, capture_output=True, check=True).stderr.decode()
    assert not any(f" {name}\n" in told for name in HEAVY)


# Killed


def attempt(first: int, count: int, version: int) -> Iterator[bytes]:
    """What a source says that goes on at row `first`."""
    yield encoded([status("docs", "STARTED")])
    text = random.Random(version).randbytes(2000).hex()
    for number in range(first, count):
        yield encoded([record("docs", {"id": number, "text": f"{version} {text}"})])
        if number % 50 == 49:
            yield encoded([state("docs", number + 1)])
    yield encoded([state("docs", count), status("docs")])


def run_and_kill(runner: Runner, arguments: list[str], messages: Iterable[bytes], after: float) -> int:
    """Feed a run, and kill it after some seconds. Returns the last state that came out, 0 if none did."""
    process = runner.start(arguments)
    assert process.stdin is not None
    assert process.stdout is not None
    deadline = time.monotonic() + after
    try:
        for message in messages:
            if time.monotonic() > deadline:
                break
            process.stdin.write(message)
        else:
            process.stdin.close()
            process.wait(max(0.01, deadline - time.monotonic()))
    except (BrokenPipeError, subprocess.TimeoutExpired):
        pass
    process.kill()
    said = process.stdout.read()
    process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        assert pipe is not None
        with suppress(BrokenPipeError):
            pipe.close()
    found = [json.loads(line) for line in said.splitlines() if line.endswith(b"}")]
    states = [message["state"]["stream"]["stream_state"]["n"] for message in found if message["type"] == "STATE"]
    return max(states, default=0)


def seen(place: Any) -> list[tuple[int, int]]:
    """(version, id) of every row in every file, each of which must be whole."""
    rows = []
    for content in place.files().values():
        for line in gzip.decompress(content).splitlines():
            row = json.loads(line)
            rows.append((int(row["text"].split()[0]), row["id"]))
    return rows


ROWS = 600


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("mode", ["overwrite", "append"])
def test_killed_at_random_moments(runner: Runner, mode: str) -> None:
    """Whatever moment a run is killed at: all of the old or all of the new is there, and a resumed run completes it."""
    options = {"compression": "gzip", "file_size_mb": 1, "file_max_seconds": 1}
    arguments = runner.arguments(["docs"], mode, **options)
    runner.run(b"".join(attempt(0, ROWS, 0)), ["docs"], mode, **options)
    chance = random.Random(7)
    for version in range(1, 9):
        first = 0
        for _ in range(3):
            kept = 0 if mode == "overwrite" else first
            first = run_and_kill(runner, arguments, attempt(kept, ROWS, version), chance.uniform(0.3, 2.0))
            first = max(first, kept)
            found = seen(runner.place)
            whole = [one for one in range(version + 1) if {(one, number) for number in range(ROWS)} <= set(found)]
            assert whole, f"no version is whole; {len(found)} rows are there"
            if mode == "append":
                assert {(version, number) for number in range(first)} <= set(found)
        start = 0 if mode == "overwrite" else first
        runner.run(b"".join(attempt(start, ROWS, version)), ["docs"], mode, **options)
        found = seen(runner.place)
        if mode == "overwrite":
            assert sorted(found) == [(version, number) for number in range(ROWS)]
        else:
            assert {(version, number) for number in range(ROWS)} <= set(found)
        assert runner.place.unfinished() == []


# Memory


def peak(runner: Runner, arguments: list[str], messages: Iterable[bytes]) -> float:
    """The most resident memory of a whole run, in MB."""
    process = runner.start(arguments)
    assert process.stdin is not None
    seen_at: list[float] = [0.0]
    watcher = threading.Thread(target=_watch, args=(process.pid, seen_at))
    watcher.start()
    for message in messages:
        process.stdin.write(message)
    process.stdin.close()
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.read()
    process.stderr.close()
    process.stdout.close()
    watcher.join()
    assert process.wait() == 0
    return seen_at[-1]


def _watch(pid: int, seen_at: list[float]) -> None:
    """Read the high-water mark until the process has no memory any more. (That of `wait4` begins with its parent's.)"""
    while True:
        try:
            status = Path(f"/proc/{pid}/status").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return
        if "VmHWM:" not in status:
            return
        seen_at.append(int(status.partition("VmHWM:")[2].split()[0]) / 1024)
        time.sleep(0.01)


linux = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc: Linux only")


@linux
@pytest.mark.slow
@pytest.mark.parametrize("columns", [False, True])
def test_memory_of_a_row_of_40_mb(runner: Runner, columns: bool) -> None:
    arguments = runner.arguments(["a"], compression="gzip", airbyte_columns=columns)
    row = b'{"type":"RECORD","record":{"stream":"a","emitted_at":1,"data":{"text":"%b"}}}\n' % (
        b"0123456789" * (4 << 20)
    )
    assert peak(runner, arguments, [row, encoded([record("a", {"id": 1}), status("a")])]) <= 400
    lines = [line for content in runner.place.files().values() for line in gzip.decompress(content).splitlines()]
    assert sorted(map(len, lines))[-1] >= 40 << 20


@linux
@pytest.mark.slow
def test_memory_does_not_grow_with_the_rows(runner: Runner) -> None:
    arguments = runner.arguments(["a"], compression="gzip")
    text = "".join(random.Random(1).choices("abcdefghijklmnop ", k=1000))
    block = encoded([record("a", {"id": number, "text": text}) for number in range(1000)])
    few, many = (peak(runner, arguments, [block] * count + [encoded([status("a")])]) for count in (10, 200))
    print(few, many)
    assert few <= 100
    assert many <= min(100, few + 30)


@linux
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_memory_of_a_thousand_streams(runner: Runner) -> None:
    """Each gets rows all the time, so that all of them are open at once."""
    names = [f"stream-{number}" for number in range(1000)]
    arguments = runner.arguments(names, compression="gzip")
    text = "".join(random.Random(1).choices("abcdefghijklmnop ", k=1000))
    rounds = [encoded([record(name, {"id": number, "text": text}) for name in names]) for number in range(20)]
    assert peak(runner, arguments, [*rounds, encoded([status(name) for name in names])]) <= 150
    files = runner.place.files()
    assert len({key.rpartition("/")[0] for key in files}) == 1000
    assert sum(gzip.decompress(content).count(b"\n") for content in files.values()) == 20_000
