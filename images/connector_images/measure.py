"""What docs/images.md says of size and start, measured on this machine."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from statistics import median

from connector_parts.containers import Engine

RUNS = 15


def table(engine: Engine, images: list[str]) -> Iterator[str]:
    """The lines of a table: size, and the time that a container takes from the command to its end."""
    yield "| image | size | `docker run … spec` | `docker run … true` |"
    yield "|---|---|---|---|"
    for image in images:
        spec, nothing = seconds(engine, image, "spec"), seconds(engine, "--entrypoint=true", image)
        yield f"| {image} | {size(engine, image):.0f} MB | {spec:.2f} s | {nothing:.2f} s |"


def size(engine: Engine, image: str) -> float:
    """Megabytes of an image, its base included."""
    command = [str(engine.docker), "image", "inspect", "--format", "{{.Size}}", image]
    return int(subprocess.run(command, capture_output=True, check=True).stdout) / 1e6


def seconds(engine: Engine, *words: str) -> float:
    """The median of some runs of a container that has no network."""

    def once() -> float:
        started = time.monotonic()
        subprocess.run([str(engine.docker), "run", "--rm", "--network=none", *words], capture_output=True, check=True)
        return time.monotonic() - started

    return median(once() for _ in range(RUNS))
