"""Connectors with bad manners: a run ends in one clear line, and no row is lost without a word."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from airpipe import library
from airpipe.alerts import alert
from airpipe.events import Finished, Log, Progress, Retrying
from airpipe.folder import Folder
from airpipe.pipeline import load

from .bench import AIRPIPE, Bench, alive, command, of_command, until

KEY = "-----BEGIN KEY-----\nMIIBOgIBAAJBAKj34Gkx\nFhD90vcNLYLInFEX6Ppy\n-----END KEY-----"


@pytest.fixture
def plain(bench: Bench) -> Bench:
    """A pipeline of the two plain connectors; `source_command[-1]` and `destination_command[-1]` are their manners."""
    bench.source_command = [*command("source_plain"), "polite"]
    bench.destination_command = [*command("destination_plain"), "polite"]
    bench.destination["path"] = str(bench.folder / "rows")
    bench.more = {"sync_config": {"retries": 1, "retry_delay": 0.01}}
    return bench


def arrived(bench: Bench, stream: str = "plain") -> set[int]:
    rows = [json.loads(line) for line in (bench.folder / "rows").read_text().splitlines()]
    return {row["data"]["id"] for row in rows if row["stream"] == stream}


def run(bench: Bench) -> tuple[Finished, list[Any]]:
    events = bench.events()
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert "\n" not in finished.error
    return finished, events


# Sources


@pytest.mark.parametrize("manner", ["polite", "garbage", "odd traces"])
def test_odd_lines_of_a_source_do_no_harm(plain: Bench, manner: str) -> None:
    plain.source_command[-1] = manner
    finished, _ = run(plain)
    assert (finished.status, finished.error) == ("succeeded", "")
    assert arrived(plain) == set(range(1, 101))


def test_a_last_row_without_its_line_end_arrives(plain: Bench) -> None:
    plain.source_command[-1] = "no last line end"
    finished, _ = run(plain)
    assert finished.status == "succeeded"
    assert finished.moving < finished.seconds
    assert arrived(plain) == set(range(1, 102))


@pytest.mark.slow
def test_half_a_row_at_the_end_is_no_success(plain: Bench) -> None:
    plain.source_command[-1] = "half a row"
    finished, _ = run(plain)
    assert (finished.status, finished.attempts) == ("failed", 2)
    assert finished.error == "Not complete: plain: the source ended within a message"


@pytest.mark.slow
def test_a_source_that_gets_no_further_than_a_new_state_is_not_tried_for_ever(
    plain: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airpipe.conduct.MOST_ATTEMPTS", 4)
    plain.source_command[-1] = "always a little further"
    assert run(plain)[0].attempts == 4


def test_hostile_names_are_moved_and_shown_without_steering_the_terminal(plain: Bench) -> None:
    plain.source_command[-1] = "hostile names"
    done = subprocess.run(
        [*AIRPIPE, "run", plain.write(), "--log", "plain"], capture_output=True, text=True, check=True
    )
    assert "\x1b" not in done.stdout
    assert "  b 2: incremental, append" in done.stdout
    for name in ('문서/../"q"', "b\n2", "\x1b[31mred"):
        assert arrived(plain, name) == set(range(1, 101))


@pytest.mark.parametrize(
    ("manner", "expected"),
    [
        ("many lines", "source.config: one two �[31mthree"),
        ("nameless stream", "discover gave an answer that cannot be"),
    ],
)
@pytest.mark.slow
def test_odd_answers_are_one_line(plain: Bench, manner: str, expected: str) -> None:
    plain.source_command[-1] = manner
    assert expected in run(plain)[0].error


# Destinations


@pytest.mark.parametrize(
    ("manner", "expected"),
    [
        ("never answers", "Not complete: plain: the destination ended without an answer to 10 states"),
        ("leaves early", "The destination "),
        ("answers what was never asked", "The destination answered with a state that was never sent to it"),
        ("counts in words", "The destination gave an answer that cannot be understood"),
        ("closes its input", "The destination was ended by SIGTERM"),
    ],
)
@pytest.mark.slow
def test_a_destination_that_does_not_answer_as_it_should_is_named(plain: Bench, manner: str, expected: str) -> None:
    plain.destination_command[-1] = manner
    plain.source["rows"] = 20_000 if manner in ("leaves early", "closes its input") else 100  # More than a pipe holds.
    plain.more["sync_config"]["retries"] = 0
    finished, _ = run(plain)
    assert finished.status == "failed"
    assert finished.error.startswith(expected)


def test_rows_without_any_other_message_move_in_the_time_that_they_took(plain: Bench) -> None:
    plain.source["rows"] = 5
    finished, _ = run(plain)
    assert (finished.rows, finished.acknowledged) == (5, 5)
    assert finished.moving < finished.seconds


def test_a_chattering_destination_does_no_harm(plain: Bench) -> None:
    plain.destination_command[-1] = "chatters"
    assert run(plain)[0].acknowledged == 100


def test_differences_of_counts_are_told_a_few_times(plain: Bench) -> None:
    plain.destination_command[-1] = "counts too much"
    _, events = run(plain)
    assert len([event for event in events if isinstance(event, Log) and "counts 1,000" in event.message]) == 5


@pytest.mark.slow
def test_a_source_that_is_told_to_end_has_not_read_everything(bench: Bench) -> None:
    """Also where it says so by an exit code of 0: half an overwrite would take the place of a whole one."""
    bench.source_command = [*command("source_plain"), "polite"]
    bench.more = {"streams": [{"name": "plain", "mode": "full_refresh", "write": "overwrite"}]}
    assert bench.run().status == "succeeded"
    whole = bench.ids("plain")
    bench.source_command[-1] = "ends well when it is told to end"
    bench.source |= {"rows": 40, "hang": True}
    stop = threading.Event()
    events = []
    for event in library.run(bench.write(), stop=stop):
        events.append(event)
        if isinstance(event, Progress) and event.rows == 40:
            stop.set()
    assert isinstance(events[-1], Finished)
    assert events[-1].status == "stopped"
    assert bench.ids("plain") == whole == list(range(1, 101))


@pytest.mark.slow
def test_what_is_complete_when_its_time_is_up_is_not_moved_again(plain: Bench) -> None:
    plain.destination_command[-1] = "takes long to end"
    plain.more = {"sync_config": {"retries": 2, "retry_delay": 0.01, "timeout": 2}}
    assert run(plain)[0].status == "succeeded"
    assert len((plain.folder / "rows").read_text().splitlines()) == 100


# What must not be shown


def test_a_key_is_masked_line_by_line(plain: Bench) -> None:
    plain.source_command[-1] = "tells secrets"
    plain.source |= {"password": "geheim/wort", "key": KEY}
    _, events = run(plain)
    log = next((plain.folder / "pipeline.airpipe" / "logs").rglob("*.log")).read_text()
    for part in ("geheim", *KEY.splitlines()[1:-1]):
        assert part not in str(events) + log


@pytest.mark.parametrize("password", ["5432", "true"])
@pytest.mark.slow
def test_a_secret_may_look_like_any_value(plain: Bench, password: str) -> None:
    plain.source |= {"password": password}
    plain.destination |= {"port": 5432, "tls": True}
    assert run(plain)[0].status == "succeeded"


@pytest.mark.slow
def test_the_folder_of_a_run_that_died_with_its_guards_is_cleared_away(tmp_path: Path) -> None:
    code = "import os; from airpipe.folder import Folder; print(Folder().whole, flush=True); os.kill(os.getpid(), 9)"
    dead = Path(subprocess.run([AIRPIPE[0], "-c", code], capture_output=True, text=True, check=False).stdout.strip())
    assert (dead / "files").exists()
    with Folder() as living, Folder():
        assert not dead.exists()
        assert living.whole.exists()


# Ends


@pytest.mark.slow
def test_a_signal_that_comes_twice_at_once_is_one_wish(plain: Bench) -> None:
    plain.source_command[-1] = "never answers"
    process = plain.start()
    until(lambda: of_command(process.pid, "check"))
    checking = of_command(process.pid, "check")
    process.send_signal(signal.SIGTERM)
    until(lambda: not any(map(alive, checking)))
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=30)
    assert json.loads(out.splitlines()[-1])["status"] == "stopped"
    assert process.returncode == 130


def test_a_state_that_cannot_be_saved_is_tried_again_and_told(plain: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    from airpipe.errors import TransientProblem
    from airpipe.store_sqlite import SqliteStore

    save, refused = SqliteStore.save, 0

    def refusing(self: SqliteStore, pipeline: str, changes: Any) -> None:
        nonlocal refused
        if any(key.startswith("state/") for key in changes) and refused < 2:
            refused += 1
            raise TransientProblem("The disk is full.")
        save(self, pipeline, changes)

    monkeypatch.setattr(SqliteStore, "save", refusing)
    finished, events = run(plain)
    assert (finished.status, finished.attempts) == ("succeeded", 2)
    assert [event.message for event in events if isinstance(event, Retrying)] == ["The disk is full."]
    assert arrived(plain) == set(range(1, 101))


def test_mail_settings_that_make_no_sense_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMTP_HOST", "127.0.0.1")
    monkeypatch.setenv("SMTP_PORT", "many")
    alerts = [{"type": "email", "condition": "error_rate > 5%", "recipients": ["a@b.c"]}]
    [loaded] = load({"source": {"type": "x"}, "destination": {"type": "y"}, "monitoring": {"alerts": alerts}})
    told: list[str] = []
    alert(loaded, Finished("p", 1, "failed", 1.0, 1), told.append)
    assert told == ["the alert error_rate > 5% could not be sent: SMTP_PORT is no number: many"]


@pytest.mark.slow
def test_an_output_that_cannot_write_every_character_ends_no_run(plain: Bench) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([*AIRPIPE, "run", plain.write()], capture_output=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
