"""The options: those of Airbyte's own destination-s3, unchanged, a short form of them, and what is new here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from connector_sdk import Config, Secret

PATH_VARIABLES = frozenset("NAMESPACE STREAM_NAME YEAR MONTH DAY HOUR MINUTE SECOND MILLISECOND EPOCH UUID".split())
"""What `${…}` may name in the path options; `paths` gives their values."""
HIDDEN: dict[str, Any] = {"airbyte_hidden": True}
Flattening = Literal["No flattening", "Root level flattening"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True, defer_build=True)


# Compression of whole files: CSV and JSONL


class NoCompression(_Part):
    model_config = ConfigDict(title="No compression")
    compression_type: Literal["No Compression"] = "No Compression"


class Gzip(_Part):
    model_config = ConfigDict(title="gzip")
    compression_type: Literal["GZIP"] = "GZIP"


class Zstd(_Part):
    model_config = ConfigDict(title="zstd")
    compression_type: Literal["ZSTD"] = "ZSTD"


FileCompression = Annotated[NoCompression | Gzip | Zstd, Field(discriminator="compression_type")]


# Formats


class Csv(_Part):
    model_config = ConfigDict(title="CSV: comma-separated values")
    format_type: Literal["CSV"] = "CSV"
    flattening: Flattening = Field(
        default="No flattening",
        title="Flattening",
        description="One column of JSON for the whole row, or a column for each top-level field.",
    )
    compression: FileCompression = Field(
        default=NoCompression(), title="Compression", description="Adds .gz or .zst to the names of the files."
    )


class Jsonl(_Part):
    model_config = ConfigDict(title="JSONL: one JSON object a line")
    format_type: Literal["JSONL"] = "JSONL"
    flattening: Flattening = Field(
        default="No flattening",
        title="Flattening",
        description="The row under one key beside the _airbyte_ fields, or its fields side by side with them.",
    )
    compression: FileCompression = Field(
        default=NoCompression(), title="Compression", description="Adds .gz or .zst to the names of the files."
    )


class AvroNone(_Part):
    model_config = ConfigDict(title="No compression")
    codec: Literal["no compression"] = "no compression"


class AvroDeflate(_Part):
    model_config = ConfigDict(title="deflate")
    codec: Literal["Deflate"] = "Deflate"
    compression_level: int = Field(
        default=0, ge=0, le=9, title="Level", description="0 is the fastest, 9 the smallest."
    )


class AvroBzip2(_Part):
    model_config = ConfigDict(title="bzip2")
    codec: Literal["bzip2"] = "bzip2"


class AvroXz(_Part):
    model_config = ConfigDict(title="xz")
    codec: Literal["xz"] = "xz"
    compression_level: int = Field(
        default=6, ge=0, le=9, title="Level", description="0 is the fastest, 9 the smallest."
    )


class AvroZstd(_Part):
    model_config = ConfigDict(title="zstandard")
    codec: Literal["zstandard"] = "zstandard"
    compression_level: int = Field(default=3, ge=-5, le=22, title="Level", description="Higher is slower and smaller.")
    include_checksum: bool = Field(
        default=False, title="Checksum", description="Taken for compatibility; blocks are written without a checksum."
    )


class AvroSnappy(_Part):
    model_config = ConfigDict(title="snappy")
    codec: Literal["snappy"] = "snappy"


AvroCodec = Annotated[AvroNone | AvroDeflate | AvroBzip2 | AvroXz | AvroZstd | AvroSnappy, Field(discriminator="codec")]
Numbers = Annotated[
    Literal["binary", "text"],
    Field(
        title="Numbers",
        description="Binary keeps 64-bit integers and doubles, and tells what did not fit; text keeps every digit.",
    ),
]


class Avro(_Part):
    model_config = ConfigDict(title="Avro: rows with their schema")
    format_type: Literal["Avro"] = "Avro"
    compression_codec: AvroCodec = Field(
        default=AvroNone(), title="Compression", description="How the blocks of a file are compressed."
    )
    numbers: Numbers = "binary"


class Parquet(_Part):
    model_config = ConfigDict(title="Parquet: columns")
    format_type: Literal["Parquet"] = "Parquet"
    compression_codec: Literal["UNCOMPRESSED", "SNAPPY", "GZIP", "BROTLI", "LZ4", "ZSTD"] = Field(
        default="UNCOMPRESSED", title="Compression", description="How the pages of a file are compressed."
    )
    block_size_mb: int = Field(
        default=128,
        ge=1,
        title="Row group (MB)",
        description="The largest row group. It is held in memory, so 16 MB are the most that are used.",
    )
    max_padding_size_mb: int = Field(
        default=8, title="Padding (MB)", description="Taken for compatibility; row groups are not padded."
    )
    page_size_kb: int = Field(
        default=1024, ge=1, title="Page (KB)", description="The size of a page before compression."
    )
    dictionary_page_size_kb: int = Field(
        default=1024, ge=1, title="Dictionary page (KB)", description="The largest dictionary of a column."
    )
    dictionary_encoding: bool = Field(default=True, title="Dictionaries", description="Write repeated values once.")
    numbers: Numbers = "binary"

    @field_validator("compression_codec", mode="before")
    @classmethod
    def _possible(cls, codec: object) -> object:
        if isinstance(codec, str) and codec.upper() == "LZO":
            raise ValueError("LZO cannot be written here, for want of a free library that does it; take ZSTD or SNAPPY")
        return codec


Format = Annotated[Csv | Jsonl | Avro | Parquet, Field(discriminator="format_type")]


# Encryption at rest


class BucketEncryption(_Part):
    model_config = ConfigDict(title="As the bucket says")
    type: Literal["bucket"] = "bucket"


class Aes256(_Part):
    model_config = ConfigDict(title="AES-256, keys of S3")
    type: Literal["AES256"] = "AES256"


class Kms(_Part):
    model_config = ConfigDict(title="KMS")
    type: Literal["aws:kms"] = "aws:kms"
    key_id: str | None = Field(
        default=None,
        title="Key",
        description="ID, ARN or alias of the key. Without one the account's own key for S3 is used.",
        examples=["alias/data-lake"],
    )


Encryption = Annotated[BucketEncryption | Aes256 | Kms, Field(discriminator="type")]


class S3Config(Config):
    """Where the files go, what they hold and what they are called."""

    own_variables = PATH_VARIABLES

    access_key_id: Secret | None = Field(
        default=None,
        title="Access key ID",
        description="Without keys, the usual AWS variables, profile, web identity or instance role are used.",
    )
    secret_access_key: Secret | None = Field(
        default=None, title="Secret access key", description="The secret that belongs to the access key ID."
    )
    session_token: Secret | None = Field(
        default=None, title="Session token", description="Only for temporary keys; it ends when they do."
    )
    role_arn: str | None = Field(
        default=None,
        title="Role",
        description="A role to assume, with the keys above or with what the machine has.",
        examples=["arn:aws:iam::123456789012:role/writes-to-the-lake"],
    )
    role_external_id: str | None = Field(
        default=None,
        title="External ID of the role",
        description="What the role's trust policy asks for. AWS_ASSUME_ROLE_EXTERNAL_ID is used where this is empty.",
    )
    profile: str | None = Field(
        default=None,
        title="Profile",
        description="A profile of the AWS files of this machine.",
        json_schema_extra=HIDDEN,
    )
    s3_bucket_name: str = Field(
        default="",
        title="Bucket",
        description="The name of the bucket, or file:///some/folder for a local folder. Required.",
        examples=["my-data-lake", "file:///data"],
    )
    s3_bucket_path: str = Field(
        default="", title="Path", description="Folder inside of the bucket.", examples=["airbyte/crm"]
    )
    s3_bucket_region: str = Field(
        default="",
        title="Region",
        description="Region of the bucket. Empty: what the machine says, else us-east-1.",
        examples=["us-east-1", "eu-central-1"],
        pattern="^[a-z0-9-]*$",
    )
    format: Format = Field(default=Jsonl(), title="Format", description="What the files hold.")
    airbyte_columns: bool = Field(
        default=True,
        title="Airbyte's columns",
        description="Add _airbyte_raw_id, _airbyte_extracted_at, _airbyte_meta and _airbyte_generation_id to each row. "
        "Off: the plain rows.",
    )
    s3_endpoint: str = Field(
        default="",
        title="Endpoint",
        description="Address of a server that speaks S3. Empty for AWS.",
        examples=["http://localhost:9000"],
        pattern="^(https?://.+)?$",
    )
    s3_path_format: str = Field(
        default="${NAMESPACE}/${STREAM_NAME}/${YEAR}_${MONTH}_${DAY}_${EPOCH}_",
        title="Path format",
        description="Folder and first part of the file names. Variables: NAMESPACE, STREAM_NAME, YEAR, MONTH, DAY, "
        "HOUR, MINUTE, SECOND, MILLISECOND, EPOCH, UUID.",
        examples=["${NAMESPACE}/${STREAM_NAME}/${YEAR}_${MONTH}_${DAY}_${EPOCH}_"],
    )
    file_name_pattern: str = Field(
        default="{part_number}{format_extension}",
        title="File name",
        description="Second part of the file names; what makes them unique is added. Variables: {date}, "
        "{date:yyyy_MM}, {timestamp}, {timestamp:millis}, {timestamp:micros}, {part_number}, {sync_id}, "
        "{format_extension}.",
        examples=["{date}_{part_number}{format_extension}"],
    )
    file_size_mb: int = Field(
        default=200,
        ge=1,
        le=5000,
        title="File size (MB)",
        description="A file is closed, and its rows acknowledged, when it has this size.",
    )
    file_max_seconds: int = Field(
        default=300,
        ge=1,
        le=86400,
        title="File age (seconds)",
        description="A file is closed, and its rows acknowledged, at the latest after this time.",
    )
    encryption: Encryption = Field(
        default=BucketEncryption(), title="Encryption at rest", description="What S3 encrypts the files with."
    )
    verify_tls: bool = Field(
        default=True,
        title="Verify TLS",
        description="Off only for a test server with a certificate that nobody signed.",
        json_schema_extra=HIDDEN,
    )

    # The short form. `_full_form` turns it into the fields above; they stand here so that the form knows the names.
    bucket: str = Field(
        default="",
        title="Bucket",
        description="Short form: my-bucket, s3://my-bucket/some/path or file:///some/folder.",
        json_schema_extra=HIDDEN,
    )
    path: str = Field(default="", title="Path", description="Short form of s3_bucket_path.", json_schema_extra=HIDDEN)
    region: str = Field(
        default="", title="Region", description="Short form of s3_bucket_region.", json_schema_extra=HIDDEN
    )
    endpoint: str = Field(
        default="", title="Endpoint", description="Short form of s3_endpoint.", json_schema_extra=HIDDEN
    )
    compression: str = Field(
        default="",
        title="Compression",
        description="Short form: none, gzip, zstd, and snappy and others where the format has them.",
        json_schema_extra=HIDDEN,
    )

    @model_validator(mode="before")
    @classmethod
    def _full_form(cls, raw: Any) -> Any:
        return (
            _full_form({key: value for key, value in raw.items() if value is not None})
            if isinstance(raw, dict)
            else raw
        )

    @model_validator(mode="after")
    def _whole(self) -> S3Config:
        if not self.s3_bucket_name:
            raise ValueError("the bucket is missing: name it as bucket (or s3_bucket_name)")
        if bool(self.access_key_id) != bool(self.secret_access_key):
            raise ValueError("access_key_id and secret_access_key belong together: give both, or none")
        if self.session_token and not self.access_key_id:
            raise ValueError("session_token belongs to access_key_id and secret_access_key, which are missing")
        return self


# The short form

_SHORT = {"path": "s3_bucket_path", "region": "s3_bucket_region", "endpoint": "s3_endpoint"}
_CODECS: Mapping[str, Mapping[str, Any]] = {
    "jsonl": {
        name: {"compression_type": value}
        for name, value in (("none", "No Compression"), ("gzip", "GZIP"), ("zstd", "ZSTD"))
    },
    "parquet": {"none": "UNCOMPRESSED"} | {name: name.upper() for name in ("snappy", "gzip", "zstd", "brotli", "lz4")},
    "avro": {"none": {"codec": "no compression"}, "gzip": {"codec": "Deflate", "compression_level": 1}}
    | {"zstd": {"codec": "zstandard"}}
    | {name: {"codec": name} for name in ("snappy", "bzip2", "xz")},
}
_FORMATS = {"jsonl": "JSONL", "csv": "CSV", "parquet": "Parquet", "avro": "Avro"}


def _full_form(raw: dict[str, Any]) -> dict[str, Any]:
    """The short form in the words of the long one. Where a value stands in both, the long one's counts."""
    if "bucket" in raw:
        bucket, folder = _place(str(raw["bucket"]))
        raw = {"s3_bucket_name": bucket, "airbyte_columns": False, "format": "jsonl"} | raw
        raw["path"] = f"{folder}/{raw.get('path') or ''}".strip("/")
    for key, name in _SHORT.items():
        if raw.get(key) and not raw.get(name):
            raw[name] = raw[key]
    if isinstance(raw.get("format"), str):
        raw["format"] = _format(str(raw["format"]), raw.get("compression"))
    elif "compression" in raw:
        raise ValueError("compression belongs to the short form of format; with an object as format, say it in there")
    return raw


def _place(bucket: str) -> tuple[str, str]:
    if bucket.startswith("s3://"):
        name, _, path = bucket.removeprefix("s3://").partition("/")
        return name, path
    return bucket, ""


def _format(name: str, compression: object) -> dict[str, Any]:
    known = _FORMATS.get(name.lower())
    if known is None:
        raise ValueError(f"format must be one of {', '.join(_FORMATS)}")
    codecs = _CODECS.get(name.lower(), _CODECS["jsonl"])
    chosen = str(compression or ("snappy" if known == "Parquet" else "gzip")).lower()
    if chosen not in codecs:
        raise ValueError(f"compression must be one of {', '.join(codecs)} for {name.lower()}")
    key = "compression" if codecs is _CODECS["jsonl"] else "compression_codec"
    return {"format_type": known, key: codecs[chosen], "flattening": "Root level flattening"}
