"""What the tree says of a connector: its folder, its version, its metadata."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

TREE = Path(__file__).resolve().parent.parent.parent


def connectors() -> list[str]:
    """The names of all connectors."""
    return sorted(
        file.parent.name for kind in ("source", "destination") for file in TREE.glob(f"{kind}-*/metadata.yaml")
    )


def version(connector: str) -> str:
    """The version of a connector. Its pyproject.toml is where it is said; all else repeats it."""
    return _said(connector, "version")


def description(connector: str) -> str:
    """Its one sentence."""
    return _said(connector, "description")


def metadata(connector: str) -> dict[str, Any]:
    """What metadata.yaml says, which registries of connectors read."""
    data: dict[str, Any] = yaml.safe_load((TREE / connector / "metadata.yaml").read_text())["data"]
    return data


def _said(connector: str, key: str) -> str:
    text = (TREE / connector / "pyproject.toml").read_text()
    found = re.search(rf'^{key} = "(.*)"$', text, re.MULTILINE)
    assert found, f"{connector}/pyproject.toml says no {key}"
    return found[1]
