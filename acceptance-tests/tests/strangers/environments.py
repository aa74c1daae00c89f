"""Environments of strangers: each with its own packages, made once in the cache, never mixed with ours."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from connector_parts.parts import cache, only_one

CDK = ("airbyte-cdk[dev]==7.39.1",)
PYAIRBYTE = ("airbyte==0.71.3",)
FAKER = ("airbyte-source-faker==7.2.1",)


def environment(name: str, packages: tuple[str, ...]) -> Path:
    """The `bin` folder of an environment with these packages; a test is skipped where it cannot be had."""
    mark = "-".join(part.replace("==", "-").replace("[", "-").replace("]", "") for part in packages)
    folder = cache() / f"stranger-{name}-{mark}-{sys.version_info.major}.{sys.version_info.minor}"
    with only_one(f"stranger-{name}"):
        if not (folder / "ready").exists():
            _make(folder, name, packages)
    return folder / "bin"


def _make(folder: Path, name: str, packages: tuple[str, ...]) -> None:
    uv = Path(sys.executable).with_name("uv")
    program = str(uv) if uv.exists() else "uv"
    for words in (
        [program, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)],
        [program, "pip", "install", "--quiet", "--python", str(folder / "bin" / "python"), *packages],
    ):
        try:
            done = subprocess.run(words, capture_output=True, text=True, check=False)
        except OSError as error:
            pytest.skip(f"MISSING {name}: {error}; install: pip install uv")
        if done.returncode:
            why = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            pytest.skip(f"MISSING {name}: {why}; it needs Python 3.10 to 3.12 and a package index")
    (folder / "ready").touch()
