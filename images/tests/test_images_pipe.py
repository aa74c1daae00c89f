"""`docker run source | docker run destination` over a real PostgreSQL and S3 server, and as Airbyte starts them."""

from __future__ import annotations

import gzip
import io
import json
import os
import select
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import Any

import fastavro
import pyarrow.parquet
import pytest

pytestmark = pytest.mark.slow
SOURCE, DESTINATION = "source-postgres", "destination-s3"
COLUMNS = {"id": "integer", "text": "string", "price": "number"}
INCREMENTAL = {"sync_mode": "incremental", "cursor_field": ["id"]}
Json = dict[str, Any]


def fill(database: Any, first: int, last: int) -> None:
    database.execute("create table if not exists documents (id int primary key, text text, price numeric)")
    texts = "'문서 ' || n || E' \"quoted\"\\n'"
    database.execute(f"insert into documents select n, {texts}, n / 8.0 from generate_series({first}, {last}) n")


def expected(first: int, last: int) -> list[Json]:
    return [{"id": n, "text": f'문서 {n} "quoted"\n', "price": n / 8} for n in range(first, last + 1)]


def line(docker: Any, pipe: Any, state: str = "") -> str:
    """What a person types."""
    read = f"{docker.images[SOURCE]} read --config /files/pg.json --catalog /files/catalog.json {state}"
    write = f"{docker.images[DESTINATION]} write --config /files/s3.json --catalog /files/catalog.json"
    run = f"docker run --rm -i {pipe.options}"
    return f"{run} {read} | {run} {write} > {pipe.folder}/acknowledged.jsonl"


def rows(objects: dict[str, bytes]) -> list[Json]:
    """The rows of all files, by what their names say that they are; in the order of their ids."""
    return sorted((row for key, content in objects.items() for row in _rows(key, content)), key=lambda row: row["id"])


def _rows(key: str, content: bytes) -> list[Json]:
    if key.endswith(".jsonl.gz"):
        return [json.loads(text) for text in gzip.decompress(content).splitlines()]
    if key.endswith(".parquet"):
        found: list[Json] = pyarrow.parquet.read_table(io.BytesIO(content)).to_pylist()
        return found
    assert key.endswith(".avro"), key
    return [row for row in fastavro.reader(io.BytesIO(content)) if isinstance(row, dict)]


def test_a_pipe_and_then_what_has_changed(docker: Any, pipe: Any, database: Any, catalog: Callable[..., Json]) -> None:
    fill(database, 1, 2000)
    pipe.write(catalog("documents", COLUMNS, **INCREMENTAL), format="jsonl", compression="gzip")
    done = docker.shell(line(docker, pipe))
    assert done.returncode == 0, done.stderr
    assert rows(pipe.objects()) == expected(1, 2000)
    messages = [json.loads(text) for text in (pipe.folder / "acknowledged.jsonl").read_text().splitlines()]
    states = [message["state"] for message in messages if message["type"] == "STATE"]
    (pipe.folder / "state.json").write_text(json.dumps(states[-1:]))
    fill(database, 2001, 2010)
    done = docker.shell(line(docker, pipe, "--state /files/state.json"))
    assert done.returncode == 0, done.stderr
    assert rows(pipe.objects()) == expected(1, 2010)


@pytest.mark.parametrize("form", ["parquet", "avro"])
def test_formats(docker: Any, pipe: Any, database: Any, catalog: Callable[..., Json], form: str) -> None:
    """They load libraries that an image has taken things out of."""
    fill(database, 1, 500)
    pipe.write(catalog("documents", COLUMNS), format=form, compression="zstd")
    done = docker.shell(line(docker, pipe))
    assert done.returncode == 0, done.stderr
    assert rows(pipe.objects()) == expected(1, 500)


def test_a_failing_source_fails_the_pipe_and_shows_no_password(
    docker: Any, pipe: Any, catalog: Callable[..., Json]
) -> None:
    pipe.source["database"] = "absent"
    pipe.write(catalog("documents", COLUMNS))
    done = docker.shell(line(docker, pipe))
    assert done.returncode != 0
    assert "swordfish" not in done.stdout + done.stderr + (pipe.folder / "acknowledged.jsonl").read_text()
    assert pipe.objects() == {}


# As the stock platform does it

