"""What the connector asks of a place that keeps objects. `s3` and `folder` are the two that there are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from connector_sdk import StreamName


@dataclass(frozen=True, slots=True)
class Tags:
    """What every object says of itself: whose rows it holds, of which generation, written by which run."""

    stream: StreamName
    generation: int | None
    run: str


class Found(NamedTuple):
    key: str
    tags: Tags


class Upload(Protocol):
    """An object on its way. Nobody sees any of it before `finish` returns; `abort` leaves nothing behind."""

    def part(self, data: bytes) -> None:
        """Send a part, of `Objects.part_size` bytes each. Returns when it is out of memory."""

    def finish(self, last: bytes) -> None:
        """Send the rest, of any size. When this returns, the whole object is there and safe."""

    def abort(self) -> None:
        """Forget it all. Never raises; after `finish` it does nothing."""


class Objects(Protocol):
    """A bucket, or a folder that stands in for one."""

    part_size: int

    def warm_up(self) -> None:
        """Make ready what the first object needs. May be left out, and called by another thread."""

    def upload(self, key: str, tags: Tags) -> Upload:
        """Begin an object. Nothing is sent yet."""

    def require_listing(self, folder: str) -> None:
        """Raise a ConfigError where objects cannot be listed: what is to be replaced could not be found."""

    def find(self, folder: str, stream: StreamName) -> Iterator[Found]:
        """All objects of exactly this stream in this folder, known by what they say of themselves."""

    def delete(self, found: Iterable[Found]) -> None:
        """Remove objects. Those that are gone already are fine."""

    def remove_leftovers(self, folder: str, stream: StreamName, run: str) -> None:
        """Remove what killed runs of this stream left unfinished. Never touches this run's own, or other streams'."""

    def check(self, folder: str) -> None:
        """Do all that a run does, with an object of its own; raise what to change where something is refused."""
