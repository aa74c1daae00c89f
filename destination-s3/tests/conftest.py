"""A place to write to, twice: a local folder and a real S3 server. Every promise about files is tested on both."""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from connector_sdk import Batch, Block, ConfiguredStream, Incomplete, Replace
from connector_sdk.config import parse
from destination_s3.config import S3Config
from destination_s3.write import open_stream

Rows = Sequence[Mapping[str, Any] | bytes]


def line(row: Mapping[str, Any]) -> bytes:
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def batch(
    stream: ConfiguredStream, rows: Rows, metas: dict[int, bytes] | None = None, at: int = 1_700_000_000_000
) -> Batch:
    """A batch of one block, of dicts or of lines."""
    lines = b"".join(row if isinstance(row, bytes) else line(row) for row in rows)
    times = array("q", range(at, at + len(rows)))
    return Batch(stream, [Block(stream.id, lines, times, metas or {})])


@dataclass
class Place:
    """Somewhere to write, and a reader of what is there that knows nothing of the connector."""

    options: dict[str, Any]
    files: Callable[[], dict[str, bytes]]
    """Key → content of everything that a reader would see."""
    unfinished: Callable[[], list[str]]
    """What killed writers left behind."""
    kind: str
    defaults: dict[str, Any] = field(default_factory=lambda: {"format": "jsonl", "compression": "none"})

    def config(self, **options: Any) -> S3Config:
        """A config of its own run."""
        return parse(S3Config, {**self.options, **self.defaults, **options})

    def write(self, stream: ConfiguredStream, *batches: Rows, **options: Any) -> None:
        """One whole run of one stream, which ends in COMPLETE."""
        with open_stream(self.config(**options), stream) as store:
            for rows in batches:
                store.write(batch(stream, rows))
            store.commit()

    def write_incomplete(self, stream: ConfiguredStream, rows: Rows, **options: Any) -> None:
        """One run whose input ends early: what came is committed, the stream never completes."""
        with suppress(Incomplete), open_stream(self.config(**options), stream) as store:
            store.write(batch(stream, rows))
            store.commit()
            raise Incomplete

    def rows(self) -> list[Any]:
        """Every row in every file, where the files are plain JSON lines; sorted."""
        rows = [json.loads(text) for content in self.files().values() for text in content.splitlines()]
        return sorted(rows, key=json.dumps)


def folder_place(folder: Path) -> Place:
    def visible() -> dict[str, bytes]:
        files = [path for path in folder.rglob("*") if path.is_file()]
        keys = {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
        return {key: data for key, data in keys.items() if not any(part.startswith(".") for part in key.split("/"))}

    def hidden() -> list[str]:
        return [path.name for path in folder.rglob(".*") if path.is_file()]

    return Place({"bucket": folder.as_uri()}, visible, hidden, "folder")


def s3_place(s3: Any) -> Place:
    bucket, client = s3.bucket(), s3.client()

    def visible() -> dict[str, bytes]:
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", ())]
        return {key: client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}

    def unfinished() -> list[str]:
        return [entry["Key"] for entry in client.list_multipart_uploads(Bucket=bucket).get("Uploads", ())]

    keys = {"access_key_id": s3.access_key, "secret_access_key": s3.secret_key, "region": s3.region}
    return Place({"bucket": bucket, "endpoint": s3.endpoint, **keys}, visible, unfinished, "s3")


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A folder, then a bucket, both empty."""
    return folder_place(tmp_path / "out") if request.param == "folder" else s3_place(request.getfixturevalue("s3"))


@pytest.fixture
def folder(tmp_path: Path) -> Place:
    return folder_place(tmp_path / "out")


@pytest.fixture
def bucket(s3: Any) -> Place:
    return s3_place(s3)


@pytest.fixture
def make_batch() -> Callable[..., Batch]:
    return batch


@pytest.fixture
def users() -> ConfiguredStream:
    return ConfiguredStream("users", "public", schema={"properties": {"id": {"type": "integer"}}})


@pytest.fixture
def overwrite() -> Callable[[ConfiguredStream], ConfiguredStream]:
    """The same stream, to be written in the place of all that is there."""
    return lambda stream: replace(stream, destination_sync_mode="overwrite", replace=Replace.EVERYTHING_ELSE)


@pytest.fixture(autouse=True)
def _no_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of this machine's own AWS settings."""
    for name in (
        "AWS_PROFILE",
        "AWS_ENDPOINT_URL",
        "AWS_ENDPOINT_URL_S3",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


_clients: dict[tuple[str, ...], Any] = {}


@pytest.fixture(autouse=True)
def _few_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of one test share a botocore client: to make one takes longer than most tests. It is the real one."""
    from destination_s3 import s3_client

    make = s3_client.make

    def remembered(config: S3Config) -> Any:
        if config.role_arn or config.profile or not config.access_key_id or config.session_token:
            return make(config)
        key = (config.s3_endpoint, config.s3_bucket_region, config.access_key_id.get_secret_value())
        if key not in _clients:
            _clients[key] = make(config)
        return _clients[key]

    monkeypatch.setattr(s3_client, "make", remembered)
