"""Batches, lanes, retries and stores: how rows are gathered, in which order they are written, and how much may wait."""

from __future__ import annotations

import json
import os
import queue
import select
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connector_sdk.batch import Batch, Limits
from connector_sdk.config import Config
from connector_sdk.destination import Destination
from connector_sdk.errors import ConfigError, TransientError
from connector_sdk.lanes import Lanes
from connector_sdk.retry import Backoff
from connector_sdk.streams import ConfiguredStream
from connector_sdk.writer import StreamWriter

few = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


def destination(write: Callable[[ConfiguredStream, Batch], None], limits: Limits, attempts: int = 1) -> Destination:
    @contextmanager
    def open_stream(config: Any, stream: ConfiguredStream) -> Iterator[Any]:
        yield lambda batch: write(stream, batch)

    return Destination(
        Config,
        check=lambda config: None,
        open_stream=open_stream,
        limits=limits,
        modes=("append", "overwrite", "append_dedup"),
        backoff=Backoff(attempts=attempts, first=0.001),
    )


# Batches


@few
@given(
    sizes=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 300)), max_size=60),
    rows=st.integers(1, 20),
    size=st.integers(1, 700),
    lanes=st.integers(1, 3),
    spread=st.booleans(),
)
def test_batches_keep_their_bounds_their_order_and_every_row(
    write_here: Any, say: Any, sizes: list[tuple[str, int]], rows: int, size: int, lanes: int, spread: bool
) -> None:
    found: dict[str, list[int]] = defaultdict(list)
    lock = threading.Lock()

    def write(stream: ConfiguredStream, batch: Batch) -> None:
        assert batch.count == len(batch.rows) <= rows
        assert batch.size <= size or batch.count == 1, "only a single row may be larger than a batch"
        with lock:
            found[stream.name] += [row["n"] for row in batch.rows]

    messages = [say.record(name, {"n": n, "text": "x" * length}) for n, (name, length) in enumerate(sizes)]
    sink = destination(write, Limits(rows=rows, bytes=size, lanes=lanes, spread=spread))
    said = write_here(sink, say.catalog("a", "b", "c"), say.lines(*messages, say.state("a", {})))
    assert said.error is None
    expected = {name: [n for n, (of, _) in enumerate(sizes) if of == name] for name in "abc"}
    for name in "abc":
        assert sorted(found[name]) == expected[name]
        assert spread or found[name] == expected[name], "a stream that is not spread keeps its order"
    assert len(said.states) == 1


class Slow:
    """A store whose only write ends when it is told to."""

    held = 0
    full = False

    def __init__(self, end: threading.Event) -> None:
        self._end = end

    def write(self, batch: Batch) -> None:
        assert self._end.wait(20)

    def commit(self) -> None: ...


