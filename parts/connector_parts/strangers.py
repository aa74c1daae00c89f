"""Connectors and clients of others, for tests: each in an environment of its own, made once in the cache, never mixed
with ours."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from connector_parts.parts import Missing, cache, only_one

PACKAGES = {
    "cdk": "airbyte-cdk[dev]==7.39.1",
    "pyairbyte": "airbyte==0.71.3",
    "faker": "airbyte-source-faker==7.2.1",
}
_INSTALL = "it needs Python 3.10 to 3.12 and a package index"


def programs(name: str) -> Path:
    """The `bin` folder of the environment with this entry of `PACKAGES`. Raises `Missing`."""
    package = PACKAGES[name]
    mark = package.replace("==", "-").translate({ord("["): "-", ord("]"): None})
    folder = cache() / f"stranger-{name}-{mark}-{sys.version_info.major}.{sys.version_info.minor}"
    with only_one(f"stranger-{name}"):
        if not (folder / "compiled").exists():
            _make(folder, package)
    return folder / "bin"


def _make(folder: Path, package: str) -> None:
    """With compiled modules: these programs are started dozens of times, and import a thousand modules each time."""
    uv = Path(sys.executable).with_name("uv")
    for words in (
        ["venv", "--clear", "--python", sys.executable, str(folder)],
        ["pip", "install", "--compile-bytecode", "--python", str(folder / "bin" / "python"), package],
    ):
        try:
            done = subprocess.run([str(uv), "--quiet", *words], capture_output=True, text=True, check=False)
        except OSError as error:
            raise Missing(package, str(error), "pip install uv") from None
        if done.returncode:
            why = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise Missing(package, why, _INSTALL)
    (folder / "compiled").touch()
