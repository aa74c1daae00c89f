"""When a stream counts as complete, what is replaced then, and what stays as it was in every other case."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from connector_sdk.batch import Batch, Incomplete, Limits
from connector_sdk.config import Config
from connector_sdk.destination import Destination
from connector_sdk.errors import ConfigError, TransientError
from connector_sdk.retry import Backoff
from connector_sdk.streams import ConfiguredStream, Replace

IDS_NULL: dict[str, Any] = {}
IDS_PYAIRBYTE = {"generation_id": 1, "minimum_generation_id": 1, "sync_id": 1}
IDS_KEEP = {"generation_id": 4, "minimum_generation_id": 0, "sync_id": 9}
IDS_TRUNCATE = {"generation_id": 4, "minimum_generation_id": 4, "sync_id": 9}


class Warehouse:
    """A store in memory that does what `Replace` says: new rows aside, swapped in at the end, or appended at once."""

    def __init__(self, **tables: list[Any]) -> None:
        self.tables: dict[str, list[Any]] = dict(tables)
        self.aside: dict[str, list[Any]] = {}
        self.events: list[tuple[str, str]] = []
        self.fail: Exception | None = None

    def destination(self, kind: str = "write", **limits: Any) -> Destination:
        opened = {"write": self.open_write, "store": self.open_store}[kind]
        return Destination(
            Config,
            check=lambda config: None,
            open_stream=opened,
            limits=Limits(**limits),
            modes=("append", "overwrite", "append_dedup"),
            backoff=Backoff(attempts=1),
        )

    @contextmanager
    def open_write(self, config: Any, stream: ConfiguredStream) -> Iterator[Any]:
        name = str(stream.id)
        target = self.tables if stream.replace is Replace.NOTHING else self.aside
        self.events.append(("open", name))

        def write(batch: Batch) -> None:
            if self.fail:
                raise self.fail
            target.setdefault(name, []).extend(batch.rows)

        try:
            yield write
        except BaseException as error:
            self.events.append((type(error).__name__, name))
            raise
        self.events.append(("complete", name))
        if stream.replace is not Replace.NOTHING:
            self.tables[name] = self.aside.pop(name, [])

    @contextmanager
    def open_store(self, config: Any, stream: ConfiguredStream) -> Iterator[Any]:
        with self.open_write(config, stream) as write:
            yield Store(write)


class Store:
    def __init__(self, write: Any) -> None:
        self.held = 0
        self.full = False
        self._batches: list[Batch] = []
        self._write = write

    def write(self, batch: Batch) -> None:
        self._batches.append(batch)
        self.held += batch.size

    def commit(self) -> None:
        for batch in self._batches:
            self._write(batch)
        self._batches, self.held = [], 0


def row(say: Any, *numbers: int, stream: str = "a") -> list[str]:
    return [say.record(stream, {"n": number}) for number in numbers]


def ns(*numbers: int) -> list[dict[str, int]]:
    return [{"n": number} for number in numbers]


@pytest.fixture(params=["write", "store"])
def kind(request: Any) -> Any:
    return request.param


@pytest.fixture
def run(write_here: Callable[..., Any], say: Any, kind: str) -> Callable[..., Any]:
    """Write these messages to a warehouse; `each` says what the catalog asks of every stream."""

    def go(
        warehouse: Warehouse, *messages: str, streams: tuple[str, ...] = ("a",), end: bytes = b"", **each: Any
    ) -> Any:
        text = say.lines(*messages) + end
        return write_here(warehouse.destination(kind), say.catalog(*streams, **each), text)

    return go


# No ids and no statuses: a connector that was registered in the UI, of which nothing ever says COMPLETE


def test_without_ids_and_statuses_a_stream_that_ends_in_a_state_is_complete(run: Any, say: Any) -> None:
    warehouse = Warehouse(a=ns(7))
    said = run(warehouse, *row(say, 1, 2), say.state("a", {}), destination_sync_mode="overwrite")
    assert said.error is None
    assert warehouse.tables == {"a": ns(1, 2)}
    assert warehouse.events == [("open", "a"), ("complete", "a")]
    assert len(said.states) == 1


def test_without_ids_and_statuses_rows_after_the_last_state_keep_the_old_result(run: Any, say: Any) -> None:
    warehouse = Warehouse(a=ns(7))
    said = run(warehouse, *row(say, 1), say.state("a", {}), *row(say, 2), destination_sync_mode="overwrite")
    assert said.error is None, "nothing says that this source had more to give: it is a warning, not an error"
    assert warehouse.tables == {"a": ns(7)}
    assert ("complete", "a") not in warehouse.events
    assert any("a ended without a STATE" in text and "kept" in text for text in said.logs), said.logs


def test_without_ids_and_statuses_rows_without_any_state_keep_the_old_result(run: Any, say: Any) -> None:
    warehouse = Warehouse(a=ns(7))
    run(warehouse, *row(say, 1, 2), destination_sync_mode="overwrite")
    assert warehouse.tables == {"a": ns(7)}


def test_without_ids_and_statuses_appended_rows_stay_in_any_case(run: Any, say: Any) -> None:
    for end in ([], [say.state("a", {})]):
        warehouse = Warehouse(a=ns(7))
        said = run(warehouse, *row(say, 1, 2), *end)
        assert said.error is None
        assert warehouse.tables == {"a": ns(7, 1, 2)}


def test_each_stream_ends_for_itself(run: Any, say: Any) -> None:
    warehouse = Warehouse(a=ns(7), b=ns(8), c=ns(9))
    messages = [*row(say, 1), say.state("a", {}), *row(say, 2, stream="b"), say.state("c", {})]
    run(warehouse, *messages, streams=("a", "b", "c"), destination_sync_mode="overwrite")
    assert warehouse.tables == {"a": ns(1), "b": ns(8), "c": []}, "c said that it has no rows, b nothing certain"


def test_a_global_state_speaks_for_every_stream(run: Any, say: Any) -> None:
    shared = '{"type":"STATE","state":{"type":"GLOBAL","global":{"shared_state":{},"stream_states":[]}}}'
    warehouse = Warehouse(a=ns(7), b=ns(8))
    run(
        warehouse, *row(say, 1), *row(say, 2, stream="b"), shared, streams=("a", "b"), destination_sync_mode="overwrite"
    )
    assert warehouse.tables == {"a": ns(1), "b": ns(2)}


@pytest.mark.parametrize(
    "end", [b'{"type":"RECORD","record":{"stream":"a","da', b"oops, a crash\n", b"\xff\n", b"[" * 9]
)
@pytest.mark.parametrize("mode", ["overwrite", "append"])
def test_an_input_that_is_not_whole_is_no_end(run: Any, say: Any, end: bytes, mode: str) -> None:
    """The line that was lost may have been a row of any stream."""
    warehouse = Warehouse(a=ns(7))
    said = run(warehouse, *row(say, 1, 2), say.state("a", {}), end=end, destination_sync_mode=mode)
    assert isinstance(said.error, ConfigError | TransientError)
    assert ("complete", "a") not in warehouse.events
    assert warehouse.tables["a"] == (ns(7) if mode == "overwrite" else ns(7, 1, 2))
    assert len(said.states) == 1, "what came before the break is safe, and said so"


# Nothing came


@pytest.mark.parametrize("mode", ["append", "overwrite", "append_dedup"])
@pytest.mark.parametrize("ids", [IDS_NULL, IDS_PYAIRBYTE, IDS_KEEP, IDS_TRUNCATE])
@pytest.mark.parametrize("text", [b"", b"\n\r\n", b'{"type":"LOG","log":{"level":"INFO","message":"x"}}\n'])
def test_an_input_without_messages_touches_nothing(run: Any, ids: dict[str, Any], mode: str, text: bytes) -> None:
    warehouse = Warehouse(a=ns(7))
    said = run(warehouse, end=text, destination_sync_mode=mode, **ids)
    assert warehouse.tables == {"a": ns(7)}
    assert warehouse.events == []
    speaks = ids in (IDS_KEEP, IDS_TRUNCATE)
    assert isinstance(said.error, TransientError) == speaks, "where a COMPLETE had to come, its absence is an error"


# Ids that speak: a platform that knows refreshes sends COMPLETE, or the source failed


@pytest.mark.parametrize("mode", ["append", "append_dedup"])
def test_a_truncate_replaces_at_complete_and_not_before(run: Any, say: Any, mode: str) -> None:
    warehouse = Warehouse(a=ns(7))
    messages = [*row(say, 1), say.state("a", {}), *row(say, 2), say.state("a", {})]
    said = run(warehouse, *messages, destination_sync_mode=mode, **IDS_TRUNCATE)
    assert isinstance(said.error, TransientError)
    assert "a" in said.error.message
    assert "old" in said.error.message
    assert warehouse.tables == {"a": ns(7)}
    assert warehouse.events == [("open", "a"), ("Incomplete", "a")]
    assert len(said.states) == 2
    said = run(warehouse, *messages, say.status("a", "COMPLETE"), destination_sync_mode=mode, **IDS_TRUNCATE)
    assert said.error is None
    assert warehouse.tables["a"][-2:] == ns(1, 2)
    assert ns(7)[0] not in warehouse.tables["a"]


def test_minimum_zero_keeps_everything(run: Any, say: Any) -> None:
    for end in ([], [say.status("a", "COMPLETE")]):
        warehouse = Warehouse(a=ns(7))
        said = run(warehouse, *row(say, 1), say.state("a", {}), *end, **IDS_KEEP)
        assert (said.error is None) == bool(end)
        assert warehouse.tables == {"a": ns(7, 1)}


def test_a_complete_stream_without_rows_is_empty_afterwards(run: Any, say: Any) -> None:
    warehouse = Warehouse(a=ns(7))
    assert run(warehouse, say.status("a", "COMPLETE"), **IDS_TRUNCATE).error is None
    assert warehouse.tables == {"a": []}


def test_a_source_that_died_leaves_every_unfinished_stream_as_it_was(run: Any, say: Any) -> None:
    warehouse = Warehouse(a=ns(7), b=ns(8), c=ns(9))
    messages = [
        *row(say, 1),
        say.state("a", {}),
        say.status("a", "COMPLETE"),
        *row(say, 2, stream="b"),
        say.state("b", {"at": 2}),
        say.status("b", "INCOMPLETE"),
    ]
    said = run(warehouse, *messages, streams=("a", "b", "c"), **IDS_TRUNCATE)
    assert isinstance(said.error, TransientError)
    assert "b, c" in said.error.message
    assert warehouse.tables == {"a": ns(1), "b": ns(8), "c": ns(9)}


# Statuses in a bare pipe, or through PyAirbyte, whatever the ids


@pytest.mark.parametrize("ids", [IDS_NULL, IDS_PYAIRBYTE, IDS_KEEP, IDS_TRUNCATE])
def test_where_statuses_come_only_complete_is_complete(run: Any, say: Any, ids: dict[str, Any]) -> None:
    rows = [say.status("a", "STARTED"), say.status("a", "RUNNING"), *row(say, 1), say.state("a", {})]
    for end in ([], [say.status("a", "INCOMPLETE")], [say.status("b", "COMPLETE")], [say.status("a", "COMPLETE", "n")]):
        warehouse = Warehouse(a=ns(7))
        said = run(warehouse, *rows, *end, destination_sync_mode="overwrite", **ids)
        assert isinstance(said.error, TransientError)
        assert ("complete", "a") not in warehouse.events
        if ids != IDS_KEEP:
            assert warehouse.tables == {"a": ns(7)}
    warehouse = Warehouse(a=ns(7))
    assert run(warehouse, *rows, say.status("a", "COMPLETE"), destination_sync_mode="overwrite", **ids).error is None
    assert warehouse.tables["a"][-1:] == ns(1)


def test_started_is_enough_to_know_that_statuses_come(run: Any, say: Any) -> None:
    """The source said STARTED of both and died in the first: the second's STATE is not its end."""
    warehouse = Warehouse(a=ns(7), b=ns(8))
    messages = [say.status("a", "STARTED"), *row(say, 1, stream="b"), say.state("b", {})]
    said = run(warehouse, *messages, streams=("a", "b"), destination_sync_mode="overwrite")
    assert isinstance(said.error, TransientError)
    assert warehouse.tables == {"a": ns(7), "b": ns(8)}


