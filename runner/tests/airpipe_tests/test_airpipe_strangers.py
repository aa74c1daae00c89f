"""Connectors of others: airbyte-source-faker as a command, a destination of airbyte-cdk, any image."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from airpipe.events import Log
from airpipe.options import typed
from connector_parts import Missing, containers
from connector_parts.containers import Engine

from .bench import CONNECTORS, Bench, alive, command, of_command, until


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_images_by_docker_run(bench: Bench, docker: Path) -> None:
    images(bench)
    bench.source["echo"] = f"{bench.folder}/$${{NO_SUCH_VARIABLE}}"
    assert bench.run().status == "succeeded"
    assert bench.ids() == list(range(1, 1001))
    assert list(docker.iterdir()) == []
    assert (bench.folder / "${NO_SUCH_VARIABLE}").exists(), "what looks like a variable came as it is"


@pytest.mark.slow
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
def engine() -> Engine:
    """A real engine for images."""
    try:
        return containers.engine()
    except Missing as missing:
        pytest.skip(f"MISSING {missing}")


@pytest.fixture
def real_images(bench: Bench, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Two images that know nothing of us but the protocol, each a program in plain Python, and a pipeline of both."""
    monkeypatch.setenv("AIRPIPE_DOCKER", str(engine.docker))
    monkeypatch.chdir(tmp_path)  # Where memory runs out, podman leaves a note.
    base = engine.base or f"python:3.{sys.version_info.minor}-slim"
    for side in ("source", "destination"):
        folder = tmp_path / side
        folder.mkdir()
        shutil.copy(CONNECTORS / f"{side}_plain.py", folder / "connector.py")
        entry = '["python3", "/connector.py", "polite"]'
        (folder / "Dockerfile").write_text(f"FROM {base}\nCOPY connector.py /\nENTRYPOINT {entry}\n")
        words = [engine.docker, "build", "-q", "-t", f"localhost/airpipe-plain-{side}", folder]
        subprocess.run(words, stdout=subprocess.DEVNULL, check=True)
    (tmp_path / "files").mkdir()
    bench.more = {
        "source": {"image": "localhost/airpipe-plain-source", "config": bench.source},
        "destination": {
            "image": "localhost/airpipe-plain-destination",
            "config": {"path": "/files/rows"},
            "docker_args": ["-v", f"{tmp_path}/files:/files"],
        },
    }
    return bench


@pytest.mark.slow
def test_real_images_by_docker_run(real_images: Bench, engine: Engine, tmp_path: Path) -> None:
    real_images.source["rows"] = 100
    finished = real_images.run()
    assert (finished.status, finished.acknowledged) == ("succeeded", 100), finished.error
    real_images.source["rows"] = 103
    assert real_images.run().rows == 3
    rows = [json.loads(line)["data"]["id"] for line in (tmp_path / "files" / "rows").read_text().splitlines()]
    assert rows == list(range(1, 104))


@pytest.mark.slow
def test_the_memory_limit_of_a_real_container(real_images: Bench) -> None:
    real_images.source |= {"rows": 10, "megabytes": 200}
    real_images.more["sync_config"] = {"memory_limit": "60MB"}
    assert real_images.run().error == "The source used more than sync_config.memory_limit, 60.0 MB: raise it."


@pytest.mark.slow
def test_real_containers_end_with_a_killed_airpipe(real_images: Bench, engine: Engine) -> None:
    def running() -> list[str]:
        words = [engine.docker, "ps", "--format", "{{.Names}}", "--filter", "name=airpipe-source"]
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()

    real_images.source |= {"rows": 10, "hang": True}
    process = real_images.start()
    until(lambda: of_command(process.pid, "read"))
    [name] = until(running)
    process.kill()
    process.communicate()
    until(lambda: name not in running())


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_faker_of_airbyte(bench: Bench, stranger: Callable[[str], Path]) -> None:
    bench.source_command = [str(stranger("faker") / "source-faker")]
    bench.source |= {"count": 500, "seed": 7, "parallelism": 1, "always_updated": False}
    finished = bench.run()
    assert finished.status == "succeeded", finished.error
    rows = {report.stream: (report.mode, report.acknowledged, report.status) for report in finished.streams}
    assert rows["users"] == ("incremental/append_dedup", 500, "complete")
    assert len(bench.ids("users")) == 500
    assert len(bench.ids("products")) == rows["products"][1] == 100
    again = bench.run()
    assert (again.status, again.rows) == ("succeeded", 0)
