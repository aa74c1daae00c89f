"""What a source begins from: states by stream or for all, and when a full refresh goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airpipe.catalog import StreamPlan
from airpipe.saver import Saver
from airpipe.states import Pending
from airpipe.store_sqlite import SqliteStore
from airpipe.streams import StreamName

A, B = StreamName(None, "a"), StreamName("n", "b")


@pytest.fixture
def saver(tmp_path: Path) -> Iterator[Saver]:
    store = SqliteStore(tmp_path / "state.db")
    yield Saver(store, "p", lambda streams: None)
    store.close()


def plan(stream: StreamName, mode: str, write: str = "append") -> StreamPlan:
    return StreamPlan(stream, {"is_resumable": True}, mode, write)


def of_stream(stream: StreamName, value: Any) -> dict[str, Any]:
    return {"stream_descriptor": stream.descriptor, "stream_state": value}


def keep(saver: Saver, state: dict[str, Any], scope: StreamName | None) -> None:
    saver.add([Pending(1, scope, {}, json.dumps(state).encode())])
    saver.save(now=True)


def begun(saver: Saver, *plans: StreamPlan) -> Any:
    saver.begin(plans)
    return json.loads(saver.states())


HALF = {"type": "STREAM", "stream": of_stream(A, {"n": 60})}


@pytest.mark.parametrize(
    ("first", "then", "goes_on"),
    [
        (("append", "x"), ("append", "x"), True),
        (("overwrite", "x"), ("overwrite", "x"), True),
        (("overwrite", "x"), ("append", "x"), False),
        (("append", "x"), ("overwrite", "x"), False),
        (("overwrite", "x"), ("overwrite", "y"), False),
    ],
)
def test_a_full_refresh_goes_on_only_where_its_first_half_is(
    saver: Saver, first: tuple[str, str], then: tuple[str, str], goes_on: bool
) -> None:
    for (write, destination), states in ((first, []), (then, [HALF] if goes_on else [])):
        saver.put({"destination": destination})
        assert begun(saver, plan(A, "full_refresh", write)) == states
        keep(saver, HALF, A)


def test_a_state_of_a_stream_takes_the_place_of_one_for_all(saver: Saver) -> None:
    both = plan(A, "incremental"), plan(B, "incremental")
    begun(saver, *both)
    keep(saver, {"type": "LEGACY", "data": {"n": 50}}, None)
    assert begun(saver, *both) == [{"type": "LEGACY", "data": {"n": 50}}]
    keep(saver, HALF, A)
    assert begun(saver, *both) == [HALF]


def test_a_state_for_all_hides_no_row_of_a_full_refresh(saver: Saver) -> None:
    plans = plan(A, "full_refresh"), plan(B, "incremental")
    begun(saver, *plans)
    body = {"shared_state": {"lsn": 1.50}, "stream_states": [of_stream(A, {"done": True}), of_stream(B, {})]}
    keep(saver, {"type": "GLOBAL", "global": body}, None)
    keep(saver, HALF, A)
    body["stream_states"] = [of_stream(B, {})]
    assert begun(saver, *plans) == [{"type": "GLOBAL", "global": body}]
