# ruff: noqa: E501  (the files stand as their users wrote them)
"""What a new user gets wrong, and the one line that says what to do. And what may stand in the file."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from airpipe import init
from airpipe.connectors import COLLECTION
from airpipe.errors import ConfigProblem
from airpipe.pipeline import json_schema, load
from airpipe.questions import programs
from connector_parts import Postgres

from .bench import AIRPIPE, CONNECTORS

EXAMPLES = Path(__file__).parents[3] / "examples"
SOURCE = f"{{command: [{sys.executable}, {CONNECTORS}/source_numbers.py], config: {{rows: 10}}}}"
DESTINATION = f"{{command: [{sys.executable}, {CONNECTORS}/destination_table.py], config: {{path: t.db}}}}"

TABLE = [
    # What is written, and the end of the line that comes back.
    ("source: {S}", "p.yaml:1: destination is missing"),
    ("source: {S}\ndestination: {D}\nstream: []", "p.yaml:3: stream: there is no such key; did you mean streams?"),
    (
        "source: {{type: s3}}\ndestination: {D}\nsource: {S}",
        "p.yaml:3: source: this key stands twice; keep one of them",
    ),
    (
        "source:\n  host: x\n  type: postgres\ndestination: {D}",
        "p.yaml:2: source.host: there is no such key; known are command, config, docker_args, image, type. Options of the "
        "connector belong under its config.",
    ),
    (
        "source: {{type: postgress, config: {{}}}}\ndestination: {D}",
        "p.yaml:1: source.type: the connector postgress is not installed; did you mean postgres?",
    ),
    (
        'source: {S}\ndestination:\n  type: "pinecone"\n  config: {{}}',
        "p.yaml:3: destination.type: the connector pinecone is not installed: no command destination-pinecone",
    ),
    (
        'source:\n  {{}}\ndestination: {D}',
        "p.yaml:1: source: say what to run by one of type, command and image",
    ),
    (
        'source: {S}\ndestination:\n  type: s3\n  config:\n    bucket: "${{NO_SUCH_BUCKET}}"',
        "p.yaml:5: destination.config.bucket: the environment variable NO_SUCH_BUCKET is not set; set it, or put "
        "NO_SUCH_BUCKET=… into .env beside the file",
    ),
    ("source: {S}\n\tdestination: {D}", "Indent by spaces, not by tabs."),
    ("source: {S}\ndestination: {D}\nstreams: numbers", "p.yaml:3: streams: must be a list, such as"),
    (
        "source: {S}\ndestination: {D}\nstreams:\n  - {{name: number}}",
        "p.yaml:4: streams[0].name: the source has no stream number, or may not read it; did you mean numbers?",
    ),
    (
        "source: {S}\ndestination: {D}\nstreams:\n  - name: numbers\n    cursor_field: idd",
        "p.yaml:5: streams[0].cursor_field: the stream numbers has no field idd; did you mean id?",
    ),
    (
        "source: {S}\ndestination: {D}\nincremental_sync:\n  cursor_field: update_at",
        "p.yaml:4: incremental_sync.cursor_field: no stream has a field update_at",
    ),
    (
        "source: {S}\ndestination: {D}\nstreams: [{{name: numbers, exclude: [id]}}]",
        "p.yaml:3: streams[0].exclude: id is the key of numbers and cannot be left out",
    ),
    (
        "source: {S}\ndestination: {D}\nstreams: [{{name: numbers, mode: incremental, write: overwrite}}]",
        "p.yaml:3: streams[0].write: overwrite with incremental would keep only what is new; choose mode: full_refresh",
    ),
    (
        "source: {S}\ndestination: {D}\nsync_config: {{memory_limit: lots}}",
        'p.yaml:3: sync_config.memory_limit: give a size such as "512MB" or "2GiB"',
    ),
    (
        "source: {S}\ndestination: {D}\nsync_config: {{timeout: 5 fortnights}}",
        'p.yaml:3: sync_config.timeout: give a time such as "30s", "5 minutes" or "1h 30m"',
    ),
    (
        'source: {S}\ndestination: {D}\nschedule: {{cron: "every day"}}',
        'p.yaml:3: schedule: every day is no cron line (minute hour day month weekday, such as "0 3 * * *")',
    ),
    (
        "source: {S}\ndestination: {D}\nmonitoring:\n  alerts:\n"
        '    - {{type: email, condition: "errors > 5%", recipients: [a@b.c]}}',
        "p.yaml:5: monitoring.alerts[0]: there is no metric errors; there are sync_duration",
    ),
    (
        "source:\n  command: [{P}, {C}/source_numbers.py]\n  config:\n    trouble: check\n    rows: 10\ndestination: {D}",
        "p.yaml:5: source.config.rows: rows: there are no such numbers",
    ),
    (
        "source: {S}\ndestination:\n  command: [{P}, {C}/destination_table.py]\n  config: {{}}",
        "p.yaml:4: destination.config: The config is not right: path: is required.",
    ),
    (
        "source: {{command: ./no-such-file}}\ndestination: {D}",
        "/no-such-file does not exist",
    ),
    (
        "source: {S}\ndestination: {D}\nstate: mysql://x/y",
        "p.yaml:3: state: state is a file, postgresql://user@host/database or s3://bucket/path",
    ),
    (
        "source: {S}\ndestination: {D}\nstate: postgresql://nobody@127.0.0.1:1/nothing",
        "p.yaml:3: state: the database of state cannot be reached:",
    ),
    ("sources: {S}\ndestination: {D}", "p.yaml:1: sources: there is no such key; did you mean source?"),
    ("source: postgres\ndestination: {D}", "p.yaml:1: source: must be a mapping; its keys are command, config,"),
    ("source: {S}\ndestination: {D}\nstreams: []", "p.yaml:3: streams: name at least one"),
    ("source: {S}\ndestination: {D}\nname: a/b", "p.yaml:3: name: only letters, digits, spaces,"),
    ("source: {S}\ndestination: {D}\nstate: s3://", "p.yaml:3: state: state is a file, postgresql://"),
]  # fmt: skip


def airpipe(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*AIRPIPE, *words], cwd=folder, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize(("text", "expected"), TABLE, ids=range(len(TABLE)))
@pytest.mark.slow
def test_each_mistake_gets_one_clear_line(tmp_path: Path, text: str, expected: str) -> None:
    text = text.format(S=SOURCE, D=DESTINATION, P=sys.executable, C=CONNECTORS)
    (tmp_path / "p.yaml").write_text(text)
    done = airpipe(tmp_path, "run", "p.yaml", "--log", "plain")
    assert done.returncode in (1, 2), done.stdout + done.stderr  # 130 would say that somebody stopped it.
    said = [line for line in (done.stdout + done.stderr).splitlines() if "error: " in line]
    assert len(said) == 1, done.stdout + done.stderr
    assert expected in said[0]
    assert "Traceback" not in done.stdout + done.stderr


def test_there_are_twenty_and_more() -> None:
    assert len(TABLE) >= 20


@pytest.fixture(scope="module")
def guarded() -> Any:
    """A database with a table that the role `reader` may not read."""
    with Postgres() as server:
        database = server.create_database("guarded")
        database.execute("create table t (id int primary key); create role reader login; create table open (id int)")
        database.execute("grant select on open to reader")
        yield database


@pytest.mark.parametrize(
    ("config", "streams", "expected"),
    [
        (
            {"username": "reader"},
            "[{name: public.t}]",
            "p.yaml:3: streams[0].name: the source has no stream public.t, or may not read it;",
        ),
        ({"username": "stranger"}, "[{name: t}]", 'role "stranger" does not exist'),
        ({"username": "reader", "tables": ["t"]}, "", "p.yaml:1: source"),
        ({"username": "reader", "port": 1}, "", "p.yaml:1: source.config"),
    ],
)
@pytest.mark.slow
def test_what_a_real_database_refuses(
    tmp_path: Path, guarded: Any, config: dict[str, Any], streams: str, expected: str
) -> None:
    config = {"host": guarded.host, "port": guarded.port, "database": guarded.database} | config
    source = yaml.safe_dump({"type": "postgresql", "config": config}, default_flow_style=True, width=1000).strip()
    more = f"streams: {streams}\n" if streams else ""
    (tmp_path / "p.yaml").write_text(f"source: {source}\ndestination: {DESTINATION}\n{more}")
    done = airpipe(tmp_path, "check", "p.yaml")
    assert done.returncode == 2
    assert expected in done.stderr
    assert len([line for line in done.stderr.splitlines() if line.startswith("error: ")]) == 1


# The file as it may be

USERS = [
    """
    source:
      type: "web-scraper"
      config:
        urls: ["https://api.example.com/articles", "https://blog.example.com/posts"]
        extraction_rules:
          - {field: "title", selector: "h1"}
          - {field: "content", selector: ".article-content"}
          - {field: "metadata", selector: ".article-meta"}
    destination:
      type: "s3"
      config: {bucket: "llm-training-data", format: "jsonl", compression: "gzip"}
    """,
    """
    source: {type: "kafka", config: {bootstrap_servers: "localhost:9092", topic: "llm-interactions", consumer_group: "airbyte-llm-monitor"}}
    destination: {type: "bigquery", config: {project_id: "llm-analytics", dataset_id: "interactions", table_id: "user_feedback"}}
    """,
    """
    source: {type: "postgresql", config: {host: "document-db.example.com", database: "knowledge_base", tables: ["documents", "embeddings"]}}
    destination: {type: "pinecone", config: {api_key: "${PINECONE_API_KEY}", environment: "us-west1-gcp", index_name: "llm-knowledge-base"}}
    """,
    """
    source: {type: "prometheus", config: {endpoint: "http://model-metrics:9090", query: "llm_inference_latency_seconds", interval: "30s"}}
    destination: {type: "datadog", config: {api_key: "${DATADOG_API_KEY}", site: "datadoghq.com", service: "llm-monitoring"}}
    """,
]  # fmt: skip
BESIDE = """
sync_config: {batch_size: 10000, parallel_workers: 4, memory_limit: "2GB", timeout: "3600s"}
incremental_sync: {cursor_field: "updated_at", lookback_window: "1 hour", deduplication_strategy: "unique_key"}
monitoring:
  metrics: ["sync_duration", "records_processed", "error_rate", "throughput"]
  alerts:
    - {type: "email", condition: "error_rate > 5%", recipients: ["admin@example.com"]}
