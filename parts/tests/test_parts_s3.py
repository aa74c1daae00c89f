"""The S3 API as a part: both kinds keep what destinations depend on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from connector_parts import S3
from connector_parts import s3 as s3_module
from connector_parts.pytest_plugin import session_part
from connector_parts.s3 import Kind, survey


@pytest.fixture(params=["versitygw", "moto"], scope="module")
def server(request: pytest.FixtureRequest) -> Iterator[S3]:
    kind: Kind = request.param
    yield from session_part(lambda: S3(kind))


def test_keeps_objects_and_what_users_say_of_them(server: S3) -> None:
    client, bucket = server.client(), server.bucket()
    client.put_object(Bucket=bucket, Key="a/b", Body=b"body", Metadata={"stream": "one"})
    assert client.head_object(Bucket=bucket, Key="a/b")["Metadata"] == {"stream": "one"}
    assert client.get_object(Bucket=bucket, Key="a/b")["Body"].read() == b"body"


def test_multipart_uploads_are_listed_completed_and_aborted(server: S3) -> None:
    client, bucket = server.client(), server.bucket()
    done, given_up = (
        client.create_multipart_upload(Bucket=bucket, Key=key, Metadata={"stream": key})["UploadId"]
        for key in ("done", "given-up")
    )
    part = client.upload_part(Bucket=bucket, Key="done", UploadId=done, PartNumber=1, Body=b"part")
    assert {upload["Key"] for upload in client.list_multipart_uploads(Bucket=bucket)["Uploads"]} == {"done", "given-up"}
    client.abort_multipart_upload(Bucket=bucket, Key="given-up", UploadId=given_up)
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    client.complete_multipart_upload(Bucket=bucket, Key="done", UploadId=done, MultipartUpload=parts)
    assert not client.list_multipart_uploads(Bucket=bucket).get("Uploads")
    assert [found["Key"] for found in client.list_objects_v2(Bucket=bucket)["Contents"]] == ["done"]
    assert client.head_object(Bucket=bucket, Key="done")["Metadata"] == {"stream": "done"}


def test_versitygw_checks_signatures() -> None:
    for server in session_part(S3):
        bucket = server.bucket()
        server.secret_key = "wrong"
        with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
            server.client().put_object(Bucket=bucket, Key="a", Body=b"")


def test_versitygw_keeps_metadata_without_extended_attributes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_module, "_keeps_attributes", lambda folder: False)
    for server in session_part(S3):
        client, bucket = server.client(), server.bucket()
        client.put_object(Bucket=bucket, Key="a/b", Body=b"body", Metadata={"stream": "one"})
        assert client.head_object(Bucket=bucket, Key="a/b")["Metadata"] == {"stream": "one"}


def test_versitygw_keeps_its_data_through_a_kill() -> None:
    for server in session_part(S3):
        bucket = server.bucket()
        server.client().put_object(Bucket=bucket, Key="a", Body=b"body")
        server.kill()
        server.start()
        assert server.client().get_object(Bucket=bucket, Key="a")["Body"].read() == b"body"


def test_without_go_moto_stands_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    assert S3.best().kind == "moto"
    [real, _] = survey(build=True)
    assert str(real).startswith("MISSING S3 (versitygw): there is no Go to build it with; install Go")
