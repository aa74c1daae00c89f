"""Objects in S3, and in all that speaks it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from typing import Any, TypeVar
from urllib.parse import quote, unquote

from connector_sdk import ConfigError, StreamName, log
from connector_sdk.errors import ConnectorError
from destination_s3.config import Aes256, Kms, S3Config
from destination_s3.objects import Found, Tags
from destination_s3.paths import fingerprint, run_of, tidy
from destination_s3.s3_errors import told

T = TypeVar("T")

# What every object says of itself, as `x-amz-meta-…`. The first is the name that Airbyte's own destination uses.
GENERATION, IDENTITY, NAMESPACE, NAME, RUN = (
    "ab-generation-id",
    "ab-stream-id",
    "ab-stream-namespace",
    "ab-stream-name",
    "ab-run-id",
)
NAMES_MAX = 400
"""Bytes of a name among the metadata, of which S3 takes 2 KB in all. The identity stands for what is cut."""


class Bucket:
    """A bucket. The client, and with it all of botocore, is made when it is first needed."""

    part_size = 5 << 20
    """S3's smallest. All parts but the last have it: some servers want them equal."""

    def __init__(self, config: S3Config) -> None:
        self._config = config
        self.name = config.s3_bucket_name
        self._client: Any = None
        self._lock = threading.Lock()
        self._unfinished: dict[str, list[tuple[str, str]]] = {}

    @property
    def client(self) -> Any:
        with self._lock:
            if self._client is None:
                from destination_s3.s3_client import make

                with told(self.name, "connect"):
                    self._client = make(self._config)
            return self._client

    def warm_up(self) -> None:
        _ = self.client

    def upload(self, key: str, tags: Tags) -> S3Upload:
        return S3Upload(self, {"Key": key, "Metadata": _metadata(tags), **self._encryption})

    @property
    def _encryption(self) -> dict[str, str]:
        match self._config.encryption:
            case Aes256():
                return {"ServerSideEncryption": "AES256"}
            case Kms(key_id=key):
                return {"ServerSideEncryption": "aws:kms"} | ({"SSEKMSKeyId": key} if key else {})
        return {}

    def require_listing(self, folder: str) -> None:
        try:
            with told(self.name, "list objects", "s3:ListBucket"):
                self.client.list_objects_v2(Bucket=self.name, Prefix=_prefix(folder), MaxKeys=1)
        except ConfigError as error:
            raise ConfigError(
                f"{error.message} Overwrite has to find the older objects; without that right only append is possible."
            ) from error

    def find(self, folder: str, stream: StreamName) -> Iterator[Found]:
        from concurrent.futures import ThreadPoolExecutor

        keys = (key for key in self._keys(folder) if run_of(key, stream))
        with ThreadPoolExecutor(8, thread_name_prefix="look") as threads:
            for some in _chunks(keys, 200):
                for key, tags in zip(some, threads.map(self._tags, some), strict=True):
                    if tags is not None and tags[0] == fingerprint(stream):
                        yield Found(key, Tags(stream, *tags[1:]))

    def _keys(self, folder: str) -> Iterator[str]:
        with told(self.name, "list objects", "s3:ListBucket"):
            pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=_prefix(folder))
            for page in pages:
                for entry in page.get("Contents", ()):
                    yield entry["Key"]

    def _tags(self, key: str) -> tuple[str, int | None, str] | None:
        """Identity, generation and run; None where the object is gone or is none of ours."""
        from botocore.exceptions import ClientError

        with told(self.name, "look at objects", "s3:GetObject"):
            try:
                said = self.client.head_object(Bucket=self.name, Key=key)["Metadata"]
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                    return None
                raise
        generation = said.get(GENERATION, "")
        return (
            (said[IDENTITY], int(generation) if generation.isdigit() else None, said.get(RUN, ""))
            if IDENTITY in said
            else None
        )

    def delete(self, found: Iterable[Found]) -> None:
        """Each by itself: the request that removes many at once is not known to every server."""
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(8, thread_name_prefix="delete") as threads:
            for _ in threads.map(self._delete, (key for key, _ in found)):
                pass

    def _delete(self, key: str) -> None:
        with told(self.name, "remove objects", "s3:DeleteObject"):
            self.client.delete_object(Bucket=self.name, Key=key)

    def remove_leftovers(self, folder: str, stream: StreamName, run: str) -> None:
        for key, upload in self._uploads(folder):
            writer = run_of(key, stream)
            if writer is not None and writer != run:
                log.info("Ending the upload of %s, which a run that was cut off left behind.", key)
                with suppress(ConnectorError), told(self.name, "end uploads", "s3:AbortMultipartUpload"):
                    self.client.abort_multipart_upload(Bucket=self.name, Key=key, UploadId=upload)

    def _uploads(self, folder: str) -> list[tuple[str, str]]:
        """Key and id of all uploads that are under way here. Listed once a run for each folder that streams share."""
        base = tidy(self._config.s3_bucket_path.partition("$")[0]).rstrip("/")
        shared = base if f"{folder}/".startswith(f"{base}/") else folder
        if shared not in self._unfinished:
            self._unfinished[shared] = self._list_uploads(shared)
        return self._unfinished[shared]

    def _list_uploads(self, folder: str) -> list[tuple[str, str]]:
        found = []
        try:
            with told(self.name, "list uploads", "s3:ListBucketMultipartUploads"):
                pages = self.client.get_paginator("list_multipart_uploads").paginate(Bucket=self.name, Prefix=folder)
                for page in pages:
                    found += [(entry["Key"], entry["UploadId"]) for entry in page.get("Uploads", ())]
        except ConnectorError as error:
            log.warning("Uploads that a killed run left behind cannot be looked for. %s", error)
        return found

    def check(self, folder: str) -> None:
        key = f"{_prefix(folder)}airbyte-check-{os.urandom(4).hex()}"
        tags = Tags(StreamName(None, "airbyte-check"), None, "check")
        self.upload(key, tags).finish(b"May be removed.\n")
        try:
            self._check_rest(key, folder)
        finally:
            self._delete(key)

    def _check_rest(self, key: str, folder: str) -> None:
        try:
            with told(self.name, "list objects", "s3:ListBucket"):
                self.client.list_objects_v2(Bucket=self.name, Prefix=_prefix(folder), MaxKeys=1)
        except ConfigError as error:
            log.warning("%s Append works without it; overwrite does not.", error)
            return
        self._tags(key)


