"""What is in the files, as readers that know nothing of the connector see it."""

from __future__ import annotations

import csv
import gzip
import io
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, time, timezone
from decimal import Decimal
from typing import Any

import fastavro
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connector_sdk import Batch, ConfiguredStream, schema
from destination_s3.columns import spelled_out
from destination_s3.config import S3Config
from destination_s3.formats import layout
from destination_s3.formats.avro import safe_names
from destination_s3.paths import Run

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

SCHEMA = schema.table(
    {
        "id": schema.INTEGER,
        "name": schema.STRING,
        "ok": schema.BOOLEAN,
        "ratio": schema.NUMBER,
        "day": schema.DATE,
        "clock": schema.TIME,
        "zoned_clock": schema.TIME_TZ,
        "local": schema.TIMESTAMP,
        "moment": schema.TIMESTAMP_TZ,
        "tags": schema.array(schema.STRING),
        "grid": schema.array(schema.array(schema.INTEGER)),
        "any": schema.ANY,
        "thing": schema.OBJECT,
    }
)
STREAM = ConfiguredStream("docs", "public", schema=SCHEMA, generation_id=4, minimum_generation_id=0, sync_id=9)
FULL = {
    "id": 2**63 - 1,
    "name": '한국어, "quoted"\r\nand \\ 😀',
    "ok": True,
    "ratio": 0.1,
    "day": "2024-02-29",
    "clock": "23:59:59.999999",
    "zoned_clock": "12:00:00+09:00",
    "local": "1969-12-31T23:59:59.5",
    "moment": "2024-02-29T12:00:00+09:00",
    "tags": ["a", None, ""],
    "grid": [[1, 2], [], None],
    "any": "1",
    "thing": {"b": [1, {"c": None}], "a": 1.0},
}
EMPTY: dict[str, Any] = {}
NULLS: dict[str, Any] = dict.fromkeys(FULL)
BLANK = {"name": "", "tags": [], "thing": {}, "any": [], "id": -(2**63), "ratio": 1e300}
ROWS = [FULL, EMPTY, NULLS, BLANK]
AIRBYTE = ["_airbyte_raw_id", "_airbyte_extracted_at", "_airbyte_meta", "_airbyte_generation_id"]
CHANGE = {"field": "ratio", "change": "NULLED", "reason": "SOURCE_SERIALIZATION_ERROR"}
METAS = {1: b'{"changes":[%b]}' % json.dumps(CHANGE).encode(), 2: b'{"other":1}', 3: b'{"changes":[]}'}

Write = Callable[..., bytes]


@pytest.fixture(name="write")
def _write(make_batch: Callable[..., Batch]) -> Write:
    def write(format: Any, *batches: Any, stream: ConfiguredStream = STREAM, **options: Any) -> bytes:
        """The content of one file."""
        config = S3Config.model_validate({"bucket": "b", "format": format, **options})
        encoder = layout(config, stream, Run()).encoder()
        made = (found if isinstance(found, Batch) else make_batch(stream, found, METAS) for found in batches)
        body = b"".join(data for one in made for data in encoder.write(one))
        return body + b"".join(encoder.finish())

    return write


def unpacked(content: bytes, compression: str) -> str:
    match compression:
        case "gzip":
            content = gzip.decompress(content)
        case "zstd":
            content = zstd.decompress(content)
    return content.decode()


# JSON lines


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_plain_jsonl_is_what_came_byte_for_byte(write: Write, compression: str) -> None:
    lines = [b'{ "b":1.10, "a":"\\u00e9" }\n', b"{}\n", b'{"n":123456789012345678901234567890.10}\n']
    assert unpacked(write("jsonl", lines, lines, compression=compression), compression) == b"".join(lines * 2).decode()


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
@pytest.mark.parametrize("flattening", ["No flattening", "Root level flattening"])
def test_jsonl_with_airbytes_columns(write: Write, compression: str, flattening: str) -> None:
    kind = {"none": "No Compression", "gzip": "GZIP", "zstd": "ZSTD"}[compression]
    form = {"format_type": "JSONL", "flattening": flattening, "compression": {"compression_type": kind}}
    text = unpacked(write(form, ROWS, ROWS, airbyte_columns=True), compression)
    rows = [json.loads(line) for line in text.splitlines()]
    assert [list(row)[:4] for row in rows] == [AIRBYTE] * 8
    data = [row["_airbyte_data"] for row in rows] if flattening == "No flattening" else [_rest(row) for row in rows]
    assert data == ROWS * 2
    marked(rows)


