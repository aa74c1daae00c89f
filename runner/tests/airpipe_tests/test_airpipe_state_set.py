"""States in the hands of a person: what is no state is refused, and then nothing is changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from airpipe.errors import ConfigProblem
from airpipe.pipeline import Loaded, load
from airpipe.states_file import replace, show

OLD = {"type": "STREAM", "stream": {"stream_descriptor": {"name": "old"}, "stream_state": {"id": 1}}}
ALL = {"type": "GLOBAL", "global": {"shared_state": {"lsn": 1}, "stream_states": []}}
LEGACY = {"data": {"a": {"id": 1}}}


def of(name: str, **more: Any) -> dict[str, Any]:
    return {"type": "STREAM", "stream": {"stream_descriptor": {"name": name, **more}, "stream_state": {"id": 2}}}


def message(state: dict[str, Any]) -> dict[str, Any]:
    return {"type": "STATE", "state": {**state, "id": 7, "sourceStats": {"recordCount": 1.0}}, "odd": True}


@pytest.fixture
def loaded(tmp_path: Path) -> Loaded:
    (tmp_path / "p.yaml").write_text("source: {type: x}\ndestination: {type: y}\n")
    [loaded] = load(tmp_path / "p.yaml")
    put(loaded, [OLD])
    return loaded


def put(loaded: Loaded, states: Any) -> list[str]:
    return list(replace(loaded, json.dumps(states).encode()))


def kept(loaded: Loaded) -> Any:
    return json.loads(show(loaded))


@pytest.mark.parametrize(
    ("states", "told"),
    [
        ([{"a": 1}], "entry 1 is no state .* `type`"),
        ([of("a"), {"type": "RECORD"}], r"entry 2 is no state of type STREAM, GLOBAL or LEGACY: .*'RECORD'"),
        ([7], "entry 1 is no state"),
        ([{"type": "STREAM"}], "entry 1 is no state .* `stream`"),
        ([{"type": "STREAM", "stream": {"stream_descriptor": {}}}], "entry 1 is no state .* `name`"),
        ([{"type": "STREAM", "stream": {"stream_descriptor": {"name": "a"}, "stream_state": 5}}], "`int`"),
        ([{"type": "GLOBAL"}], "entry 1 is no state .* `global`"),
        ([{"type": "LEGACY"}], "entry 1 is no state .* `data`"),
        ([{"type": "STATE"}], "entry 1 is no state"),
        ([{"type": "STATE", "state": {"type": "STATE"}}], "entry 1 is no state"),
        ([of("a"), of("b"), of("a", namespace=None)], "entry 3 is a second state of a"),
        ([message(of("a", namespace="n")), of("a", namespace="n")], "entry 2 is a second state of n.a"),
        ([ALL, LEGACY], "entry 2 is a second state of all streams"),
        (ALL, "these are no states, a JSON array as `airpipe state show` prints it"),
    ],
)
def test_what_is_no_state_is_refused_and_nothing_is_changed(loaded: Loaded, states: Any, told: str) -> None:
    with pytest.raises(ConfigProblem, match=f"{told}.*Nothing is changed"):
        put(loaded, states)
    assert kept(loaded) == [OLD]


@pytest.mark.parametrize("state", [of("a"), of("a", namespace="n"), ALL, LEGACY, {"type": "LEGACY", **LEGACY}])
def test_a_state_of_each_kind_is_taken_as_it_is(loaded: Loaded, state: dict[str, Any]) -> None:
    put(loaded, [{**state, "a key of": "somebody"}])
    assert kept(loaded) == [{**state, "a key of": "somebody"}]


def test_messages_stand_for_their_states(loaded: Loaded) -> None:
    assert put(loaded, [message(of("a")), message(of("b", namespace="n"))]) == ["a", "n.b"]
    assert kept(loaded) == [of("b", namespace="n"), of("a")]


def test_what_is_shown_can_be_set_again(loaded: Loaded) -> None:
    put(loaded, [of("a"), ALL])
    shown = show(loaded)
    assert list(replace(loaded, shown.encode())) == ["all streams", "a"]
    assert show(loaded) == shown


def test_an_empty_array_forgets_all(loaded: Loaded) -> None:
    assert put(loaded, []) == ["nothing, all states are forgotten"]
    assert kept(loaded) == []
