"""State in an S3 bucket: one object a pipeline. The lock is a lease, made by conditional writes."""

from __future__ import annotations

import json
import os
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from airpipe.errors import ConfigProblem, TransientProblem
from airpipe.statestore import Lock, Store, busy
from airpipe.words import file_name

TERM = 30.0
"""Seconds after which a lock that is not renewed is free."""
RENEW = 8.0
PATIENCE = TERM + 5
KEPT_RUNS = 100


class S3Store(Store):
    def __init__(self, address: str) -> None:
        try:
            import botocore.config
            import botocore.session
        except ImportError:
            raise ConfigProblem("state in S3 needs botocore: pip install botocore") from None
        from botocore.exceptions import BotoCoreError, ClientError

        self._failures: tuple[type[Exception], ...] = (BotoCoreError, ClientError)
        self._bucket, _, path = address.removeprefix("s3://").partition("/")
        self._path = f"{path.strip('/')}/" if path.strip("/") else ""
        config = botocore.config.Config(retries={"mode": "standard", "max_attempts": 5}, connect_timeout=10)
        region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
        endpoint = os.environ.get("AWS_ENDPOINT_URL") or None
        try:
            self._client = botocore.session.get_session().create_client(
                "s3", region_name=region, endpoint_url=endpoint, config=config
            )
        except BotoCoreError as error:
            raise ConfigProblem(f"the AWS settings for the bucket of state are not right: {error}") from None
        except ValueError:  # Its text shows the endpoint with all that stands in it.
            raise ConfigProblem("AWS_ENDPOINT_URL is no URL: write it as https://s3.example.com") from None
        self._known: dict[str, dict[str, Any]] = {}

    def _key(self, pipeline: str, ending: str) -> str:
        return f"{self._path}{file_name(pipeline)}.{ending}"

    def _get(self, key: str) -> tuple[Any, str] | None:
        """The JSON of an object and its ETag; None where there is none."""
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=key)
        except self._failures as error:
            if _code(error) in ("NoSuchKey", "404"):
                return None
            raise ConfigProblem(f"the bucket {self._bucket} of state cannot be read: {error}") from None
        return json.loads(answer["Body"].read()), answer["ETag"]

    def _document(self, pipeline: str) -> dict[str, Any]:
        if pipeline not in self._known:
            found = self._get(self._key(pipeline, "json"))
            self._known[pipeline] = found[0] if found else {"values": {}, "runs": []}
        return self._known[pipeline]

    def _put(self, pipeline: str, document: dict[str, Any]) -> None:
        try:
            self._client.put_object(
                Bucket=self._bucket,
                Key=self._key(pipeline, "json"),
                Body=json.dumps(document).encode(),
                ContentType="application/json",
            )
        except self._failures as error:
            raise TransientProblem(f"The state cannot be saved: {error}") from None
        self._known[pipeline] = document

    def load(self, pipeline: str) -> dict[str, str]:
        self._known.pop(pipeline, None)
        return dict(self._document(pipeline)["values"])

    def save(self, pipeline: str, changes: Mapping[str, str | None]) -> None:
        document = self._document(pipeline)
        values = {**document["values"], **changes}
        self._put(pipeline, {**document, "values": {key: value for key, value in values.items() if value is not None}})

    def runs(self, pipeline: str, limit: int = 20) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._document(pipeline)["runs"]
        return found[::-1][:limit]

    def put_run(self, pipeline: str, run: Mapping[str, Any]) -> None:
        document = self._document(pipeline)
        others = [other for other in document["runs"] if other["run"] != run["run"]]
        self._put(pipeline, {**document, "runs": [*others, dict(run)][-KEPT_RUNS:]})

    @contextmanager
    def lock(self, pipeline: str) -> Iterator[Lock]:
        lease = _Lease(self, self._key(pipeline, "lock"), pipeline)
        lease.acquire()
        self._known.pop(pipeline, None)  # Who held it before us has written since.
        try:
            yield lease
        finally:
            lease.release()

    def close(self) -> None:
        self._client.close()

    # Conditional writes

    def put_if(self, key: str, body: Mapping[str, Any], etag: str | None) -> str | None:
        """Write the object if it still is as it was (`etag`; None: absent). Returns its new ETag, None if it is not."""
        condition = {"IfMatch": etag} if etag else {"IfNoneMatch": "*"}
        try:
            answer = self._client.put_object(Bucket=self._bucket, Key=key, Body=json.dumps(body).encode(), **condition)
        except self._failures as error:
            if _code(error) in ("PreconditionFailed", "ConditionalRequestConflict", "412", "409", "NoSuchKey", "404"):
                return None
            raise ConfigProblem(f"the bucket {self._bucket} of state cannot be written: {error}") from None
        return str(answer["ETag"])

    def get(self, key: str) -> tuple[Any, str] | None:
        return self._get(key)

    def delete(self, key: str) -> None:
        with suppress(*self._failures):
            self._client.delete_object(Bucket=self._bucket, Key=key)


class _Lease(Lock):
    """Held as long as it is renewed. A dead run's connectors have ended long before its lease does."""

    def __init__(self, store: S3Store, key: str, pipeline: str) -> None:
        self._store = store
        self._key = key
        self._pipeline = pipeline
        self._owner = uuid.uuid4().hex
        self._etag: str | None = None
        self._renewed = 0.0
        self._end = threading.Event()
        self._renewer = threading.Thread(target=self._renew, name="lease", daemon=True)

    def acquire(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while not self._try():
            if time.monotonic() > deadline:
                raise busy(self._pipeline)
            time.sleep(1)
        self._renewer.start()

    def _try(self) -> bool:
        found = self._store.get(self._key)
        if found and found[0].get("until", 0) > time.time():
            return False
        return self._write(found[1] if found else None)

    def _write(self, etag: str | None) -> bool:
        """Write the lease, from now on: its answer may take long. A write whose answer was lost is refused when it is
        repeated, and ours all the same.
        """
        now = time.monotonic()
        self._etag = self._store.put_if(self._key, {"owner": self._owner, "until": time.time() + TERM}, etag)
        if self._etag is None and (found := self._store.get(self._key)) and found[0].get("owner") == self._owner:
            self._etag = found[1]
        if self._etag:
            self._renewed = now
        return self._etag is not None

    def _renew(self) -> None:
        while not self._end.wait(RENEW):
            with suppress(ConfigProblem):
                if not self._write(self._etag):
                    return

    def check(self) -> None:
        if time.monotonic() - self._renewed > TERM - 12:
            raise TransientProblem("The pipeline's lock in S3 could not be renewed: the run ends, to be safe.")

    def release(self) -> None:
        self._end.set()
        self._renewer.join()
        if self._etag:
            self._store.delete(self._key)


def _code(error: Exception) -> str:
    return str(getattr(error, "response", {}).get("Error", {}).get("Code", ""))
