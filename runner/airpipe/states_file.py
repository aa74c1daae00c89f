"""States in the hands of a person: shown, forgotten, set."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import msgspec

from airpipe.errors import ConfigProblem
from airpipe.pipeline import Loaded
from airpipe.saver import SHARED, generation_key, state_key, stream_of
from airpipe.states import scope_of
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
    """Take these states in place of all that are kept. Yields whose they are."""
    try:
        states = msgspec.json.decode(text, type=list[msgspec.Raw])
        found = {}
        for state in states:
            scope = scope_of(state)
            found[state_key(scope) if scope else SHARED] = bytes(state).decode()
    except (msgspec.MsgspecError, KeyError, TypeError) as error:
        raise ConfigProblem(f"these are no states, a JSON array as `airpipe state show` prints it: {error}") from None
    with open_store(loaded) as store, store.lock(loaded.name):
        old = store.load(loaded.name)
        gone = {key: None for key in old if key.startswith("state/")}
        modes = {}
        for key in found:
            if (stream := stream_of(key)) is not None:
                kept = json.loads(old.get(generation_key(stream), "{}"))
                modes[generation_key(stream)] = json.dumps({**kept, "mode": "incremental", "complete": True})
        store.save(loaded.name, {**gone, **found, **modes})
        yield from (str(stream_of(key) or "all streams") for key in found)
