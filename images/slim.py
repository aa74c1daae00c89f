"""Removes from installed packages what never runs: `slim.py LIST SITE_PACKAGES`.

A line of the list is a pattern of paths; one that begins with `!` keeps what the lines before it would remove.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path


def chosen(lines: list[str], root: Path) -> list[Path]:
    """What the patterns say is superfluous."""
    found: set[Path] = set()
    for line in lines:
        if line.startswith("!"):
            found.difference_update(root.glob(line[1:]))
        elif line and not line.startswith("#"):
            found.update(root.glob(line))
    return sorted(found)


def main(patterns: str, site_packages: str) -> None:
    for path in chosen(Path(patterns).read_text().splitlines(), Path(site_packages)):
        if path.is_dir():
            shutil.rmtree(path)
        elif path.exists():
            path.unlink()


if __name__ == "__main__":
    main(*sys.argv[1:])
