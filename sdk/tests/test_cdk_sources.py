"""Sources that were written for airbyte-cdk, run by our command line: what comes out is what the SDK promises."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlparse

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not importlib.util.find_spec("airbyte_cdk"), reason="airbyte-cdk is not installed"),
]

HERE = Path(__file__).resolve().parent
EXAMPLES = HERE / "cdk_examples"
TOKEN = "s3cret-t0ken"
BIG = 123456789012345678901234567890
Json = dict[str, Any]


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str

    @property
    def messages(self) -> list[Json]:
        return [json.loads(line) for line in self.out.splitlines()]

    def only(self, kind: str, key: str) -> list[Json]:
        return [message[key] for message in self.messages if message["type"] == kind]

    def rows(self, stream: str) -> list[Json]:
        return [record["data"] for record in self.only("RECORD", "record") if record["stream"] == stream]

    def states(self, stream: str) -> list[Json]:
        found = [state["stream"] for state in self.only("STATE", "state")]
        return [state["stream_state"] for state in found if state["stream_descriptor"]["name"] == stream]

    def statuses(self, stream: str) -> list[str]:
        found = [trace["stream_status"] for trace in self.only("TRACE", "trace") if trace["type"] == "STREAM_STATUS"]
        return [status["status"] for status in found if status["stream_descriptor"]["name"] == stream]

    @property
    def errors(self) -> list[Json]:
        return [trace["error"] for trace in self.only("TRACE", "trace") if trace["type"] == "ERROR"]


class Cdk:
    """The commands, in a folder of their own, by a process that has imported airbyte-cdk already."""

    def __init__(self, forks: subprocess.Popen[str], folder: Path) -> None:
        self._forks = forks
        self._running: int | None = None
        self.folder = folder
        for name in ("out", "err"):
            (folder / name).touch()

    def start(self, source: str, command: str, **files: Any) -> int:
        """Begin a command, `config=…`, `catalog=…`, `state=…` written to files; returns its process id."""
        arguments = [str(EXAMPLES / source), command]
        for name, value in files.items():
            (self.folder / f"{name}.json").write_text(json.dumps(value))
            arguments += [f"--{name}", f"{name}.json"]
        asked = {"folder": str(self.folder), "arguments": arguments, "environment": {"LOG_LEVEL": "INFO"}}
        asked |= {name: str(self.folder / name) for name in ("out", "err")}
        assert self._forks.stdin is not None
        self._forks.stdin.write(json.dumps(asked) + "\n")
        self._forks.stdin.flush()
        self._running = int(self._answer())
        return self._running

    def end(self) -> Said:
        code = int(self._answer())
        self._running = None
        said = Said(code, *((self.folder / name).read_text() for name in ("out", "err")))
        assert TOKEN not in said.err
        assert not any(TOKEN in json.dumps(message) for message in said.messages if message["type"] != "RECORD")
        return said

    def run(self, source: str, command: str, **files: Any) -> Said:
        self.start(source, command, **files)
        return self.end()

    def clear(self) -> None:
        """What a failed test has left running does not outlive it."""
        if self._running:
            os.kill(self._running, signal.SIGKILL)
            self._answer()

    def _answer(self) -> str:
        assert self._forks.stdout is not None
        return self._forks.stdout.readline()


@pytest.fixture(scope="module")
def forks() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, str(HERE / "cdk_forks.py")]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=HERE.parent) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture
def cdk(forks: subprocess.Popen[str], tmp_path: Path) -> Iterator[Cdk]:
    cdk = Cdk(forks, tmp_path)
    yield cdk
    cdk.clear()


Answer = Callable[[str, dict[str, str]], Any]


@pytest.fixture
def serve() -> Iterator[Callable[[Answer], str]]:
    """Start a server that answers with the JSON of `answer(path, query)`; returns its address."""
    servers = []

    def start(answer: Answer) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                url = urlparse(self.path)
                found = answer(url.path, {key: values[0] for key, values in parse_qs(url.query).items()})
                allowed = self.headers.get("Authorization") in (None, f"Bearer {TOKEN}")
                body = json.dumps(found).encode()
                self.send_response(200 if allowed else 401)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def catalog(*names: str, mode: str = "full_refresh", **more: Any) -> Json:
    return {
        "streams": [
            {"stream": {"name": name, "json_schema": {}, **more}, "sync_mode": mode, "destination_sync_mode": "append"}
            for name in names
        ]
    }


def state(name: str, value: Json) -> list[Json]:
    return [{"type": "STREAM", "stream": {"stream_descriptor": {"name": name}, "stream_state": value}}]


def shop(url: str = "http://127.0.0.1:9/", token: str = TOKEN, **more: Any) -> Json:
    return {"url": url, "credentials": {"kind": "token", "token": token}, **more}


SHOP = "source_shop/source.py"


# The example that people bring


@pytest.mark.parametrize("interpreter", [["-m", "connector_sdk.cdk"], []], ids=["as a stranger types it", "by main()"])
def test_the_custom_source_runs(interpreter: list[str], tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "catalog.json").write_text(json.dumps(catalog("custom_stream")))
    files = ["--config", "config.json", "--catalog", "catalog.json"]
    line = [sys.executable, *interpreter, str(EXAMPLES / "custom_source.py"), "read", *files]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, env={**os.environ, "PYTHONPATH": str(HERE.parent)})
    assert done.returncode == 0, done.stderr
    messages = [json.loads(text) for text in done.stdout.splitlines()]
    assert [message["record"]["data"]["id"] for message in messages if message["type"] == "RECORD"] == [1, 2, 3]


def test_without_a_spec_file_the_form_is_empty(cdk: Cdk) -> None:
    said = cdk.run("custom_source.py", "spec")
    (spec,) = said.only("SPEC", "spec")
    assert spec["connectionSpecification"]["properties"] == {}
    assert said.code == 0


def test_check_connection_may_leave_out_the_logger(cdk: Cdk) -> None:
    said = cdk.run("custom_source.py", "check", config={})
    assert said.only("CONNECTION_STATUS", "connectionStatus") == [{"status": "SUCCEEDED"}]


def test_a_stream_without_a_schema_is_discovered_and_told(cdk: Cdk) -> None:
    said = cdk.run("custom_source.py", "discover", config={"anything": 1})
    (found,) = said.only("CATALOG", "catalog")
    assert [(it["name"], it["source_defined_primary_key"]) for it in found["streams"]] == [("custom_stream", [["id"]])]
    assert [log["level"] for log in said.only("LOG", "log")] == ["WARN"]
    assert "declares no fields" in said.out


def test_nulls_and_big_integers_are_kept_and_nan_is_told(cdk: Cdk) -> None:
    said = cdk.run("custom_source.py", "read", config={}, catalog=catalog("custom_stream"))
    assert said.rows("custom_stream") == [
        {"id": 1, "name": "one", "note": None},
        {"id": 2, "name": None, "note": {"deep": None, "수": BIG}},
        {"id": 3, "name": "three", "note": [1.5, None]},
    ]
    (_, _, third) = said.only("RECORD", "record")
    assert [change["field"] for change in third["meta"]["changes"]] == ["note"]
    assert said.statuses("custom_stream") == ["STARTED", "RUNNING", "COMPLETE"]
    assert said.states("custom_stream") == [{}]


# Spec, check, config


def test_the_form_is_the_sources_own(cdk: Cdk) -> None:
    (spec,) = cdk.run(SHOP, "spec").only("SPEC", "spec")
    own = json.loads((EXAMPLES / "source_shop" / "spec.json").read_text())
    assert {key: spec[key] for key in own} == own


@pytest.mark.parametrize(
    ("token", "status"),
    [
        (TOKEN, {"status": "SUCCEEDED"}),
        ("wrong-token", {"status": "FAILED", "message": "the token **** is refused"}),
        ("learn-a-secret", {"status": "FAILED", "message": "the session **** is refused"}),
    ],
)
def test_check_says_why_in_the_sources_words_and_without_secrets(cdk: Cdk, token: str, status: Json) -> None:
    said = cdk.run(SHOP, "check", config=shop(token=token))
    assert said.only("CONNECTION_STATUS", "connectionStatus") == [status]
    assert said.code == 0
    assert token not in said.out + said.err


def test_what_the_source_logs_and_prints_is_no_data_and_masked(cdk: Cdk) -> None:
    said = cdk.run(SHOP, "check", config=shop())
    assert {"level": "INFO", "message": "checked with ****"} in said.only("LOG", "log")
    assert said.err == "a print that is no message\n"


def test_a_crash_in_check_is_an_error_and_no_answer(cdk: Cdk) -> None:
    said = cdk.run(SHOP, "check", config=shop(token="crash-please"))
    assert said.code == 1
    assert said.only("CONNECTION_STATUS", "connectionStatus") == []
    assert [(error["message"], error["failure_type"]) for error in said.errors] == [
        ("RuntimeError: no such thing: ****", "system_error")
    ]


def test_a_changed_config_that_the_cdk_prints_becomes_a_message(cdk: Cdk) -> None:
    said = cdk.run(SHOP, "check", config=shop(token="rotate-me", kept=[None, 1.5]))
    (control,) = said.only("CONTROL", "control")
    assert control["connectorConfig"]["config"]["credentials"] == {"kind": "token", "token": "rotated"}
    assert {"level": "INFO", "message": "checked with ****"} in said.only("LOG", "log")


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"url": "u"}, "'credentials' is a required property"),
        (shop(pages="two of s3cret-t0ken"), "pages: does not fit type: integer"),
        (shop(pages=0), "pages: does not fit minimum: 1"),
    ],
)
def test_a_config_that_does_not_fit_the_form_is_told_without_its_values(cdk: Cdk, config: Json, problem: str) -> None:
    said = cdk.run(SHOP, "check", config=config)
    message = f"The config is not right: {problem}."
    assert said.only("CONNECTION_STATUS", "connectionStatus") == [{"status": "FAILED", "message": message}]


def test_discover_keeps_modes_cursors_keys_and_namespaces(cdk: Cdk) -> None:
    said = cdk.run(SHOP, "discover", config=shop())
    (found,) = said.only("CATALOG", "catalog")
    streams = {stream["name"]: stream for stream in found["streams"]}
    orders = streams["orders"]
    assert orders["supported_sync_modes"] == ["full_refresh", "incremental"]
    assert (orders["source_defined_cursor"], orders["default_cursor_field"]) == (True, ["updated"])
    assert orders["json_schema"]["properties"]["note"] == {"type": ["null", "string"]}
    assert streams["customers"]["source_defined_primary_key"] == [["id", "number"], ["country"]]
    assert streams["customers"]["namespace"] == "shop"
    assert [name for name, stream in streams.items() if stream["is_resumable"]] == ["orders", "flaky", "pages"]


# Read


ORDERS = [{"id": number, "updated": number * 10, "note": None} for number in range(1, 6)]


def since(rows: list[Json]) -> Answer:
    return lambda _path, query: [row for row in rows if row["updated"] > int(query["since"])]


def test_incremental_goes_on_from_its_state(cdk: Cdk, serve: Callable[[Answer], str]) -> None:
    rows = ORDERS[:3]
    config = shop(serve(lambda path, query: since(rows)(path, query)))
    wanted = catalog("orders", mode="incremental")
    first = cdk.run(SHOP, "read", config=config, catalog=wanted)
    assert first.rows("orders") == ORDERS[:3]
    assert first.states("orders") == [{"updated": 20}, {"updated": 30}]
    rows = ORDERS
    last = [message["state"] for message in first.messages if message["type"] == "STATE"][-1:]
    second = cdk.run(SHOP, "read", config=config, catalog=wanted, state=last)
    assert second.rows("orders") == ORDERS[3:]
    nothing = cdk.run(SHOP, "read", config=config, catalog=wanted, state=state("orders", {"updated": 50}))
    assert nothing.rows("orders") == []
    assert nothing.statuses("orders")[-1] == "COMPLETE"
    assert nothing.states("orders")[-1] == {"updated": 50}


def test_states_count_the_rows_since_the_last_one(cdk: Cdk, serve: Callable[[Answer], str]) -> None:
    config = shop(serve(since(ORDERS)))
    said = cdk.run(SHOP, "read", config=config, catalog=catalog("orders", mode="incremental"))
    assert sum(state["sourceStats"]["recordCount"] for state in said.only("STATE", "state")) == len(ORDERS)


def test_a_global_state_without_a_shared_part_is_read(cdk: Cdk, serve: Callable[[Answer], str]) -> None:
    member = state("orders", {"updated": 30})[0]["stream"]
    given = [{"type": "GLOBAL", "global": {"shared_state": None, "stream_states": [member]}}]
    config = shop(serve(since(ORDERS)))
    said = cdk.run(SHOP, "read", config=config, catalog=catalog("orders", mode="incremental"), state=given)
    assert said.rows("orders") == ORDERS[3:]


def test_a_full_refresh_is_not_cut_short_by_an_incremental_state(cdk: Cdk, serve: Callable[[Answer], str]) -> None:
    config = shop(serve(since(ORDERS)))
    said = cdk.run(SHOP, "read", config=config, catalog=catalog("orders"), state=state("orders", {"updated": 30}))
    assert said.rows("orders") == ORDERS
    assert said.states("orders") == [{}]


def test_a_failed_stream_keeps_its_checkpoint_and_goes_on_from_it(cdk: Cdk, serve: Callable[[Answer], str]) -> None:
    rows: list[Json] = [*ORDERS[:3], {**ORDERS[3], "note": "poison"}, ORDERS[4]]
    config, wanted = shop(serve(since(rows))), catalog("orders", mode="incremental")
    first = cdk.run(SHOP, "read", config=config, catalog=wanted)
    assert first.code == 1
    assert first.statuses("orders") == ["STARTED", "RUNNING", "INCOMPLETE"]
    assert first.errors[0]["message"] == "ValueError: a poisoned order"
    (cdk.folder / "antidote").touch()
    second = cdk.run(SHOP, "read", config=config, catalog=wanted, state=state("orders", first.states("orders")[-1]))
    assert {row["id"] for row in first.rows("orders") + second.rows("orders")} == {1, 2, 3, 4, 5}


def test_streams_that_fail_are_incomplete_and_the_others_delivered(cdk: Cdk) -> None:
    wanted = catalog("broken", "denied", "gone")
    wanted["streams"] += catalog("customers", namespace="shop")["streams"]
    said = cdk.run(SHOP, "read", config=shop(), catalog=wanted)
    assert said.code == 1
    assert said.statuses("broken") == ["STARTED", "RUNNING", "INCOMPLETE"]
    assert said.statuses("denied") == said.statuses("gone") == ["STARTED", "INCOMPLETE"]
    assert said.statuses("customers") == ["STARTED", "RUNNING", "COMPLETE"]
    errors = {error["stream_descriptor"]["name"]: error for error in said.errors}
    assert errors["broken"]["message"] == "KeyError: 'nothing under ****'"
    assert errors["broken"]["failure_type"] == "system_error"
    assert "read_records" in errors["broken"]["stack_trace"]
    assert errors["denied"]["message"] == "Give the app the scope orders:read."
    assert errors["denied"]["failure_type"] == errors["gone"]["failure_type"] == "config_error"


def test_messages_of_the_cdk_keep_namespace_and_losses(cdk: Cdk) -> None:
    said = cdk.run(SHOP, "read", config=shop(), catalog=catalog("customers", namespace="shop"))
    (record,) = said.only("RECORD", "record")
    assert (record["namespace"], record["data"]["name"]) == ("shop", None)
    change = {"field": "name", "change": "NULLED", "reason": "SOURCE_FIELD_SIZE_LIMITATION"}
    assert record["meta"]["changes"] == [change]


def test_a_transient_error_is_tried_again_from_the_last_checkpoint(cdk: Cdk) -> None:
    said = cdk.run(SHOP, "read", config=shop(), catalog=catalog("flaky", mode="incremental"))
    assert said.code == 0
    assert said.rows("flaky") == [{"id": 1}, {"id": 2}, {"id": 3}]
    assert said.statuses("flaky") == ["STARTED", "RUNNING", "COMPLETE"]
    assert said.states("flaky")[-1] == {"id": 3}
    assert said.out.count("goes on from the last checkpoint") == 2


def test_a_resumable_full_refresh_resumes_and_then_starts_anew(cdk: Cdk) -> None:
    config, wanted = shop(), catalog("pages")
    first = cdk.run(SHOP, "read", config=config, catalog=wanted)
    assert (first.code, first.rows("pages"), first.states("pages")) == (1, [{"id": 1}], [{"page": 2}])
    (cdk.folder / "antidote").touch()
    second = cdk.run(SHOP, "read", config=config, catalog=wanted, state=state("pages", {"page": 2}))
    assert second.rows("pages") == [{"id": 2}, {"id": 3}]
    assert second.states("pages")[-1] == {}
    third = cdk.run(SHOP, "read", config=config, catalog=wanted, state=state("pages", second.states("pages")[-1]))
    assert third.rows("pages") == [{"id": 1}, {"id": 2}, {"id": 3}]


def test_sigterm_leaves_whole_lines_and_incomplete(cdk: Cdk) -> None:
    pid = cdk.start(SHOP, "read", config=shop(), catalog=catalog("slow", "pages"))
    deadline = time.monotonic() + 30
    while (cdk.folder / "out").read_bytes().count(b'"RECORD"') < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(pid, signal.SIGTERM)
    said = cdk.end()
    assert said.code == 128 + signal.SIGTERM
    assert [row["id"] for row in said.rows("slow")][:3] == [1, 2, 3]
    assert said.statuses("slow") == ["STARTED", "RUNNING", "INCOMPLETE"]
    assert said.statuses("pages") == ["STARTED", "INCOMPLETE"]


# Concurrent sources


def test_states_of_a_concurrent_source_never_overtake_its_rows(cdk: Cdk) -> None:
    wanted = catalog("events", mode="incremental")
    said = cdk.run("concurrent_source.py", "read", config={"slices": 5}, catalog=wanted)
    assert sorted(row["id"] for row in said.rows("events")) == list(range(5_000))
    assert said.statuses("events") == ["STARTED", "RUNNING", "COMPLETE"]
    kinds = [message["type"] for message in said.messages if message["type"] in ("RECORD", "STATE")]
    assert kinds == ["RECORD"] * 5_000 + ["STATE"]
    again = state("events", said.states("events")[-1])
    more = cdk.run("concurrent_source.py", "read", config={"slices": 6}, catalog=wanted, state=again)
    assert sorted(row["id"] for row in more.rows("events")) == list(range(5_000, 6_000))


# Manifests


NOTES = [{"id": 1, "text": None, "big": BIG}, {"id": 2, "text": "둘", "big": -BIG}, {"id": 3, "text": "3", "big": 0}]


def notes(path: str, query: dict[str, str]) -> Json:
    """Three notes on two pages; for each day one change."""
    if path == "/changes":
        return {"items": [{"id": f"change of {query['day']}", "day": query["day"]}]}
    return {"items": NOTES[2:]} if query.get("page") == "2" else {"items": NOTES[:2], "next": "2"}


def test_a_manifest_has_its_form_and_checks_its_streams(cdk: Cdk, serve: Callable[[Answer], str]) -> None:
    (spec,) = cdk.run("manifest.yaml", "spec").only("SPEC", "spec")
    assert spec["connectionSpecification"]["properties"]["api_key"]["airbyte_secret"] is True
    config = {"url": serve(notes), "api_key": TOKEN}
    (good,) = cdk.run("manifest.yaml", "check", config=config).only("CONNECTION_STATUS", "connectionStatus")
    assert good == {"status": "SUCCEEDED"}
    (bad,) = cdk.run("manifest.yaml", "check", config=config | {"api_key": "wrong-key"}).only(
        "CONNECTION_STATUS", "connectionStatus"
    )
    assert bad["status"] == "FAILED"
    assert "401" in bad["message"]
    assert "wrong-key" not in bad["message"]


def test_a_manifest_is_read_with_nulls_pages_and_all_digits(cdk: Cdk, serve: Callable[[Answer], str]) -> None:
    config = {"url": serve(notes), "api_key": TOKEN, "until": "2024-01-04"}
    (found,) = cdk.run("manifest.yaml", "discover", config=config).only("CATALOG", "catalog")
    assert [stream["supported_sync_modes"] for stream in found["streams"]] == [
        ["full_refresh"],
        ["full_refresh", "incremental"],
    ]
    wanted = catalog("notes")
    wanted["streams"] += catalog("changes", mode="incremental")["streams"]
    first = cdk.run("manifest.yaml", "read", config=config, catalog=wanted)
    assert first.code == 0, first.errors
    assert first.rows("notes") == NOTES
    assert sorted(row["day"] for row in first.rows("changes")) == ["2024-01-01", "2024-01-02", "2024-01-03"]
    given = state("changes", first.states("changes")[-1])
    second = cdk.run("manifest.yaml", "read", config=config | {"until": "2024-01-06"}, catalog=wanted, state=given)
    assert second.rows("notes") == NOTES
    assert sorted(row["day"] for row in second.rows("changes")) == ["2024-01-03", "2024-01-04", "2024-01-05"]


def test_a_stream_of_a_manifest_that_fails_is_told_once_with_its_kind(cdk: Cdk, serve: Callable[[Answer], str]) -> None:
    config = {"url": serve(notes), "api_key": "wrong-key"}
    said = cdk.run("manifest.yaml", "read", config=config, catalog=catalog("notes"))
    assert said.code == 1
    assert said.statuses("notes") == ["STARTED", "INCOMPLETE"]
    (error,) = said.errors
    assert error["failure_type"] == "config_error"
    assert error["stream_descriptor"] == {"name": "notes"}
    assert "wrong-key" not in said.out + said.err


# What is no source


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("several.py", "several.py has several sources: First, Second. Keep one of them in it."),
        ("nothing_there.py", "There is no file "),
        ("source_shop/streams.py", "streams.py has no subclass of AbstractSource."),
        ("nothing_there", "There is neither a file nor a module "),
    ],
)
def test_a_file_that_holds_no_source_is_told(cdk: Cdk, source: str, problem: str) -> None:
    said = cdk.run(source, "spec")
    assert said.code == 1
    (error,) = said.errors
    assert problem in error["message"]
    assert error["failure_type"] == "config_error"


def test_a_broken_manifest_is_told_with_the_place(cdk: Cdk) -> None:
    broken = cdk.folder / "broken.yaml"
    broken.write_text(
        "version: 6.0.0\ntype: DeclarativeSource\ncheck: {type: CheckStream, stream_names: [a]}\nstreams: 5\n"
    )
    (error,) = cdk.run(str(broken), "spec").errors
    assert error["message"].startswith(f"The manifest {broken} is not right at streams: ")


def test_only_this_package_imports_the_cdk() -> None:
    code = "import sys, connector_sdk, connector_sdk.cli, connector_sdk.cdk; print('airbyte_cdk' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=HERE.parent)
    assert done.stdout == "False\n"