def _rest(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in AIRBYTE}


def marked(rows: Sequence[Mapping[str, Any]]) -> None:
    """Airbyte's columns of `ROWS`, written twice."""
    assert len({row["_airbyte_raw_id"] for row in rows}) == 8
    assert [row["_airbyte_extracted_at"] for row in rows] == [1_700_000_000_000 + number for number in range(4)] * 2
    assert {row["_airbyte_generation_id"] for row in rows} == {4}
    assert {row["_airbyte_meta"]["sync_id"] for row in rows} == {9}
    assert [row["_airbyte_meta"]["changes"] for row in rows] == [[], [CHANGE], [], []] * 2


def test_raw_ids_are_uuids(write: Write) -> None:
    from uuid import UUID

    rows = [json.loads(line) for line in write("jsonl", ROWS, compression="none", airbyte_columns=True).splitlines()]
    ids = [UUID(row["_airbyte_raw_id"]) for row in rows]
    assert {(found.version, found.variant) for found in ids} == {(8, "specified in RFC 4122")}
    assert ids == sorted(ids)


def test_fields_named_as_airbytes_columns_are_kept_aside(write: Write) -> None:
    row = {"id": 1, "_airbyte_raw_id": "old", "_airbyte_meta": {"a": 1}}
    flat = json.loads(write("jsonl", [row], compression="none", airbyte_columns=True))
    assert flat["_airbyte_raw_id"] != "old"
    assert flat["_airbyte_additional_properties"] == {"_airbyte_raw_id": "old", "_airbyte_meta": {"a": 1}}
    assert flat["id"] == 1


def test_a_field_named_as_the_place_for_them_is_kept_there_too(write: Write) -> None:
    place = "_airbyte_additional_properties"
    row = {"id": 1, place: {"a": 1}, "_airbyte_raw_id": "old"}
    flat = write("jsonl", [row], compression="none", airbyte_columns=True)
    assert json.loads(flat)[place] == {place: {"a": 1}, "_airbyte_raw_id": "old"}
    alone = json.loads(write("jsonl", [{place: {"a": 1}}], compression="none", airbyte_columns=True))
    assert alone[place] == {"a": 1}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
names = st.text().filter(lambda name: not name.startswith("_airbyte_"))  # Those move: a test of their own is above.
json_rows = st.lists(st.dictionaries(names, json_values, max_size=5), min_size=1, max_size=10)
spacing = st.sampled_from([(",", ":"), (", ", ": "), (" ,\t", " :  ")])
here = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)


@here
@given(json_rows, spacing, st.booleans())
def test_any_json_comes_through_jsonl(
    write: Write, rows: list[dict[str, Any]], separators: tuple[str, str], ascii_only: bool
) -> None:
    lines = [_line(row, separators, ascii_only) for row in rows]
    plain = write("jsonl", lines, compression="gzip")
    assert gzip.decompress(plain) == b"".join(lines)
    for flattening in ("No flattening", "Root level flattening"):
        form = {"format_type": "JSONL", "flattening": flattening}
        found = [json.loads(line) for line in write(form, lines, airbyte_columns=True).splitlines()]
        flat = flattening != "No flattening"
        assert [_rest(row) if flat else row["_airbyte_data"] for row in found] == rows


def _line(row: Any, separators: tuple[str, str], ascii_only: bool) -> bytes:
    text = json.dumps(row, ensure_ascii=ascii_only, separators=separators).encode("utf-8", "surrogatepass")
    return text.replace(b"{", b"{ ", 1) + b"\n"


