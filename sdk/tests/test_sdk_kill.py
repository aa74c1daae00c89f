"""kill -9 at any moment: a run from the last STATE out delivers every row, and no overwrite is half visible."""

from __future__ import annotations

import json
import random
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

ROWS = 1500

SOURCE = """
    class C(Config):
        value: int = 1

    def read(c, s):
        start = (s.state or {"n": 0})["n"] if s.incremental else 0
        for n in range(start + 1, 1501):
            yield {"n": n, "value": c.value, "text": "x" * (n % 700)}
            if n % 60 == 0:
                yield Checkpoint({"n": n})
                time.sleep(0.004)
        yield Checkpoint({"n": 1500})

    Source(C, check=lambda c: None, discover=lambda c: [Stream("a", {}, incremental=True)], read=read).main()
"""
DESTINATION = """
    from contextlib import contextmanager

    class C(Config):
        folder: str
        store: bool = False

    def put(path, text):
        path.with_suffix(".tmp").write_bytes(text)
        os.replace(path.with_suffix(".tmp"), path)

    class Store:
        def __init__(self, write):
            self.held, self.full, self.write_all, self.batches = 0, False, write, []
        def write(self, batch):
            self.batches.append(batch.lines)
            self.held += batch.size
            self.full = self.held > 30_000
        def commit(self):
            self.write_all(b"".join(self.batches))
            self.batches, self.held, self.full = [], 0, False

    @contextmanager
    def open_stream(c, s):
        folder, files = Path(c.folder), []
        def write(lines):
            path = folder / f"{os.getpid()}-{len(files)}.rows"
            put(path, lines)
            files.append(path.name)
            time.sleep(0.002)
        yield Store(write) if c.store else lambda batch: write(batch.lines)
        if s.replace is Replace.EVERYTHING_ELSE:
            put(folder / "current", json.dumps(files).encode())

    limits = Limits(rows=40, lanes=2, spread=False, commit_seconds=0.05)
    Destination(C, check=lambda c: None, open_stream=open_stream, limits=limits).main()
"""


class Pipe:
    """source | destination, of which either may be killed."""

    def __init__(self, connector: Any, folder: Path, store: bool) -> None:
        self.source, self.destination = connector(SOURCE), connector(DESTINATION)
        self.folder = folder / "store"
        self.folder.mkdir()
        self._config = {"folder": str(self.folder), "store": store}
        self.state: list[Any] = []
        self.seconds = 1.0

    def run(self, streams: Any, value: int = 1, kill: str | None = None, after: float = 0.0) -> bool:
        """One run from the last state that came out. True where it ended well."""
        started = time.monotonic()
        acks = self.folder.parent / "acks"
        read = self.source.command("read", {"value": value}, streams, self.state)
        paths = {name: self.source.folder / f"{name}.json" for name in ("config", "catalog", "state")}
        for name in ("config", "state"):
            paths[name].replace(paths[name].with_suffix(".source"))
            read = [str(paths[name].with_suffix(".source")) if part == str(paths[name]) else part for part in read]
        environment = self.source.environment()
        with acks.open("wb") as out:
            reading = subprocess.Popen(read, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment)
            write = self.destination.command("write", self._config, streams)
            writing = subprocess.Popen(
                write, stdin=reading.stdout, stdout=out, stderr=subprocess.DEVNULL, env=environment
            )
            assert reading.stdout is not None
            reading.stdout.close()
            if kill is not None:
                time.sleep(max(0.0, after - (time.monotonic() - started)))
                (reading if kill == "source" else writing).kill()
            codes = writing.wait(60), reading.wait(60)
        lines = acks.read_bytes().split(b"\n")[:-1]
        states = [message["state"] for message in map(json.loads, lines) if message["type"] == "STATE"]
        self.state = states[-1:] or self.state
        self.seconds = time.monotonic() - started
        return codes == (0, 0)

    def rows(self, *files: str) -> list[dict[str, Any]]:
        paths = [self.folder / name for name in files] or sorted(self.folder.glob("*.rows"))
        return [json.loads(line) for path in paths for line in path.read_bytes().splitlines()]

    def current(self) -> list[dict[str, Any]]:
        return self.rows(*json.loads((self.folder / "current").read_text()))


@pytest.mark.parametrize("store", [False, True], ids=["write", "store"])
@pytest.mark.parametrize("kills", [5, pytest.param(25, marks=pytest.mark.slow)])
def test_no_row_is_missing_after_kills(connector: Any, say: Any, tmp_path: Path, kills: int, store: bool) -> None:
    pipe = Pipe(connector, tmp_path, store)
    streams = say.catalog("a", sync_mode="incremental")
    assert pipe.run(streams)
    whole = pipe.seconds
    for path in pipe.folder.glob("*"):
        path.unlink()
    pipe.state = []
    interrupted = 0
    while interrupted < kills:
        victim, after = random.choice(("source", "destination")), random.uniform(0.1 * whole, 1.1 * whole)
        ended_well = pipe.run(streams, kill=victim, after=after)
        interrupted += 1
        safe = {row["n"] for row in pipe.rows()}
        vouched = pipe.state[0]["stream"]["stream_state"]["n"] if pipe.state else 0
        assert set(range(1, vouched + 1)) <= safe, f"{victim} killed after {after} s: a STATE came out before its rows"
        if ended_well or vouched == ROWS:
            assert safe == set(range(1, ROWS + 1))
            for path in pipe.folder.glob("*"):
                path.unlink()
            pipe.state = []
    assert pipe.run(streams)
    assert {row["n"] for row in pipe.rows()} == set(range(1, ROWS + 1))


@pytest.mark.parametrize("store", [False, True], ids=["write", "store"])
@pytest.mark.parametrize("kills", [3, pytest.param(15, marks=pytest.mark.slow)])
def test_an_overwrite_is_never_half_visible(connector: Any, say: Any, tmp_path: Path, kills: int, store: bool) -> None:
    pipe = Pipe(connector, tmp_path, store)
    streams = say.catalog("a", destination_sync_mode="overwrite")
    assert pipe.run(streams, value=1)
    whole = pipe.seconds
    value = 1
    for _ in range(kills):
        victim, after = random.choice(("source", "destination")), random.uniform(0.1 * whole, 1.1 * whole)
        ended_well = pipe.run(streams, value=value + 1, kill=victim, after=after)
        found = pipe.current()
        assert sorted(row["n"] for row in found) == list(range(1, ROWS + 1)), f"{victim} killed after {after} s"
        assert len({row["value"] for row in found}) == 1
        assert found[0]["value"] == value + 1 or not ended_well
        value = found[0]["value"]
    assert pipe.run(streams, value=99)
    assert {row["value"] for row in pipe.current()} == {99}
