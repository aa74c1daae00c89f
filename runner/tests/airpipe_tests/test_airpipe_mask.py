"""What must not be shown: found wherever it stands, hidden in all that is said before, in and after a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from airpipe.alerts import alert
from airpipe.cli import airpipe
from airpipe.events import Finished
from airpipe.library import run
from airpipe.mask import Mask, first_mask, secrets_in
from airpipe.pipeline import load

from .bench import Bench, command

SECRET = "hunter2hunter2"


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("postgresql://u:hunter2hunter2@h/d", SECRET),
        ("postgres://u:hun/ter222@h/d", "hun/ter222"),
        ("postgres://u:hun@ter222@h/d", "hun@ter222"),
        ("postgres://u:hun@ter222@h/d", "ter222"),
        ("postgres://u:hun ter222@h/d", "hun ter222"),
        ("postgres://u:hun\nter222@h/d", "hun ter222"),
        ("postgres://u:hun%2Fter222@h/d", "hun/ter222"),
        ("postgres://DOM/u:hunter2hunter2@h/d", SECRET),
        ("postgres://u@h/d?sslmode=require&password=hunter2hunter2", SECRET),
        ("host=x password=hunter2hunter2 user=u", SECRET),
        ("host=x password = 'hunter2 hunter2' user=u", "hunter2 hunter2"),
        ("Server=x;Pwd=hunter2hunter2;Uid=u", SECRET),
        ("--api-key=hunter2hunter2", SECRET),
    ],
)
def test_a_secret_inside_of_a_text_is_found(text: str, secret: str) -> None:
    assert Mask(secrets_in({}, {"options": [text]}))(f"no {secret} here") == "no **** here"


@pytest.mark.parametrize(
    "text", ["https://h:8080/a", "postgresql://user@host/base", "see https://h/a: b", "key = word"]
)
def test_a_text_without_a_secret_stays(text: str) -> None:
    assert list(secrets_in({}, text)) == []


@pytest.mark.parametrize("name", ["password", "passwd", "client_secret", "api_key", "apiKey", "private-key", "pwd"])
def test_a_name_tells_what_is_secret(name: str) -> None:
    assert list(secrets_in({}, {"a": {name: SECRET, "user": "somebody"}})) == [SECRET]


def test_what_a_form_marks_is_learnt_by_whoever_holds_the_mask() -> None:
    mask = Mask()
    assert mask(f"a {SECRET}") == f"a {SECRET}"
    mask.learn(secrets_in({"properties": {"pass_word": {"airbyte_secret": True}}}, {"pass_word": SECRET}))
    assert mask(f"a {SECRET}") == "a ****"


def test_every_part_of_a_pipeline_is_looked_at_before_the_specs_are_known() -> None:
    whole = {
        "source": {"command": ["x", "--token=word-one"], "config": {"url": "a://u:word-two@h"}},
        "destination": {"image": "y", "docker_args": "-e PASSWORD=word-three"},
        "monitoring": {"smtp": {"password": "word-four"}},
        "state": "postgresql://u:word-five@h/d",
    }
    assert first_mask(load(whole)[0])("word-one word-two word-three word-four word-five") == "**** **** **** **** ****"


# Before a run begins


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A pipeline whose state cannot be written, which is told with its whole address."""
    (tmp_path / f"u:{SECRET}@h").touch()
    connector = {"command": ["true"]}
    whole = {"source": connector, "destination": connector, "state": f"file://u:{SECRET}@h/s.db"}
    (tmp_path / "p.yaml").write_text(json.dumps(whole))
    return tmp_path / "p.yaml"


def test_a_run_that_cannot_begin_tells_no_secret(file: Path) -> None:
    [finished] = run(file)
    assert isinstance(finished, Finished)
    assert "u:****@h/s.db cannot be written" in finished.error


@pytest.mark.parametrize("words", ["run", "runs", "state show", "state reset", "state set"])
def test_a_command_that_fails_tells_no_secret(file: Path, words: str) -> None:
    done = CliRunner().invoke(airpipe, [*words.split(), str(file)], input="[]")
    assert done.exit_code in (1, 2)
    assert "u:****@h/s.db cannot be written" in done.output
    assert SECRET not in done.output


def test_a_mail_about_it_tells_none(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Any] = []
    monkeypatch.setenv("SMTP_HOST", "127.0.0.1")
    monkeypatch.setattr("airpipe.alerts.Post.send", lambda _post, mail: sent.append(mail))
    alerts = [{"type": "email", "condition": "error_rate > 5%", "recipients": ["a@b.c"]}]
    file.write_text(json.dumps({**json.loads(file.read_text()), "monitoring": {"alerts": alerts}}))
    [loaded], [finished] = load(file), run(file)
    assert isinstance(finished, Finished)
    assert alert(loaded, finished, print) == 1
    assert "u:****@h/s.db" in sent[0].get_content()
    assert SECRET not in sent[0].get_content()


def test_a_preview_shows_no_secret_that_only_the_spec_knows(bench: Bench) -> None:
    bench.source_command = [*command("source_plain"), "tells secrets"]
    bench.source |= {"password": "geheim/wort", "key": SECRET}
    done = CliRunner().invoke(airpipe, ["preview", str(bench.write())])
    assert done.exit_code == 0, done.output
    assert "source: **** ****" in done.output
    assert SECRET not in done.output


def test_a_connector_does_not_steer_the_terminal(bench: Bench) -> None:
    bench.source_command = [*command("source_plain"), "tells secrets"]
    bench.source |= {"password": "x", "key": "\x1b[2"}  # Too short to be masked.
    done = CliRunner().invoke(airpipe, ["preview", str(bench.write())])
    assert "source: x �[2" in done.output
