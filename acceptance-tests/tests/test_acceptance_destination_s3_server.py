"""destination-s3 passes the suite, writing to an S3 server in Airbyte's own form of config."""

from __future__ import annotations

import gzip
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote

import pytest

from acceptance_tests.plugin import Acceptance, destination_suite
from acceptance_tests.protocol import Json, StreamId, loads
from connector_parts import S3

COMMAND = Path(sys.executable).with_name("destination-s3")


@pytest.fixture(scope="module")
def connector(s3: S3) -> Acceptance:
    bucket = s3.bucket()
    client = s3.client()

    def get(stream: StreamId) -> list[Json]:
        """Which objects belong to a stream, their metadata tell."""
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", ())]
        number = stream.name.rpartition("acc_")[2]
        objects = [client.get_object(Bucket=bucket, Key=key) for key in keys if number in key]
        bodies = [found["Body"].read() for found in objects if _stream(found["Metadata"]) == stream]
        return [loads(line) for body in bodies for line in gzip.decompress(body).splitlines()]

    config = {
        "s3_bucket_name": bucket,
        "s3_bucket_path": "data",
        "s3_bucket_region": s3.region,
        "s3_endpoint": s3.endpoint,
        "access_key_id": s3.access_key,
        "secret_access_key": s3.secret_key,
        "format": {"format_type": "JSONL", "compression": {"compression_type": "GZIP"}},
    }
    return Acceptance(config=config, command=[str(COMMAND)], get=get)


def _stream(tags: Mapping[str, str]) -> StreamId:
    namespace = tags.get("ab-stream-namespace")
    return StreamId(None if namespace is None else unquote(namespace), unquote(tags["ab-stream-name"]))


test_destination_s3_on_a_server = destination_suite(fast=())
