"""The configured catalog: which streams, how, and what their generation ids mean."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from connector_sdk.errors import ConfigError
from connector_sdk.streams import ConfiguredStream, Replace, StreamName


class _Stream(msgspec.Struct):
    name: str
    namespace: str | None = None
    json_schema: dict[str, Any] | None = None
    default_cursor_field: list[str] | None = None
    source_defined_primary_key: list[list[str]] | None = None


class _Configured(msgspec.Struct):
    stream: _Stream
    sync_mode: Literal["full_refresh", "incremental"] | None = None
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
        hint = "" if b'"CATALOG"' not in text else _OF_DISCOVER
        raise ConfigError(f"The catalog is not a configured catalog (streams, sync_mode): {error}{hint}") from None
    streams = [_configured(entry) for entry in catalog.streams]
    seen: set[StreamName] = set()
    for stream in streams:
        if stream.id in seen:
            raise ConfigError(f"The catalog names the stream {stream.id} twice.")
        seen.add(stream.id)
    return streams


_OF_DISCOVER = (
    ". It holds what discover says: take each stream that is wanted from there, as "
    '{"streams": [{"stream": …, "sync_mode": "full_refresh", "destination_sync_mode": "overwrite"}]}'
)


def _configured(entry: _Configured) -> ConfiguredStream:
    stream = entry.stream
    cursor = entry.cursor_field or stream.default_cursor_field or []
    return ConfiguredStream(
        name=stream.name,
        namespace=stream.namespace,
        schema=stream.json_schema or {},
        sync_mode=entry.sync_mode or "full_refresh",
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
