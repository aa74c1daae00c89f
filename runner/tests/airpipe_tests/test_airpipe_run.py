"""Runs from end to end with small connectors: modes, states, troubles, ends."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from airpipe.events import Event, Finished, Log, Planned, Progress, Retrying, Saved
from airpipe.pipeline import Loaded, load
from airpipe.statestore import open_store

from .bench import Bench, alive, of_command, until

INCREMENTAL = {"streams": [{"name": "numbers", "cursor_field": "id"}]}
APPEND = {"streams": [{"name": "numbers", "cursor_field": "id", "write": "append"}]}


# Modes


def test_a_second_run_moves_only_what_is_new(bench: Bench) -> None:
    bench.more = APPEND
    assert bench.run().acknowledged == 1000
    bench.source["rows"] = 1100
    second = bench.run()
    assert (second.status, second.rows, second.run) == ("succeeded", 100, 2)
    assert bench.ids() == list(range(1, 1101))


def test_the_modes_are_said_in_one_line_each(bench: Bench) -> None:
    bench.source["streams"] = ["numbers", "whole"]
    bench.more = {"incremental_sync": {"cursor_field": "id"}}
    [planned] = [event for event in bench.events() if isinstance(event, Planned)]
    assert planned.streams == [
        "numbers: incremental, dedup (by id, as incremental_sync says, by id)",
        "whole: full refresh, overwrite (the source offers nothing else)",
    ]


@pytest.mark.slow
def test_dedup_keeps_one_row_for_a_key(bench: Bench) -> None:
    bench.more = INCREMENTAL
    bench.run()
    with open_store(load(bench.write())[0]) as store:
        store.save("pipeline", {'state/[null, "numbers"]': None})
    assert bench.run().rows == 1000
    assert bench.ids() == list(range(1, 1001))


@pytest.mark.slow
def test_an_overwrite_replaces(bench: Bench) -> None:
    bench.run()
    bench.source |= {"version": "2", "rows": 300}
    assert bench.run().status == "succeeded"
    assert {row["version"] for row in bench.rows()} == {"2"}
    assert bench.ids() == list(range(1, 301))


@pytest.mark.slow
def test_fields_are_renamed_and_left_out(bench: Bench) -> None:
    bench.more = {"streams": [{"name": "num*", "exclude": ["secret"], "rename": {"text": "body"}}]}
    assert bench.run().status == "succeeded"
    assert set(bench.rows()[0]) == {"id", "version", "body"}


@pytest.mark.slow
def test_streams_that_nobody_asked_for_are_named(bench: Bench) -> None:
    bench.source["streams"] = ["a.numbers", "a.others"]
    bench.more = {"streams": [{"name": "a.num*"}]}
    finished = bench.run()
    assert finished.skipped == ["a.others: not named under streams"]
    assert [report.stream for report in finished.streams] == ["a.numbers"]


@pytest.mark.slow
def test_progress_comes_with_counts_and_estimates(bench: Bench) -> None:
    bench.source |= {"pause": 0.15}
    seen = [event for event in bench.events() if isinstance(event, Progress)]
    assert seen[-1].streams[0].estimate == 1000
    assert seen[-1].rows <= 1000


# States


@pytest.mark.slow
def test_a_state_is_saved_only_after_the_answer_and_within_three_seconds(bench: Bench) -> None:
    bench.source |= {"pause": 0.3}
    bench.destination |= {"batch": 100}
    bench.more = APPEND
    loaded = load(bench.write())[0]
    saved = []
    for event in bench.events():
        if isinstance(event, Saved):
            with open_store(loaded) as store:
                saved.append(
                    json.loads(store.load("pipeline")['state/[null, "numbers"]'])["stream"]["stream_state"]["id"]
                )
    assert saved == sorted(saved)
    assert len(saved) >= 2
    assert saved[-1] == 1000


@pytest.mark.slow
def test_a_failed_destination_leaves_the_state_of_what_is_safe(bench: Bench) -> None:
    bench.more = APPEND | {"sync_config": {"retries": 0}}
    bench.source |= {"pause": 0.05}
    bench.destination |= {"trouble": "config", "after": 500, "batch": 100}
    failed = bench.run()
    assert failed.status == "failed"
    assert "GRANT INSERT" in failed.error
    assert failed.error_rate == 1.0
    bench.destination |= {"trouble": ""}
    assert bench.run().status == "succeeded"
    assert set(bench.ids()) == set(range(1, 1001))


@pytest.mark.parametrize("mode", ["append", "overwrite"])
@pytest.mark.slow
def test_an_unanswered_destination_saves_nothing(bench: Bench, mode: str) -> None:
    bench.more = (APPEND if mode == "append" else {}) | {"sync_config": {"retries": 0}}
    bench.destination |= {"trouble": "die", "after": 1, "batch": 1000}
    assert bench.run().status == "failed"
    with open_store(load(bench.write())[0]) as store:
        assert not [key for key in store.load("pipeline") if key.startswith("state/")]


# Troubles


@pytest.mark.parametrize(("side", "trouble"), [("source", "die"), ("source", "transient"), ("destination", "die")])
@pytest.mark.slow
def test_a_transient_error_is_tried_again_and_nothing_is_lost(bench: Bench, side: str, trouble: str) -> None:
    bench.more = INCREMENTAL
    getattr(bench, side).update({"trouble": trouble, "after": 500, "once": str(bench.folder / "once")})
    events = bench.events()
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert finished.status == "succeeded"
    assert bench.ids() == list(range(1, 1001))
    if trouble == "die":
        assert [event for event in events if isinstance(event, Retrying)]
        assert finished.attempts == 2


@pytest.mark.parametrize("side", ["source", "destination"])
@pytest.mark.slow
def test_a_config_error_is_not_tried_again(bench: Bench, side: str) -> None:
    getattr(bench, side).update({"trouble": "config", "after": 500})
    finished = bench.run()
    assert (finished.status, finished.attempts) == ("failed", 1)
    assert ("ask for them" if side == "source" else "GRANT INSERT") in finished.error


@pytest.mark.slow
def test_retries_end(bench: Bench) -> None:
    bench.source |= {"trouble": "exit", "after": 1}
    bench.more = {"sync_config": {"retries": 2, "retry_delay": 0.01}}
    finished = bench.run()
    assert (finished.status, finished.attempts) == ("failed", 3)
    assert "exit code 3" in finished.error


@pytest.mark.slow
def test_a_failed_source_never_completes_an_overwrite(bench: Bench) -> None:
    bench.run()
    bench.source |= {"version": "2", "trouble": "die", "after": 500}
    bench.more = {"sync_config": {"retries": 1, "retry_delay": 0.01}}
    assert bench.run().status == "failed"
    assert {row["version"] for row in bench.rows()} == {"1"}
    bench.source |= {"trouble": ""}
    assert bench.run().status == "succeeded"
    assert {row["version"] for row in bench.rows()} == {"2"}
    assert bench.ids() == list(range(1, 1001))


@pytest.mark.slow
def test_timeout_bounds_an_attempt_that_hangs_and_ignores_signals(bench: Bench) -> None:
    bench.source |= {"trouble": "hang", "after": 500}
    bench.more = {"sync_config": {"retries": 0, "timeout": "3s"}}
    started = time.monotonic()
    finished = bench.run()
    assert "timeout" in finished.error
    assert time.monotonic() - started < 60
    assert not of_command(os.getpid(), "read")


@pytest.mark.slow
def test_memory_limit_ends_the_one_that_exceeds_it(bench: Bench) -> None:
    bench.source |= {"trouble": "memory", "after": 500}
    bench.more = {"sync_config": {"memory_limit": "150MB"}}
    finished = bench.run()
    assert finished.error == "The source used more than sync_config.memory_limit, 150.0 MB: raise it."
    assert finished.attempts == 1


@pytest.mark.slow
def test_secrets_are_never_shown_nor_logged(bench: Bench) -> None:
    bench.source |= {"trouble": "config", "after": 1, "secret": "hush-hush"}
    events = bench.events()
    log = next((bench.folder / "pipeline.airpipe" / "logs").rglob("*.log")).read_text()
    assert "hush-hush" not in str(events) + log
    assert "forbidden" in log


@pytest.mark.slow
def test_what_the_file_wishes_goes_into_options_that_exist(bench: Bench) -> None:
    echo = bench.folder / "echo"
    bench.source["echo"] = str(echo)
    bench.more = {
        "sync_config": {"batch_size": 77, "parallel_workers": 2},
        "incremental_sync": {"lookback_window": "1 hour"},
    }
    events = bench.events()
    found = json.loads(echo.read_text())
    assert (found["batch_size"], found["lookback_window"]) == (77, "1 hour")
    told = [event.message for event in events if isinstance(event, Log) and event.level == "WARN"]
    assert told == ["sync_config.parallel_workers is left out: neither connector has an option for it"]


@pytest.mark.slow
def test_what_looks_like_a_variable_reaches_the_connector_as_it_is(bench: Bench) -> None:
    """Connectors put variables in place as well, where nobody has done it before: `$${…}` would need one more `$`."""
    bench.source["echo"] = f"{bench.folder}/$${{NO_SUCH_VARIABLE}}"
    assert bench.run().status == "succeeded"
    assert (bench.folder / "${NO_SUCH_VARIABLE}").exists()


# Ends


@pytest.mark.slow
def test_stopping_ends_both_and_saves_what_is_safe(bench: Bench) -> None:
    bench.source |= {"rows": 1_000_000, "pause": 0.05}
    bench.more = APPEND
    stop = threading.Event()
    events = []
    from airpipe.library import run

    for event in run(bench.write(), stop=stop):
        events.append(event)
        if isinstance(event, Saved):
            stop.set()
            asked = time.monotonic()
    assert time.monotonic() - asked < 20
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert finished.status == "stopped"
    assert not of_command(os.getpid(), "read") + of_command(os.getpid(), "write")
    bench.source |= {"rows": max(bench.ids()) + 5, "pause": 0}
    assert bench.run().rows < 1000
    assert set(bench.ids()) == set(range(1, bench.source["rows"] + 1))


@pytest.mark.slow
def test_a_library_that_stops_listening_ends_the_run(bench: Bench) -> None:
    bench.source |= {"rows": 1_000_000, "pause": 0.05}
    bench.more = APPEND
    from airpipe import run

    events = run(bench.write())
    for event in events:
        if isinstance(event, Saved):
            break
    events.close()  # type: ignore[attr-defined]
    assert not of_command(os.getpid(), "read") + of_command(os.getpid(), "write")


def test_the_end_of_a_run_stops_no_other(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run's thread may outlive its last event by a moment."""
    from airpipe import library

    ended = threading.Event()

    def conduct(loaded: Loaded, emit: Callable[[Event], None], stop: threading.Event) -> None:
        emit(Finished(loaded.name, 1, "succeeded", 0.0, 1))
        ended.wait()

    monkeypatch.setattr(library, "conduct", conduct)
    stop = threading.Event()
    events = library.run(bench.write(), stop=stop)
    assert next(events).pipeline == "pipeline"
    threading.Timer(0.1, ended.set).start()
    assert list(events) == []
    assert not stop.is_set()