@pytest.mark.parametrize("flattening", ["No flattening", "Root level flattening"])
def test_large_and_small_rows_together(write: Write, flattening: str) -> None:
    rows: list[dict[str, Any]] = [{"id": 1}, {"id": 2, "text": "x" * 3_000_000}, {}, {"id": 4}]
    rows += [{"id": number, "text": "y" * 1000} for number in range(2000)]
    form = {"format_type": "JSONL", "flattening": flattening, "compression": {"compression_type": "GZIP"}}
    found = [json.loads(line) for line in gzip.decompress(write(form, rows, airbyte_columns=True)).splitlines()]
    assert [row.get("_airbyte_data", _rest(row)) for row in found] == rows
    assert len({row["_airbyte_raw_id"] for row in found}) == len(rows)


# CSV


def cells(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline=""), strict=True))


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_csv(write: Write, compression: str) -> None:
    text = unpacked(write("csv", ROWS, ROWS, compression=compression), compression)
    header, *rows = cells(text)
    assert header == list(FULL)
    assert rows == [[_as_cell(row.get(name)) for name in FULL] for row in ROWS] * 2


def _as_cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def test_csv_tells_null_from_empty(write: Write) -> None:
    stream = ConfiguredStream("s", schema=schema.table({"a": schema.STRING, "b": schema.STRING}))
    content = write("csv", [{"a": "", "b": None}, {"a": None, "b": ""}], stream=stream, compression="none")
    assert content.decode().splitlines() == ["a,b", '"",', ',""']


def test_csv_of_one_column_has_no_empty_lines(write: Write) -> None:
    stream = ConfiguredStream("s", schema=schema.table({"a": schema.STRING}))
    content = write("csv", [{"a": None}, {"a": "x"}], stream=stream, compression="none")
    assert content.decode().splitlines() == ["a", '""', "x"]


def test_csv_keeps_every_digit(write: Write) -> None:
    line = b'{"id":123456789012345678901234567890,"ratio":1.10000000000000000000000000000000000001e-5}\n'
    row = cells(unpacked(write("csv", [line], compression="none"), "none"))[1]
    assert row[:4] == ["123456789012345678901234567890", "", "", "1.10000000000000000000000000000000000001e-5"]


@pytest.mark.parametrize("flattening", ["No flattening", "Root level flattening"])
def test_csv_with_airbytes_columns(write: Write, flattening: str) -> None:
    form = {"format_type": "CSV", "flattening": flattening}
    header, *rows = cells(write(form, ROWS, ROWS, airbyte_columns=True).decode())
    assert header == [*AIRBYTE, *(["_airbyte_data"] if flattening == "No flattening" else FULL)]
    found = [dict(zip(header, row, strict=True)) for row in rows]
    marked([{name: row[name] if name == AIRBYTE[0] else json.loads(row[name]) for name in AIRBYTE} for row in found])
    if flattening == "No flattening":
        assert [json.loads(row["_airbyte_data"]) for row in found] == ROWS * 2


@here
@given(json_rows, st.booleans())
def test_any_json_comes_through_csv(write: Write, rows: list[dict[str, Any]], airbyte_columns: bool) -> None:
    form = {"format_type": "CSV"}
    names = sorted({name for row in rows for name in row})
    stream = ConfiguredStream("s", schema=schema.table(dict.fromkeys(names, schema.ANY)))
    lines = [_line(row, (",", ":"), True) for row in rows]
    header, *found = cells(write(form, lines, stream=stream, airbyte_columns=airbyte_columns).decode())
    if airbyte_columns:
        assert [json.loads(row[4]) for row in found] == rows
    elif names:
        assert header == names
        assert [row for row in found if row] == [[_raw_cell(row.get(name)) for name in names] for row in rows]


def _raw_cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


# Parquet and Avro


EXPECTED = {
    "id": 2**63 - 1,
    "name": FULL["name"],
    "ok": True,
    "ratio": 0.1,
    "day": date(2024, 2, 29),
    "clock": time(23, 59, 59, 999999),
    "zoned_clock": "12:00:00+09:00",
    "local": datetime(1969, 12, 31, 23, 59, 59, 500000),
    "moment": datetime(2024, 2, 29, 3, 0, tzinfo=timezone.utc),
    "tags": ["a", None, ""],
    "grid": [[1, 2], [], None],
    "any": '"1"',
    "thing": '{"b":[1,{"c":null}],"a":1.0}',
}


