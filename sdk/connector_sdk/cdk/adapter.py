"""The CDK's source as the functions of ours. Each call gives it what its own entrypoint would have given."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from airbyte_cdk.models import (
    AirbyteStateBlob,
    AirbyteStateMessage,
    AirbyteStateType,
    AirbyteStream,
    AirbyteStreamState,
    ConfiguredAirbyteCatalog,
    ConfiguredAirbyteStream,
    ConnectorSpecificationSerializer,
    DestinationSyncMode,
    Status,
    StreamDescriptor,
    SyncMode,
)
from airbyte_cdk.sources import AbstractSource
from airbyte_cdk.sources.concurrent_source.concurrent_source_adapter import ConcurrentSourceAdapter
from airbyte_cdk.sources.streams import Stream as CdkStream
from pydantic import ConfigDict

from connector_sdk import config as configs
from connector_sdk.cdk.find import Factory
from connector_sdk.cdk.messages import Reading, shown, translated
from connector_sdk.cdk.process import Process
from connector_sdk.config import Config
from connector_sdk.errors import ConfigError
from connector_sdk.logs import log
from connector_sdk.rows import Yielded
from connector_sdk.source import Source
from connector_sdk.streams import ConfiguredStream, Stream, StreamName

CdkSource = Any
"""An `airbyte_cdk` `AbstractSource` or `ConcurrentDeclarativeSource`."""
NO_FORM: Mapping[str, Any] = {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "properties": {}}
OPEN_SCHEMA: Mapping[str, Any] = {"type": "object", "properties": {}, "additionalProperties": True}


class Adapter:
    """Holds what the functions share: the factory, the specification, and the source where it can be used again."""

    def __init__(self, factory: Factory) -> None:
        self._factory = factory
        self._takes = set(inspect.signature(factory).parameters) & {"catalog", "config", "state"}
        self._spec = specification(self._made())
        self._config = type("CdkConfig", (AnyConfig,), {"ready_form": self._spec["connectionSpecification"]})
        self._process = Process(lambda config: configs.secrets(self._config, config))
        self._ready: tuple[CdkSource, dict[str, Any]] | None = None
        self._begun: set[StreamName] = set()

    def source(self) -> Source:
        return Source(
            self._config,
            check=self.check,
            discover=self.discover,
            find=self.find,
            read=self.read,
            documentation=self._spec.get("documentationUrl"),
            advanced_auth=self._spec.get("advanced_auth"),
            around=self._process.around,
        )

    # The functions of a source

    def check(self, config: AnyConfig) -> None:
        with translated():
            source, given = self._prepared(config)
            problem = _check(source, given)
            self._process.told(source)
        if problem is not None:
            raise ConfigError(problem)

    def discover(self, config: AnyConfig) -> list[Stream]:
        with translated():
            source, given = self._prepared(config)
            offered = source.discover(_logger(source), given).streams
            self._process.told(source)
        return [_stream(stream) for stream in offered]

    def find(self, config: AnyConfig, names: Collection[StreamName]) -> list[Stream]:
        """Only the schemas of wanted streams are asked for: they may take requests of their own."""
        with translated():
            source, given = self._prepared(config)
            if not _of_the_cdk(type(source).discover):
                return self.discover(config)
            wanted = {name.name for name in names}
            offered = [stream.as_airbyte_stream() for stream in source.streams(config=given) if stream.name in wanted]
            self._process.told(source)
        return [_stream(stream) for stream in offered]

    def read(self, config: AnyConfig, stream: ConfiguredStream) -> Iterator[Yielded]:
        """One stream, by the CDK's own read. What it could not go on from is not given to it."""
        if stream.id in self._begun:
            self._ready = None  # A second attempt begins with new stream objects: the old ones are half-way.
        self._begun.add(stream.id)
        catalog = ConfiguredAirbyteCatalog(streams=[_configured(stream)])
        keeps_states = stream.incremental or _resumable_only(stream)
        state = [_state(stream)] if keeps_states and stream.state else []
        reading = Reading(stream, self._process.changed)
        with translated():
            source, given = self._prepared(config, catalog, state)
            messages = source.read(_logger(source), given, catalog, state)
            late = isinstance(source, ConcurrentSourceAdapter)
            yield from reading.items(self._process.followed(source, messages), keeps_states, late)

    # Making the CDK's source

    def _made(self, catalog: Any = None, config: Any = None, state: Any = None) -> CdkSource:
        given = {"catalog": catalog, "config": config, "state": state or []}
        return self._factory(**{name: given[name] for name in self._takes})

    def _prepared(self, config: AnyConfig, catalog: Any = None, state: Any = None) -> tuple[CdkSource, dict[str, Any]]:
        """The source, and the config as it wants it. One that is made with a state serves one reading only."""
        if self._ready is None or "state" in self._takes:
            given = copy.deepcopy(config.model_extra or {})
            source = self._made(catalog, given, state)
            source.streams = _streams(source.streams, again="state" in self._takes)
            given = self._process.configured(source, given)
            if getattr(source, "check_config_against_spec", True):
                validate(given, self._spec["connectionSpecification"])
            self._ready = source, given
        return self._ready


class AnyConfig(Config):
    """A config that the CDK's source understands, and we do not."""

    model_config = ConfigDict(extra="allow")


