"""Which engine runs images."""

from __future__ import annotations

from pathlib import Path

import pytest

from connector_parts import containers


def docker(folder: Path, status: int = 0) -> Path:
    """A `docker` behind which an engine answers, or does not."""
    folder.mkdir(parents=True)
    command = folder / "docker"
    command.write_text(f"#!/bin/sh\nexit {status}\n")
    command.chmod(0o755)
    return command


@pytest.fixture
def ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(containers, "cache", lambda: tmp_path / "cache")
    made = docker(tmp_path / "cache" / "containers" / "bin")
    (made.parents[1] / "done").touch()
    return made


def test_the_engine_of_the_machine_comes_first(ours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = docker(tmp_path / "theirs")
    monkeypatch.setenv("PATH", str(theirs.parent))
    assert containers.engine() == (theirs, None)
    monkeypatch.setenv("PATH", f"{ours.parent}:{theirs.parent}")
    assert containers.engine() == (theirs, None)


def test_the_engine_of_the_cache_is_known_on_path(ours: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The docs say to put it there: it builds on its own base all the same, since it has no public images."""
    monkeypatch.setenv("PATH", f"{ours.parent}/")
    assert containers.engine() == (ours, containers.BASE)


def test_a_docker_that_does_not_answer_is_passed_by(
    ours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(docker(tmp_path / "dead", 1).parent))
    assert containers.engine() == (ours, containers.BASE)
