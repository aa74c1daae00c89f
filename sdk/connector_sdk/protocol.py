"""The Airbyte protocol, 0.18/0.19: the messages and their JSON. Nobody else in the SDK knows how they are spelt.

Source: airbyte-protocol's `airbyte_protocol.yaml`. Functions that make a message return one line, ended by `\\n`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from connector_sdk.errors import ConfigError
from connector_sdk.rows import Change, Estimate
from connector_sdk.streams import ConfiguredStream, Envelope, Replace, Stream, StreamName

PROTOCOL_VERSION = "0.3.0"
MESSAGE_LIMIT, STACK_LIMIT = 50_000, 100_000
"""Characters after which the platform cuts an error's text and its stack trace."""

encoder = msgspec.json.Encoder(decimal_format="number")
"""Decimals as numbers with all their digits, integers of any size, dates as ISO 8601, bytes as base64."""


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def line(message: Mapping[str, Any]) -> bytes:
    return encoder.encode(message) + b"\n"


# What a source says


def record_envelope(stream: StreamName) -> Envelope:
    """The bytes around a row of this stream, emitted now."""
    namespace = b'"namespace":%b,' % encoder.encode(stream.namespace) if stream.namespace is not None else b""
    head = b'{"type":"RECORD","record":{"stream":%b,%b"emitted_at":%d,"data":'
    return Envelope(
        head=head % (encoder.encode(stream.name), namespace, now_ms()),
        tail=b"}}",
        meta_head=b',"meta":{"changes":',
        meta_tail=b"}}}",
    )


def changes_json(changes: Iterable[Change]) -> bytes:
    return encoder.encode([{"field": c.field, "change": c.change, "reason": c.reason} for c in changes])


def state_line(stream: StreamName, state: Mapping[str, Any], rows: int) -> bytes:
    """A STREAM state, and how many rows came since the last one of this stream."""
    body = {"type": "STREAM", "stream": {"stream_descriptor": _descriptor(stream), "stream_state": state}}
    return line({"type": "STATE", "state": {**body, "sourceStats": {"recordCount": float(rows)}}})


def global_state_line(shared: Mapping[str, Any], streams: Iterable[StreamName], rows: int) -> bytes:
    """A GLOBAL state: one position for all streams, and how many rows came since the last one."""
    members = [{"stream_descriptor": _descriptor(stream), "stream_state": {}} for stream in streams]
    body = {"type": "GLOBAL", "global": {"shared_state": shared, "stream_states": members}}
    return line({"type": "STATE", "state": {**body, "sourceStats": {"recordCount": float(rows)}}})


def status_line(stream: StreamName, status: str) -> bytes:
    """STARTED, RUNNING, COMPLETE or INCOMPLETE."""
    return _trace("STREAM_STATUS", stream_status={"stream_descriptor": _descriptor(stream), "status": status})


def estimate_line(stream: StreamName, estimate: Estimate) -> bytes:
    body: dict[str, Any] = {"name": stream.name, "type": "STREAM"}
    if stream.namespace is not None:
        body["namespace"] = stream.namespace
    if estimate.rows is not None:
        body["row_estimate"] = estimate.rows
    if estimate.bytes is not None:
        body["byte_estimate"] = estimate.bytes
    return _trace("ESTIMATE", estimate=body)


def control_line(config: Mapping[str, Any]) -> bytes:
    """The whole new config: the platform replaces the old one by it."""
    return line(
        {
            "type": "CONTROL",
            "control": {"type": "CONNECTOR_CONFIG", "emitted_at": now_ms(), "connectorConfig": {"config": config}},
        }
    )


# What either side says


def error_line(
    message: str, failure_type: str, *, internal: str = "", stack: str = "", stream: StreamName | None = None
) -> bytes:
    error: dict[str, Any] = {"message": message[:MESSAGE_LIMIT], "failure_type": failure_type}
    if internal:
        error["internal_message"] = internal[:MESSAGE_LIMIT]
    if stack:
        error["stack_trace"] = stack[-STACK_LIMIT:]
    if stream is not None:
        error["stream_descriptor"] = _descriptor(stream)
    return _trace("ERROR", error=error)


