"""The three questions to a connector: spec, check, discover."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from airpipe.connectors import Program
from airpipe.errors import AirpipeError, ConfigProblem, Stopped, TransientProblem
from airpipe.folder import Folder
from airpipe.messages import Side, lines, parse
from airpipe.process import Child, Ended, end_within

PATIENCE = {"spec": 120.0, "check": 540.0, "discover": 1800.0}
"""Seconds that an answer may take; as long as the stock platform waits."""
_ANSWERS = {
    "spec": ("SPEC", "spec"),
    "check": ("CONNECTION_STATUS", "connectionStatus"),
    "discover": ("CATALOG", "catalog"),
}
Log = Callable[[str, str, str], None]


class Stop(Protocol):
    """Something that says when it is enough, such as a `threading.Event`."""

    def is_set(self) -> bool: ...


def ask(
    program: Program, verb: str, folder: Folder | None, files: Sequence[str], stop: Stop, log: Log
) -> dict[str, Any]:
    """Run one command and return the body of its answer."""
    side = Side(program.side, log)
    child = Child(program.command(verb, folder, files))
    answers: list[dict[str, Any]] = []
    readers = [
        threading.Thread(target=_read, args=(child, side, *_ANSWERS[verb], answers)),
        threading.Thread(target=side.hear_errors, args=(child.stderr,)),
    ]
    for reader in readers:
        reader.start()
    try:
        ended = _wait(child, PATIENCE[verb], stop)
        for reader in readers:
            reader.join()
    finally:
        child.close()
    if answers:
        return _understood(program, verb, answers[-1])
    raise _failure(program, verb, ended, side)


def _wait(child: Child, seconds: float, stop: Stop) -> Ended | None:
    deadline = time.monotonic() + seconds
    while (ended := child.wait(0.1)) is None:
        if stop.is_set() or time.monotonic() > deadline:
            end_within(child, 3)
            if stop.is_set():
                raise Stopped("Stopped.")
            return None
    return ended


def _read(child: Child, side: Side, kind: str, key: str, answers: list[dict[str, Any]]) -> None:
    for line in lines(child.stdout):
        message = parse(line)
        if message is None:
            continue
        body = message.get(key)
        if message["type"] == kind and isinstance(body, dict):
            answers.append(body)
        else:
            side.hear(message)


def _understood(program: Program, verb: str, answer: dict[str, Any]) -> dict[str, Any]:
    """The answer, if it has the form that everything else counts on."""
    fine = True
    if verb == "spec":
        fine = isinstance(answer.get("connectionSpecification"), dict)
    elif verb == "discover":
        streams = answer.get("streams")
        fine = isinstance(streams, list) and all(map(_is_stream, streams))
    if not fine:
        raise ConfigProblem(f"{program.label} {verb} gave an answer that cannot be understood: a bug of the connector")
    return answer


def _is_stream(entry: Any) -> bool:
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        return False
    schema = entry.get("json_schema") or {}
    return isinstance(schema, dict) and isinstance(schema.get("properties") or {}, dict)


def _failure(program: Program, verb: str, ended: Ended | None, side: Side) -> AirpipeError:
    """Why there is no answer, in one line."""
    if trouble := side.worst:
        return (ConfigProblem if trouble.is_config else TransientProblem)(trouble.message)
    if ended is None:
        return TransientProblem(f"{program.label} {verb} gave no answer within {PATIENCE[verb]:.0f} s")
    return ConfigProblem(f"{program.label} {verb} gave no answer and {ended}{side.last_words}")
