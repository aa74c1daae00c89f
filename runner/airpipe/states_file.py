"""States in the hands of a person: shown, forgotten, set."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from airpipe.errors import ConfigProblem
from airpipe.pipeline import Loaded
from airpipe.saver import SHARED, generation_key, state_key, stream_of
from airpipe.states import Scope, as_kept, encode, fields_of, scope_of
from airpipe.statestore import open_store


def show(loaded: Loaded) -> str:
    """A JSON array of the states, one a line, each as its source wrote it."""
    with open_store(loaded) as store:
        values = store.load(loaded.name)
    states = [values[key] for key in sorted(values) if key.startswith("state/")]
    return "[\n" + ",\n".join(states) + "\n]" if states else "[]"


def reset(loaded: Loaded, streams: Sequence[str]) -> Iterator[str]:
    """Forget the states of these streams, or all. Yields what was forgotten."""
    with open_store(loaded) as store, store.lock(loaded.name):
        known = {
            key: str(stream_of(key) or "all streams") for key in store.load(loaded.name) if key.startswith("state/")
        }
        wanted = {key: text for key, text in known.items() if not streams or _named(key, streams)}
        for name in streams:
            if not any(_named(key, [name]) for key in wanted):
                shared = " (one state speaks for all streams; reset without --stream)" if SHARED in known else ""
                raise ConfigProblem(
                    f"no state is kept of the stream {name}; there is {', '.join(known.values())}{shared}"
                )
        store.save(loaded.name, dict.fromkeys(wanted))
        yield from wanted.values() or ["nothing, no state is kept"]


def _named(key: str, names: Sequence[str]) -> bool:
    stream = stream_of(key)
    return stream is not None and (str(stream) in names or stream.name in names)


def replace(loaded: Loaded, text: bytes) -> Iterator[str]:
    """Take these states in place of all that are kept. Yields whose they are. One that is wrong changes nothing."""
    found = _read(text)
    with open_store(loaded) as store, store.lock(loaded.name):
        old = store.load(loaded.name)
        gone = {key: None for key in old if key.startswith("state/")}
        modes = {}
        for key in found:
            if (stream := stream_of(key)) is not None:
                kept = json.loads(old.get(generation_key(stream), "{}"))
                modes[generation_key(stream)] = json.dumps({**kept, "mode": "incremental", "complete": True})
        store.save(loaded.name, {**gone, **found, **modes})
        yield from [str(stream_of(key) or "all streams") for key in found] or ["nothing, all states are forgotten"]


# What a person gives


class _Descriptor(msgspec.Struct):
    name: str
    namespace: str | None = None


class _StreamState(msgspec.Struct):
    stream_descriptor: _Descriptor
    stream_state: dict[str, Any] | None = None


class _SharedState(msgspec.Struct):
    shared_state: dict[str, Any] | None = None
    stream_states: list[_StreamState] = []


class _OfStream(msgspec.Struct, tag="STREAM"):
    stream: _StreamState


class _OfAll(msgspec.Struct, tag="GLOBAL"):
    shared: _SharedState = msgspec.field(name="global")


class _Legacy(msgspec.Struct, tag="LEGACY"):
    data: dict[str, Any]


_check = msgspec.json.Decoder(_OfStream | _OfAll | _Legacy).decode
"""Raises where the form of a state is not the protocol's. Other keys may stand in it."""


def _read(text: bytes) -> dict[str, str]:
    """The states of a JSON array, by the keys under which they are kept. STATE messages may stand for states."""
    try:
        entries = msgspec.json.decode(text, type=list[msgspec.Raw])
    except msgspec.MsgspecError as error:
        raise _refused(f"these are no states, a JSON array as `airpipe state show` prints it: {error}") from None
    found: dict[str, str] = {}
    for number, entry in enumerate(entries, 1):
        try:
            scope, state = _taken(entry)
        except msgspec.MsgspecError as error:
            raise _refused(f"entry {number} is no state of type STREAM, GLOBAL or LEGACY: {error}") from None
        key = state_key(scope) if scope else SHARED
        if key in found:
            raise _refused(f"entry {number} is a second state of {scope or 'all streams'}")
        found[key] = state.decode()
    return found


def _taken(entry: msgspec.Raw) -> tuple[Scope, bytes]:
    """Whose state it is, and the state as it is kept."""
    state = fields_of(entry)
    if "state" in state and bytes(state.get("type", b"")) == b'"STATE"':
        state = fields_of(state["state"])
    kind = {"type": msgspec.Raw(b'"LEGACY"')} if "data" in state and "type" not in state else {}
    _check(encode({**state, **kind}))
    return scope_of(state), as_kept(state)


def _refused(why: str) -> ConfigProblem:
    return ConfigProblem(f"{why}. Nothing is changed.")