PLATFORM = ["--rm", "--user=1000:1000", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--network=host"]


def platform(docker: Any, pipe: Any, name: str, verb: str, folder: str, given: str) -> Any:
    """A container whose three streams are FIFOs of /pipes, with the command that the platform gives to its shell."""
    fifos = pipe.folder / name
    fifos.mkdir()
    for stream in ("stdin", "stdout", "stderr"):
        os.mkfifo(fifos / stream)
        (fifos / stream).chmod(0o666)
    command = f'eval "$AIRBYTE_ENTRYPOINT {verb} {given}" 2> /pipes/stderr > /pipes/stdout'
    command += " < /pipes/stdin" if verb == "write" else ""
    mounts = ["-v", f"{pipe.folder}:{folder}", "-v", f"{fifos}:/pipes", f"--workdir={folder}"]
    return docker.start("run", *PLATFORM, *mounts, "--entrypoint=sh", docker.images[name], "-c", command)


def lines(fifo: Path) -> Iterator[bytes]:
    """The lines of a FIFO, from when somebody writes to it until nobody does any more."""
    descriptor = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        poll, rest = select.poll(), b""
        poll.register(descriptor, select.POLLIN)
        while chunk := _chunk(descriptor, poll):
            *whole, rest = (rest + chunk).split(b"\n")
            yield from whole
        assert rest == b"", "the last line is whole"
    finally:
        os.close(descriptor)


def _chunk(descriptor: int, poll: Any) -> bytes:
    assert poll.poll(60_000), "nothing came for a minute"
    return os.read(descriptor, 1 << 16)


@pytest.mark.timeout(120)
def test_a_sync_of_the_stock_platform(docker: Any, pipe: Any, database: Any, catalog: Callable[..., Json]) -> None:
    """FIFOs, the shell, no rights; states that come back with the id that the platform has put into them."""
    fill(database, 1, 3000)
    pipe.write(catalog("documents", COLUMNS, **INCREMENTAL), format="jsonl", compression="gzip")
    config = "--config {0}/{1}.json --catalog {0}/catalog.json"
    source = platform(docker, pipe, SOURCE, "read", "/source", config.format("/source", "pg"))
    target = platform(docker, pipe, DESTINATION, "write", "/dest", config.format("/dest", "s3"))
    logs = [Drain(pipe.folder / name / "stderr") for name in (SOURCE, DESTINATION)]
    answers = Drain(pipe.folder / DESTINATION / "stdout")
    sent: list[Json] = []
    with (pipe.folder / DESTINATION / "stdin").open("wb") as stdin:
        for text in lines(pipe.folder / SOURCE / "stdout"):
            message = json.loads(text)
            if message["type"] == "STATE":
                message["state"]["id"] = len(sent) + 1
                sent.append(message["state"])
            if message["type"] in ("RECORD", "STATE"):
                stdin.write(json.dumps(message).encode() + b"\n")
    codes = [source.wait(60), target.wait(60)]
    told = [drain.end() for drain in (answers, *logs)]
    assert codes == [0, 0], told
    back = [message["state"] for message in map(json.loads, told[0]) if message["type"] == "STATE"]
    assert [state["id"] for state in back] == [state["id"] for state in sent]
    assert sum(state["destinationStats"]["recordCount"] for state in back) == 3000
    assert rows(pipe.objects()) == expected(1, 3000)


class Drain:
    """Reads a FIFO to its end, beside the test."""

    def __init__(self, fifo: Path) -> None:
        self._lines: list[bytes] = []
        self._thread = threading.Thread(target=lambda: self._lines.extend(lines(fifo)))
        self._thread.start()

    def end(self) -> list[bytes]:
        self._thread.join(60)
        assert not self._thread.is_alive()
        return self._lines


# The end


def stop(docker: Any, container: str) -> Any:
    """SIGTERM for PID 1, SIGKILL ten seconds later: who needs longer, ends with 137."""
    return docker.start("stop", "--time=10", container, stdout=DEVNULL)


def slowly(stream: Any, until: bytes = b"\0") -> bytes:
    """What comes, at a megabyte a second, to the end or to these bytes."""
    taken = b""
    while until not in taken[-(1 << 17) :] and (chunk := os.read(stream.fileno(), 1 << 16)):
        taken += chunk
        time.sleep(1 / 16)
    return taken


def at_once(stream: Any, until: bytes = b"\0") -> bytes:
    taken = b""
    while until not in taken[-(1 << 17) :] and (chunk := os.read(stream.fileno(), 1 << 16)):
        taken += chunk
    return taken


@pytest.mark.parametrize("name", [SOURCE, DESTINATION])
def test_no_signal_comes_too_early(docker: Any, pipe: Any, catalog: Callable[..., Json], name: str) -> None:
    """While Python is still starting, nobody but the entrypoint can listen."""
    pipe.write(catalog("t", {"id": "integer"}))
    container = f"early-{os.getpid()}-{name}"
    verb, config = ("read", "pg") if name == SOURCE else ("write", "s3")
    words = [verb, "--config", f"/files/{config}.json", "--catalog", "/files/catalog.json"]
    created = docker.run("create", "-i", f"--name={container}", *pipe.options.split(), docker.images[name], *words)
    assert created.returncode == 0, created.stderr
    try:
        assert docker.run("start", container).returncode == 0
        assert docker.run("stop", "--time=10", container).returncode == 0
        ended = docker.run("inspect", "--format={{.State.ExitCode}}", container).stdout
        assert int(ended) == 143
    finally:
        docker.run("rm", "--force", container)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("take", [at_once, slowly])
def test_a_source_ends_with_its_last_state(
    docker: Any, pipe: Any, database: Any, catalog: Callable[..., Json], take: Callable[..., bytes]
) -> None:
    """After SIGTERM: what came before the last state, and what a run from there gives, is all. No line is torn."""
    last = 150_000
    database.execute("create table long (id int primary key, text text)")
    database.execute(f"insert into long select n, repeat('x', 1000) from generate_series(1, {last}) n; analyze long")
    pipe.write(catalog("long", {"id": "integer", "text": "string"}, **INCREMENTAL))
    container = f"ends-{os.getpid()}-{take.__name__}"
    read = [docker.images[SOURCE], "read", "--config", "/files/pg.json", "--catalog", "/files/catalog.json"]
    with docker.start("run", "--rm", f"--name={container}", *pipe.options.split(), *read, stdout=PIPE) as running:
        output = take(running.stdout, b'"STATE"')
        with stop(docker, container) as stopping:
            output += take(running.stdout)
    assert (running.returncode, stopping.returncode) == (143, 0)
    assert output.endswith(b"\n")
    messages = [json.loads(text) for text in output.splitlines()]
    until, state = covered(messages)
    assert until, "a state came"
    assert len(until) < last, "it was stopped on its way"
    (pipe.folder / "state.json").write_text(json.dumps([state]))
    done = docker.run("run", "--rm", *pipe.options.split(), *read, "--state", "/files/state.json")
    assert done.returncode == 0, done.stderr
    rest = {
        message["record"]["data"]["id"] for message in map(json.loads, done.stdout.splitlines()) if "record" in message
    }
    assert until | rest == set(range(1, last + 1))


def covered(messages: list[Json]) -> tuple[set[int], Json]:
    """The rows before the last state, and that state."""
    at = max(number for number, message in enumerate(messages) if message["type"] == "STATE")
    before = {message["record"]["data"]["id"] for message in messages[:at] if message["type"] == "RECORD"}
    return before, messages[at]["state"]


@pytest.mark.timeout(120)
def test_a_destination_ends_with_what_it_has_told(docker: Any, pipe: Any, catalog: Callable[..., Json]) -> None:
    """After SIGTERM the store holds what was acknowledged, perhaps more, in whole files, and nothing half done."""
    pipe.write(catalog("t", {"id": "integer"}, **INCREMENTAL), format="jsonl", compression="gzip", file_max_seconds=1)
    container = f"ends-{os.getpid()}-destination"
    write = [docker.images[DESTINATION], "write", "--config", "/files/s3.json", "--catalog", "/files/catalog.json"]
    options = ["run", "--rm", "-i", f"--name={container}", *pipe.options.split()]
    with docker.start(*options, *write, stdin=PIPE, stdout=PIPE) as running:
        running.stdin.write(b"".join(record(number) for number in range(1000)) + state(1000))
        output = at_once(running.stdout, b'"STATE"')
        running.stdin.write(b"".join(record(number) for number in range(1000, 3000)) + state(3000) + record(3000))
        with stop(docker, container) as stopping:
            output += at_once(running.stdout)
    assert (running.returncode, stopping.returncode) == (143, 0)
    told = [message["state"]["stream"]["stream_state"]["n"] for message in messages_of(output, "STATE")]
    there = [row["id"] for row in rows(pipe.objects())]
    assert told in ([1000], [1000, 3000])
    assert there[: told[-1]] == list(range(told[-1]))
    assert len(there) in (1000, 3000, 3001)
    assert pipe.uploads() == []


def record(number: int) -> bytes:
    content = {"stream": "t", "namespace": "public", "data": {"id": number}, "emitted_at": 1_700_000_000_000}
    return json.dumps({"type": "RECORD", "record": content}).encode() + b"\n"


def state(number: int) -> bytes:
    stream = {"stream_descriptor": {"name": "t", "namespace": "public"}, "stream_state": {"n": number}}
    return json.dumps({"type": "STATE", "state": {"type": "STREAM", "stream": stream}}).encode() + b"\n"


def messages_of(output: bytes, kind: str) -> list[Json]:
    assert output.endswith(b"\n")
    return [message for message in map(json.loads, output.splitlines()) if message["type"] == kind]
