"""States: those that a source is given, and those that pass through a destination, kept as they are."""

from __future__ import annotations

from typing import Any

import msgspec

from connector_sdk.errors import ConfigError
from connector_sdk.protocol import Descriptor, encoder
from connector_sdk.streams import StreamName
from connector_sdk.values import number

# Through a destination


class BadState(ConfigError):
    """A STATE that no source may write."""


class StateMessage(msgspec.Struct):
    """A STATE as it came. `scope` is its stream, or None where it speaks for all (GLOBAL, LEGACY)."""

    envelope: dict[str, msgspec.Raw]
    state: dict[str, msgspec.Raw]
    scope: StreamName | None

    def with_stats(self, rows: int, rejected: int = 0) -> bytes:
        """The same message, every key and value as it came, plus `destinationStats`."""
        stats = {"recordCount": float(rows)} | ({"rejectedRecordCount": float(rejected)} if rejected else {})
        state = {**self.state, "destinationStats": msgspec.Raw(encoder.encode(stats))}
        return encoder.encode({**self.envelope, "state": msgspec.Raw(encoder.encode(state))}) + b"\n"


_raw_object = msgspec.json.Decoder(dict[str, msgspec.Raw])


class _StreamState(msgspec.Struct):
    stream_descriptor: Descriptor
    stream_state: msgspec.Raw = msgspec.Raw(b"null")


def parse_state(message: bytes) -> StateMessage:
    """Read a STATE line, keeping each key and each value as it is."""
    try:
        envelope = _raw_object.decode(message)
        state = _raw_object.decode(envelope["state"])
        scope = _scope(state)
    except (msgspec.MsgspecError, KeyError) as error:
        raise BadState(f"The input holds a STATE that cannot be understood: {error}.") from None
    return StateMessage(envelope, state, scope)


def _scope(state: dict[str, msgspec.Raw]) -> StreamName | None:
    if "type" not in state or msgspec.json.decode(state["type"]) != "STREAM":
        return None
    return msgspec.json.decode(state["stream"], type=_StreamState).stream_descriptor.id


# For a source


_exact = msgspec.json.Decoder(float_hook=number)
"""A cursor may be a number that no float can hold."""


class InputState(msgspec.Struct):
    """What the last run left: a state per stream, or one shared by all."""

    streams: dict[StreamName, dict[str, Any]] = {}
    shared: dict[str, Any] | None = None
    legacy: dict[str, dict[str, Any]] = {}
    """By name alone: a LEGACY state knows no namespaces."""

    def of(self, stream: StreamName) -> dict[str, Any] | None:
        """The state of one stream; an empty one is none."""
        return self.streams.get(stream) or self.legacy.get(stream.name) or None


def parse_input_state(text: bytes) -> InputState:
    """Read a state file: an array of states or a single one. Absent, empty, `[]` and `{}` start anew.

    A file that cannot be understood is an error, never a fresh start.
    """
    if not text.strip():
        return InputState()
    try:
        found = _exact.decode(text)
    except msgspec.MsgspecError as error:
        raise ConfigError(f"The state file is not JSON: {error}. Mend it, or remove it to start anew.") from None
    result = InputState()
    for state in found if isinstance(found, list) else [found]:
        _add_state(result, state)
    return result


def _add_state(result: InputState, state: Any) -> None:
    if isinstance(state, dict) and state.get("type") == "STATE":
        state = state.get("state")
    if isinstance(state, dict) and not state.keys() & {"type", "stream", "global", "global_", "data"}:
        state = {"data": state}  # The oldest form: the LEGACY state's data alone.
    try:
        found = msgspec.convert(state, _GivenState)
        if found.stream is not None:
            result.streams[found.stream.stream_descriptor.id] = found.stream.stream_state or {}
        elif body := found.shared or found.shared_by_pyairbyte:
            result.shared = body.shared_state or {}
            for member in body.stream_states or []:
                result.streams[member.stream_descriptor.id] = member.stream_state or {}
        elif found.data is not None:
            result.legacy |= msgspec.convert(found.data, dict[str, dict[str, Any]])
        else:
            raise msgspec.ValidationError("it has neither stream, global nor data")
    except msgspec.ValidationError as error:
        raise ConfigError(
            f"The state file holds something that is not a state: {error}. Mend it, or remove it to start anew."
        ) from None


class _GivenStream(msgspec.Struct):
    stream_descriptor: Descriptor
    stream_state: dict[str, Any] | None = None


class _GivenShared(msgspec.Struct):
    shared_state: dict[str, Any] | None = None
    stream_states: list[_GivenStream] | None = None


class _GivenState(msgspec.Struct, rename={"shared": "global", "shared_by_pyairbyte": "global_"}):
    stream: _GivenStream | None = None
    shared: _GivenShared | None = None
    shared_by_pyairbyte: _GivenShared | None = None
    """PyAirbyte writes a GLOBAL state under this key."""
    data: dict[str, Any] | None = None