def _prefix(folder: str) -> str:
    return f"{folder}/" if folder else ""


def _metadata(tags: Tags) -> dict[str, str]:
    """Names percent-encoded, since metadata is ASCII; a namespace of None is left out, an empty one is there."""
    said = {IDENTITY: fingerprint(tags.stream), NAME: quote(tags.stream.name, safe="")[:NAMES_MAX], RUN: tags.run}
    if tags.stream.namespace is not None:
        said[NAMESPACE] = quote(tags.stream.namespace, safe="")[:NAMES_MAX]
    if tags.generation is not None:
        said[GENERATION] = str(tags.generation)
    return said


def name_in(metadata: dict[str, str]) -> StreamName:
    """The stream that an object names in its metadata. A very long name is cut there."""
    namespace = metadata.get(NAMESPACE)
    return StreamName(None if namespace is None else unquote(namespace), unquote(metadata[NAME]))


def _chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some


class S3Upload:
    """One request where the whole fits into a part, else a multipart upload."""

    def __init__(self, bucket: Bucket, what: dict[str, Any]) -> None:
        self._bucket = bucket
        self._what = {"Bucket": bucket.name, **what}
        self._where = {"Bucket": bucket.name, "Key": what["Key"]}
        self._parts: list[dict[str, Any]] = []
        self._id: str | None = None

    def part(self, data: bytes) -> None:
        client = self._bucket.client
        with told(self._bucket.name, "write objects", "s3:PutObject"):
            if self._id is None:
                self._id = client.create_multipart_upload(**self._what)["UploadId"]
            number = len(self._parts) + 1
            sent = client.upload_part(**self._where, UploadId=self._id, PartNumber=number, Body=data)
            self._parts.append({"PartNumber": number, "ETag": sent["ETag"]})

    def finish(self, last: bytes) -> None:
        client = self._bucket.client
        if self._id is None:
            with told(self._bucket.name, "write objects", "s3:PutObject"):
                client.put_object(**self._what, Body=last)
            return
        if last:
            self.part(last)
        with told(self._bucket.name, "write objects", "s3:PutObject"):
            client.complete_multipart_upload(**self._where, UploadId=self._id, MultipartUpload={"Parts": self._parts})
        self._id = None

    def abort(self) -> None:
        if self._id is None:
            return
        with suppress(Exception):
            self._bucket.client.abort_multipart_upload(**self._where, UploadId=self._id)
        self._id = None
