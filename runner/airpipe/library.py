"""The library: `for event in run("pipeline.yaml"): …`."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from airpipe.conduct import conduct
from airpipe.events import Event, Finished, Progress
from airpipe.pipeline import Loaded, load

AT_MOST = 10_000
"""Events that may wait for a slow reader; Progress is left out before that."""


def run(file: str | Path | Mapping[str, Any], *pipelines: str, stop: threading.Event | None = None) -> Iterator[Event]:
    """Run the pipelines of a file, or those named, one after another; yields what happens as it happens.

    Each ends in a `Finished`, which says whether it succeeded: a failed run raises nothing. A mistake in the file
    itself raises `ConfigProblem`. Setting `stop`, or closing the iterator, ends the run within ten seconds, with what
    is safe saved. A slow reader slows nothing down.
    """
    for loaded in load(file, pipelines):
        yield from run_loaded(loaded, stop or threading.Event())


def run_loaded(loaded: Loaded, stop: threading.Event) -> Iterator[Event]:
    """The same for one pipeline that is loaded already."""
    events: queue.SimpleQueue[Event | BaseException] = queue.SimpleQueue()

    def emit(event: Event) -> None:
        if not isinstance(event, Progress) or events.qsize() < AT_MOST:
            events.put(event)

    def work() -> None:
        try:
            conduct(loaded, emit, stop)
        except BaseException as error:
            events.put(error)

    thread = threading.Thread(target=work, name=f"run {loaded.name}")
    thread.start()
    event: Event | BaseException | None = None
    try:
        while not isinstance(event, Finished):
            event = events.get()
            if isinstance(event, BaseException):
                raise event
            yield event
    finally:
        if not isinstance(event, (Finished, BaseException)):  # Nobody listens any more.
            stop.set()
        thread.join()