@pytest.mark.slow
def test_ctrl_c_ends_within_ten_seconds_and_the_next_run_goes_on(bench: Bench) -> None:
    bench.source |= {"rows": 1_000_000, "pause": 0.05}
    bench.more = APPEND
    process = bench.start()
    assert process.stdout is not None
    for line in process.stdout:
        if '"saved"' in line:
            break
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert json.loads(out.splitlines()[-1])["status"] == "stopped"
    before = len(bench.ids())
    bench.source |= {"rows": max(bench.ids()) + 5, "pause": 0}
    assert bench.run().status == "succeeded"
    assert len(bench.ids()) - before < 1000
    assert set(bench.ids()) == set(range(1, bench.source["rows"] + 1))


@pytest.mark.parametrize("side", ["source", "destination"])
@pytest.mark.slow
def test_kill_9_of_airpipe_ends_connectors_that_ignore_signals(bench: Bench, side: str) -> None:
    getattr(bench, side).update({"trouble": "hang", "after": 300, "once": str(bench.folder / "once")})
    bench.source["pause"] = 0.2
    process = bench.start()
    until(lambda: (bench.folder / "once").exists())
    children = until(lambda: of_command(process.pid, "read") + of_command(process.pid, "write"))
    folder = Path(Path(f"/proc/{children[0]}/cmdline").read_text().split("--config\0")[1].split("\0")[0]).parent
    process.kill()
    process.communicate()
    until(lambda: not any(map(alive, children)), 12)
    until(lambda: not folder.exists(), 12)
    bench.source["trouble"] = bench.destination["trouble"] = ""
    assert bench.run().status == "succeeded"
    assert bench.ids() == list(range(1, 1001))


@pytest.mark.slow
def test_kill_9_of_a_guard_ends_its_connector(bench: Bench) -> None:
    bench.source |= {"rows": 1_000_000, "pause": 0.05}
    bench.more = APPEND | {"sync_config": {"retries": 0}}
    process = bench.start()
    [reader] = until(lambda: of_command(process.pid, "read"))
    guard = int(Path(f"/proc/{reader}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(guard, signal.SIGKILL)
    process.communicate(timeout=60)
    assert process.returncode == 1
    assert not alive(reader)


@pytest.mark.slow
def test_one_run_at_a_time(bench: Bench) -> None:
    bench.source |= {"rows": 1_000_000, "pause": 0.05}
    bench.more = APPEND
    process = bench.start()
    until(lambda: of_command(process.pid, "read"))
    second = bench.run()
    assert second.status == "failed"
    assert f"being run already by the process {process.pid}" in second.error
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 130