def test_what_is_given_up_while_its_last_rows_are_written_is_not_completed_afterwards(
    write_here: Any, say: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would be opened again, without those rows: what is old would go, and the STATE come out."""
    given_up = threading.Event()
    drop = StreamWriter.drop

    def dropping(writer: StreamWriter, error: BaseException) -> None:
        drop(writer, error)
        if writer.stream.name == "b":
            given_up.set()

    monkeypatch.setattr(StreamWriter, "drop", dropping)
    seen: list[str] = []

    @contextmanager
    def open_stream(config: Any, stream: ConfiguredStream) -> Iterator[Any]:
        if stream.name == "a":
            raise ConfigError("a fails")
        seen.append("opened")
        try:
            yield Slow(given_up)
            seen.append("replaced what is old")
        except ConfigError:
            seen.append("aborted")
            raise

    sink = replace(destination(lambda stream, batch: None, Limits(lanes=2)), open_stream=open_stream)
    rows_of_b = [say.record("b", {}), say.state("b", {}), say.status("b", "COMPLETE")]
    said = write_here(
        sink, say.catalog("a", "b"), say.lines(*rows_of_b, say.record("a", {}), say.status("a", "COMPLETE"))
    )
    assert isinstance(said.error, ConfigError)
    assert seen == ["opened", "aborted"]
    assert said.states == []


def test_a_batch_is_written_when_its_first_row_has_waited_long_enough(say: Any, tmp_path: Any) -> None:
    """While the input is open and says nothing more."""
    from connector_sdk import destination as destinations
    from connector_sdk.catalog import parse_catalog
    from connector_sdk.output import Output

    written = threading.Event()
    reading, writing = os.pipe()
    out = os.open(tmp_path / "out", os.O_CREAT | os.O_RDWR)
    sink = destination(lambda stream, batch: written.set(), Limits(seconds=0.05))
    streams = parse_catalog(json.dumps(say.catalog("a")).encode())
    thread = threading.Thread(target=destinations.write, args=(sink, None, streams, reading, Output(out)))
    thread.start()
    try:
        os.write(writing, say.lines(say.record("a", {}), say.state("a", {"x": 1})))
        assert written.wait(20), "the batch waited for more rows"
        deadline = time.monotonic() + 20
        while b'"STATE"' not in (tmp_path / "out").read_bytes():
            assert time.monotonic() < deadline, "the STATE waited for more input"
            time.sleep(0.01)
    finally:
        os.close(writing)
        thread.join()
        os.close(reading)
        os.close(out)


def test_it_warms_up_while_the_first_rows_are_awaited(say: Any, tmp_path: Any) -> None:
    """In another thread than the one that reads; that it fails counts for nothing."""
    from connector_sdk import destination as destinations
    from connector_sdk.catalog import parse_catalog
    from connector_sdk.output import Output

    warmed: queue.Queue[tuple[Any, threading.Thread]] = queue.Queue()
    written: list[int] = []

    def warm_up(config: Any) -> None:
        warmed.put((config, threading.current_thread()))
        raise ConfigError("not today")

    sink = replace(destination(lambda stream, batch: written.append(batch.count), Limits()), warm_up=warm_up)
    reading, writing = os.pipe()
    out = os.open(tmp_path / "out", os.O_CREAT | os.O_RDWR)
    streams = parse_catalog(json.dumps(say.catalog("a")).encode())
    thread = threading.Thread(target=destinations.write, args=(sink, "config", streams, reading, Output(out)))
    thread.start()
    try:
        config, where = warmed.get(timeout=20)
        assert config == "config"
        assert where is not thread
        os.write(writing, say.lines(say.record("a", {}), say.state("a", {"x": 1})))
    finally:
        os.close(writing)
        thread.join()
        os.close(reading)
        os.close(out)
    assert written == [1]


def test_metas_and_times_follow_their_rows_through_any_cut(write_here: Any, say: Any) -> None:
    found: dict[int, tuple[int, Any]] = {}

    def write(stream: ConfiguredStream, batch: Batch) -> None:
        times = [at for block in batch.blocks for at in block.emitted_at]
        for number, row in enumerate(batch.rows):
            found[row["n"]] = times[number], batch.changes.get(number)

    change = [{"field": "x", "change": "NULLED", "reason": "SOURCE_RETRIEVAL_ERROR"}]
    messages = [
        say.record(
            "a", {"n": n, "id": n % 7}, emitted_at=1000 + n, **({"meta": {"changes": change}} if n % 3 == 0 else {})
        )
        for n in range(100)
    ]
    expected = {n: (1000 + n, change if n % 3 == 0 else None) for n in range(100)}
    for limits in (Limits(rows=7), Limits(rows=9, lanes=3, spread=True), Limits(bytes=50)):
        for mode in ("append", "append_dedup"):
            found.clear()
            streams = say.catalog("a", destination_sync_mode=mode, primary_key=[["id"]])
            assert write_here(destination(write, limits), streams, say.lines(*messages)).error is None
            assert found == expected


# Lanes


def test_rows_of_one_key_stay_in_order_while_others_are_written_beside_them(write_here: Any, say: Any) -> None:
    found: dict[str, list[int]] = defaultdict(list)
    threads: dict[str, set[str]] = defaultdict(set)
    lock = threading.Lock()
    together = threading.Barrier(2)

    def write(stream: ConfiguredStream, batch: Batch) -> None:
        if not found:
            together.wait(30)  # Fails unless two lanes write at the same time.
        with lock:
            for row in batch.rows:
                key = json.dumps([row.get("id"), row.get("in")])
                found[key].append(row["n"])
                threads[key].add(threading.current_thread().name)

    keys: list[Any] = [1, "1", None, 2.5, "한", 10**30, True, [1], *range(20, 30)]
    messages = [
        say.record("a", {"n": n, "id": keys[n % len(keys)], "in": {"k": n % 2}} if n % 13 else {"n": n})
        for n in range(1500)
    ]
    streams = say.catalog("a", destination_sync_mode="append_dedup", primary_key=[["id"], ["in", "k"]])
    said = write_here(destination(write, Limits(rows=20, lanes=4, spread=True)), streams, say.lines(*messages))
    assert said.error is None
    assert sum(map(len, found.values())) == 1500
    for key, numbers in found.items():
        assert numbers == sorted(numbers), key
        assert len(threads[key]) == 1, key
    assert len(set.union(*threads.values())) > 1


def test_streams_share_the_lanes_and_keep_their_order(write_here: Any, say: Any) -> None:
    found: dict[str, list[int]] = defaultdict(list)
    threads: dict[str, set[str]] = defaultdict(set)

    def write(stream: ConfiguredStream, batch: Batch) -> None:
        found[stream.name] += [row["n"] for row in batch.rows]
        threads[stream.name].add(threading.current_thread().name)

    names = [f"s{n}" for n in range(40)]
    messages = [say.record(names[n % 40], {"n": n}) for n in range(4000)]
    messages += [say.state(name, {}) for name in names]
    said = write_here(destination(write, Limits(rows=7, lanes=3)), say.catalog(*names), say.lines(*messages))
    assert said.error is None
    assert {name: found[name] for name in names} == {f"s{n}": list(range(n, 4000, 40)) for n in range(40)}
    assert all(len(used) == 1 for used in threads.values())
    assert len(set.union(*threads.values())) == 3
    assert [state["destinationStats"]["recordCount"] for state in said.states] == [100.0] * 40


def test_states_wait_for_the_slowest_lane_and_leave_in_order(write_here: Any, say: Any) -> None:
    """The batch of b is safe long before that of a, but its STATE came later."""
    order: list[str] = []
    b_is_safe = threading.Event()

    def write(stream: ConfiguredStream, batch: Batch) -> None:
        if stream.name == "a":
            assert b_is_safe.wait(30)
        order.append(stream.name)
        if stream.name == "b":
            b_is_safe.set()

    messages = [say.record("a", {}), say.record("b", {}), say.state("a", {}), say.state("b", {})]
    said = write_here(destination(write, Limits(rows=1, lanes=2)), say.catalog("a", "b"), say.lines(*messages))
    assert said.error is None
    assert order == ["b", "a"]
    assert [state["stream"]["stream_descriptor"]["name"] for state in said.states] == ["a", "b"]


def test_lanes_keep_the_first_error_and_run_nothing_more() -> None:
    lanes = Lanes(2, 100)
    ran: list[str] = []
    gate = threading.Event()

    def fail() -> None:
        gate.wait(30)
        raise ValueError("first")

    lanes.submit(0, 60, fail)
    lanes.submit(0, 30, lambda: ran.append("after"))
    gate.set()
    with pytest.raises(ValueError, match="first"):
        lanes.wait()
    with pytest.raises(ValueError, match="first"):
        lanes.check()
    with pytest.raises(ValueError, match="first"):
        lanes.submit(1, 1, lambda: ran.append("later"))
    lanes.follow(1, lambda: ran.append("followed"))
    assert ran == []
    lanes.abandon()
    lanes.follow(0, lambda: ran.append("clean"))
    assert lanes.wait(30)
    assert ran == ["clean"]


def test_lanes_clean_up_although_another_lane_fails_meanwhile() -> None:
    """When the network goes, all lanes fail: each stream still gets its chance to clean up."""
    lanes = Lanes(2, 100)
    fail_now, cleaned = threading.Event(), threading.Event()

    def fail_late() -> None:
        fail_now.wait(30)
        raise ValueError("second")

    def fail() -> None:
        raise ValueError("first")

    lanes.submit(1, 1, fail_late)
    lanes.submit(0, 1, fail)
    with pytest.raises(ValueError, match="first"):
        lanes.wait(30)
    lanes.abandon()
    fail_now.set()
    lanes.follow(1, lambda: None)
    lanes.follow(0, cleaned.set)
    assert lanes.wait(30)
    assert cleaned.is_set()


def test_lanes_block_while_too_much_is_under_way_but_take_one_task_of_any_size() -> None:
    lanes = Lanes(1, 100)
    gate, blocked, passed = threading.Event(), threading.Event(), threading.Event()

    def wait() -> None:
        gate.wait(30)

    lanes.submit(0, 5000, wait)

    def submit_more() -> None:
        blocked.set()
        lanes.submit(0, 1, lambda: None)
        passed.set()

    thread = threading.Thread(target=submit_more)
    thread.start()
    blocked.wait(30)
    assert not passed.wait(0.05)
    gate.set()
    thread.join(30)
    assert passed.is_set()
    assert lanes.wait(30)


# Retries


def test_a_transient_error_is_tried_again_with_the_same_rows(write_here: Any, say: Any) -> None:
    seen: list[list[int]] = []

    def write(stream: ConfiguredStream, batch: Batch) -> None:
        seen.append([row["n"] for row in batch.rows])
        if len(seen) < 4:
            raise TransientError("busy")

    text = say.lines(*(say.record("a", {"n": n}) for n in range(3)), say.state("a", {}))
    said = write_here(destination(write, Limits(), attempts=5), say.catalog("a"), text)
    assert said.error is None
    assert seen == [[0, 1, 2]] * 4
    assert len(said.states) == 1
    told = [text for text in said.logs if "busy" in text]
    assert len(told) == 3
    assert all("a" in text and "again" in text for text in told)


def test_attempts_are_bounded_and_the_state_stays(write_here: Any, say: Any) -> None:
    seen: list[int] = []

    def write(stream: ConfiguredStream, batch: Batch) -> None:
        seen.append(1)
        raise TransientError("busy")

    said = write_here(
        destination(write, Limits(), attempts=3), say.catalog("a"), say.lines(say.record("a", {}), say.state("a", {}))
    )
    assert isinstance(said.error, TransientError)
    assert len(seen) == 3
    assert said.states == []


@pytest.mark.parametrize("error", [ConfigError("no rights"), ValueError("bug"), KeyError("x")])
def test_other_errors_are_not_tried_again(write_here: Any, say: Any, error: Exception) -> None:
    seen: list[int] = []

    def write(stream: ConfiguredStream, batch: Batch) -> None:
        seen.append(1)
        raise error

    said = write_here(destination(write, Limits(), attempts=5), say.catalog("a"), say.lines(say.record("a", {})))
    assert said.error is error
    assert seen == [1]


def test_waits_double_with_jitter_and_what_was_asked_for_is_kept(monkeypatch: Any) -> None:
    backoff = Backoff(attempts=9, first=1.0, longest=20.0)
    for failures, most in ((1, 1), (2, 2), (3, 4), (4, 8), (5, 16), (6, 20), (60, 20)):
        waits = {backoff.wait(failures) for _ in range(50)}
        assert most / 2 <= min(waits) <= max(waits) <= most
        assert len(waits) > 10, "clients that failed together must not come back together"
        assert backoff.wait(failures, 33.0) == 33.0
        assert backoff.wait(failures, 0.0) <= most
    slept: list[float] = []
    monkeypatch.setattr("connector_sdk.retry.time.sleep", slept.append)
    errors = iter([TransientError("1"), TransientError("2", retry_after=45.0), TransientError("3", retry_after=0.1)])

    def action() -> str:
        for error in errors:
            raise error
        return "done"

    assert backoff.call(action, lambda error, wait: None) == "done"
    assert slept[1] == 45.0
    assert 0.5 <= slept[0] <= 1
    assert 2 <= slept[2] <= 4


# Stores


class Store:
    """Safe only after `commit`."""

    def __init__(self, log: list[Any], name: str, full_at: int = 1 << 60) -> None:
        self.held = 0
        self.full = False
        self._log, self._name, self._full_at = log, name, full_at
        self._busy = threading.Lock()

    def write(self, batch: Batch) -> None:
        assert self._busy.acquire(blocking=False), "a store is called by one thread at a time"
        self.held += batch.size
        self.full = self.held >= self._full_at
        self._log.append((self._name, "write", batch.count))
        self._busy.release()

    def commit(self) -> None:
        assert self._busy.acquire(blocking=False), "a store is called by one thread at a time"
        self._log.append((self._name, "commit", self.held))
        self.held, self.full = 0, False
        self._busy.release()


@pytest.fixture
def stored(write_here: Any, say: Any) -> Callable[..., tuple[Any, list[Any]]]:
    def run(limits: Limits, *messages: str, full_at: int = 1 << 60) -> tuple[Any, list[Any]]:
        log: list[Any] = []

        @contextmanager
        def open_stream(config: Any, stream: ConfiguredStream) -> Iterator[Any]:
            try:
                yield Store(log, stream.name, full_at)
            except BaseException:
                log.append((stream.name, "undone", 0))
                raise
            log.append((stream.name, "complete", 0))

        sink = Destination(Config, check=lambda c: None, open_stream=open_stream, limits=limits)
        names = [
            name for name in "abc" if any(f'"name": "{name}"' in m or f'"stream": "{name}"' in m for m in messages)
        ]
        return write_here(sink, say.catalog(*names), say.lines(*messages)), log

    return run


def test_a_store_is_committed_at_the_end_and_then_completed(stored: Any, say: Any) -> None:
    said, log = stored(
        Limits(rows=2), *(say.record("a", {"n": n}) for n in range(5)), say.state("a", {}), say.status("a", "COMPLETE")
    )
    assert said.error is None
    assert log == [("a", "write", 2), ("a", "write", 2), ("a", "write", 1), ("a", "commit", 45), ("a", "complete", 0)]
    assert len(said.states) == 1


def test_an_unfinished_store_is_committed_too_since_its_states_may_go(stored: Any, say: Any) -> None:
    said, log = stored(Limits(), say.status("a", "STARTED"), say.record("a", {"n": 1}), say.state("a", {}))
    assert [what for _, what, _ in log] == ["write", "commit", "undone"]
    assert len(said.states) == 1


def test_a_store_is_committed_by_bytes_when_full_and_by_what_all_hold(stored: Any, say: Any) -> None:
    rows = [say.record("abc"[n % 3], {"n": n % 10}) for n in range(30)]
    _, log = stored(Limits(rows=1, commit_bytes=18), *rows)
    assert {size for _, what, size in log if what == "commit"} == {18}
    _, log = stored(Limits(rows=1), *rows, full_at=27)
    assert [size for _, what, size in log if what == "commit"] == [27] * 9 + [9] * 3


def test_the_store_that_holds_most_is_committed_when_all_together_hold_too_much(stored: Any, say: Any) -> None:
    rows = [say.record("aab"[n % 3], {"n": n % 10}) for n in range(300)]
    _, log = stored(Limits(rows=1, held_bytes=90), *rows, say.state("a", {}), say.state("b", {}))
    held: dict[str, int] = defaultdict(int)
    commits = 0
    for name, what, count in log[: log.index(("a", "complete", 0)) - 1]:
        if what == "commit":
            commits += 1
            assert held[name] == max(held.values())
            held[name] = 0
        else:
            held[name] += 9 * count
        assert sum(held.values()) <= 90 + 9, "one batch more than that, and it is committed"
    assert commits > 20


def test_stores_in_other_lanes_are_committed_too(stored: Any, say: Any) -> None:
    rows = [say.record("abc"[n % 3], {"n": n % 10}) for n in range(600)]
    said, log = stored(Limits(rows=1, held_bytes=90, lanes=3), *rows)
    assert said.error is None
    commits = {name for name, what, _ in log if what == "commit"}
    assert commits == set("abc")
    assert sum(count for _, what, count in log if what == "write") == 600


def test_a_state_leaves_only_after_the_commit_of_its_rows(stored: Any, say: Any) -> None:
    messages = []
    for n in range(10):
        messages += [say.record("a", {"n": n}), say.state("a", {"n": n})]
    said, _ = stored(Limits(rows=1, commit_bytes=27), *messages)
    assert [state["stream_state"]["n"] for state in (s["stream"] for s in said.states)] == list(range(10))


def test_a_store_that_fails_to_commit_lets_no_state_go(write_here: Any, say: Any) -> None:
    class Bad(Store):
        def commit(self) -> None:
            raise TransientError("bucket is gone")

    tries: list[Any] = []

    @contextmanager
    def open_stream(config: Any, stream: ConfiguredStream) -> Iterator[Any]:
        yield Bad(tries, "a")

    sink = Destination(Config, check=lambda c: None, open_stream=open_stream, backoff=Backoff(attempts=3, first=0.001))
    said = write_here(sink, say.catalog("a"), say.lines(say.record("a", {}), say.state("a", {})))
    assert isinstance(said.error, TransientError)
    assert said.states == []
    assert len(tries) == 1, "rows in a store cannot be written again: the run fails and is resumed"


# Memory

BLOCKED_SINK = """
    class C(Config):
        store: bool = False

    class Never:
        held, full = 0, False
        def write(self, batch):
            time.sleep(3600)
        def commit(self):
            time.sleep(3600)

    class Gathers(Never):
        def write(self, batch):
            self.__dict__.setdefault("kept", []).append(batch.lines)
            self.held += batch.size

    from contextlib import contextmanager

    @contextmanager
    def open_stream(config, stream):
        yield Gathers() if config.store else Never().write

    Destination(C, check=lambda c: None, open_stream=open_stream, limits=Limits(lanes=2)).main()
"""
MOST = 150_000


def peak_kb(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0])


ROWS: dict[str, Any] = {
    "rows of 1 kB": lambda say, n: say.record("s0", {"n": n, "text": "x" * 1000}),
    "empty rows of 1,000 streams": lambda say, n: say.record(f"s{n % 1000}", {}),
    "a state after each row": lambda say, n: say.record("s0", {}) + "\n" + say.state("s0", {"n": n}),
    "large states": lambda say, n: say.record("s0", {}) if n == 0 else say.state("s0", {"n": n, "text": "x" * 50_000}),
    "rows of 3 MB": lambda say, n: say.record(f"s{n % 1000}", {"text": "x" * 3_000_000}),
}


@pytest.mark.parametrize(
    ("kind", "store"),
    [
        ("rows of 1 kB", True),
        ("empty rows of 1,000 streams", False),
        pytest.param("rows of 1 kB", False, marks=pytest.mark.slow),
        pytest.param("a state after each row", False, marks=pytest.mark.slow),
        pytest.param("large states", False, marks=pytest.mark.slow),
        pytest.param("large states", True, marks=pytest.mark.slow),
        pytest.param("rows of 3 MB", False, marks=pytest.mark.slow),
        pytest.param("rows of 3 MB", True, marks=pytest.mark.slow),
    ],
)
def test_a_store_that_takes_nothing_stops_the_pipe_before_memory_fills(
    connector: Any, say: Any, kind: str, store: bool
) -> None:
    """The reader of the pipe is stopped by the sink, or memory would grow with the input."""
    streams = say.catalog(*(f"s{n}" for n in range(1000)))
    text = say.lines(*(ROWS[kind](say, n) for n in range({"rows of 3 MB": 20, "large states": 100}.get(kind, 5000))))
    with connector(BLOCKED_SINK).running("write", {"store": store}, streams) as process:
        fd = process.stdin.fileno()
        os.set_blocking(fd, False)
        poll = select.poll()
        poll.register(fd, select.POLLOUT)
        sent, waiting = 0, memoryview(text)
        while sent < 60_000_000 and poll.poll(1000) and process.poll() is None:
            try:
                taken = os.write(fd, waiting)
            except BlockingIOError:
                continue
            sent += taken
            waiting = waiting[taken:] or memoryview(text)
        assert process.poll() is None
        assert peak_kb(process.pid) < MOST, f"after {sent:,} bytes"