def test_rows_after_complete_take_it_back(run: Any, say: Any) -> None:
    warehouse = Warehouse()
    said = run(warehouse, *row(say, 1), say.status("a", "COMPLETE"), *row(say, 2))
    assert isinstance(said.error, TransientError)


def test_a_second_complete_changes_nothing(run: Any, say: Any) -> None:
    """The source's own COMPLETE and the platform's at the end may both come: the second must not replace the rows."""
    for mode, ids in itertools.product(("append", "overwrite"), (IDS_NULL, IDS_TRUNCATE)):
        warehouse = Warehouse(a=ns(7))
        complete = say.status("a", "COMPLETE")
        said = run(
            warehouse,
            *row(say, 1, 2),
            complete,
            say.state("a", {}),
            complete,
            complete,
            destination_sync_mode=mode,
            **ids,
        )
        assert said.error is None
        assert warehouse.tables["a"][-2:] == ns(1, 2)
        assert [what for what, _ in warehouse.events] == ["open", "complete"]


@pytest.mark.parametrize("more", [[], [3]])
def test_a_complete_that_comes_when_all_is_done(write_here: Any, say: Any, kind: str, more: list[int]) -> None:
    warehouse = Warehouse(a=ns(7))

    def completed() -> None:
        deadline = time.monotonic() + 30
        while ("complete", "a") not in warehouse.events and time.monotonic() < deadline:
            time.sleep(0.01)

    complete = say.lines(say.status("a", "COMPLETE"))
    parts = [say.lines(*row(say, 1, 2)) + complete, completed, say.lines(*row(say, *more)) + complete]
    said = write_here(warehouse.destination(kind), say.catalog("a", destination_sync_mode="overwrite"), parts)
    assert said.error is None
    assert warehouse.tables == {"a": ns(3) if more else ns(1, 2)}, "new rows are a new run, nothing is no run"
    assert [what for what, _ in warehouse.events] == ["open", "complete"] * (2 if more else 1)


