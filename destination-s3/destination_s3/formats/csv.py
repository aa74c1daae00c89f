"""CSV as RFC 4180 has it, with a header. Null is an empty cell, an empty text is `""`; numbers keep every digit."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

import msgspec

from connector_sdk import Batch
from destination_s3.columns import ADDITIONAL, AIRBYTE_COLUMNS, Additional, json_text
from destination_s3.compression import Compressor
from destination_s3.marks import Marks

DATA = "_airbyte_data"
GATHERED = 1 << 16
"""Characters of lines that are compressed in one go."""

_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_text = msgspec.json.Decoder(str).decode
_needs_quotes = re.compile('[",\r\n]').search


def rows_of(batch: Batch) -> Iterator[dict[str, msgspec.Raw]]:
    """The fields of each row, their values undecoded."""
    return (_decode_fields(row) for block in batch.blocks for row in block.lines.split(b"\n")[:-1])


def cell(text: str) -> str:
    """A text as a cell."""
    return '"' + text.replace('"', '""') + '"' if not text or _needs_quotes(text) else text


def raw_cell(raw: msgspec.Raw | None) -> str:
    """A JSON value as a cell: text without its quotes, null as nothing, all else as JSON, digit for digit."""
    if raw is None:
        return ""
    data = bytes(raw)
    if data[:1] == b'"':
        return cell(_decode_text(data))
    return "" if data == b"null" else cell(data.decode())


class CsvEncoder:
    """`columns` names the fields that have a column; None puts the whole row, as JSON, into one."""

    def __init__(
        self, compressor: Compressor, marks: Marks | None, columns: Sequence[str] | None, additional: Additional | None
    ) -> None:
        self._compressor = compressor
        self._marks = marks
        self._columns = columns
        self._additional = additional
        self._begun = False
        self.held = compressor.held

    def _header(self) -> str:
        names = [*(AIRBYTE_COLUMNS if self._marks else ()), *([DATA] if self._columns is None else self._columns)]
        return ",".join(map(cell, [*names, ADDITIONAL] if self._additional else names))

    def write(self, batch: Batch) -> Iterator[bytes]:
        lines, size = ([] if self._begun else [self._header()]), 0
        self._begun = True
        for line in self._lines(batch):
            lines.append(line)
            size += len(line)
            if size >= GATHERED:
                yield self._compress(lines)
                lines, size = [], 0
        yield self._compress(lines)

    def _compress(self, lines: list[str]) -> bytes:
        return self._compressor.compress("".join(f"{line}\r\n" for line in lines).encode())

    def finish(self) -> Iterator[bytes]:
        yield self._compressor.flush()

    def _lines(self, batch: Batch) -> Iterator[str]:
        cells = self._cells()
        data = (cells(row) for block in batch.blocks for row in block.lines.split(b"\n")[:-1])
        if self._marks is None:
            return (line or '""' for line in data)  # Many readers take an empty line for no row at all.
        if self._columns or self._columns is None or self._additional:
            return map("{},{}".format, self._marked(batch), data)
        return self._marked(batch)

    def _cells(self) -> Callable[[bytes], str]:
        if self._columns is None:
            return lambda row: cell(row.decode())
        columns, additional = self._columns, self._additional

        def cells(row: bytes) -> str:
            fields = _decode_fields(row)
            found = [raw_cell(fields.get(name)) for name in columns]
            if additional:
                found.append(cell(additional.text(fields) or "") if additional.among([fields]) else "")
            return ",".join(found)

        return cells

    def _marked(self, batch: Batch) -> Iterator[str]:
        marks = self._marks
        assert marks is not None
        times = (at for block in batch.blocks for at in block.emitted_at)
        plain = cell(json_text(marks.meta()).decode())
        for row, (number, at) in enumerate(zip(marks.take(batch.count), times, strict=True)):
            changes = batch.changes.get(row)
            meta = cell(json_text(marks.meta(changes)).decode()) if changes else plain
            yield f"{marks.raw_id(number)},{at},{meta},{marks.generation}"