def log_line(level: str, message: str, stack: str = "") -> bytes:
    log = {"level": level, "message": message[:MESSAGE_LIMIT]}
    return line({"type": "LOG", "log": {**log, "stack_trace": stack[-STACK_LIMIT:]} if stack else log})


def connection_line(problem: str | None) -> bytes:
    status = {"status": "SUCCEEDED"} if problem is None else {"status": "FAILED", "message": problem[:MESSAGE_LIMIT]}
    return line({"type": "CONNECTION_STATUS", "connectionStatus": status})


def spec_line(form: Mapping[str, Any], documentation: str | None, modes: Sequence[str] | None) -> bytes:
    """`modes`: a destination's sync modes; None for a source, whose spec has no such list."""
    spec: dict[str, Any] = {"protocol_version": PROTOCOL_VERSION, "connectionSpecification": form}
    if documentation:
        spec["documentationUrl"] = documentation
    if modes is None:
        spec["supportsIncremental"] = True
    else:
        spec |= {"supportsIncremental": True, "supported_destination_sync_modes": list(modes)}
    return line({"type": "SPEC", "spec": spec})


def catalog_line(streams: Iterable[Stream]) -> bytes:
    return line({"type": "CATALOG", "catalog": {"streams": [_catalog_entry(stream) for stream in streams]}})


def _catalog_entry(stream: Stream) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": stream.name}
    if stream.namespace is not None:
        entry["namespace"] = stream.namespace
    return entry | {
        "json_schema": stream.schema,
        "supported_sync_modes": ["full_refresh", "incremental"] if stream.incremental else ["full_refresh"],
        "source_defined_cursor": stream.cursor_is_fixed,
        "default_cursor_field": [stream.cursor] if stream.cursor else [],
        "source_defined_primary_key": [[part] for part in stream.primary_key],
        "is_resumable": stream.resumable or stream.incremental,
    }


def _descriptor(stream: StreamName) -> dict[str, str]:
    return {"name": stream.name} if stream.namespace is None else {"name": stream.name, "namespace": stream.namespace}


def _trace(kind: str, **body: Mapping[str, Any]) -> bytes:
    return line({"type": "TRACE", "trace": {"type": kind, "emitted_at": float(now_ms()), **body}})


# What a destination reads beside RECORDs


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


class _Descriptor(msgspec.Struct):
    name: str
    namespace: str | None = None


class _StreamState(msgspec.Struct):
    stream_descriptor: _Descriptor
    stream_state: msgspec.Raw = msgspec.Raw(b"null")


def parse_state(message: bytes) -> StateMessage:
    """Read a STATE line, keeping each key and each value as it is. Raises `msgspec.MsgspecError` where it is none."""
    envelope = _raw_object.decode(message)
    state = _raw_object.decode(envelope["state"])
    scope = None
    if _text(state.get("type")) == "STREAM":
        found = msgspec.json.decode(state["stream"], type=_StreamState).stream_descriptor
        scope = StreamName(found.namespace, found.name)
    return StateMessage(envelope, state, scope)


def _text(raw: msgspec.Raw | None) -> Any:
    return None if raw is None else msgspec.json.decode(raw)


class _Status(msgspec.Struct):
    stream_descriptor: _Descriptor
    status: str


class _Trace(msgspec.Struct):
    type: str
    stream_status: _Status | None = None


class _Other(msgspec.Struct):
    type: str | None = None
    trace: _Trace | None = None


_other = msgspec.json.Decoder(_Other)


def message_type(message: bytes) -> str | None:
    """The type of a message that is not a RECORD; None for JSON that is no message."""
    try:
        return msgspec.json.decode(message, type=_Kind).type
    except msgspec.ValidationError:
        return None


class _Kind(msgspec.Struct):
    type: str | None = None


def parse_status(message: bytes) -> tuple[StreamName, str] | None:
    """The stream and status of a STREAM_STATUS trace, None for any other line."""
    try:
        trace = _other.decode(message).trace
    except msgspec.ValidationError:
        return None
    if trace is None or trace.stream_status is None:
        return None
    status = trace.stream_status
    return StreamName(status.stream_descriptor.namespace, status.stream_descriptor.name), status.status


# The configured catalog