# PyAirbyte says 1/1/1 in every run


@pytest.mark.parametrize("mode", ["append", "append_dedup"])
def test_pyairbytes_ids_erase_nothing(run: Any, say: Any, mode: str) -> None:
    for statuses in ([], [say.status("a", "COMPLETE")]):
        warehouse = Warehouse(a=ns(7))
        said = run(warehouse, *row(say, 1), say.state("a", {}), *statuses, destination_sync_mode=mode, **IDS_PYAIRBYTE)
        assert said.error is None
        assert warehouse.tables == {"a": ns(7, 1)}


def test_pyairbytes_overwrite_replaces(run: Any, say: Any) -> None:
    for statuses in ([], [say.status("a", "COMPLETE")]):
        warehouse = Warehouse(a=ns(7))
        ids = {**IDS_PYAIRBYTE, "destination_sync_mode": "overwrite"}
        said = run(warehouse, *row(say, 1), say.state("a", {}), *statuses, **ids)
        assert said.error is None
        assert warehouse.tables == {"a": ns(1)}


# Failures of the destination itself


@pytest.mark.parametrize("ids", [IDS_NULL, IDS_TRUNCATE])
def test_a_write_that_fails_completes_nothing_and_lets_no_state_go(run: Any, say: Any, ids: dict[str, Any]) -> None:
    warehouse = Warehouse(a=ns(7))
    warehouse.fail = ValueError("disk full")
    messages = [*row(say, 1), say.state("a", {}), say.status("a", "COMPLETE")]
    said = run(warehouse, *messages, destination_sync_mode="overwrite", **ids)
    assert said.error is warehouse.fail
    assert said.states == []
    assert warehouse.tables == {"a": ns(7)}
    assert warehouse.events == [("open", "a"), ("ValueError", "a")]


