"""How rows become files. One module a format; `layout` chooses, and imports only what the chosen one needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from connector_sdk import Batch, ConfiguredStream
from destination_s3.columns import AIRBYTE_COLUMNS, Additional, Losses, columns_of
from destination_s3.compression import EXTENSIONS, compressor
from destination_s3.config import Avro, Csv, Jsonl, Parquet, S3Config
from destination_s3.marks import Marks
from destination_s3.paths import Run


class Encoder(Protocol):
    """Turns the rows of one file into its bytes."""

    held: int
    """Bytes of memory that it keeps to itself."""

    def write(self, batch: Batch) -> Iterator[bytes]:
        """The next bytes of the file. Not all rows need to be among them yet."""

    def finish(self) -> Iterator[bytes]:
        """The last bytes."""


class Layout(Protocol):
    """How the rows of one stream become files."""

    extension: str

    def fits(self, batch: Batch) -> bool:
        """Whether a file that was begun has a column for all of these rows' fields. If not, begin the next one."""

    def encoder(self) -> Encoder:
        """For a new file."""


def layout(config: S3Config, stream: ConfiguredStream, run: Run) -> Layout:
    marks = Marks(stream, run) if config.airbyte_columns else None
    match config.format:
        case Jsonl() as jsonl:
            return JsonlLayout(jsonl, marks)
        case Csv() as csv:
            return CsvLayout(csv, marks, stream)
        case Avro() | Parquet() as typed:
            return TypedLayout(typed, marks, stream)


class JsonlLayout:
    def __init__(self, options: Jsonl, marks: Marks | None) -> None:
        self._options = options
        self._marks = marks
        self.extension = ".jsonl" + EXTENSIONS.get(options.compression.compression_type, "")

    def fits(self, _batch: Batch) -> bool:
        return True

    def encoder(self) -> Encoder:
        from destination_s3.formats.jsonl import JsonlEncoder

        flat = self._options.flattening == "Root level flattening"
        return JsonlEncoder(compressor(self._options.compression.compression_type), self._marks, flat)


class _Columned:
    """A layout whose files get one more column, from the next file on, once a row has fields without a column."""

    def __init__(self, stream: ConfiguredStream, columns: Sequence[str]) -> None:
        self._additional = Additional(stream, columns)
        self._needs_additional = False

    def fits(self, batch: Batch) -> bool:
        if self._needs_additional or not self._additional.among(self._rows(batch)):
            return True
        self._needs_additional = True
        return False

    def _rows(self, batch: Batch) -> Iterable[Mapping[str, Any]]:
        return batch.rows

    @property
    def additional(self) -> Additional | None:
        return self._additional if self._needs_additional else None


class CsvLayout(_Columned):
    def __init__(self, options: Csv, marks: Marks | None, stream: ConfiguredStream) -> None:
        self._whole_rows = marks is not None and options.flattening == "No flattening"
        self._columns = list(columns_of(stream, "text", AIRBYTE_COLUMNS if marks else ()))
        super().__init__(stream, self._columns)
        self._options = options
        self._marks = marks
        self.extension = ".csv" + EXTENSIONS.get(options.compression.compression_type, "")

    def fits(self, batch: Batch) -> bool:
        return self._whole_rows or super().fits(batch)

    def _rows(self, batch: Batch) -> Iterable[Mapping[str, Any]]:
        from destination_s3.formats.csv import rows_of

        return rows_of(batch)

    def encoder(self) -> Encoder:
        from destination_s3.formats.csv import CsvEncoder

        made = compressor(self._options.compression.compression_type)
        return CsvEncoder(made, self._marks, None if self._whole_rows else self._columns, self.additional)


class TypedLayout(_Columned):
    """Parquet and Avro: always with a column for each field, as Airbyte's own destination has them."""

    def __init__(self, options: Avro | Parquet, marks: Marks | None, stream: ConfiguredStream) -> None:
        self._types = columns_of(stream, options.numbers, AIRBYTE_COLUMNS if marks else ())
        super().__init__(stream, list(self._types))
        self._losses = Losses(stream)
        self._options = options
        self._marks = marks
        self._stream = stream
        self.extension = ".avro" if isinstance(options, Avro) else ".parquet"

    def encoder(self) -> Encoder:
        from destination_s3.formats.typed import Typed

        typed = Typed(self._types, self._losses, self._marks, self.additional)
        if isinstance(self._options, Parquet):
            from destination_s3.formats.parquet import ParquetEncoder

            return ParquetEncoder(typed, self._options)
        from destination_s3.formats.avro import AvroEncoder

        return AvroEncoder(typed, self._options, self._stream.id)
