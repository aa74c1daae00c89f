"""What only the connector's author can do: put rows into a source's system, get rows out of a destination's store."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from acceptance_tests.process import Process
from acceptance_tests.protocol import StreamId, dumps, loads
from acceptance_tests.suite import Failure

Row = dict[str, Any]

Put = Callable[[StreamId, Sequence[Row], Sequence[Row]], None]
"""`put(stream, rows, delete)` returns when the source's system holds the rows and not the deleted ones.

An existing key is replaced; `delete` are objects with the key's fields.
"""

Get = Callable[[StreamId], list[Row]]
"""`get(stream)`: what the store holds, as a reader sees it."""


def shell_put(command: str, seconds: float) -> Put:
    """A shell command that is given `{"stream", "namespace", "rows", "delete"}` on its standard input."""

    def put(stream: StreamId, rows: Sequence[Row], delete: Sequence[Row]) -> None:
        _shell("--put", command, {**_named(stream), "rows": list(rows), "delete": list(delete)}, seconds)

    return put


def shell_get(command: str, seconds: float) -> Get:
    """A shell command that is given `{"stream", "namespace"}` and prints rows, one JSON object a line."""

    def get(stream: StreamId) -> list[Row]:
        rows = []
        for number, line in enumerate(_shell("--get", command, _named(stream), seconds), 1):
            if not line.strip():
                continue
            try:
                row = loads(line)
            except ValueError as error:
                row = error
            if not isinstance(row, dict):
                raise _broken(
                    "--get", command, f"line {number} is no JSON object: {line[:120].decode(errors='replace')}"
                )
            rows.append(row)
        return rows

    return get


def _named(stream: StreamId) -> Mapping[str, Any]:
    return {"stream": stream.name, "namespace": stream.namespace}


def _shell(option: str, command: str, request: Mapping[str, Any], seconds: float) -> list[bytes]:
    with Process(["/bin/sh", "-c", command], folder=".", takes_input=True) as process:
        process.offer(dumps(request).encode(errors="surrogatepass") + b"\n")
        done = process.finish(seconds)
    if done.code != 0:
        raise _broken(option, command, f"{done.ended}; it said: {done.stderr.strip()[-500:] or 'nothing'}")
    return [*done.lines, done.tail]


def _broken(option: str, command: str, seen: str) -> Failure:
    return Failure(f"the {option} command ends with 0 and does what it should", seen, f"the command: {command}")
