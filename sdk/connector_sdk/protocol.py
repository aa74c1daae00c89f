"""The Airbyte protocol, 0.18/0.19: the messages and their JSON. In the SDK only `envelope` spells one as well.

Source: airbyte-protocol's `airbyte_protocol.yaml`. Functions that make a message return one line, ended by `\\n`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from connector_sdk.rows import Change, Estimate
from connector_sdk.streams import Stream, StreamName

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


def spec_line(
    form: Mapping[str, Any],
    documentation: str | None,
    modes: Sequence[str] | None,
    advanced_auth: Mapping[str, Any] | None = None,
) -> bytes:
    """`modes`: a destination's sync modes; None for a source, whose spec has no such list."""
    spec: dict[str, Any] = {"protocol_version": PROTOCOL_VERSION, "connectionSpecification": form}
    if documentation:
        spec["documentationUrl"] = documentation
    if advanced_auth:
        spec["advanced_auth"] = advanced_auth
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
        "is_resumable": stream.resumable,
        **stream.extra,
    }


def _descriptor(stream: StreamName) -> dict[str, str]:
    return {"name": stream.name} if stream.namespace is None else {"name": stream.name, "namespace": stream.namespace}


def _trace(kind: str, **body: Mapping[str, Any]) -> bytes:
    return line({"type": "TRACE", "trace": {"type": kind, "emitted_at": float(now_ms()), **body}})


# What a destination hears beside RECORDs and STATEs


class Descriptor(msgspec.Struct):
    name: str
    namespace: str | None = None

    @property
    def id(self) -> StreamName:
        return StreamName(self.namespace, self.name)


class _Status(msgspec.Struct):
    stream_descriptor: Descriptor
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
    return status.stream_descriptor.id, status.status
