"""Streams: what a source offers, and what a catalog asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple

from connector_sdk.envelope import Envelope, record_envelope


class StreamName(NamedTuple):
    """The identity of a stream. A namespace of None is not the empty one."""

    namespace: str | None
    name: str

    def __str__(self) -> str:
        return self.name if self.namespace is None else f"{self.namespace}.{self.name}"


@dataclass(frozen=True, slots=True)
class Stream:
    """What `discover` yields: one table, topic, endpoint.

    `schema` is a JSON Schema object with Airbyte's types (see `connector_sdk.schema`). `primary_key` and `cursor`
    name top-level fields. `detail` is handed on to `read` as it is and never leaves the process.
    """

    name: str
    schema: Mapping[str, Any]
    namespace: str | None = None
    primary_key: Sequence[str] = ()
    cursor: str | None = None
    """The default cursor field."""
    incremental: bool = False
    """May be read incrementally."""
    cursor_is_fixed: bool = False
    """The source brings its own cursor; the user cannot choose one (`source_defined_cursor`)."""
    resumable: bool = False
    """A full refresh can go on from a checkpoint (`is_resumable`)."""
    detail: Any = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Further keys of its catalog entry, over those above: nested keys and cursors of a source made elsewhere."""

    @property
    def id(self) -> StreamName:
        return StreamName(self.namespace, self.name)


class Replace(Enum):
    """What a destination removes once a stream is complete, and never before."""

    NOTHING = "nothing"
    OLDER_GENERATIONS = "older generations"
    """Rows of a generation below `minimum_generation_id`; rows without one count as older."""
    EVERYTHING_ELSE = "everything else"
    """Whatever this run did not write."""


@dataclass(frozen=True, slots=True)
class ConfiguredStream:
    """One stream of the configured catalog, for `read` and for `open_stream`."""

    name: str
    namespace: str | None = None
    schema: Mapping[str, Any] = field(default_factory=dict)
    sync_mode: str = "full_refresh"
    """`full_refresh` or `incremental`."""
    destination_sync_mode: str = "append"
    """`append`, `overwrite` or `append_dedup`."""
    cursor: str | None = None
    """The top-level field to read by, where the user chose one or the stream has a default."""
    primary_key: Sequence[Sequence[str]] = ()
    """Paths, as the protocol has them: `[["id"]]`."""
    generation_id: int | None = None
    minimum_generation_id: int | None = None
    sync_id: int | None = None
    replace: Replace = Replace.NOTHING
    """For a destination: what goes when the stream is complete."""
    state: Mapping[str, Any] | None = None
    """For a source: the state of the last checkpoint, None at the start."""
    discovered: Stream | None = None
    """For a source: what `discover` said of this stream, with its `detail`."""

    @property
    def id(self) -> StreamName:
        return StreamName(self.namespace, self.name)

    @property
    def incremental(self) -> bool:
        return self.sync_mode == "incremental"

    def envelope(self) -> Envelope:
        """The bytes around a row, for a decoder that writes whole RECORD lines."""
        return record_envelope(self.id)