def specification(source: CdkSource) -> dict[str, Any]:
    """The source's own specification; one without a file for it has no options."""
    try:
        spec = source.spec(_logger(source))
    except FileNotFoundError:
        return {"connectionSpecification": NO_FORM}
    found: dict[str, Any] = ConnectorSpecificationSerializer.dump(spec)
    return {key: _without_nulls(value) for key, value in found.items() if value is not None}


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(inner) for key, inner in value.items() if inner is not None}
    return [_without_nulls(inner) for inner in value] if isinstance(value, list) else value


def validate(config: Mapping[str, Any], form: Mapping[str, Any]) -> None:
    """Raise a ConfigError that names the option and what the form asks of it, and not its value."""
    from airbyte_cdk.sources.utils.schema_helpers import split_config
    from jsonschema.exceptions import best_match
    from jsonschema.validators import validator_for

    options, _internal = split_config(config)
    error = best_match(validator_for(form)(form).iter_errors(options))
    if error is not None:
        place = ".".join(map(str, error.absolute_path))
        names_only = error.validator in ("required", "additionalProperties")
        problem = error.message if names_only else f"does not fit {error.validator}: {str(error.validator_value)[:200]}"
        raise ConfigError(f"The config is not right: {place + ': ' if place else ''}{problem}.")


def _logger(source: CdkSource) -> logging.Logger:
    return logging.getLogger(f"airbyte.{source.name}")


def _of_the_cdk(method: Any) -> bool:
    return str(method.__module__).split(".")[0] == "airbyte_cdk"


def _streams(streams: Callable[..., Any], again: bool) -> Callable[[Any], Any]:
    """`streams` with two kindnesses: it is asked once (it may take requests), and a schema may be missing."""
    found: list[Any] = []

    def remembered(config: Any) -> Any:
        if again or not found:
            found[:] = [_with_schema(stream) for stream in streams(config)]
        return list(found)

    return remembered


def _with_schema(stream: Any) -> Any:
    if getattr(type(stream), "get_json_schema", None) is CdkStream.get_json_schema:
        try:
            stream.get_json_schema()
        except OSError:
            log.warning(
                "The stream %s declares no fields, neither in schemas/%s.json nor by get_json_schema. They are read "
                "all the same, but the Airbyte platform removes fields that are not declared.",
                *(stream.name, stream.name),
            )
            stream.get_json_schema = lambda: OPEN_SCHEMA
    return stream


# Check


def _check(source: CdkSource, config: dict[str, Any]) -> str | None:
    """What is wrong, in the source's words. `check_connection` may leave out the logger."""
    if type(source).check is not AbstractSource.check:
        status = source.check(_logger(source), config)
        return None if status.status is Status.SUCCEEDED else _unquoted(status.message or "")
    takes_logger = len(inspect.signature(source.check_connection).parameters) > 1
    succeeded, problem = source.check_connection(*((_logger(source), config) if takes_logger else (config,)))
    if succeeded:
        return None
    return shown(problem) if isinstance(problem, BaseException) else str(problem or NO_REASON)


NO_REASON = "The source cannot connect, and gives no reason."


def _unquoted(text: str) -> str:
    """The CDK shows a text as Python would write it."""
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "'\""
    return (text[1:-1] if quoted else text) or NO_REASON


# Streams


def _stream(offered: AirbyteStream) -> Stream:
    keys, cursor = offered.source_defined_primary_key or [], offered.default_cursor_field or []
    nested = len(cursor) > 1 or any(len(path) != 1 for path in keys)
    return Stream(
        offered.name,
        schema=offered.json_schema,
        namespace=offered.namespace,
        primary_key=() if nested else [path[0] for path in keys],
        cursor=cursor[0] if cursor else None,
        incremental=SyncMode.incremental in offered.supported_sync_modes,
        cursor_is_fixed=bool(offered.source_defined_cursor),
        resumable=bool(offered.is_resumable),
        extra={"source_defined_primary_key": keys, "default_cursor_field": cursor} if nested else {},
        detail=offered,
    )


def _configured(stream: ConfiguredStream) -> ConfiguredAirbyteStream:
    offered = _offered(stream)
    default = offered.default_cursor_field or []
    own = [stream.cursor] if stream.cursor else []
    return ConfiguredAirbyteStream(
        stream=dataclasses.replace(offered, json_schema=dict(stream.schema)),
        sync_mode=SyncMode(stream.sync_mode),
        destination_sync_mode=DestinationSyncMode(stream.destination_sync_mode),
        cursor_field=default if own == default[:1] else own,
        primary_key=[list(path) for path in stream.primary_key],
    )


def _offered(stream: ConfiguredStream) -> AirbyteStream:
    assert stream.discovered is not None
    offered = stream.discovered.detail
    assert isinstance(offered, AirbyteStream)
    return offered


def _resumable_only(stream: ConfiguredStream) -> bool:
    """Whether a full refresh of this stream may go on from a state.

    Not where it also offers incremental: the state may be that of an incremental sync, after which a full refresh
    would leave out all that is older.
    """
    offered = stream.discovered
    return offered is not None and offered.resumable and not offered.incremental


def _state(stream: ConfiguredStream) -> AirbyteStateMessage:
    descriptor = StreamDescriptor(name=stream.name, namespace=stream.namespace)
    blob = AirbyteStateBlob(copy.deepcopy(dict(stream.state or {})))
    return AirbyteStateMessage(
        type=AirbyteStateType.STREAM, stream=AirbyteStreamState(stream_descriptor=descriptor, stream_state=blob)
    )
