"""The three stores keep the same promises: atomic, remembered, locked as long as somebody lives."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from airpipe import store_s3
from airpipe.errors import ConfigProblem
from airpipe.events import Event, Finished, Saved
from airpipe.library import run
from airpipe.pipeline import load
from airpipe.statestore import Store, open_store
from airpipe.store_s3 import S3Store, _Lease
from airpipe.tables import show_runs
from connector_parts import S3, Postgres

from .bench import Bench

Opener = Callable[[], Store]


@pytest.fixture(params=["sqlite", "postgres", "s3"])
def address(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    if request.param == "sqlite":
        yield str(tmp_path / "some" / "state.db")
    elif request.param == "postgres":
        server: Postgres = request.getfixturevalue("postgres")
        database = server.create_database()
        yield f"postgresql://{database.user}@{database.host}:{database.port}/{database.database}"
    else:
        s3: S3 = request.getfixturevalue("s3")
        monkeypatch.setenv("AWS_ENDPOINT_URL", s3.endpoint)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3.access_key)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3.secret_key)
        monkeypatch.setenv("AWS_REGION", s3.region)
        yield f"s3://{s3.bucket()}/airpipe"


@pytest.fixture
def opened(address: str, tmp_path: Path) -> Opener:
    file = {"source": {"type": "x"}, "destination": {"type": "y"}, "state": address}
    return lambda: open_store(load(file)[0])


def test_what_is_saved_is_there_for_the_next_one(opened: Opener) -> None:
    with opened() as store:
        assert store.load("p") == {}
        store.save("p", {"a": "1", "b": "ü"})
        store.save("p", {"a": None, "c": "3"})
        store.save("q", {"a": "other"})
        assert store.load("p") == {"b": "ü", "c": "3"}
    with opened() as store:
        assert store.load("p") == {"b": "ü", "c": "3"}


def test_runs_are_kept_the_newest_first(opened: Opener) -> None:
    with opened() as store:
        for number in (1, 2, 3):
            store.put_run("p", {"run": number, "status": "running"})
        store.put_run("p", {"run": 3, "status": "succeeded"})
        assert [run["run"] for run in store.runs("p")] == [3, 2, 1]
        assert store.runs("p", 1) == [{"run": 3, "status": "succeeded"}]


@pytest.mark.slow
def test_one_holds_the_lock_and_another_pipeline_is_free(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airpipe.store_sqlite.PATIENCE", 0.2)
    monkeypatch.setattr("airpipe.store_postgres.PATIENCE", 0.2)
    monkeypatch.setattr("airpipe.store_s3.PATIENCE", 0.2)
    with opened() as store, opened() as other:
        with store.lock("p") as lock:
            lock.check()
            with pytest.raises(ConfigProblem, match="being run already"), other.lock("p"):
                pass
            with other.lock("q"):
                pass
        with other.lock("p"):
            pass


@pytest.mark.slow
def test_who_waited_for_the_lock_sees_what_was_written_meanwhile(opened: Opener) -> None:
    with opened() as one, opened() as other:
        assert other.runs("p") == []
        with one.lock("p"):
            one.save("p", {"a": "1"})
            one.put_run("p", {"run": 1})
        with other.lock("p"):
            other.put_run("p", {"run": 2})
    with opened() as store:
        assert store.load("p") == {"a": "1"}
        assert [run["run"] for run in store.runs("p")] == [2, 1]


@pytest.mark.parametrize("address", ["s3"], indirect=True)
def test_a_lease_whose_answer_was_lost_is_still_held(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client asks once more, and the server refuses: the object is not as it was."""
    put_if = S3Store.put_if

    def twice(store: S3Store, key: str, body: Any, etag: str | None) -> str | None:
        put_if(store, key, body, etag)
        return put_if(store, key, body, etag)

    monkeypatch.setattr(S3Store, "put_if", twice)
    with opened() as one, one.lock("p") as lock:
        assert isinstance(lock, _Lease)
        assert lock._write(lock._etag)
        lock.check()
        monkeypatch.setattr(store_s3, "PATIENCE", 0)
        with opened() as other, pytest.raises(ConfigProblem, match="is being run already"), other.lock("p"):
            pass


def test_a_pipeline_of_a_very_long_name_has_a_lock(opened: Opener) -> None:
    with opened() as one, opened() as other, one.lock("가" * 80), other.lock("가" * 81):
        pass


