"""How the tests drive the SDK: in this process with real pipes and files, or as a stranger through the command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from connector_sdk import destination as destinations
from connector_sdk import log, logs
from connector_sdk import source as sources
from connector_sdk.catalog import parse_catalog
from connector_sdk.output import Output
from connector_sdk.state import parse_input_state

SDK = Path(__file__).resolve().parent.parent
PATIENCE = 60
"""Seconds after which a process that should have ended has failed the test."""


# Messages and catalogs, as plain Python


def record(stream: str, data: Any, namespace: str | None = None, **more: Any) -> str:
    body = {"stream": stream, "data": data, "emitted_at": 1, **more}
    return json.dumps({"type": "RECORD", "record": body | ({"namespace": namespace} if namespace is not None else {})})


def state(stream: str, value: Any, namespace: str | None = None, **more: Any) -> str:
    descriptor = {"name": stream} | ({"namespace": namespace} if namespace is not None else {})
    body = {"type": "STREAM", "stream": {"stream_descriptor": descriptor, "stream_state": value}, **more}
    return json.dumps({"type": "STATE", "state": body})


def status(stream: str, word: str, namespace: str | None = None) -> str:
    descriptor = {"name": stream} | ({"namespace": namespace} if namespace is not None else {})
    body = {"stream_descriptor": descriptor, "status": word}
    return json.dumps({"type": "TRACE", "trace": {"type": "STREAM_STATUS", "emitted_at": 1.0, "stream_status": body}})


def catalog(*streams: str | dict[str, Any], **each: Any) -> dict[str, Any]:
    """A configured catalog of streams; `each` goes into every entry, a dict `{"name": …}` brings its own."""
    entries = []
    for stream in streams:
        own = dict(stream) if isinstance(stream, dict) else {"name": stream}
        inner = {"name": own.pop("name"), "json_schema": {"type": "object", "properties": {}}}
        if "namespace" in own:
            inner["namespace"] = own.pop("namespace")
        entries.append({"stream": inner, "sync_mode": "full_refresh", "destination_sync_mode": "append", **each, **own})
    return {"streams": entries}


def lines_of(*messages: str) -> bytes:
    return "".join(message + "\n" for message in messages).encode()


@dataclass
class Said:
    """What a connector said: messages, and how it ended."""

    out: bytes
    err: str = ""
    code: int | None = None
    error: BaseException | None = None
    ok: bool | None = None
    messages: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.messages = [json.loads(line) for line in self.out.splitlines()]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self.messages if message["type"] == kind]

    @property
    def rows(self) -> list[Any]:
        return [message["record"]["data"] for message in self.of("RECORD")]

    @property
    def states(self) -> list[dict[str, Any]]:
        return [message["state"] for message in self.of("STATE")]

    @property
    def stream_states(self) -> list[Any]:
        return [state["stream"]["stream_state"] for state in self.states]

    @property
    def statuses(self) -> list[tuple[str, str]]:
        bodies = [m["trace"]["stream_status"] for m in self.of("TRACE") if m["trace"]["type"] == "STREAM_STATUS"]
        return [(body["stream_descriptor"]["name"], body["status"]) for body in bodies]

    @property
    def errors(self) -> list[dict[str, Any]]:
        return [m["trace"]["error"] for m in self.of("TRACE") if m["trace"]["type"] == "ERROR"]

    @property
    def logs(self) -> list[str]:
        return [message["log"]["message"] for message in self.of("LOG")]


# In this process


@contextmanager
def captured(folder: Path) -> Iterator[tuple[Output, Callable[[], bytes]]]:
    """An Output into a file, logs included, and what it holds so far."""
    path = folder / f"out-{len(list(folder.iterdir()))}"
    fd = os.open(path, os.O_CREAT | os.O_RDWR | os.O_APPEND)
    output = Output(fd)
    handler = logs._Handler(output)
    level = log.level
    log.addHandler(handler)
    log.setLevel("INFO")
    try:
        yield output, path.read_bytes
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
        output.flush()
        os.close(fd)


@pytest.fixture
def read_here(tmp_path: Path) -> Callable[..., Said]:
    """Run the read loop of a Source in this process."""

    def read(source: Any, streams: dict[str, Any], given: Any = None, config: Any = None) -> Said:
        ok, error = None, None
        with captured(tmp_path) as (output, written):
            try:
                states = parse_input_state(json.dumps(given).encode() if given is not None else b"")
                ok = sources.read(source, config, parse_catalog(json.dumps(streams).encode()), states, output)
            except BaseException as caught:
                error = caught
            output.flush()
            return Said(written(), error=error, ok=ok)

    return read


@pytest.fixture
def write_here(tmp_path: Path) -> Callable[..., Said]:
    """Run the write loop of a Destination in this process, fed through a pipe with bytes, or with some bytes, a
    function that waits for something, and more bytes.
    """

    def write(destination: Any, streams: dict[str, Any], text: bytes | list[Any], config: Any = None) -> Said:
        reading, writing = os.pipe()
        feeder = threading.Thread(
            target=_feed, args=(writing, [text] if isinstance(text, bytes) else text), daemon=True
        )
        feeder.start()
        error = None
        with captured(tmp_path) as (output, written):
            try:
                destinations.write(destination, config, parse_catalog(json.dumps(streams).encode()), reading, output)
            except BaseException as caught:
                error = caught
            finally:
                os.close(reading)
                feeder.join()
            output.flush()
            return Said(written(), error=error)

    return write


def _feed(fd: int, parts: list[Any]) -> None:
    try:
        with os.fdopen(fd, "wb", buffering=0) as pipe:
            for part in parts:
                view = memoryview(b"" if callable(part) else part)
                while view:
                    view = view[pipe.write(view) :]
                if callable(part):
                    part()
    except BrokenPipeError:
        return


# As a stranger

HEADER = """\
from __future__ import annotations
import json, logging, os, signal, sys, threading, time
from pathlib import Path
from typing import Annotated, Literal
from pydantic import Field
from connector_sdk import *
from connector_sdk import log
from connector_sdk.retry import Backoff
"""


class Connector:
    """A connector as a program of its own, in a folder of its own."""

    def __init__(self, folder: Path, code: str) -> None:
        self.folder = folder
        self.program = folder / f"connector_{len(list(folder.glob('connector_*')))}.py"
        self.program.write_text(HEADER + textwrap.dedent(code))

    def file(self, name: str, value: Any) -> str:
        path = self.folder / name
        if isinstance(value, bytes):
            path.write_bytes(value)
        else:
            path.write_text(value if isinstance(value, str) else json.dumps(value))
        return str(path)

    def command(self, verb: str, config: Any = None, streams: Any = None, given: Any = None) -> list[str]:
        command = [sys.executable, str(self.program), verb]
        if verb != "spec":
            command += ["--config", self.file("config.json", {} if config is None else config)]
        if streams is not None:
            command += ["--catalog", self.file("catalog.json", streams)]
        if given is not None:
            command += ["--state", self.file("state.json", given)]
        return command

    def environment(self, **more: str) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if key != "LOG_LEVEL"}
        return {**kept, "PYTHONPATH": str(SDK), **more}

    def run(
        self, verb: str, config: Any = None, streams: Any = None, given: Any = None, text: bytes = b"", **env: str
    ) -> Said:
        """Run one command to its end."""
        command = self.command(verb, config, streams, given)
        done = subprocess.run(
            command, input=text, capture_output=True, timeout=PATIENCE, env=self.environment(**env), check=False
        )
        return Said(done.stdout, done.stderr.decode(), done.returncode)

    def start(
        self, verb: str, config: Any = None, streams: Any = None, given: Any = None, **how: Any
    ) -> subprocess.Popen[bytes]:
        """Start one command, with pipes that the test holds. Whoever starts it ends it: see `running`."""
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "bufsize": 0, **how}
        return subprocess.Popen(self.command(verb, config, streams, given), env=self.environment(), **pipes)

    @contextmanager
    def running(self, verb: str, *args: Any, **how: Any) -> Iterator[subprocess.Popen[bytes]]:
        process = self.start(verb, *args, **how)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait()
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()


@pytest.fixture
def connector(tmp_path: Path) -> Callable[[str], Connector]:
    """Make a connector of a few lines of code: `connector("Source(…).main()")`."""
    return lambda code: Connector(tmp_path, code)


@pytest.fixture
def say() -> SimpleNamespace:
    """Makers of messages: tests in this folder cannot import from one another."""
    return SimpleNamespace(record=record, state=state, status=status, catalog=catalog, lines=lines_of)
