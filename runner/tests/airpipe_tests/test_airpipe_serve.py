"""Schedules, /metrics, /health and mails, with a real scheduler, HTTP and SMTP."""

from __future__ import annotations

import json
import signal
import socketserver
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_string
from email.message import Message
from typing import Any

import pytest

from airpipe.alerts import Condition, alert
from airpipe.events import Finished, Status, StreamReport
from airpipe.pipeline import load
from airpipe.serve import cron_trigger

from .bench import AIRPIPE, Bench, until

# Mail


@dataclass
class Post:
    """An SMTP server that keeps what it gets."""

    port: int = 0
    mails: list[Message] = field(default_factory=list)


class Conversation(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self.wfile.write(b"220 post\r\n")
        while line := self.rfile.readline():
            word = line[:4].upper()
            if word == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                text = b"".join(iter(self.rfile.readline, b".\r\n"))
                self.server.post.mails.append(message_from_string(text.decode()))  # type: ignore[attr-defined]
            elif word == b"QUIT":
                return
            self.wfile.write(b"250 good\r\n")


@pytest.fixture
def post() -> Iterator[Post]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Conversation) as server:
        found = Post(server.server_address[1])
        server.post = found  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield found
        server.shutdown()
        thread.join()


def ended(status: Status = "succeeded", lost: int = 0, error: str = "") -> Finished:
    """A run of 90 seconds that moved 1,000 rows in two of them."""
    report = StreamReport("s", "full_refresh/append", rows=1000, acknowledged=1000 - lost, lost=lost)
    return Finished("p", 1, status, 90.0, 1, [report], error=error, moving=2.0)


@pytest.mark.parametrize(
    ("condition", "run", "holds"),
    [
        ("error_rate > 5%", ended(lost=51), True),
        ("error_rate > 5%", ended(lost=50), False),
        ("error_rate > 5%", ended(status="failed"), True),
        ("error_rate >= 1", ended(status="failed"), True),
        ("error_rate > 5%", ended(status="stopped"), False),
        ("sync_duration > 1 minute", ended(), True),
        ("sync_duration > 2m", ended(), False),
        ("throughput < 1000", ended(), True),
        ("records_processed == 1000 and throughput > 1000", ended(), False),
        ("records_processed == 1000 and throughput > 1000 or sync_duration > 1m", ended(), True),
    ],
)
def test_conditions(condition: str, run: Finished, holds: bool) -> None:
    assert Condition.parse(condition).holds(run) is holds


@pytest.mark.parametrize("text", ["error_rate", "error_rate > many", "rate > 1", "", "error_rate >> 1"])
def test_conditions_that_say_nothing_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Condition.parse(text)


def wishing(smtp: dict[str, Any]) -> Any:
    alerts = [{"type": "email", "condition": "error_rate > 5%", "recipients": ["admin@example.com", "b@example.com"]}]
    both = {"source": {"type": "x"}, "destination": {"type": "y"}}
    return load({**both, "monitoring": {"alerts": alerts, "smtp": smtp}})[0]


def test_a_mail_says_what_happened(post: Post) -> None:
    loaded = wishing({"host": "127.0.0.1", "port": post.port, "from": "airpipe@example.com"})
    assert alert(loaded, ended(), print) == 0
    assert alert(loaded, ended(status="failed", error="The source is away."), print) == 1
    [mail] = post.mails
    assert mail["Subject"] == "airpipe: p: error_rate > 5%"
    assert mail["To"] == "admin@example.com, b@example.com"
    assert "The source is away." in str(mail.get_payload())


def test_a_mail_that_cannot_be_sent_is_told_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.delenv("SMTP_HOST", raising=False)
    alert(wishing({}), ended(status="failed"), told.append)
    alert(wishing({"host": "127.0.0.1", "port": 1}), ended(status="failed"), told.append)
    assert "set SMTP_HOST" in told[0]
    assert "could not be sent: 127.0.0.1:1: " in told[1]


# Serving


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.mark.slow
def test_schedules_run_and_are_measured(bench: Bench, post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMTP_HOST", "127.0.0.1")
    monkeypatch.setenv("SMTP_PORT", str(post.port))
    good = bench.value() | {"name": "good", "schedule": {"every": "2s"}}
    alerts = [{"type": "email", "condition": "error_rate > 5%", "recipients": ["a@b.c"]}]
    bad = bench.value() | {
        "name": "bad",
        "source": {"command": bench.source_command, "config": {"trouble": "config", "after": 1}},
        "schedule": {"every": "1h"},
        "monitoring": {"metrics": ["error_rate"], "alerts": alerts},
    }
    never = bench.value() | {"name": "never", "schedule": {"cron": "0 3 1 1 *"}}
    bench.file.write_text(json.dumps({"pipelines": [good, bad, never]}))
    process = subprocess.Popen(
        [*AIRPIPE, "serve", str(bench.file), "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        assert process.stdout is not None
        port = 0
        for line in process.stdout:
            if line.startswith("serving 3 pipelines"):
                port = int(line.split("127.0.0.1:")[1].split("/")[0])
                break
        threading.Thread(target=process.stdout.read, daemon=True).start()
        until(lambda: 'airpipe_runs_total{pipeline="good",status="succeeded"} 2.0' in get(port, "/metrics")[1])
        until(lambda: json.loads(get(port, "/health")[1])["pipelines"]["bad"]["status"] == "failed")
        _, metrics = get(port, "/metrics")
        assert 'airpipe_records_processed_total{pipeline="good",stream="numbers"} 2000.0' in metrics
        assert 'airpipe_error_rate{pipeline="bad"} 1.0' in metrics
        assert 'airpipe_sync_duration_seconds{pipeline="bad"}' not in metrics
        code, health = get(port, "/health")
        assert (code, json.loads(health)["status"]) == (200, "failing")
        assert json.loads(health)["pipelines"]["never"] == {"status": "waiting"}
        assert get(port, "/")[0] == 404
        assert until(lambda: post.mails)[0]["Subject"] == "airpipe: bad: error_rate > 5%"
        process.send_signal(signal.SIGTERM)
        process.wait(20)
        assert process.returncode == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()  # type: ignore[union-attr]


def test_a_file_without_a_schedule_has_nothing_to_serve(bench: Bench) -> None:
    done = subprocess.run([*AIRPIPE, "serve", str(bench.write())], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no pipeline has a schedule" in done.stderr


@pytest.mark.parametrize(
    ("weekdays", "expected"),
    [
        ("0", "sun"),
        ("7", "sun"),
        ("1-5", "mon,tue,wed,thu,fri"),
        ("5-7", "fri,sat,sun"),
        ("*/2", "sun,tue,thu,sat"),
        ("mon-fri", "mon-fri"),
        ("0,sat", "sun,sat"),
        ("*", "*"),
    ],
)
def test_weekdays_are_those_of_cron(weekdays: str, expected: str) -> None:
    """The scheduler's own count begins on Monday."""
    assert str(cron_trigger(f"0 3 * * {weekdays}", "UTC").fields[4]) == expected


@pytest.mark.parametrize("line", ["0 3 * * 8", "0 3 * * 5-2", "0 3 * *", ""])
def test_a_line_that_is_none_of_cron_is_told(line: str) -> None:
    with pytest.raises(ValueError, match="is no cron line"):
        cron_trigger(line, "UTC")