def test_a_dead_run_holds_no_lock(opened: Opener, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airpipe.store_s3.TERM", 3.0)
    code = f"""
import os, sys
import airpipe.store_s3
airpipe.store_s3.TERM = 3.0
from airpipe.events import Event, Finished, Saved
from airpipe.library import run
from airpipe.pipeline import load
from airpipe.statestore import open_store
store = open_store(load({{"source": {{"type": "x"}}, "destination": {{"type": "y"}}, "state": {address!r}}})[0])
with store.lock("p"):
    os.kill(os.getpid(), 9)
"""
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == -9
    with opened() as store, store.lock("p"):
        pass


@pytest.mark.slow
def test_a_run_keeps_its_state_there(bench: Bench, address: str) -> None:
    bench.more = {"state": address, "streams": [{"name": "numbers", "cursor_field": "id", "write": "append"}]}
    assert bench.run().status == "succeeded"
    bench.source["rows"] = 1010
    second = bench.run()
    assert (second.status, second.rows, second.run) == ("succeeded", 10, 2)
    assert (bench.folder / "pipeline.airpipe" / "state.db").exists() is False


def test_a_failed_save_changes_nothing(tmp_path: Path) -> None:
    file = {"source": {"type": "x"}, "destination": {"type": "y"}, "state": str(tmp_path / "s.db")}
    with open_store(load(file)[0]) as store:
        store.save("p", {"a": "1"})
        with pytest.raises(Exception, match="type"):
            store.save("p", {"a": "2", "b": object()})  # type: ignore[dict-item]
        assert store.load("p") == {"a": "1"}


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    file = {"source": {"type": "x"}, "destination": {"type": "y"}, "state": str(tmp_path / "file" / "s.db")}
    with pytest.raises(ConfigProblem, match="cannot be written"):
        open_store(load(file)[0])


@pytest.mark.slow
def test_a_run_outlives_a_restart_of_the_database_of_its_state(bench: Bench) -> None:
    with Postgres() as server:
        where = server.create_database()
        bench.more = {
            "state": f"postgresql://{where.user}@{where.host}:{where.port}/{where.database}",
            "streams": [{"name": "numbers", "cursor_field": "id", "write": "append"}],
            "sync_config": {"retries": 5, "retry_delay": 0.1},
        }
        bench.source["pause"] = 0.2
        bench.destination["batch"] = 100
        restarted = False
        events: list[Event] = []
        for event in run(bench.write()):
            events.append(event)
            if isinstance(event, Saved) and not restarted:
                restarted = True
                server.restart()
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert finished.status == "succeeded", finished.error
    assert finished.attempts > 1
    assert set(bench.ids()) == set(range(1, 1001))


def test_a_table_of_runs_fits_a_narrow_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    started = {"run": 12, "started": 0.0, "status": "failed", "seconds": 20.1, "acknowledged": 1000, "bytes": 179_900}
    show_runs([{**started, "error": "The connection that holds the pipeline's lock is lost, and much more."}])
    head, line = capsys.readouterr().out.splitlines()
    assert head.split() == ["run", "started", "took", "status", "rows", "bytes", "error"]
    assert line.startswith("12   1970-01-01")
    assert len(line) <= 80


def opened_at(address: str) -> Store:
    return open_store(load({"source": {"type": "x"}, "destination": {"type": "y"}, "state": address})[0])


@pytest.mark.parametrize(
    "password",
    ["hunter2%zz", "hunter2 hunter2", "hunter2@hunter2", "hunter2/hunter2", "123/hunter2", "hunter2?x/hunter2"],
)
def test_an_address_that_does_not_parse_is_told_without_its_pieces(password: str) -> None:
    with pytest.raises(ConfigProblem, match=r"no PostgreSQL URL: .* in a password %40 for @") as raised:
        opened_at(f"postgresql://u:{password}@127.0.0.1:1/d")
    assert "hunter2" not in raised.value.message


@pytest.mark.parametrize("host", ["127.0.0.1:port", "a..b", "x" * 70])
def test_an_address_of_no_possible_host_is_told(host: str) -> None:
    with pytest.raises(ConfigProblem, match="no PostgreSQL URL"):
        opened_at(f"postgresql://u:hunter2hunter2@{host}/d")


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://u:hun%40ter%2F2@127.0.0.1:1/d",
        "postgres://u:p?#:w@[::1]:1/d",
        "postgresql://127.0.0.1:1,[::1]:1/d?user=me@there",
        "postgresql:///d?host=/nowhere",
    ],
)
def test_an_address_that_parses_is_tried(address: str) -> None:
    with pytest.raises(ConfigProblem, match="cannot be reached: "):
        opened_at(address)


def test_what_libpq_says_in_lines_reads_as_sentences() -> None:
    with pytest.raises(ConfigProblem, match=r"refused\. Is the server running .*\?$"):
        opened_at("postgresql://u@127.0.0.1:1/d")


@pytest.mark.parametrize("endpoint", ["garbage", "http://u:hunter2hunter2@", "http://["])
def test_an_endpoint_that_is_no_url_is_told(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    with pytest.raises(ConfigProblem, match="state: AWS_ENDPOINT_URL is no URL") as raised:
        opened_at("s3://bucket/x")
    assert "hunter2" not in raised.value.message


def test_settings_of_aws_that_are_not_right_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody's")
    with pytest.raises(ConfigProblem, match=r"state: the AWS settings .*nobody's"):
        opened_at("s3://bucket/x")
