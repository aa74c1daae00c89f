"""What every part has in common: a place to build it, a way to say that it is missing, the list of all parts."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

PARTS = ("postgres", "s3", "containers")
"""The modules of this package that hold parts. Each has `survey(build)`, which yields one `Part` per server."""


class Missing(Exception):
    """A part cannot be had on this machine: which one, why, and what would help."""

    def __init__(self, part: str, why: str, install: str) -> None:
        super().__init__(part, why, install)
        self.part, self.why, self.install = part, why, install

    def __str__(self) -> str:
        return f"{self.part}: {self.why}; {self.install}"


@dataclass(frozen=True, slots=True)
class Part:
    """One server, and where it is; or why it is not there."""

    name: str
    found: str | None
    missing: Missing | None = None

    def __str__(self) -> str:
        return f"{self.name}: {self.found}" if self.found else f"MISSING {self.missing}"


def find(name: str, where: Callable[[], object]) -> Part:
    """A part, from a function that gives its place or raises `Missing`."""
    try:
        return Part(name, str(where()))
    except Missing as missing:
        return Part(name, None, missing)


def survey(build: bool = False) -> Iterator[Part]:
    """Every part. With `build`, what has to be built is built first; without, nothing is changed."""
    for name in PARTS:
        yield from import_module(f"connector_parts.{name}").survey(build)


def cache() -> Path:
    """Where built parts are kept between runs: outside of the tree, made when needed."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "connector-parts"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def only_one(name: str) -> Iterator[None]:
    """Hold a lock that other processes of this machine respect, so that a part is built once."""
    with (cache() / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
