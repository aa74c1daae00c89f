"""Parquet by pyarrow. Imported only where Parquet is written."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")  # Gives memory back; the others keep much of it.

import pyarrow as pa
import pyarrow.parquet as pq

from connector_sdk import Batch
from destination_s3.columns import ADDITIONAL, Kind, Type
from destination_s3.config import Parquet
from destination_s3.formats.typed import Sink, Typed

LARGEST_GROUP = 16 << 20
"""Bytes of a row group before encoding: it is held in memory, twice for a moment."""

_TYPES: Mapping[Kind, pa.DataType] = {
    "string": pa.string(),
    "digits": pa.string(),
    "boolean": pa.bool_(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "date": pa.date32(),
    "time": pa.time64("us"),
    "timestamp": pa.timestamp("us"),
    "timestamp_tz": pa.timestamp("us", tz="UTC"),
    "json": pa.string(),
}
_CHANGE = pa.struct([pa.field(name, pa.string(), nullable=False) for name in ("field", "change", "reason")])
_AIRBYTE = {
    "_airbyte_raw_id": pa.string(),
    "_airbyte_extracted_at": pa.int64(),
    "_airbyte_meta": pa.struct(
        [
            pa.field("sync_id", pa.int64(), nullable=False),
            pa.field("changes", pa.list_(pa.field("element", _CHANGE, nullable=False)), nullable=False),
        ]
    ),
    "_airbyte_generation_id": pa.int64(),
}


def arrow_type(kind: Type) -> pa.DataType:
    return pa.list_(pa.field("element", arrow_type(kind.items))) if kind.items else _TYPES[kind.kind]


def arrow_schema(typed: Typed) -> pa.Schema:
    marks = _AIRBYTE if typed.marks else {}
    fields = [pa.field(name, kind, nullable=False) for name, kind in marks.items()]
    fields += [pa.field(name, arrow_type(kind)) for name, kind in typed.types.items()]
    return pa.schema([*fields, pa.field(ADDITIONAL, pa.string())] if typed.additional else fields)


class ParquetEncoder:
    """Rows wait as Arrow columns until they make a row group."""

    def __init__(self, typed: Typed, options: Parquet) -> None:
        pa.set_cpu_count(1)
        self._typed = typed
        self._schema = arrow_schema(typed)
        self._group = min(options.block_size_mb << 20, LARGEST_GROUP)
        self._sink = Sink()
        self._writer = _writer(self._sink, self._schema, options)
        self._waiting: list[pa.RecordBatch] = []
        self.held = 0

    def write(self, batch: Batch) -> Iterator[bytes]:
        table = self._typed.table(batch)
        arrays = [pa.array(table[field.name], field.type) for field in self._schema]
        self._waiting.append(pa.RecordBatch.from_arrays(arrays, schema=self._schema))
        self.held += self._waiting[-1].nbytes
        if self.held >= self._group:
            yield from self._write_group()

    def _write_group(self) -> Iterator[bytes]:
        if self._waiting:
            table = pa.Table.from_batches(self._waiting)
            self._waiting, self.held = [], 0
            self._writer.write_table(table, row_group_size=max(1, table.num_rows))
        yield from self._sink.take()

    def finish(self) -> Iterator[bytes]:
        yield from self._write_group()
        self._writer.close()
        self._typed.tell()
        yield from self._sink.take()


def _writer(sink: Sink, schema: pa.Schema, options: Parquet) -> Any:
    codec = options.compression_codec
    return pq.ParquetWriter(
        pa.PythonFile(sink, mode="w"),
        schema,
        compression="NONE" if codec == "UNCOMPRESSED" else codec,
        use_dictionary=options.dictionary_encoding,
        data_page_size=options.page_size_kb << 10,
        dictionary_pagesize_limit=options.dictionary_page_size_kb << 10,
    )
