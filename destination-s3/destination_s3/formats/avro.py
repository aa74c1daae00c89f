"""Avro object container files by fastavro. Imported only where Avro is written."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from typing import IO, Any, cast

from fastavro.write import Writer

from connector_sdk import Batch, StreamName
from destination_s3.columns import ADDITIONAL, AIRBYTE_COLUMNS, Kind, Type
from destination_s3.config import Avro, AvroCodec
from destination_s3.formats.typed import Sink, Typed

BLOCK = 1 << 16
"""Bytes of a block before compression: each can be read alone."""

_TYPES: Mapping[Kind, Any] = {
    "string": "string",
    "digits": "string",
    "boolean": "boolean",
    "integer": "long",
    "number": "double",
    "date": {"type": "int", "logicalType": "date"},
    "time": {"type": "long", "logicalType": "time-micros"},
    "timestamp": {"type": "long", "logicalType": "local-timestamp-micros"},
    "timestamp_tz": {"type": "long", "logicalType": "timestamp-micros"},
    "json": "string",
}
_CHANGE = {
    "type": "record",
    "name": "_airbyte_change",
    "fields": [{"name": name, "type": "string"} for name in ("field", "change", "reason")],
}
_META = {
    "type": "record",
    "name": "_airbyte_meta",
    "namespace": "_airbyte",  # Apart from that of the stream, which may have the same name.
    "fields": [{"name": "sync_id", "type": "long"}, {"name": "changes", "type": {"type": "array", "items": _CHANGE}}],
}
_AIRBYTE = dict(zip(AIRBYTE_COLUMNS, ("string", "long", _META, "long"), strict=True))


def avro_type(kind: Type) -> Any:
    """Null, or a value of the type."""
    return ["null", {"type": "array", "items": avro_type(kind.items)} if kind.items else _TYPES[kind.kind]]


def safe_name(name: str) -> str:
    """A name that Avro allows: letters, digits and `_`, no digit in front."""
    plain = "".join(char for char in unicodedata.normalize("NFKD", name) if not unicodedata.combining(char))
    plain = re.sub(r"[^A-Za-z0-9_]", "_", plain)
    return plain if re.match("[A-Za-z_]", plain) else f"_{plain}"


def safe_names(names: Iterable[str]) -> dict[str, str]:
    """Name → its safe form. What is safe as it stands keeps its name, whoever else comes; others get a number."""
    found = {name: safe_name(name) for name in names}
    taken = {name for name, plain in found.items() if name == plain}
    for name, plain in found.items():
        if name != plain:
            free, number = plain, 1
            while free in taken:
                number += 1
                free = f"{plain}_{number}"
            taken.add(free)
            found[name] = free
    return found


def avro_schema(typed: Typed, stream: StreamName) -> tuple[dict[str, Any], dict[str, str]]:
    """The schema of the file, and for each column its name there. A field whose name changed keeps it in `doc`."""
    columns = {name: avro_type(kind) for name, kind in typed.types.items()}
    columns |= {ADDITIONAL: ["null", "string"]} if typed.additional else {}
    names = safe_names([*(AIRBYTE_COLUMNS if typed.marks else ()), *columns])
    fields: list[dict[str, Any]] = (
        [{"name": name, "type": kind} for name, kind in _AIRBYTE.items()] if typed.marks else []
    )
    for name, kind in columns.items():
        doc = {"doc": name} if names[name] != name else {}
        fields.append({"name": names[name], "type": kind, "default": None, **doc})
    place = ".".join(safe_name(part) for part in (stream.namespace or "default").split("."))
    return {"type": "record", "name": safe_name(stream.name), "namespace": place, "fields": fields}, names


class AvroEncoder:
    held = BLOCK

    def __init__(self, typed: Typed, options: Avro, stream: StreamName) -> None:
        self._typed = typed
        self._sink = Sink()
        schema, names = avro_schema(typed, stream)
        self._names = list(names.values())
        codec, level = _codec(options.compression_codec)
        self._writer = Writer(
            cast("IO[bytes]", self._sink), schema, codec, sync_interval=BLOCK, compression_level=level
        )

    def write(self, batch: Batch) -> Iterator[bytes]:
        write, names = self._writer.write, self._names
        for row in zip(*self._typed.table(batch).values(), strict=True):
            write(dict(zip(names, row, strict=True)))
        yield from self._sink.take()

    def finish(self) -> Iterator[bytes]:
        self._writer.flush()
        self._typed.tell()
        yield from self._sink.take()


def _codec(options: AvroCodec) -> tuple[str, int | None]:
    """fastavro's name of the codec, and its level."""
    name = {"no compression": "null", "Deflate": "deflate"}.get(options.codec, options.codec)
    return name, getattr(options, "compression_level", None)