def test_every_open_stream_is_told_of_the_failure_of_one(write_here: Any, say: Any) -> None:
    events: list[tuple[str, str]] = []

    @contextmanager
    def open_stream(config: Any, stream: ConfiguredStream) -> Iterator[Any]:
        def write(batch: Batch) -> None:
            events.append(("write", stream.name))
            if stream.name == "c":
                raise ConfigError("c is read-only")

        try:
            yield write
        except BaseException as error:
            events.append((type(error).__name__, stream.name))
            raise

    destination = Destination(Config, check=lambda c: None, open_stream=open_stream, limits=Limits(rows=1))
    text = say.lines(*row(say, 1), *row(say, 2, stream="b"), *row(say, 3, stream="c"), *row(say, 4))
    said = write_here(destination, say.catalog("a", "b", "c"), text)
    assert isinstance(said.error, ConfigError)
    assert {("ConfigError", name) for name in "abc"} <= set(events)
    assert said.states == []


def test_an_error_after_the_yield_fails_the_run(write_here: Any, say: Any, kind: str) -> None:
    @contextmanager
    def open_stream(config: Any, stream: ConfiguredStream) -> Iterator[Any]:
        yield lambda batch: None
        raise ConfigError("the table cannot be renamed")

    destination = Destination(Config, check=lambda c: None, open_stream=open_stream)
    said = write_here(destination, say.catalog("a"), say.lines(*row(say, 1), say.status("a", "COMPLETE")))
    assert isinstance(said.error, ConfigError)