"""
SEVERAL = """
pipelines:
  - name: "documents"
    source: {type: postgres}
    destination: {type: s3}
    streams:
      - {name: "public.doc*", mode: "incremental", cursor_field: "updated_at", primary_key: ["id"], exclude: ["secret"], rename: {body: "text"}}
    schedule: {every: "30s"}        # or {cron: "0 3 * * *"}
    state: "postgresql://user@host/db"
"""


@pytest.mark.parametrize("number", range(4))
def test_the_users_own_files_are_understood_as_they_stand(
    tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PINECONE_API_KEY", "p")
    monkeypatch.setenv("DATADOG_API_KEY", "d")
    text = textwrap.dedent(USERS[number]) + BESIDE
    (tmp_path / "mine.yaml").write_text(text)
    [loaded] = load(tmp_path / "mine.yaml")
    assert loaded.name == "mine"
    assert loaded.pipeline.monitoring.alerts[0].recipients == ["admin@example.com"]
    jsonschema.validate(yaml.safe_load(text), json_schema())


def test_several_pipelines_in_one_file(tmp_path: Path) -> None:
    (tmp_path / "many.yaml").write_text(SEVERAL + "sync_config: {timeout: 10s}\n")
    [loaded] = load(tmp_path / "many.yaml")
    assert loaded.pipeline.streams is not None
    assert loaded.pipeline.streams[0].rename == {"body": "text"}
    assert loaded.pipeline.sync_config.timeout == "10s"
    jsonschema.validate(yaml.safe_load(SEVERAL), json_schema())
    with pytest.raises(ConfigProblem, match="no pipeline nobody; there are documents"):
        load(tmp_path / "many.yaml", ["nobody"])


def test_references_are_filled_from_the_environment_and_a_file_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRPIPE_TEST_A", "one")
    (tmp_path / ".env").write_text("AIRPIPE_TEST_A=other\nAIRPIPE_TEST_B='two words'\n# AIRPIPE_TEST_C=no\n")
    (tmp_path / "p.yaml").write_text(
        'source: {type: a, config: {x: "${AIRPIPE_TEST_A}-${AIRPIPE_TEST_B}", y: "$${AIRPIPE_TEST_C}", z: "${AIRPIPE_TEST_C:-d e}"}}\n'
        "destination: {type: b}\n"
    )
    [loaded] = load(tmp_path / "p.yaml")
    assert loaded.pipeline.source.config == {"x": "one-two words", "y": "${AIRPIPE_TEST_C}", "z": "d e"}


def test_words_mean_what_they_look_like(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(
        "source: {type: a, config: {country: no, at: 12:30, on: 2024-01-01, zip: 01234, big: 1e3, off: false, none: ~}}\n"
        "destination: {type: b}\n"
    )
    config = load(tmp_path / "p.yaml")[0].pipeline.source.config
    expected = {"country": "no", "at": "12:30", "on": "2024-01-01", "zip": "01234", "big": 1000.0, "off": False}
    assert config == {**expected, "none": None}


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("*.yaml")))
def test_the_examples_are_understood(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (EXAMPLES / name).read_text()
    for variable in re.findall(r"\$\{(\w+)\}", text):
        monkeypatch.setenv(variable, "value")
    assert load(EXAMPLES / name)
    jsonschema.validate(yaml.safe_load(text), json_schema())


# How to get what is missing


def test_a_connector_of_the_collection_is_said_to_be_installed_from_a_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airpipe.connectors._places", list)
    with pytest.raises(ConfigProblem, match=r"`pip install \./sdk \./source-postgres`"):
        programs(load({"source": {"type": "postgresql"}, "destination": {"type": "s3"}})[0], "source")


def test_a_connector_of_nobody_is_not_said_to_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airpipe.connectors._places", list)
    with pytest.raises(ConfigProblem, match=r"Install a package that brings source-s3, name a program") as raised:
        programs(load({"source": {"type": "s3"}, "destination": {"type": "s3"}})[0], "source")
    assert "pip install" not in raised.value.message


@pytest.mark.parametrize(("side", "example"), [("source", "source-postgres"), ("destination", "destination-s3")])
def test_questions_without_any_connector_name_one_that_there_is(
    side: str, example: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airpipe.connectors._places", list)
    with pytest.raises(ConfigProblem, match=rf"no {side}-… command is installed; `pip install \./sdk \./{example}`"):
        init._side(side, {}, threading.Event())


@pytest.mark.parametrize("connector", COLLECTION)
def test_what_is_said_to_be_in_the_collection_is_there(connector: str) -> None:
    assert (EXAMPLES.parent / connector / "pyproject.toml").exists()
