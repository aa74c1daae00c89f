"""What Parquet and Avro have in common: rows as columns of typed values, with Airbyte's in front."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connector_sdk import Batch
from destination_s3.columns import ADDITIONAL, Additional, Changes, Column, Losses, Type
from destination_s3.marks import Marks


class Typed:
    """`table(batch)` gives every column of the file, by name, in order."""

    def __init__(
        self, types: Mapping[str, Type], losses: Losses, marks: Marks | None, additional: Additional | None
    ) -> None:
        self.types = types
        self.marks = marks
        self.additional = additional
        self._losses = losses
        self._columns = [Column(name, kind, losses) for name, kind in types.items()]

    def table(self, batch: Batch) -> dict[str, list[Any]]:
        rows = batch.rows
        changes: Changes = {row: list(found) for row, found in batch.changes.items()}
        data = {column.name: column.values(rows, changes) for column in self._columns}
        if self.additional:
            data[ADDITIONAL] = [self.additional.text(row) for row in rows]
        return {**self._marked(batch, changes), **data} if self.marks else data

    def _marked(self, batch: Batch, changes: Changes) -> dict[str, list[Any]]:
        assert self.marks is not None
        plain = self.marks.meta()
        return {
            "_airbyte_raw_id": [self.marks.raw_id(number) for number in self.marks.take(batch.count)],
            "_airbyte_extracted_at": [at for block in batch.blocks for at in block.emitted_at],
            "_airbyte_meta": [self.marks.meta(changes[row]) if row in changes else plain for row in range(batch.count)],
            "_airbyte_generation_id": [self.marks.generation] * batch.count,
        }

    def tell(self) -> None:
        self._losses.tell()


class Sink:
    """A file that is only written to; `take` gives what came since the last time."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._place = 0
        self.closed = False

    def write(self, data: bytes | memoryview) -> int:
        part = bytes(data)
        self._parts.append(part)
        self._place += len(part)
        return len(part)

    def take(self) -> list[bytes]:
        parts, self._parts = self._parts, []
        return parts

    def tell(self) -> int:
        return self._place

    def flush(self) -> None: ...

    def close(self) -> None:
        self.closed = True

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True
