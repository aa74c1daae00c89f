"""The image of destination-s3 passes the acceptance suite, run by `docker run`, writing to a real S3 server."""

from __future__ import annotations

import gzip
from typing import Any
from urllib.parse import quote

import pytest

from acceptance_tests.plugin import Acceptance, destination_suite
from acceptance_tests.protocol import Json, StreamId, loads
from connector_parts import S3

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def connector(docker: Any, s3: S3) -> Acceptance:
    bucket = s3.bucket()

    def get(stream: StreamId) -> list[Json]:
        """Which objects belong to a stream, their metadata tell."""
        client = s3.client()
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
        found = [client.get_object(Bucket=bucket, Key=key) for key in sorted(keys)]
        texts = [gzip.decompress(entry["Body"].read()) for entry in found if _belongs(entry["Metadata"], stream)]
        client.close()
        return [loads(line) for text in texts for line in text.splitlines()]

    keys = {"access_key_id": s3.access_key, "secret_access_key": s3.secret_key}
    config = {"bucket": bucket, "endpoint": s3.endpoint, "region": s3.region, "format": "jsonl", "compression": "gzip"}
    return Acceptance(
        config={**config, **keys},
        image=docker.images["destination-s3"],
        get=get,
        **docker.here,
    )


def _belongs(metadata: dict[str, str], stream: StreamId) -> bool:
    """Names stand there percent-encoded, and long ones are cut."""
    namespace = None if stream.namespace is None else quote(stream.namespace, safe="")[:400]
    named = (metadata.get("ab-stream-namespace"), metadata["ab-stream-name"])
    return named == (namespace, quote(stream.name, safe="")[:400])


test_image_of_destination_s3 = destination_suite(())