def expected_rows() -> list[dict[str, Any]]:
    blank = {"name": "", "tags": [], "thing": "{}", "any": "[]", "id": -(2**63), "ratio": 1e300}
    return [EXPECTED, NULLS, NULLS, NULLS | blank]


def parquet_rows(content: bytes) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(io.BytesIO(content)).to_pylist()
    return rows


def avro_rows(content: bytes) -> list[dict[str, Any]]:
    return [dict(row) for row in fastavro.reader(io.BytesIO(content)) if isinstance(row, dict)]


@pytest.mark.parametrize("codec", ["none", "snappy", "gzip", "zstd", "brotli", "lz4"])
@pytest.mark.parametrize("airbyte_columns", [True, False])
def test_parquet(write: Write, codec: str, airbyte_columns: bool) -> None:
    content = write("parquet", ROWS, ROWS, compression=codec, airbyte_columns=airbyte_columns)
    rows = parquet_rows(content)
    assert [_rest(row) for row in rows] == expected_rows() * 2
    used = {"none": "UNCOMPRESSED"}.get(codec, codec.upper())
    assert pq.ParquetFile(io.BytesIO(content)).metadata.row_group(0).column(0).compression == used
    if airbyte_columns:
        marked(rows)


@pytest.mark.parametrize("codec", ["none", "snappy", "gzip", "zstd", "bzip2", "xz"])
@pytest.mark.parametrize("airbyte_columns", [True, False])
def test_avro(write: Write, codec: str, airbyte_columns: bool) -> None:
    content = write("avro", ROWS, ROWS, compression=codec, airbyte_columns=airbyte_columns)
    rows = avro_rows(content)
    assert [_rest(row) for row in rows] == expected_rows() * 2
    used = {"none": "null", "gzip": "deflate", "zstd": "zstandard"}.get(codec, codec)
    assert fastavro.reader(io.BytesIO(content)).codec == used
    if airbyte_columns:
        marked(rows)


Read = Callable[[bytes], list[dict[str, Any]]]
from_python_3_11 = pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 does not read this form")
typed = pytest.mark.parametrize(("form", "read"), [("parquet", parquet_rows), ("avro", avro_rows)])


@typed
def test_what_does_not_fit_is_null_and_told(
    write: Write, form: str, read: Read, caplog: pytest.LogCaptureFixture
) -> None:
    lines = [
        {"id": 2**63, "name": {"a": 1}, "ok": 1, "ratio": "x", "day": "2024-02-30", "clock": "25:00", "moment": "now"},
        {
            "id": "12",
            "name": 5,
            "ok": "true",
            "ratio": "1.5",
            "local": "10000-01-01T00:00:00",
            "tags": "a",
            "grid": [1],
        },
        {"id": 1.0, "ratio": 3, "day": "2024-02-29T00:00:00Z", "tags": ["a", 1]},
    ]
    first, second, third = read(write(form, lines, airbyte_columns=True))
    assert _without_nulls(first) == {"name": '{"a":1}'}
    assert _without_nulls(second) == {"id": 12, "name": "5", "ok": True, "ratio": 1.5, "grid": [None]}
    assert _without_nulls(third) == {"id": 1, "ratio": 3.0, "day": date(2024, 2, 29), "tags": ["a", "1"]}
    typecast = {"change": "NULLED", "reason": "DESTINATION_TYPECAST_ERROR"}
    assert _changes(first) == dict.fromkeys(("id", "ok", "ratio", "day", "clock", "moment"), typecast)
    shortened = {"change": "TRUNCATED", "reason": "DESTINATION_FIELD_SIZE_LIMITATION"}
    assert _changes(second)["local"] == _changes(second)["tags"] == typecast
    assert _changes(second)["grid"] == shortened
    assert "1 values of id did not fit the type of the column and are null" in caplog.text
    assert "1 values of grid were shortened" in caplog.text


