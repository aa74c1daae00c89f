"""The end of a run lists what was not run, and why."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

TESTS = """
import pytest
from connector_parts import Missing
from connector_parts.pytest_plugin import session_part

class Absent:
    def start(self):
        raise Missing("Absent 1", "nobody has it", "install: apt-get install absent")

@pytest.fixture(scope="session")
def absent():
    yield from session_part(Absent)

def test_one(absent): pass
def test_two(absent): pass
def test_three(): pass
@pytest.mark.skip(reason="of no use today")
def test_four(): pass
"""


@pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["alone", "xdist"])
def test_what_was_not_run_is_listed(tmp_path: Path, workers: list[str]) -> None:
    (tmp_path / "test_some.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-p", "connector_parts.pytest_plugin", *workers, str(tmp_path)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    head, _, tail = done.stdout.partition("NOT RUN: 3")
    assert "part: PostgreSQL 18" in head
    lines = [line.strip() for line in tail.splitlines()[1:-1] if line.strip()]
    assert lines[-5:] == [
        "MISSING Absent 1: nobody has it; install: apt-get install absent",
        "test_some.py::test_one",
        "test_some.py::test_two",
        "of no use today",
        "test_some.py::test_four",
    ]
    assert "1 passed, 3 skipped" in tail.splitlines()[-1]
