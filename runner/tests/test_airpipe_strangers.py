"""Connectors of others: airbyte-source-faker as a command, a destination of airbyte-cdk, any image."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from airpipe.connectors import typed
from airpipe.events import Log

from .bench import CONNECTORS, Bench, alive, command, until

CACHE = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "airpipe-tests"


def test_a_destination_of_airbyte_cdk(bench: Bench) -> None:
    bench.destination_command = command("destination_stranger")
    bench.more = {"streams": [{"name": "numbers", "cursor_field": "id"}]}
    bench.destination["path"] = str(bench.folder / "rows")
    told = [event.message for event in bench.events() if isinstance(event, Log) and event.level == "WARN"]
    assert told.count("the destination leaves the ids of states out; a stock Airbyte would stop here") == 1
    bench.source["rows"] = 1005
    again = bench.run()
    assert (again.status, again.rows, again.acknowledged) == ("succeeded", 5, 5)
    ids = [json.loads(line)["id"] for line in (bench.folder / "rows").read_text().splitlines()]
    assert ids == list(range(1, 1006))


def test_texts_of_the_environment_become_the_numbers_that_a_strict_connector_wants() -> None:
    form = {
        "properties": {"port": {"type": "integer"}, "name": {"type": "string"}, "on": {"type": ["boolean", "null"]}}
    }
    config = {"port": "5432", "name": "7", "on": "true", "other": "1"}
    assert typed(config, form) == {"port": 5432, "name": "7", "on": True, "other": "1"}


def test_an_overwrite_by_a_destination_that_knows_no_generations(bench: Bench) -> None:
    bench.destination_command = command("destination_stranger")
    bench.destination["path"] = str(bench.folder / "rows")
    for _ in range(2):
        finished = bench.run()
        assert (finished.status, finished.acknowledged) == ("succeeded", 1000)
    assert len((bench.folder / "rows").read_text().splitlines()) == 1000


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `docker` on PATH whose images are the connectors of the tests."""
    containers = tmp_path / "containers"
    containers.mkdir()
    script = tmp_path / "bin" / "docker"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nexec {sys.executable} {CONNECTORS / "docker.py"} "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("DOCKER_CONTAINERS", str(containers))
    return containers


def images(bench: Bench) -> None:
    bench.more |= {
        "source": {"image": "anyone/source_numbers:1", "config": bench.source, "docker_args": ["--network=host"]},
        "destination": {"image": "anyone/destination_table:2", "config": bench.destination},
    }


def test_images_by_docker_run(bench: Bench, docker: Path) -> None:
    images(bench)
    assert bench.run().status == "succeeded"
    assert bench.ids() == list(range(1, 1001))
    assert list(docker.iterdir()) == []


def test_containers_end_with_a_killed_airpipe(bench: Bench, docker: Path) -> None:
    images(bench)
    bench.source |= {"trouble": "hang", "after": 100, "once": str(bench.folder / "once")}
    process = bench.start()
    until(lambda: (bench.folder / "once").exists())
    pids = [int(path.read_text()) for path in docker.iterdir()]
    assert pids
    process.kill()
    process.communicate()
    until(lambda: not any(map(alive, pids)), 12)
    assert list(docker.iterdir()) == []


@pytest.fixture(scope="session")
def faker() -> Path:
    """airbyte-source-faker in an environment of its own, installed once."""
    place = CACHE / "faker"
    if not (place / "bin" / "source-faker").exists():
        uv = Path(sys.executable).with_name("uv")
        made = subprocess.run([uv, "venv", "-q", "--allow-existing", "--python", "3.11", place], check=False)
        words = [str(uv), "pip", "install", "-q", f"--python={place}/bin/python", "airbyte-source-faker==7.2.1"]
        if made.returncode or subprocess.run(words, check=False).returncode:
            pytest.skip("airbyte-source-faker cannot be installed: it needs Python 3.11 and a package index")
    return place / "bin" / "source-faker"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_faker_of_airbyte(bench: Bench, faker: Path) -> None:
    bench.source_command = [str(faker)]
    bench.source |= {"count": 500, "seed": 7, "parallelism": 1, "always_updated": False}
    finished = bench.run()
    assert finished.status == "succeeded", finished.error
    rows = {report.stream: (report.mode, report.acknowledged, report.status) for report in finished.streams}
    assert rows["users"] == ("incremental/append_dedup", 500, "complete")
    assert len(bench.ids("users")) == 500
    assert len(bench.ids("products")) == rows["products"][1] == 100
    again = bench.run()
    assert (again.status, again.rows) == ("succeeded", 0)
