"""The commands as a user types them, with the real connectors: PostgreSQL to S3."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from connector_parts import S3, Database, Postgres

from .bench import AIRPIPE, Bench


def airpipe(folder: Path, *words: str, answers: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*AIRPIPE, *words],
        cwd=folder, input=answers, capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, **environment},
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return done


@pytest.fixture
def documents(postgres: Postgres) -> Database:
    database = postgres.create_database()
    database.execute("create table documents (id int primary key, title text, updated_at timestamptz default now())")
    database.execute("create table other (id int primary key)")
    database.execute("insert into documents select n, 'title ' || n from generate_series(1, 100) n")
    return database


@pytest.fixture
def file(tmp_path: Path, documents: Database) -> Path:
    config = {"host": documents.host, "port": documents.port, "database": documents.database, "username": "postgres"}
    whole = {
        "source": {"type": "postgresql", "config": config},
        "destination": {"type": "s3", "config": {"bucket": (tmp_path / "out").as_uri()}},
        "streams": [{"name": "documents", "cursor_field": "updated_at"}],
    }
    (tmp_path / "p.yaml").write_text(yaml.safe_dump(whole, sort_keys=False))
    return tmp_path / "p.yaml"


def arrived(folder: Path) -> list[dict[str, Any]]:
    lines = [line for path in sorted(folder.rglob("*.gz")) for line in gzip.decompress(path.read_bytes()).splitlines()]
    return [json.loads(line) for line in lines]


@pytest.mark.slow
def test_a_file_is_checked_run_and_looked_into(file: Path, documents: Database) -> None:
    folder = file.parent
    checked = airpipe(folder, "check", "p.yaml")
    assert "both are reached" in checked.stdout
    assert (
        "public.documents: incremental, append (by updated_at, as you said, the destination cannot dedup by id)"
        in checked.stdout
    )
    assert "skipped: public.other: not named under streams" in checked.stdout

    first = airpipe(folder, "run", "p.yaml")
    assert first.returncode == 0, first.stdout
    assert "p run 1: done, 100 rows arrived" in first.stdout
    assert "the next run reads what is newer by updated_at" in first.stdout
    documents.execute("update documents set title = 'new', updated_at = now() where id = 7")
    assert "p run 2: done, 1 row arrived" in airpipe(folder, "run", "p.yaml").stdout
    assert sorted(row["id"] for row in arrived(folder / "out")) == sorted([*range(1, 101), 7])

    runs = [json.loads(line) for line in airpipe(folder, "runs", "p.yaml", "--json").stdout.splitlines()]
    assert [(run["run"], run["status"], run["rows"]) for run in runs] == [(2, "succeeded", 1), (1, "succeeded", 100)]
    assert "succeeded" in airpipe(folder, "runs", "p.yaml").stdout
    assert "destination: 100 rows" in airpipe(folder, "logs", "p.yaml", "1").stdout
    assert "no log is kept of run 9" in airpipe(folder, "logs", "p.yaml", "9").stderr


@pytest.mark.slow
def test_states_are_shown_reset_and_set(file: Path) -> None:
    folder = file.parent
    assert json.loads(airpipe(folder, "state", "show", "p.yaml").stdout) == []
    airpipe(folder, "run", "p.yaml")
    shown = airpipe(folder, "state", "show", "p.yaml").stdout
    assert json.loads(shown)[0]["stream"]["stream_descriptor"] == {"name": "documents", "namespace": "public"}
    wrong = airpipe(folder, "state", "reset", "p.yaml", "--stream", "other")
    assert "no state is kept of the stream other; there is public.documents" in wrong.stderr
    assert (
        airpipe(folder, "state", "reset", "p.yaml", "--stream", "documents").stdout == "forgotten: public.documents\n"
    )
    assert json.loads(airpipe(folder, "state", "show", "p.yaml").stdout) == []
    assert airpipe(folder, "state", "set", "p.yaml", answers=shown).stdout == "set: public.documents\n"
    assert airpipe(folder, "state", "show", "p.yaml").stdout == shown
    assert "0 rows arrived" in airpipe(folder, "run", "p.yaml").stdout
    assert "these are no states" in airpipe(folder, "state", "set", "p.yaml", answers="{}").stderr


@pytest.mark.slow
def test_rows_are_previewed_without_a_destination(file: Path) -> None:
    rows = [json.loads(line) for line in airpipe(file.parent, "preview", "p.yaml", "--json").stdout.splitlines()]
    assert len(rows) == 10
    assert set(rows[0]) == {"id", "title", "updated_at"}
    assert "title 1" in airpipe(file.parent, "preview", "p.yaml", "documents", "--rows", "2").stdout
    assert "moves no stream other" in airpipe(file.parent, "preview", "p.yaml", "other").stderr
    assert not (file.parent / "out").exists() or not arrived(file.parent / "out")


@pytest.mark.slow
def test_what_a_source_has_is_listed(file: Path) -> None:
    listed = airpipe(file.parent, "discover", "p.yaml").stdout
    assert "public.documents" in listed
    assert "public.other" in listed
    found = json.loads(airpipe(file.parent, "discover", "p.yaml", "--json").stdout)
    assert {stream["name"] for stream in found["streams"]} == {"documents", "other"}


def test_the_schema_is_published() -> None:
    found = json.loads(subprocess.run([*AIRPIPE, "schema"], capture_output=True, check=True).stdout)
    assert "source" in found["else"]["properties"]
    assert "pipelines" in found["then"]["properties"]


@pytest.mark.slow
def test_from_questions_to_rows_in_s3(tmp_path: Path, documents: Database, s3: S3) -> None:
    bucket = s3.bucket()
    answers = [
        "postgres", documents.host, str(documents.port), documents.database, "documents, other", "", "postgres",
        "hidden-word",
        "", "documents", "updated_at",
        "s3", bucket, "access_key_id secret_access_key s3_endpoint", s3.access_key, s3.secret_key, s3.endpoint,
        "",
    ]  # fmt: skip
    done = airpipe(tmp_path, "init", "first.yaml", answers="\n".join(answers) + "\n")
    assert "first.yaml is written" in done.stdout, done.stdout + done.stderr
    assert done.stdout.count("it works") == 2, done.stdout
    text = (tmp_path / "first.yaml").read_text()
    assert "hidden-word" not in text + done.stdout
    assert s3.secret_key not in text
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600
    run = airpipe(tmp_path, "run", "first.yaml")
    assert "first run 1: done, 100 rows arrived" in run.stdout, run.stdout
    assert s3.client().list_objects_v2(Bucket=bucket)["KeyCount"] == 1


@pytest.mark.slow
def test_json_is_one_event_a_line(bench: Bench) -> None:
    done = airpipe(bench.folder, "run", str(bench.write()), "--log", "json")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events[0]["event"] == "started"
    assert events[-1]["event"] == "finished"
    assert events[-1]["acknowledged"] == 1000


@pytest.mark.slow
def test_a_terminal_gets_a_live_table(bench: Bench) -> None:
    bench.source["pause"] = 0.2
    bench.write()
    master, terminal = os.openpty()
    process = subprocess.Popen([*AIRPIPE, "run", str(bench.file)], stdout=terminal, stderr=terminal)
    os.close(terminal)
    shown = b""
    with suppress(OSError):  # The terminal is gone when its last user is.
        while data := os.read(master, 4096):
            shown += data
    os.close(master)
    assert process.wait() == 0
    text = shown.decode()
    assert "acknowledged" in text
    assert "of estimate" in text
    assert "pipeline run 1: done, 1,000 rows arrived" in text


@pytest.mark.slow
def test_several_pipelines_run_one_after_another(bench: Bench) -> None:
    both = [bench.value() | {"name": name} for name in ("one", "two")]
    bench.file.write_text(json.dumps({"pipelines": both}))
    assert airpipe(bench.folder, "run", "pipeline.yaml").stdout.count("done, 1,000 rows") == 2
    assert airpipe(bench.folder, "run", "pipeline.yaml", "two").stdout.count("done, 1,000 rows") == 1
    assert "choose one by --pipeline: one, two" in airpipe(bench.folder, "runs", "pipeline.yaml").stderr


def test_the_command_line_starts_light() -> None:
    heavy = "{'pydantic', 'rich', 'sqlite3', 'apscheduler', 'psycopg', 'botocore', 'connector_sdk'}"
    code = f"import sys, airpipe.cli; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
    heavy = "{'rich', 'apscheduler', 'psycopg', 'botocore', 'connector_sdk'}"
    code = f"import sys, airpipe.library; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
