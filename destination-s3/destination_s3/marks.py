"""The `_airbyte_` columns: where a row comes from, when it was read, what it lost on the way."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from connector_sdk import ConfiguredStream
from destination_s3.paths import Run, fingerprint


class Marks:
    """Numbers the rows of one stream in one run.

    A row's id is a UUID (version 8) of a hash of stream and run, and the row's number: unique as a random one is, at
    a tenth of its cost, and rows of one run sort in the order in which they came.
    """

    def __init__(self, stream: ConfiguredStream, run: Run) -> None:
        text = hashlib.sha256(f"{fingerprint(stream.id)}{run.id}{run.time}".encode()).hexdigest()
        self.head = f"{text[:8]}-{text[8:12]}-8{text[12:15]}-a{text[15:18]}-"
        self.sync_id = stream.sync_id or 0
        self.generation = stream.generation_id or 0
        self._next = 0

    def take(self, count: int) -> range:
        """The numbers of the next rows."""
        first, self._next = self._next, self._next + count
        return range(first, self._next)

    def raw_id(self, number: int) -> str:
        return f"{self.head}{number:012x}"

    def meta(self, changes: Iterable[Mapping[str, Any]] = ()) -> dict[str, Any]:
        """The value of `_airbyte_meta`."""
        return {"sync_id": self.sync_id, "changes": [_change(change) for change in changes]}


def _change(change: Mapping[str, Any]) -> dict[str, str]:
    return {key: str(change.get(key) or "") for key in ("field", "change", "reason")}
