"""airpipe: a pipeline of Airbyte connectors from one YAML file.

from airpipe import run

for event in run("pipeline.yaml"):
    print(event)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airpipe.library import run

__all__ = ["run"]


def __getattr__(name: str) -> Any:
    """`run` is imported when it is asked for: the command line starts without it."""
    if name == "run":
        from airpipe.library import run

        return run
    raise AttributeError(f"module 'airpipe' has no attribute {name!r}")