def _without_nulls(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in _rest(row).items() if value is not None}


def _changes(row: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    changes = row["_airbyte_meta"]["changes"]
    return {
        change["field"]: {"change": change["change"], "reason": change["reason"]}
        for change in changes
        if change["reason"].startswith("DESTINATION")
    }


@typed
def test_digits_that_a_double_cannot_hold(
    write: Write, form: str, read: Read, caplog: pytest.LogCaptureFixture
) -> None:
    lines = [
        b'{"ratio":0.12345678901234567890123456789012345678}\n',
        b'{"ratio":1e400}\n',
        b'{"ratio":9007199254740993}\n',
    ]
    lines.append(b'{"ratio":1152921504606846976}\n')
    near, huge, odd, even = read(write(form, lines, airbyte_columns=True))
    assert (near["ratio"], huge["ratio"], even["ratio"]) == (0.12345678901234568, None, 2.0**60)
    assert [_changes(row)["ratio"]["change"] for row in (near, huge, odd)] == ["TRUNCATED", "NULLED", "TRUNCATED"]
    assert _changes(even) == {}
    assert "values of ratio" in caplog.text


@typed
def test_numbers_as_text_keep_every_digit(write: Write, form: str, read: Read) -> None:
    lines = [
        b'{"ratio":0.12345678901234567890123456789012345678,"id":36893488147419103232}\n',
        b'{"ratio":1e400,"id":7}\n',
    ]
    options = {"format_type": {"parquet": "Parquet", "avro": "Avro"}[form], "numbers": "text"}
    rows = read(write(options, lines, airbyte_columns=False))
    assert rows[0]["ratio"] == "0.12345678901234567890123456789012345678"
    assert rows[0]["id"] == "36893488147419103232"
    assert Decimal(rows[1]["ratio"]) == Decimal("1e400")
    assert rows[1]["id"] == "7"


@typed
def test_digits_beyond_the_microsecond_are_told(write: Write, form: str, read: Read) -> None:
    lines = [{"moment": "2024-01-01T00:00:00.1234567Z"}, {"moment": "2024-01-01T00:00:00.123456000Z"}]
    first, second = read(write(form, lines, airbyte_columns=True))
    assert _changes(first)["moment"]["change"] == "TRUNCATED"
    assert _changes(second) == {}
    assert second["moment"] == datetime(2024, 1, 1, microsecond=123456, tzinfo=timezone.utc)


@typed
@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-01-01 10:00:00+00", datetime(2024, 1, 1, 10)),
        ("2024-01-01 10:00:00.5-03", datetime(2024, 1, 1, 13, microsecond=500_000)),
        ("2024-01-01T10:00Z", datetime(2024, 1, 1, 10)),
        ("2024-01-01T10:00+02:00", datetime(2024, 1, 1, 8)),
        ("2024-01-01", datetime(2024, 1, 1)),
        ("1880-01-01 00:00:00-04:56:02", datetime(1880, 1, 1, 4, 56, 2)),
        pytest.param("20240101T100000Z", datetime(2024, 1, 1, 10), marks=from_python_3_11),
        ("9999-12-31T23:59:59Z", datetime(9999, 12, 31, 23, 59, 59)),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1)),
    ],
)
def test_forms_of_a_moment(write: Write, form: str, read: Read, text: str, moment: datetime) -> None:
    (row,) = read(write(form, [{"moment": text, "local": text}], airbyte_columns=True))
    assert row["moment"] == moment.replace(tzinfo=timezone.utc)
    assert row["local"] == moment
    assert _changes(row) == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-01-01 10:00:00+00", "2024-01-01 10:00:00+00:00"),
        ("2024-01-01 10:00:00.5-03", "2024-01-01 10:00:00.500000-03:00"),
        ("2024-01-01T10:00Z", "2024-01-01T10:00+00:00"),
        ("2024-01-01T10:00:00.1234567+02", "2024-01-01T10:00:00.123456+02:00"),
        ("2024-01-01", "2024-01-01"),
    ],
)
def test_forms_of_a_moment_as_python_3_10_reads_them(text: str, expected: str) -> None:
    assert spelled_out(text) == expected


