"""Strangers judge our connectors: the CDK's standard tests, PyAirbyte as a client; and our suite judges a stranger."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from connector_parts import Postgres

STRANGERS = Path(__file__).parent / "strangers"
HOUSE = Path(__file__).parents[2]
Stranger = Callable[[str], Path]
OFFLINE = {"AIRBYTE_OFFLINE_MODE": "1", "DO_NOT_TRACK": "1", "NO_LIVE_PROGRESS": "1"}
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


def command(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def run(*words: object, **options: Any) -> str:
    """Run to the end, which must be a good one."""
    done = subprocess.run(
        [str(word) for word in words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        **options,
    )
    assert done.returncode == 0, done.stdout[-8000:]
    return str(done.stdout)


@pytest.fixture(scope="module")
def postgres_config(postgres: Postgres) -> dict[str, Any]:
    """A database with two tables, one of them without a key."""
    database = postgres.create_database()
    database.execute(
        "create table people (id int primary key, name text, changed_at timestamptz not null default now());"
        "insert into people select n, 'name ' || n from generate_series(1, 100) n;"
        "create table places (name text); insert into places values ('a'), ('b')"
    )
    where = {"host": postgres.host, "port": postgres.port, "database": database.database}
    return {**where, "username": postgres.user, "password": "swordfish-of-strangers"}


@pytest.fixture
def configs(postgres_config: dict[str, Any], tmp_path: Path) -> dict[str, dict[str, Any]]:
    """Of each connector, one that works."""
    bucket = {"s3_bucket_name": f"file://{tmp_path}/files", "s3_bucket_path": "", "s3_bucket_region": ""}
    files = {**bucket, "format": {"format_type": "JSONL", "compression": {"compression_type": "No Compression"}}}
    return {"source-postgres": postgres_config, "destination-s3": files}


def standard_tests(
    programs: Path, name: str, config: Mapping[str, Any], folder: Path, *options: str, path: str = ""
) -> str:
    """The CDK's standard tests for a connector, in a folder like those of Airbyte's own."""
    root = folder / name
    root.mkdir()
    shutil.copy(HOUSE / name / "metadata.yaml", root)
    (root / "config.json").write_text(json.dumps(config))
    sections: dict[str, Any] = {
        "spec": {"tests": [{"config_path": "config.json"}]},
        "connection": {"tests": [{"config_path": "config.json", "status": "succeed"}]},
    }
    if name.startswith("source"):
        sections["discovery"] = {"tests": [{"config_path": "config.json"}]}
        sections["basic_read"] = {"tests": [{"config_path": "config.json"}]}
    (root / "acceptance-test-config.yml").write_text(json.dumps({"acceptance_tests": sections}))
    python = programs / "python"
    shutil.copy(STRANGERS / "cdk_tests.py", root / "test_standard.py")
    (root / "pytest.ini").write_text("[pytest]\n")
    hooks = ["-p", "airbyte_cdk.test.standard_tests.pytest_hooks", "-p", "no:cacheprovider"]
    words = [python, "-m", "pytest", root, *hooks, "-q", "-rs", *options]
    more = {"COMMAND": command(name), "PYTHONPATH": str(STRANGERS), "PATH": f"{path}:{os.environ['PATH']}"}
    return run(*words, cwd=root, env={**os.environ, **more})


@pytest.mark.parametrize(("name", "passed"), [("source-postgres", 6), ("destination-s3", 2)])
def test_standard_tests_of_the_cdk_in_process(
    stranger: Stranger, name: str, passed: int, configs: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    told = standard_tests(stranger("cdk"), name, configs[name], tmp_path, "-m", "not image_tests")
    assert f"{passed} passed" in told, told


@pytest.mark.parametrize(("name", "passed"), [("source-postgres", 5), ("destination-s3", 3)])
def test_standard_tests_of_the_cdk_on_an_image(
    stranger: Stranger, name: str, passed: int, configs: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    shim = tmp_path / "bin"
    shim.mkdir()
    (shim / "docker").write_text(f'#!/bin/sh\nexec {sys.executable} -B {STRANGERS / "docker.py"} "$@"\n')
    (shim / "docker").chmod(0o755)
    options = ["-m", "image_tests", "--connector-image=image/under-test", "--read-from-streams=all"]
    told = standard_tests(stranger("cdk"), name, configs[name], tmp_path, *options, path=str(shim))
    assert f"{passed} passed" in told, told


def test_pyairbyte_reads_and_writes(stranger: Stranger, configs: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    asked = {
        "source": {"path": command("source-postgres"), "config": configs["source-postgres"]},
        "destination": {"path": command("destination-s3"), "config": configs["destination-s3"]},
        "streams": ["people", "places"],
    }
    told = run(
        stranger("pyairbyte") / "python",
        STRANGERS / "pyairbyte_sync.py",
        tmp_path,
        input=json.dumps(asked),
        env={**os.environ, **OFFLINE},
        cwd=tmp_path,
    )
    result = json.loads(told.partition("RESULT ")[2].splitlines()[0])
    assert result["counts"] == {"people": 100, "places": 2}
    rows = [json.loads(line) for path in tmp_path.rglob("*.jsonl") for line in path.read_bytes().splitlines()]
    names = sorted(row["_airbyte_data"]["name"] for row in rows)
    assert names == sorted([f"name {n}" for n in range(1, 101)] + ["a", "b"])


def test_pyairbyte_smoke_test_of_destinations(
    stranger: Stranger, configs: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    programs = stranger("pyairbyte")
    told = run(
        programs / "pyab",
        "destination-smoke-test",
        f"--destination={command('destination-s3')}",
        f"--config={json.dumps(configs['destination-s3'])}",
        "--scenarios=all",
        env={**os.environ, **OFFLINE, "PATH": f"{programs}:{os.environ['PATH']}"},
        cwd=tmp_path,
    )
    assert "success" in told.lower(), told


def test_our_suite_judges_a_stock_connector(stranger: Stranger, tmp_path: Path) -> None:
    """It takes seconds to start, so it is not asked everything."""
    config, report = tmp_path / "config.json", tmp_path / "report.json"
    config.write_text(json.dumps({"count": 60, "records_per_slice": 30, "always_updated": False}))
    source = stranger("faker") / "source-faker"
    groups = ("spec.*", "discover.*", "read.*", "state.*", "resume.does_not_start_anew", "judge.*", "always.*")
    only = [part for name in groups for part in ("--only", name)]
    words = [
        sys.executable,
        "-m",
        "acceptance_tests.cli",
        "--command",
        source,
        "--config",
        config,
        "--json",
        report,
        *only,
    ]
    told = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)
    assert told.returncode == 1, told.stdout + told.stderr
    outcomes = json.loads(report.read_text())
    failed = [one["test"] for one in outcomes if one["outcome"] == "failed"]
    assert failed == ["read.tells_of_a_stream_that_it_does_not_have"], told.stdout
    assert len([one for one in outcomes if one["outcome"] == "passed"]) > 45
