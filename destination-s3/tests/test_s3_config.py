"""The config: Airbyte's own, unchanged; the short form; what cannot be is refused in clear words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from connector_sdk import ConfigError
from connector_sdk.config import form, parse, secrets, unknown_keys
from destination_s3.config import Avro, AvroZstd, Csv, Gzip, Jsonl, Kms, NoCompression, Parquet, S3Config, Zstd
from destination_s3.folder import folder_of

STOCK: dict[str, Any] = {
    "access_key_id": "A012345678910EXAMPLE",
    "secret_access_key": "a012345678910ABCDEFGH/AbCdEfGhEXAMPLEKEY",
    "s3_bucket_name": "lake",
    "s3_bucket_path": "data/test",
    "s3_bucket_region": "eu-central-1",
    "format": {"format_type": "JSONL", "flattening": "No flattening", "compression": {"compression_type": "GZIP"}},
}


def stock(**options: Any) -> S3Config:
    return parse(S3Config, {**STOCK, **options})


@pytest.mark.parametrize(
    "format",
    [
        {"format_type": "CSV", "flattening": "Root level flattening"},
        {"format_type": "CSV", "flattening": "No flattening", "compression": {"compression_type": "GZIP"}},
        {"format_type": "JSONL"},
        {"format_type": "JSONL", "compression": {"compression_type": "No Compression"}},
        {"format_type": "Avro", "compression_codec": {"codec": "no compression"}},
        {"format_type": "Avro", "compression_codec": {"codec": "Deflate", "compression_level": 0}},
        {"format_type": "Avro", "compression_codec": {"codec": "bzip2"}},
        {"format_type": "Avro", "compression_codec": {"codec": "xz", "compression_level": 6}},
        {
            "format_type": "Avro",
            "compression_codec": {"codec": "zstandard", "compression_level": 3, "include_checksum": True},
        },
        {"format_type": "Avro", "compression_codec": {"codec": "snappy"}},
        *({"format_type": "Parquet", "compression_codec": codec} for codec in ("UNCOMPRESSED", "SNAPPY", "GZIP")),
        *({"format_type": "Parquet", "compression_codec": codec} for codec in ("BROTLI", "LZ4", "ZSTD")),
        {
            "format_type": "Parquet",
            "compression_codec": "UNCOMPRESSED",
            "block_size_mb": 128,
            "max_padding_size_mb": 8,
            "page_size_kb": 1024,
            "dictionary_page_size_kb": 1024,
            "dictionary_encoding": True,
        },
    ],
)
def test_airbytes_own_config_is_taken_as_it_is(format: dict[str, Any]) -> None:
    config = stock(format=format, role_arn="arn:aws:iam::1:role/r", s3_endpoint="http://localhost:9000")
    assert config.airbyte_columns
    assert config.format.format_type == format["format_type"]
    assert not list(unknown_keys(S3Config, {**STOCK, "file_name_pattern": "{date}", "s3_path_format": "x"}))


def test_optional_fields_may_be_null_or_empty() -> None:
    config = stock(s3_endpoint=None, s3_path_format=None, file_name_pattern=None, s3_bucket_region="", role_arn=None)
    assert config.s3_path_format == "${NAMESPACE}/${STREAM_NAME}/${YEAR}_${MONTH}_${DAY}_${EPOCH}_"
    assert config.file_name_pattern == "{part_number}{format_extension}"


def test_the_stock_defaults() -> None:
    plain = NoCompression()
    assert stock(format={"format_type": "JSONL"}).format == Jsonl(flattening="No flattening", compression=plain)
    assert stock(format={"format_type": "CSV"}).format == Csv(flattening="No flattening", compression=plain)


def test_the_short_form() -> None:
    config = parse(S3Config, {"bucket": "lake", "format": "jsonl", "compression": "gzip"})
    assert (config.s3_bucket_name, config.s3_bucket_path, config.airbyte_columns) == ("lake", "", False)
    assert isinstance(config.format, Jsonl)
    assert config.format.compression == Gzip()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, Gzip()),
        ({"compression": "none"}, NoCompression()),
        ({"compression": "zstd"}, Zstd()),
        ({"format": "csv"}, Gzip()),
    ],
)
def test_short_compression(options: dict[str, Any], expected: object) -> None:
    config = parse(S3Config, {"bucket": "lake", **options})
    assert isinstance(config.format, Jsonl | Csv)
    assert config.format.compression == expected


def test_short_parquet_and_avro() -> None:
    parquet = parse(S3Config, {"bucket": "b", "format": "parquet", "compression": "zstd"}).format
    assert isinstance(parquet, Parquet)
    assert parquet.compression_codec == "ZSTD"
    avro = parse(S3Config, {"bucket": "b", "format": "avro", "compression": "zstd"}).format
    assert isinstance(avro, Avro)
    assert isinstance(avro.compression_codec, AvroZstd)


def test_airbyte_columns_can_be_asked_for_in_both_forms() -> None:
    assert parse(S3Config, {"bucket": "b", "airbyte_columns": True}).airbyte_columns
    assert not stock(airbyte_columns=False).airbyte_columns


def test_a_bucket_as_a_url() -> None:
    raw = {"bucket": "s3://lake/raw/crm", "path": "v2", "region": "us-west-2", "endpoint": "http://h:1"}
    config = parse(S3Config, raw)
    assert (config.s3_bucket_name, config.s3_bucket_path) == ("lake", "raw/crm/v2")
    assert (config.s3_bucket_region, config.s3_endpoint) == ("us-west-2", "http://h:1")


def test_kms() -> None:
    assert stock(encryption={"type": "aws:kms", "key_id": "alias/lake"}).encryption == Kms(key_id="alias/lake")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"format": {"format_type": "Parquet", "compression_codec": "LZO"}}, "LZO cannot be written"),
        ({"format": {"format_type": "Parquet", "compression_codec": "XZ"}}, "compression_codec"),
        ({"format": {"format_type": "ORC"}}, "format"),
        ({"s3_bucket_name": ""}, "bucket is missing"),
        ({"secret_access_key": None}, "belong together"),
        ({"access_key_id": None, "secret_access_key": None, "session_token": "t0ken"}, "session_token"),
        ({"compression": "gzip"}, "short form"),
        ({"format": "jsonl", "compression": "snappy"}, "one of none, gzip, zstd"),
        ({"format": "orc"}, "jsonl, csv, parquet, avro"),
        ({"file_size_mb": 0}, "file_size_mb"),
        ({"s3_endpoint": "localhost:9000"}, "s3_endpoint"),
    ],
)
def test_what_cannot_be_is_refused_by_name_and_without_values(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        stock(**options)
    assert words in caught.value.message
    assert STOCK["secret_access_key"] not in caught.value.message


def test_the_form() -> None:
    fields = form(S3Config)["properties"]
    in_form = [name for name, field in fields.items() if not field.get("airbyte_hidden")]
    stock_names = ["access_key_id", "secret_access_key", "role_arn", "s3_bucket_name", "s3_bucket_path"]
    stock_names += ["s3_bucket_region", "format", "s3_endpoint", "s3_path_format", "file_name_pattern"]
    assert [name for name in in_form if name in stock_names] == stock_names
    assert all(field.get("title") and field.get("description") for field in fields.values())
    kinds = {option["properties"]["format_type"]["const"] for option in fields["format"]["oneOf"]}
    assert kinds == {"CSV", "JSONL", "Avro", "Parquet"}
    secret = {name for name, field in fields.items() if field.get("airbyte_secret")}
    assert secret == {"access_key_id", "secret_access_key", "session_token"}


def test_secrets_are_known() -> None:
    assert STOCK["secret_access_key"] in secrets(S3Config, STOCK)


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("file:///data", "/data"),
        ("file:///data/my%20files", "/data/my files"),
        ("file:///data/%ED%95%9C%EA%B5%AD", "/data/한국"),
        ("file:///100%25", "/100%"),
        ("file://localhost/data", "/data"),
        ("file:/data", "/data"),
        ("file:///a%3Fb%23c", "/a?b#c"),
        ("file:///a+b", "/a+b"),
    ],
)
def test_file_urls(url: str, path: str) -> None:
    assert folder_of(url) == Path(path)


@pytest.mark.parametrize(
    "url", ["file://host/data", "file:data", "file://data", "file:///a?b", "file:///a#b", "file:///a%00b"]
)
def test_file_urls_that_name_no_local_folder(url: str) -> None:
    with pytest.raises(ConfigError):
        folder_of(url)