@typed
def test_a_clock_without_seconds(write: Write, form: str, read: Read) -> None:
    assert read(write(form, [{"clock": "10:00"}]))[0]["clock"] == time(10)


@typed
@pytest.mark.parametrize("text", ["9999-12-31T23:59:59-05:00", "0001-01-01T00:00:00+01:00"])
def test_a_year_that_readers_do_not_have_is_told(write: Write, form: str, read: Read, text: str) -> None:
    """Written as it is, it would make the whole file unreadable."""
    extreme, other = read(write(form, [{"moment": text, "local": text}, FULL], airbyte_columns=True))
    assert (extreme["moment"], extreme["local"]) == (None, None)
    assert [_changes(extreme)[name]["change"] for name in ("moment", "local")] == ["NULLED", "NULLED"]
    assert other["moment"] == EXPECTED["moment"]


@pytest.mark.slow
@typed
@here
@given(rows=json_rows)
def test_no_json_at_all_makes_typed_files_fail(write: Write, form: str, read: Read, rows: list[dict[str, Any]]) -> None:
    names = sorted({name for row in rows for name in row})
    kinds = list(SCHEMA["properties"].values())
    stream = ConfiguredStream("s", schema=schema.table({name: kinds[n % len(kinds)] for n, name in enumerate(names)}))
    lines = [_line(row, (",", ":"), True) for row in rows]
    if not names or any("\ud800" <= char <= "\udfff" for char in json.dumps(rows, ensure_ascii=False)):
        return
    if any(name.startswith("_airbyte_") for name in names):
        return  # Their columns cannot be told from our own here.
    found = read(write(form, lines, stream=stream, airbyte_columns=True))
    assert len(found) == len(rows)
    for row, given_row in zip(found, rows, strict=True):
        told = {change["field"] for change in row["_airbyte_meta"]["changes"]}
        values = list(_rest(row).values())
        for name, value in zip(names, values, strict=True):
            assert (value is None) <= (given_row.get(name) is None or name in told)


def test_avro_names_are_made_allowed_and_stay_apart(write: Write) -> None:
    names = ["a b", "a_b", "1", "한국", "é", "", "_airbyte_raw_id"]
    stream = ConfiguredStream("my stream!", "my ns.x", schema=schema.table(dict.fromkeys(names, schema.STRING)))
    content = write("avro", [dict(zip(names, "1234567", strict=True))], stream=stream)
    reader = fastavro.reader(io.BytesIO(content))
    written = reader.writer_schema
    assert isinstance(written, dict)
    assert written["name"] == "my_ns.x.my_stream_"
    assert [field.get("doc", field["name"]) for field in written["fields"]] == names
    assert sorted(next(iter(reader)).values()) == list("1234567")  # type: ignore[union-attr]


def test_a_name_that_avro_allows_keeps_itself_when_a_field_comes_before_it() -> None:
    assert safe_names(["a_b"]) == {"a_b": "a_b"}
    found = safe_names(["a b", "a_b", "a-b", "a_b_2"])
    assert found == {"a b": "a_b_3", "a_b": "a_b", "a-b": "a_b_4", "a_b_2": "a_b_2"}
    assert list(found) == ["a b", "a_b", "a-b", "a_b_2"]


def test_a_stream_named_as_a_type_of_airbytes_columns(write: Write) -> None:
    for name in ("_airbyte_meta", "_airbyte_change"):
        for namespace in (None, "public"):
            stream = ConfiguredStream(name, namespace, schema=SCHEMA)
            assert avro_rows(write("avro", [FULL], stream=stream, airbyte_columns=True))[0]["id"] == FULL["id"]


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet", "avro"])
def test_a_change_without_a_reason(write: Write, make_batch: Callable[..., Batch], form: str) -> None:
    meta = b'{"changes":[{"field":"id","change":"NULLED","reason":null}]}'
    content = write(form, make_batch(STREAM, [{}], {0: meta}), compression="none", airbyte_columns=True)
    assert b"NULLED" in content
    assert b"None" not in content