class _Stream(msgspec.Struct):
    name: str
    namespace: str | None = None
    json_schema: dict[str, Any] | None = None
    default_cursor_field: list[str] | None = None
    source_defined_primary_key: list[list[str]] | None = None


class _Configured(msgspec.Struct):
    stream: _Stream
    sync_mode: str = "full_refresh"
    destination_sync_mode: str | None = None
    cursor_field: list[str] | None = None
    primary_key: list[list[str]] | None = None
    generation_id: int | None = None
    minimum_generation_id: int | None = None
    sync_id: int | None = None


class _Catalog(msgspec.Struct):
    streams: list[_Configured]


def parse_catalog(text: bytes) -> list[ConfiguredStream]:
    """The streams of a configured catalog, in its order. Explicit nulls count as absent."""
    try:
        catalog = msgspec.json.decode(text, type=_Catalog)
    except msgspec.MsgspecError as error:
        raise ConfigError(f"The catalog is not a configured catalog (streams with stream and sync_mode): {error}") from None
    streams = [_configured(entry) for entry in catalog.streams]
    seen: set[StreamName] = set()
    for stream in streams:
        if stream.id in seen:
            raise ConfigError(f"The catalog names the stream {stream.id} twice.")
        seen.add(stream.id)
    return streams


def _configured(entry: _Configured) -> ConfiguredStream:
    stream = entry.stream
    cursor = entry.cursor_field or stream.default_cursor_field or []
    return ConfiguredStream(
        name=stream.name,
        namespace=stream.namespace,
        schema=stream.json_schema or {},
        sync_mode=entry.sync_mode,
        destination_sync_mode=entry.destination_sync_mode or "append",
        cursor=cursor[0] if cursor else None,
        primary_key=entry.primary_key or stream.source_defined_primary_key or [],
        generation_id=entry.generation_id,
        minimum_generation_id=entry.minimum_generation_id,
        sync_id=entry.sync_id,
        replace=_replace(entry),
    )


def generations_speak(stream: _Configured | ConfiguredStream) -> bool:
    """Whether the generation ids mean something. PyAirbyte sends 1/1/1 on every run, whatever the mode."""
    ids = (stream.generation_id, stream.minimum_generation_id, stream.sync_id)
    return stream.generation_id is not None and ids != (1, 1, 1)


def _replace(entry: _Configured) -> Replace:
    if generations_speak(entry) and entry.minimum_generation_id:
        return Replace.OLDER_GENERATIONS
    return Replace.EVERYTHING_ELSE if entry.destination_sync_mode == "overwrite" else Replace.NOTHING


# The state that a source is given


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
        found = msgspec.json.decode(text)
    except msgspec.MsgspecError as error:
        raise ConfigError(f"The state file is not JSON: {error}. Mend it, or remove it to start anew.") from None
    result = InputState()
    for state in found if isinstance(found, list) else [found]:
        _add_state(result, state)
    return result


def _add_state(result: InputState, state: Any) -> None:
    if isinstance(state, dict) and isinstance(state.get("state"), dict) and state.get("type") == "STATE":
        state = state["state"]
    match state:
        case {"type": "STREAM", "stream": {"stream_descriptor": {"name": str(name)} as descriptor, **body}}:
            result.streams[StreamName(descriptor.get("namespace"), name)] = body.get("stream_state") or {}
        case {"type": "GLOBAL", "global": dict(body)} | {"type": "GLOBAL", "global_": dict(body)}:
            result.shared = body.get("shared_state") or {}
            for member in body.get("stream_states") or []:
                _add_state(result, {"type": "STREAM", "stream": member})
        case {"type": "LEGACY" | None, "data": dict(body)}:
            _add_legacy(result, body)
        case dict() if "type" not in state and "stream" not in state and "global" not in state:
            _add_legacy(result, state.get("data") if isinstance(state.get("data"), dict) else state)
        case _:
            raise ConfigError("The state file holds something that is not a state. Mend it, or remove it to start anew.")


def _add_legacy(result: InputState, data: Mapping[str, Any]) -> None:
    """A LEGACY state is one object, stream name → state, without namespaces."""
    for name, body in data.items():
        if not isinstance(body, dict):
            raise ConfigError("The state file is neither an array of states nor an object of stream states.")
        result.legacy[name] = body
