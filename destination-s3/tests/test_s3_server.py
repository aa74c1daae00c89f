"""S3 itself: parts, leftovers, rights, faults, encryption, credentials. Between us and the server stands a proxy that
sees every request and now and then answers in the server's place."""

from __future__ import annotations

import http.client
import json
import socket
import socketserver
import ssl
import threading
import time
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from connector_sdk import Batch, Block, ConfigError, ConfiguredStream, Replace, StreamName, TransientError
from destination_s3 import s3_client
from destination_s3.paths import fingerprint
from destination_s3.s3 import name_in
from destination_s3.write import check, objects_of, open_stream

pytestmark = pytest.mark.slow

MB = 1 << 20
PART = 5 * MB


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that came by."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes = b""

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.path).query, keep_blank_values=True)

    @property
    def lists(self) -> bool:
        return self.method == "GET" and ("list-type" in self.query or "uploads" in self.query)


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


DROP = Answer(0)
"""Close the connection without a word."""


def error(status: int, code: str, text: str = "said the server", **headers: str) -> Answer:
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{text}</Message></Error>".encode()
    return Answer(status, body, {name.replace("_", "-"): value for name, value in headers.items()})


class Proxy(ThreadingHTTPServer):
    """Passes requests on to the server behind it, unless `answer` has one of its own."""

    daemon_threads = True

    def __init__(self, behind: str = "", certificate: tuple[Path, Path] | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behind = urlsplit(behind).netloc
        self.asked: list[Asked] = []
        self.answer: Callable[[Asked], Answer | None] = lambda asked: None
        self.pause = 0.0
        """Seconds after each 100 KB that are taken; each request comes over a connection of its own then."""
        self.scheme = "http"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self.socket = context.wrap_socket(self.socket, server_side=True)
            self.scheme = "https"
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def endpoint(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up, or trusts no certificate, is part of the tests."""

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: Proxy
    protocol_version = "HTTP/1.1"

    def handle_any(self) -> None:
        body = b"".join(self.taken(int(self.headers.get("Content-Length") or 0)))
        asked = Asked(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body)
        self.server.asked.append(asked)
        answer = self.server.answer(asked) or self.passed_on(asked)
        if answer is DROP:
            self.close_connection = True
            return
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if "Content-Length" not in answer.headers:
            self.send_header("Content-Length", str(len(answer.body)))
        if self.server.pause:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def taken(self, size: int) -> Iterator[bytes]:
        while size and (some := self.rfile.read(min(size, 100_000))):
            yield some
            size -= len(some)
            time.sleep(self.server.pause)  # The link is as slow as the test asks.

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = handle_any

    def passed_on(self, asked: Asked) -> Answer:
        connection = http.client.HTTPConnection(self.server.behind)
        connection.putrequest(asked.method, asked.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in ("expect", "connection"):
                connection.putheader(name, value)
        connection.endheaders(asked.body)
        said = connection.getresponse()
        body = said.read()
        kept = {
            k: v for k, v in said.getheaders() if k.lower() not in ("transfer-encoding", "connection", "date", "server")
        }
        connection.close()
        return Answer(said.status, body, kept)

    def log_message(self, format: str, *args: Any) -> None: ...


assert issubclass(Proxy, socketserver.ThreadingMixIn)


@pytest.fixture
def proxy(s3: Any) -> Iterator[Proxy]:
    with Proxy(s3.endpoint) as found:
        yield found


@pytest.fixture
def behind(bucket: Any, proxy: Proxy) -> Any:
    """The bucket, reached through the proxy."""
    return replace(bucket, options={**bucket.options, "endpoint": proxy.endpoint})


def sized(stream: ConfiguredStream, size: int, char: str = "x") -> Batch:
    """One row whose line has this many bytes."""
    line = json.dumps({"t": char * (size - 9)}, separators=(",", ":")).encode() + b"\n"
    assert len(line) == size
    return Batch(stream, [Block(stream.id, line, array("q", [0]), {})])


# Parts


@pytest.mark.parametrize("size", [100, PART - 1, PART, PART + 1, 2 * PART, 2 * PART + 1, 17 * MB])
def test_around_the_size_of_a_part(behind: Any, proxy: Proxy, users: ConfiguredStream, size: int) -> None:
    with open_stream(behind.config(), users) as store:
        for start in range(0, size, 3 * MB):
            store.write(sized(users, max(20, min(3 * MB, size - start))))
        assert store.held <= 3 * PART
        store.commit()
    (content,) = behind.files().values()
    assert len(content) == max(size, 20)
    assert behind.unfinished() == []
    parts = [asked for asked in proxy.asked if "partNumber" in asked.query]
    assert len(parts) == (-(-size // PART) if size >= PART else 0)
    assert all(len(asked.body) == PART for asked in parts[:-1])


def test_a_failed_upload_is_ended(behind: Any, proxy: Proxy, users: ConfiguredStream) -> None:
    with pytest.raises(RuntimeError), open_stream(behind.config(), users) as store:
        store.write(sized(users, 12 * MB))
        raise RuntimeError
    assert behind.files() == {}
    assert behind.unfinished() == []
    assert any("uploadId" in asked.query and asked.method == "DELETE" for asked in proxy.asked)


def kill_in_the_middle(place: Any, stream: ConfiguredStream) -> None:
    """What a run leaves that is killed while it uploads."""
    opened = open_stream(place.config(), stream)
    store = opened.__enter__()
    store.write(sized(stream, 12 * MB))
    store.write(sized(stream, 12 * MB))  # Waits for the parts before.
    _killed.append(opened)


_killed: list[Any] = []


@pytest.fixture(autouse=True)
def _bury() -> Iterator[None]:
    yield
    _killed.clear()


@pytest.mark.parametrize("pattern", ["{part_number}", "{timestamp}/{part_number}"])
def test_what_a_killed_run_left_is_removed_by_the_next(place: Any, users: ConfiguredStream, pattern: str) -> None:
    place.defaults |= {"s3_path_format": "${STREAM_NAME}/", "file_name_pattern": pattern}
    other = ConfiguredStream("user", "public")
    kill_in_the_middle(place, users)
    kill_in_the_middle(place, other)
    assert place.files() == {}
    assert len(place.unfinished()) == 2
    place.write(users, [{"id": 1}])
    assert place.rows() == [{"id": 1}]
    (left,) = place.unfinished()
    assert fingerprint(other.id)[:12] in left
    place.write(replace(other, replace=Replace.EVERYTHING_ELSE))
    assert place.unfinished() == []


# Rights


def denies(*kinds: Callable[[Asked], bool]) -> Callable[[Asked], Answer | None]:
    return lambda asked: error(403, "AccessDenied") if any(kind(asked) for kind in kinds) else None


def listing(asked: Asked) -> bool:
    return asked.lists


def putting(asked: Asked) -> bool:
    return asked.method in ("PUT", "POST")


def test_append_needs_no_right_to_list(behind: Any, proxy: Proxy, users: ConfiguredStream) -> None:
    proxy.answer = denies(listing)
    behind.write(users, [{"id": 1}])
    check(behind.config())
    assert behind.rows() == [{"id": 1}]


def test_overwrite_without_the_right_to_list_is_refused_before_anything_is_written(
    behind: Any, proxy: Proxy, users: ConfiguredStream, overwrite: Any
) -> None:
    proxy.answer = denies(listing)
    with pytest.raises(ConfigError, match=r"s3:ListBucket is missing.*only append is possible"):
        behind.write(overwrite(users), [{"id": 1}])
    assert not any(putting(asked) for asked in proxy.asked)


@pytest.mark.parametrize(
    ("kind", "right"),
    [(putting, "s3:PutObject"), (lambda asked: asked.method == "DELETE", "s3:DeleteObject")],
)
def test_check_names_the_right_that_is_missing(
    behind: Any, proxy: Proxy, kind: Callable[[Asked], bool], right: str
) -> None:
    proxy.answer = denies(kind)
    with pytest.raises(ConfigError, match=right):
        check(behind.config())


def test_overwrite_without_the_right_to_look_removes_nothing(
    behind: Any, proxy: Proxy, users: ConfiguredStream, overwrite: Any
) -> None:
    behind.write(users, [{"id": 1}])
    proxy.answer = denies(lambda asked: asked.method == "HEAD")
    with pytest.raises(ConfigError, match="s3:GetObject"):
        behind.write(overwrite(users), [{"id": 2}])
    assert behind.rows() == [{"id": 1}, {"id": 2}]


# What the server says, in our words


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (error(404, "NoSuchBucket"), ConfigError, "does not exist"),
        (error(403, "InvalidAccessKeyId"), ConfigError, "access key is not known"),
        (error(403, "SignatureDoesNotMatch"), ConfigError, "secret_access_key"),
        (error(400, "ExpiredToken"), ConfigError, "temporary keys have ended"),
        (error(403, "RequestTimeTooSkewed"), ConfigError, "clock"),
        (error(403, "AccessDenied"), ConfigError, "s3:PutObject is missing"),
        (error(400, "AuthorizationHeaderMalformed", x_amz_bucket_region="eu-west-3"), ConfigError, "another region"),
        (error(400, "IllegalLocationConstraintException"), ConfigError, "s3_bucket_region"),
        (
            error(400, "KMS.DisabledException", "key is disabled"),
            ConfigError,
            "KMS key cannot be used: key is disabled",
        ),
        (error(400, "EntityTooLarge"), ConfigError, "file_size_mb"),
        (error(400, "InvalidRequest", "what is this"), ConfigError, r"InvalidRequest\): what is this"),
        (error(503, "SlowDown"), TransientError, "SlowDown"),
        (error(500, "InternalError"), TransientError, "InternalError"),
        (error(404, "NoSuchUpload"), TransientError, "one run at a time"),
        (DROP, TransientError, "endpoint|closed"),
    ],
)
def test_what_the_server_refuses(
    behind: Any, proxy: Proxy, answer: Answer, kind: type[Exception], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_client, "ATTEMPTS", 1)
    proxy.answer = lambda asked: answer
    with pytest.raises(kind, match=words) as caught:
        check(behind.config())
    assert behind.options["secret_access_key"] not in str(caught.value)


def test_a_wrong_region_names_the_right_one(behind: Any, proxy: Proxy) -> None:
    proxy.answer = lambda asked: error(301, "PermanentRedirect", x_amz_bucket_region="eu-west-3")
    with pytest.raises(ConfigError, match="another region, eu-west-3"):
        check(behind.config())


def test_nobody_answers(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_client, "ATTEMPTS", 1)
    with pytest.raises(TransientError, match="cannot be reached"):
        check(bucket.config(endpoint="http://127.0.0.1:9"))


def test_wrong_keys_against_the_real_server(bucket: Any, s3: Any) -> None:
    if s3.kind != "versitygw":
        pytest.skip("MISSING versitygw: moto takes any credentials; run make parts where Go is")
    with pytest.raises(ConfigError, match="provided access key ID"):
        check(bucket.config(access_key_id="nobody"))
    with pytest.raises(ConfigError, match="secret_access_key"):
        check(bucket.config(secret_access_key="wrong", region="eu-west-2"))


def test_no_such_bucket_on_the_real_server(bucket: Any) -> None:
    with pytest.raises(ConfigError, match="no-such-bucket-here does not exist"):
        check(bucket.config(bucket="no-such-bucket-here"))


def test_a_certificate_that_nobody_signed(tmp_path: Path, bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from connector_parts.certificates import Authority

    authority = Authority(tmp_path)
    with Proxy(bucket.options["endpoint"], authority.issue("server", ["127.0.0.1"])) as proxy:
        monkeypatch.setattr(s3_client, "ATTEMPTS", 1)
        with pytest.raises(ConfigError, match="certificate cannot be trusted"):
            check(bucket.config(endpoint=proxy.endpoint))
        monkeypatch.setenv("AWS_CA_BUNDLE", str(authority.certificate))
        check(bucket.config(endpoint=proxy.endpoint, region="eu-west-1"))


# Faults


@pytest.mark.parametrize("fault", [error(503, "SlowDown"), error(500, "InternalError"), DROP])
def test_a_server_that_fails_now_and_then(
    behind: Any, proxy: Proxy, users: ConfiguredStream, overwrite: Any, fault: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.01)
    behind.write(users, [{"id": 1}])
    proxy.answer = lambda asked: fault if len(proxy.asked) % 3 == 0 else None
    with open_stream(behind.config(), overwrite(users)) as store:
        for number in range(12):
            store.write(sized(users, 2 * MB, str(number % 10)))
        store.commit()
    proxy.answer = lambda asked: None
    (content,) = behind.files().values()
    assert [line[6:7] for line in content.splitlines()] == [str(number % 10).encode() for number in range(12)]
    assert behind.unfinished() == []


def test_a_link_may_take_longer_for_a_part_than_any_timeout(
    behind: Any, proxy: Proxy, users: ConfiguredStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as some of it goes out in time: a timeout is no bound for the whole."""
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.01)
    monkeypatch.setattr(s3_client, "CONNECT_SECONDS", 0.4)
    proxy.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
    proxy.pause = 0.06
    with open_stream(behind.config(), users) as store:
        store.write(sized(users, 6 * MB))
        store.commit()
    (content,) = behind.files().values()
    assert len(content) == 6 * MB


def test_a_server_that_stays_away_fails_the_run(
    behind: Any, proxy: Proxy, users: ConfiguredStream, overwrite: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_client, "ATTEMPTS", 1)
    behind.write(users, [{"id": 1}])
    opened = open_stream(behind.config(region="us-west-2"), overwrite(users))
    store = opened.__enter__()
    proxy.answer = lambda asked: error(503, "SlowDown")
    with pytest.raises(TransientError) as caught:
        for _ in range(6):
            store.write(sized(users, 4 * MB))
    assert not opened.__exit__(TransientError, caught.value, None)
    proxy.answer = lambda asked: None
    assert behind.rows() == [{"id": 1}]


# What is said of an object


def test_metadata(behind: Any, proxy: Proxy) -> None:
    stream = ConfiguredStream("한국어/😀", "a b", generation_id=7)
    behind.write(stream, [{"id": 1}])
    (key,) = behind.files()
    client = objects_of(behind.config()).client  # type: ignore[attr-defined]
    said = client.head_object(Bucket=behind.options["bucket"], Key=key)["Metadata"]
    assert said["ab-generation-id"] == "7"
    assert name_in(said) == stream.id
    assert said["ab-stream-id"] == fingerprint(stream.id)


def test_metadata_of_very_long_names_fits(behind: Any) -> None:
    stream = ConfiguredStream("😀" * 300, "한" * 300)
    behind.write(stream, [{"id": 1}])
    behind.write(replace(stream, replace=Replace.EVERYTHING_ELSE), [{"id": 2}])
    assert behind.rows() == [{"id": 2}]


@pytest.mark.parametrize("size", [100, 12 * MB])
@pytest.mark.parametrize(
    ("encryption", "headers"),
    [
        ({"type": "bucket"}, {}),
        ({"type": "AES256"}, {"x-amz-server-side-encryption": "AES256"}),
        ({"type": "aws:kms"}, {"x-amz-server-side-encryption": "aws:kms"}),
        (
            {"type": "aws:kms", "key_id": "alias/k"},
            {"x-amz-server-side-encryption": "aws:kms", "x-amz-server-side-encryption-aws-kms-key-id": "alias/k"},
        ),
    ],
)
def test_encryption_is_asked_for(
    behind: Any, proxy: Proxy, users: ConfiguredStream, size: int, encryption: dict[str, str], headers: dict[str, str]
) -> None:
    upload = [b"<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>"]
    answers = {"POST": upload[0], "PUT": b"", "GET": b"<ListMultipartUploadsResult/>", "DELETE": b""}
    proxy.answer = lambda asked: Answer(
        200,
        b"<CompleteMultipartUploadResult/>"
        if "uploadId" in asked.query and asked.method == "POST"
        else answers[asked.method],
        {"ETag": '"e"'},
    )
    with open_stream(behind.config(encryption=encryption), users) as store:
        store.write(sized(users, size))
        store.commit()
    first = next(asked for asked in proxy.asked if asked.method in ("PUT", "POST"))
    assert {name: value for name, value in first.headers.items() if "encryption" in name} == headers


def test_without_tls_every_byte_is_signed(behind: Any, proxy: Proxy, users: ConfiguredStream) -> None:
    behind.write(users, [{"id": 1}])
    put = next(asked for asked in proxy.asked if asked.method == "PUT")
    assert len(put.headers["x-amz-content-sha256"]) == 64


# Credentials


def signer(asked: Asked) -> str:
    return asked.headers["authorization"].partition("Credential=")[2].partition("/")[0]


def without_keys(place: Any, **options: Any) -> Any:
    kept = {name: value for name, value in place.options.items() if name not in ("access_key_id", "secret_access_key")}
    return replace(place, options={**kept, **options})


def test_a_name_that_no_bucket_can_have(behind: Any) -> None:
    with pytest.raises(ConfigError, match="Bad Bucket! cannot be the name of a bucket"):
        check(replace(behind, options={**behind.options, "bucket": "Bad Bucket!"}).config())


def test_no_credentials(behind: Any) -> None:
    with pytest.raises(ConfigError, match="no credentials"):
        check(without_keys(behind).config())


@pytest.mark.parametrize("empty", [{}, {"access_key_id": "", "secret_access_key": "", "session_token": ""}])
def test_keys_and_endpoint_of_the_environment(
    bucket: Any, s3: Any, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, empty: dict[str, str]
) -> None:
    """Also where a form was left empty."""
    for name, value in {**s3.environment, "AWS_ENDPOINT_URL_S3": proxy.endpoint}.items():
        monkeypatch.setenv(name, value)
    check(without_keys(bucket, endpoint="", **empty).config())
    assert {signer(asked) for asked in proxy.asked} == {s3.access_key}


def test_a_profile(behind: Any, s3: Any, proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "credentials"
    file.write_text(f"[lake]\naws_access_key_id={s3.access_key}\naws_secret_access_key={s3.secret_key}\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    check(without_keys(behind, profile="lake").config())
    assert {signer(asked) for asked in proxy.asked} == {s3.access_key}
    with pytest.raises(ConfigError, match=r"Correct profile"):
        check(without_keys(behind, profile="nobody").config())


def test_a_session_token(behind: Any, proxy: Proxy) -> None:
    proxy.answer = lambda asked: error(403, "InvalidToken")
    with pytest.raises(ConfigError, match="session token is not valid"):
        check(behind.config(session_token="temporary-token"))
    assert proxy.asked[0].headers["x-amz-security-token"] == "temporary-token"


CREDENTIALS = {"AccessKeyId": "ROLEKEY", "SecretAccessKey": "s", "Expiration": "2999-01-01T00:00:00Z"}


def test_a_role(behind: Any, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = "".join(f"<{name}>{value}</{name}>" for name, value in {**CREDENTIALS, "SessionToken": "t"}.items())
    result = f"<AssumeRoleResult><Credentials>{inner}</Credentials></AssumeRoleResult>"
    said = f"<AssumeRoleResponse>{result}</AssumeRoleResponse>"
    with Proxy() as sts:
        sts.answer = lambda asked: Answer(200, said.encode(), {"Content-Type": "text/xml"})
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", sts.endpoint)
        proxy.answer = lambda asked: error(403, "AccessDenied")
        with pytest.raises(ConfigError, match="s3:PutObject"):
            check(behind.config(role_arn="arn:aws:iam::123456789012:role/writer", role_external_id="ext-1"))
        asked = {name: values[0] for name, values in parse_qs(sts.asked[0].body.decode()).items()}
        assert signer(sts.asked[0]) == behind.options["access_key_id"]
    assert (asked["RoleArn"], asked["ExternalId"]) == ("arn:aws:iam::123456789012:role/writer", "ext-1")
    assert signer(proxy.asked[0]) == "ROLEKEY"


def test_a_role_that_may_not_be_assumed(behind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with Proxy() as sts:
        body = b"<ErrorResponse><Error><Code>AccessDenied</Code><Message>not trusted</Message></Error></ErrorResponse>"
        sts.answer = lambda asked: Answer(403, body)
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", sts.endpoint)
        with pytest.raises(ConfigError, match="role cannot be assumed: not trusted"):
            check(behind.config(role_arn="arn:aws:iam::123456789012:role/writer"))


def test_the_role_of_the_instance(behind: Any, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    def metadata(asked: Asked) -> Answer:
        if asked.method == "PUT":
            return Answer(200, b"token")
        if asked.path.endswith("/security-credentials/"):
            return Answer(200, b"writer")
        return Answer(200, json.dumps({**CREDENTIALS, "Code": "Success", "Token": "t"}).encode())

    with Proxy() as instance:
        instance.answer = metadata
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", instance.endpoint)
        proxy.answer = lambda asked: error(403, "AccessDenied")
        with pytest.raises(ConfigError, match="s3:PutObject"):
            check(without_keys(behind).config())
    assert signer(proxy.asked[0]) == "ROLEKEY"


def test_streams_are_found_among_many(bucket: Any, users: ConfiguredStream, overwrite: Any) -> None:
    """More objects than one page of a listing or one round of looks holds."""
    others = [ConfiguredStream(f"s{number}") for number in range(10)]
    for other in others:
        bucket.write(other, [{"id": 0}], s3_path_format="all/")
    for number in range(5):
        bucket.write(users, [{"id": number}], s3_path_format="all/")
    bucket.write(overwrite(users), [{"id": 9}], s3_path_format="all/")
    assert sorted(row["id"] for row in bucket.rows()) == [0] * 10 + [9]
    assert StreamName("public", "users") == users.id
