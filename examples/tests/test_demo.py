"""The demo ends well, twice in a row, and leaves its files and no process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

DEMO = Path(__file__).resolve().parent.parent / "demo.py"


@pytest.mark.slow
def test_the_demo_ends_well_and_can_be_run_again(tmp_path: Path) -> None:
    command = [sys.executable, str(DEMO), "--rows", "3000", "--output", str(tmp_path / "output")]
    for _ in range(2):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "as many as there should be: 3,000, each once" in done.stdout
        assert "as many as there should be: 120, each once" in done.stdout
        assert "as many as there should be: 0, each once" in done.stdout
    airpipe = [Path(sys.executable).with_name("airpipe"), "runs", tmp_path / "output" / "documents.yaml", "--json"]
    runs = [json.loads(line) for line in subprocess.run(airpipe, capture_output=True, check=True).stdout.splitlines()]
    assert [(run["run"], run["status"], run["rows"]) for run in runs] == [
        (3, "succeeded", 0), (2, "succeeded", 120), (1, "succeeded", 3000),
    ]  # fmt: skip
