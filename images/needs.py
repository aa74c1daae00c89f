"""What a connector is made of: `needs.py CONNECTOR FOLDER` writes three lists into the folder, for the Dockerfile.

`ours.txt`: folders of this tree that it needs, itself included; `ours-names.txt`: their names; `others.txt`: what they
need of others.
"""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path

tomllib = importlib.import_module("tomllib")  # Part of Python from 3.11 on, which every image has.


def projects(tree: Path) -> dict[str, Path]:
    """The packages of this tree by their names."""
    return {tomllib.loads(file.read_text())["project"]["name"]: file.parent for file in tree.glob("*/pyproject.toml")}


def needs(name: str, ours: dict[str, Path]) -> tuple[dict[str, Path], set[str]]:
    """The packages of this tree that `name` needs, itself included, and what they need of others."""
    folders, others, waiting = {}, set(), [name]
    while waiting:
        name = waiting.pop()
        folders[name] = ours[name]
        for needed in tomllib.loads((ours[name] / "pyproject.toml").read_text())["project"].get("dependencies", []):
            if (package := re.split(r"[^\w.-]", needed, maxsplit=1)[0]) not in ours:
                others.add(needed)
            elif package not in folders:
                waiting.append(package)
    return folders, others


def main(connector: str, folder: str) -> None:
    ours = projects(Path())
    if connector not in ours:
        sys.exit(f"there is no connector {connector} here; there are {', '.join(sorted(ours))}")
    folders, others = needs(connector, ours)
    lists = {"ours": [f"./{place}" for place in folders.values()], "ours-names": folders, "others": others}
    for name, words in lists.items():
        Path(folder, f"{name}.txt").write_text("".join(f"{word}\n" for word in sorted(words)))


if __name__ == "__main__":
    main(*sys.argv[1:])