def test_parquet_schema(write: Write) -> None:
    found = pq.read_schema(io.BytesIO(write("parquet", ROWS, airbyte_columns=True)))
    assert found.field("moment").type == pa.timestamp("us", tz="UTC")
    assert found.field("local").type == pa.timestamp("us")
    assert not found.field("_airbyte_raw_id").nullable
    assert found.field("_airbyte_extracted_at").type == pa.int64()


def test_parquet_row_groups_are_bounded(write: Write, make_batch: Callable[..., Batch]) -> None:
    options = {"format_type": "Parquet", "block_size_mb": 1}
    batches = [make_batch(STREAM, [{"name": f"{number:0200000}"}] * 2) for number in range(8)]
    groups = pq.ParquetFile(io.BytesIO(write(options, *batches, airbyte_columns=False))).metadata
    assert groups.num_row_groups >= 3
    assert groups.num_rows == 16


# Schemas that say little


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ({}, [1], "[1]"),
        (True, 1, "1"),
        ({"type": ["string", "integer"]}, "1", '"1"'),
        ({"anyOf": [{"type": "null"}, {"type": "integer"}]}, 5, 5),
        ({"oneOf": [{"type": "string"}, {"type": "integer"}]}, 5, "5"),
        ({"type": ["integer", "number", "null"]}, 5, 5.0),
        ({"type": "number", "airbyte_type": "integer"}, 5, 5),
        ({"type": [{"type": "string"}, "null"]}, 5, "5"),
        ({"type": [{"type": "string"}, "integer"]}, "x", '"x"'),
        ({"type": {"type": "string"}}, 5, "5"),
        ({"type": "string", "oneOf": [{"minLength": 1}, {"pattern": "x"}]}, "x", "x"),
        ({"type": ["integer", "null"], "anyOf": [{"minimum": 1}, {"maximum": -1}]}, 5, 5),
        ({"type": "string", "anyOf": [{"format": "date"}, {"type": "null"}]}, "2024-01-01", date(2024, 1, 1)),
        ({"type": "array"}, [1], "[1]"),
        ({"type": "array", "items": {"type": "object"}}, [{"a": 1}], '[{"a":1}]'),
        ({"type": "string", "format": "date-time"}, "2024-01-01T00:00:00", datetime(2024, 1, 1, tzinfo=timezone.utc)),
    ],
)
def test_types_of_columns(write: Write, kind: Any, value: Any, text: Any) -> None:
    stream = ConfiguredStream("s", schema={"properties": {"a": kind}})
    assert parquet_rows(write("parquet", [{"a": value}], stream=stream)) == [{"a": text}]


@pytest.mark.parametrize("form", ["parquet", "avro", "csv"])
def test_a_stream_without_columns(write: Write, form: str) -> None:
    stream = ConfiguredStream("s", schema={})
    assert write(form, [{}], stream=stream, airbyte_columns=True)


def test_a_line_that_repeats_a_key_is_carried_as_it_is(write: Write) -> None:
    assert write("jsonl", [b'{"a":1,"a":2}\n'], compression="none") == b'{"a":1,"a":2}\n'


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet", "avro"])
def test_deep_nesting(write: Write, form: str) -> None:
    deep = b'{"any":' + b"[" * 500 + b"]" * 500 + b"}\n"
    content = write(form, [deep], compression="none", airbyte_columns=True)
    assert b"[" * 500 in content


def test_batches_of_many_blocks(write: Write, make_batch: Callable[..., Batch]) -> None:
    blocks: Iterable[Batch] = [make_batch(STREAM, [{"id": number}]) for number in range(3)]
    joined = Batch(STREAM, [block for one in blocks for block in one.blocks])
    for form in ("jsonl", "csv"):
        assert unpacked(write(form, joined, compression="none"), "none").count("\n") == 3 + (form == "csv")
    assert [row["id"] for row in parquet_rows(write("parquet", joined))] == [0, 1, 2]
    assert msgspec.json.decode(write("jsonl", joined, compression="none").splitlines()[2]) == {"id": 2}
