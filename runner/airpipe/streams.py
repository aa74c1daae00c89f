"""Streams and what is known of each while it moves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple


class StreamName(NamedTuple):
    """The identity of a stream. A namespace of None is not the empty one."""

    namespace: str | None
    name: str

    def __str__(self) -> str:
        return self.name if self.namespace is None else f"{self.namespace}.{self.name}"

    @classmethod
    def of(cls, descriptor: Mapping[str, Any]) -> StreamName:
        """From a `stream_descriptor`, or a stream of a catalog."""
        return cls(descriptor.get("namespace"), str(descriptor["name"]))

    @property
    def descriptor(self) -> dict[str, str]:
        return {"name": self.name} if self.namespace is None else {"name": self.name, "namespace": self.namespace}


Change = Callable[[bytes], bytes]


@dataclass(slots=True)
class Tally:
    """The counts of one stream in one attempt. Only the pump writes the first five, only the answers the others."""

    stream: StreamName
    rows: int = 0
    """Sent to the destination."""
    bytes: int = 0
    since: int = 0
    """Rows since the last STATE that speaks for the stream."""
    stated: bool = False
    """A STATE has spoken for the stream."""
    status: str = ""
    """The last status that the source gave."""
    estimate: int | None = None
    acknowledged: int = 0
    """Rows that the destination has made safe."""
    rejected: int = 0
    """Rows that the destination says it refused."""
    lost: int = 0
    """Rows that were sent and that the destination neither counted nor refused."""
    transform: Change | None = None
    """Rewrites a RECORD line, for a stream whose fields are renamed or left out."""
