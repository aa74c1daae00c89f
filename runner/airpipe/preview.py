"""The first rows of a stream, without a destination; and what a source has."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from airpipe import catalog
from airpipe.ask import Log
from airpipe.catalog import StreamPlan
from airpipe.connectors import Program
from airpipe.errors import AirpipeError, ConfigProblem, TransientProblem
from airpipe.folder import Folder
from airpipe.mask import Mask
from airpipe.messages import Side, lines, parse
from airpipe.pipeline import Loaded
from airpipe.process import Child
from airpipe.questions import Questions, programs
from airpipe.streams import StreamName

PATIENCE = 60.0
"""Seconds to wait for rows."""


@contextmanager
def asked(
    loaded: Loaded, stop: threading.Event, mask: Mask, log: Log
) -> Iterator[tuple[dict[str, Any], Folder, Program]]:
    """The source's catalog, and the folder and program to read on with."""
    sides = programs(loaded, "source")
    with Folder() as folder:
        configs = {"source": dict(loaded.pipeline.source.config)}
        found = Questions(loaded, sides, configs, folder, stop, mask, log).ask(discover=True)
        yield found, folder, sides["source"]


def choose(loaded: Loaded, found: Mapping[str, Any], wanted: str | None) -> StreamPlan:
    """The stream that is asked for; without a name, the first that the pipeline moves."""
    plans = catalog.plan(loaded, found, []).streams
    if wanted is None:
        return plans[0]
    fitting = [plan for plan in plans if wanted in (str(plan.stream), plan.stream.name)]
    if not fitting:
        raise ConfigProblem(
            f"the pipeline moves no stream {wanted}; it moves {', '.join(str(p.stream) for p in plans)}"
        )
    return fitting[0]


def rows(
    program: Program, folder: Folder, plan: StreamPlan, count: int, stop: threading.Event, log: Log
) -> list[dict[str, Any]]:
    """The first rows as the destination would get them. The source is ended as soon as they are there."""
    folder.write("source-catalog", {"streams": [{**catalog.for_source(plan, 1, 0, 1), "sync_mode": "full_refresh"}]})
    child = Child(program.command("read", folder, ["source-config", "source-catalog"]))
    side = Side("source", log)
    found: list[dict[str, Any]] = []
    readers = [
        threading.Thread(target=_collect, args=(child, side, plan, count, found)),
        threading.Thread(target=side.hear_errors, args=(child.stderr,)),
    ]
    for reader in readers:
        reader.start()
    try:
        readers[0].join(PATIENCE)
    finally:
        child.close()
        for reader in readers:
            reader.join()
    if not found and side.worst:
        raise _error(side)
    return found


def _collect(child: Child, side: Side, plan: StreamPlan, count: int, found: list[dict[str, Any]]) -> None:
    for line in lines(child.stdout):
        message = parse(line)
        if message is None:
            continue
        record = message.get("record")
        if message["type"] != "RECORD" or not isinstance(record, dict):
            side.hear(message)
        elif StreamName(record.get("namespace"), record["stream"]) == plan.stream:
            found.append(_as_moved(record["data"], plan))
            if len(found) >= count:
                return


def _as_moved(data: Mapping[str, Any], plan: StreamPlan) -> dict[str, Any]:
    return {plan.rename.get(key, key): value for key, value in data.items() if key not in plan.exclude}


def _error(side: Side) -> AirpipeError:
    worst = side.worst
    assert worst is not None
    return (ConfigProblem if worst.is_config else TransientProblem)(worst.message)