def test_an_unfinished_stream_that_cannot_clean_up_is_told_and_hides_nothing(write_here: Any, say: Any) -> None:
    @contextmanager
    def open_stream(config: Any, stream: ConfiguredStream) -> Iterator[Any]:
        try:
            yield lambda batch: None
        except Incomplete:
            raise OSError("no network") from None

    destination = Destination(Config, check=lambda c: None, open_stream=open_stream)
    said = write_here(destination, say.catalog("a"), say.lines(say.status("a", "STARTED"), *row(say, 1)))
    assert isinstance(said.error, TransientError)
    assert any("a failed: OSError: no network" in text for text in said.logs)


def test_a_stream_without_rows_is_opened_only_to_be_completed(run: Any, say: Any) -> None:
    warehouse = Warehouse()
    run(
        warehouse,
        say.status("a", "STARTED"),
        say.status("a", "COMPLETE"),
        say.status("b", "STARTED"),
        streams=("a", "b"),
    )
    assert warehouse.events == [("open", "a"), ("complete", "a")]


# The mode that was asked for


def test_a_mode_that_is_not_offered(write_here: Any, say: Any) -> None:
    seen: list[str] = []

    @contextmanager
    def open_stream(config: Any, stream: ConfiguredStream) -> Iterator[Any]:
        seen.append(stream.destination_sync_mode)
        yield lambda batch: None

    destination = Destination(Config, check=lambda c: None, open_stream=open_stream, modes=("append",))
    text = say.lines(*row(say, 1), say.state("a", {}))
    said = write_here(destination, say.catalog("a", destination_sync_mode="append_dedup"), text)
    assert said.error is None
    assert seen == ["append"]
    assert any("append_dedup" in text and "a" in text for text in said.logs)
    for mode in ("overwrite", "update", "soft_delete"):
        said = write_here(destination, say.catalog("a", destination_sync_mode=mode), text)
        assert isinstance(said.error, ConfigError)
        assert mode in said.error.message
        assert said.error.stream == (None, "a")
    assert seen == ["append"], "nothing was opened for a mode that is not offered"


# Names and strangers


def test_namespaces_are_exact_and_strangers_are_left_out(run: Any, say: Any) -> None:
    warehouse = Warehouse()
    catalog = ({"name": "a"}, {"name": "a", "namespace": ""}, {"name": "a", "namespace": "n"})
    messages = [
        say.record("a", {"n": 1}),
        say.record("a", {"n": 2}, ""),
        say.record("a", {"n": 3}, "n"),
        say.record("a", {"n": 4}, "m"),
        say.record("A", {"n": 5}),
        say.record("a", {"n": 6}, "m"),
        say.state("a", {}, "m"),
        say.state("a", {}),
    ]
    said = run(warehouse, *messages, streams=catalog)
    assert said.error is None
    assert warehouse.tables == {"a": ns(1), ".a": ns(2), "n.a": ns(3)}
    told = [text for text in said.logs if "not in the catalog" in text]
    assert len(told) == 2, "each stranger once, however many rows it has"
    assert len(said.states) == 2, "a STATE of a stranger passes"
    assert said.states[1]["destinationStats"] == {"recordCount": 1.0}


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize(("ours", "theirs"), [(None, ""), ("", None), ("public", None), ("public", "Public")])
def test_rows_for_another_namespace_replace_nothing(
    run: Any, say: Any, ours: str | None, theirs: str | None, told: bool
) -> None:
    """The catalogs of source and destination differ: an empty result would take the place of the old one."""
    warehouse = Warehouse()
    entry = {"name": "a"} | ({} if ours is None else {"namespace": ours})
    old = [say.record("a", {"n": 1}, ours), say.state("a", {}, ours)]
    assert run(warehouse, *old, streams=(entry,)).error is None
    kept = dict(warehouse.tables)
    end = [say.status("a", "COMPLETE", ours)] if told else []
    new = [say.record("a", {"n": 2}, theirs), say.state("a", {}, ours), *end]
    said = run(warehouse, *new, streams=(entry,), destination_sync_mode="overwrite")
    assert isinstance(said.error, ConfigError)
    assert f"{ours!r}, there {theirs!r}" in said.error.message
    assert warehouse.tables == kept
