"""Secrets of the config never come out in anything but data: not in logs, errors, stacks, statuses, on no way out."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connector_sdk.mask import Mask

few = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))

PASSWORD = 'p@ss/w0rd "quo\'ted" \\ 한글&='
PLAIN = "hunter2swordfish"
KEY = "-----BEGIN KEY-----\nMIIEowIBAAKCAQEA7bq9\nq1w2e3r4t5y6u7i8o9p0\n-----END KEY-----\n"


def masked(text: str, *secrets: str) -> str:
    mask = Mask()
    mask.learn(secrets)
    return mask(text)


# The function


@pytest.mark.parametrize(
    "spelling",
    [
        PASSWORD,
        quote(PASSWORD, safe=""),
        quote(PASSWORD),
        quote_plus(PASSWORD),
        repr(PASSWORD)[1:-1],
        json.dumps(PASSWORD)[1:-1],
        json.dumps(PASSWORD, ensure_ascii=False)[1:-1],
    ],
)
def test_a_secret_in_any_spelling(spelling: str) -> None:
    text = f"before {spelling} after, and again {spelling}"
    out = masked(text, PASSWORD)
    assert "w0rd" not in out
    assert out.startswith("before ")
    assert " after, and again " in out


def test_a_key_of_several_lines() -> None:
    for text in (KEY, KEY.strip(), repr(KEY), json.dumps({"k": KEY}), KEY.replace("\n", "\r\n"), KEY.splitlines()[1]):
        out = masked(f"could not load {text}!", KEY)
        for line in KEY.splitlines()[1:3]:
            assert line not in out


def test_short_values_are_left_alone() -> None:
    assert masked("a be sea, 1 12 123 true", "a", "be", "sea", "123", "") == "a be sea, 1 12 123 true"
    assert masked("the word seas", "seas") == "the word ****"


def test_the_longest_secret_goes_first() -> None:
    assert masked("x abcdefgh y abcd z", "abcd", "abcdefgh") == "x **** y **** z"


def test_secrets_that_are_learnt_later_are_masked_from_then_on() -> None:
    mask = Mask()
    assert mask("first second") == "first second"
    mask.learn(["first"])
    mask.learn(["second"])
    assert mask("first second") == "**** ****"


@few
@given(st.text(min_size=4), st.text(), st.text())
def test_any_secret_is_gone(secret: str, before: str, after: str) -> None:
    for spelling in (secret, quote(secret, safe=""), repr(secret)[1:-1]):
        out = masked(before + spelling + after, secret)
        assert len(spelling) < 4 or spelling not in out.replace("****", "")


# Through the command line, on every way out

SOURCE = """
    class Auth(Config):
        password: Secret
        key: Annotated[Secret | None, Field(json_schema_extra={"multiline": True})] = None

    class C(Config):
        url: str = ""
        auth: Auth
        headers: dict[str, Secret] = {}
        token: Secret = Field("", validation_alias=AliasChoices("token", "access_token"))
        short: Secret = ""
        name: str = "users"
        do: str = ""

    class DriverError(Exception): pass

    def secrets(c):
        values = [c.auth.password, c.auth.key, c.token, *c.headers.values()]
        return " | ".join(v.get_secret_value() for v in values if v) + " | " + c.url

    def fail(c):
        try:
            raise DriverError(f"connection to {secrets(c)} refused")
        except DriverError as error:
            raise RuntimeError({"dsn": secrets(c), "k": [c.url]}) from error

    def check(c):
        with translate({DriverError: ConfigError}, "Cannot connect: "):
            if c.do == "bug": fail(c)
            raise DriverError(secrets(c))

    def discover(c):
        yield Stream(c.name, schema.table({"v": schema.described(schema.STRING, secrets(c))}), incremental=True)

    def read(c, stream):
        import warnings
        if c.do == "log":
            log.info("connecting to %s", secrets(c))
            log.debug("in detail %r", secrets(c))
            log.info("a bad %d message %s", secrets(c))
            logging.getLogger("some.library").warning("GET %s", secrets(c))
            warnings.warn(secrets(c))
            try: fail(c)
            except Exception: log.exception("failed with %s", c.url)
            print(c, c.auth, c.headers, c.token)
            def thread(): raise DriverError(secrets(c))
            t = threading.Thread(target=thread); t.start(); t.join()
        if c.do == "retry":
            raise TransientError(secrets(c), internal=secrets(c), retry_after=0.01)
        if c.do == "rotate":
            yield ConfigUpdate({"auth": {"password": "a-new-password"}, "token": "a-new-token"})
            log.info("now with a-new-password and a-new-token")
        yield {"v": secrets(c)}
        yield Checkpoint({"at": secrets(c)})
        if c.do == "bug": fail(c)
        if c.do == "config": raise ConfigError(secrets(c), internal=secrets(c))

    Source(C, check=check, discover=discover, read=read, backoff=Backoff(attempts=2, first=0.01)).main()
"""
HEAD = "from pydantic import AliasChoices\n"

CONFIG = {
    "url": f"postgres://me:{quote(PASSWORD, safe='')}@db.example.com/x?password={PLAIN}",
    "auth": {"password": PASSWORD, "key": KEY},
    "headers": {"X-Auth": "of-a-header-9"},
    "access_token": "by-a-second-name-8",
    "short": "abc",
}
ALL = [
    "w0rd",
    PLAIN,
    "MIIEowIBAAKCAQEA7bq9",
    "q1w2e3r4t5y6u7i8o9p0",
    "of-a-header-9",
    "by-a-second-name-8",
]


def clean(text: str) -> None:
    for secret in ALL:
        assert secret not in text, text[max(0, text.index(secret) - 300) : text.index(secret) + 100]


@pytest.fixture
def source(connector: Any) -> Any:
    return connector("    " + HEAD + SOURCE)


def test_the_driver_in_check_tells_everything(source: Any) -> None:
    said = source.run("check", CONFIG)
    (message,) = said.of("CONNECTION_STATUS")
    assert message["connectionStatus"]["status"] == "FAILED"
    assert "Cannot connect" in message["connectionStatus"]["message"]
    assert "****" in message["connectionStatus"]["message"]
    clean(said.out.decode() + said.err)
    said = source.run("check", {**CONFIG, "do": "bug"})
    assert said.code == 1
    assert "DriverError" in said.errors[0]["stack_trace"]
    assert "refused" in said.errors[0]["stack_trace"]
    clean(said.out.decode() + said.err)


@pytest.mark.parametrize("do", ["bug", "config", "retry"])
def test_errors_while_reading(source: Any, say: Any, do: str) -> None:
    said = source.run("read", {**CONFIG, "do": do}, say.catalog("users", sync_mode="incremental"))
    assert said.code == 1
    assert said.errors
    kept = [m for m in said.messages if m["type"] not in ("RECORD", "STATE")]
    clean(json.dumps(kept, ensure_ascii=False) + json.dumps(kept) + said.err)
    if do != "retry":
        assert PASSWORD in said.rows[0]["v"], "data is not masked"
        assert PASSWORD in said.stream_states[0]["at"], "a state is not masked"


def test_logs_of_everybody(source: Any, say: Any) -> None:
    said = source.run("read", {**CONFIG, "do": "log"}, say.catalog("users"), LOG_LEVEL="DEBUG")
    assert said.code == 0, said.err
    logs = "\n".join(json.dumps(m, ensure_ascii=False) for m in said.of("LOG"))
    for part in ("connecting to", "in detail", "a bad", "GET", "failed with", "UserWarning", "DriverError"):
        assert part in logs, part
    clean(logs + said.err)


def test_a_rotated_secret_is_one_from_then_on(source: Any, say: Any) -> None:
    said = source.run("read", {**CONFIG, "do": "rotate"}, say.catalog("users"))
    (control,) = said.of("CONTROL")
    assert control["control"]["connectorConfig"]["config"]["token"] == "a-new-token", "the platform needs it whole"
    logs = json.dumps(said.of("LOG"))
    assert "now with" in logs
    assert "a-new-password" not in logs + said.err
    assert "a-new-token" not in logs + said.err


def test_names_that_equal_a_secret_are_not_mangled(source: Any, say: Any) -> None:
    config = {**CONFIG, "name": PLAIN, "auth": {"password": PLAIN}}
    (message,) = source.run("discover", config).of("CATALOG")
    assert message["catalog"]["streams"][0]["name"] == PLAIN
    said = source.run("read", {**config, "do": "config"}, say.catalog(PLAIN, "gone"))
    assert {name for name, _ in said.statuses} == {PLAIN, "gone"}
    assert {m["record"]["stream"] for m in said.of("RECORD")} == {PLAIN}
    assert {"name": PLAIN} in [error["stream_descriptor"] for error in said.errors]
    assert all(PLAIN not in error["message"] for error in said.errors)


def test_a_config_that_is_wrong_says_nothing_of_its_values(source: Any, say: Any) -> None:
    for wrong in (
        {**CONFIG, "auth": {"password": [PASSWORD, PLAIN], "key": {"x": KEY}}},
        {**CONFIG, "auth": PLAIN},
        {"auth": {**CONFIG["auth"], "paswd": PLAIN}, "pasword": PLAIN},  # type: ignore[dict-item]
        {},
    ):
        said = source.run("check", wrong)
        clean(said.out.decode() + said.err)
        assert said.code == 0


def test_a_file_that_is_no_config_says_nothing_of_its_text(source: Any) -> None:
    for text in (f'{{"auth": {{"password": "{PLAIN}"', f"auth:\n  password: !{PLAIN}\n", f"- {PLAIN}\n"):
        command = source.command("check")
        Path(source.folder / "config.json").write_text(text)
        done = subprocess.run(command, capture_output=True, env=source.environment(), timeout=60, check=False)
        clean((done.stdout + done.stderr).decode())
        assert b"FAILED" in done.stdout


DESTINATION = """
    class C(Config):
        password: Secret

    from contextlib import contextmanager

    @contextmanager
    def open_stream(config, stream):
        def write(batch):
            if b"fail" in batch.lines:
                raise RuntimeError(f"INSERT with {config.password.get_secret_value()} failed")
            raise TransientError(f"{config.password.get_secret_value()} is busy", retry_after=0.01)
        try:
            yield write
        except BaseException:
            raise OSError("cannot drop the table as " + config.password.get_secret_value())

    Destination(C, check=lambda c: None, open_stream=open_stream, backoff=Backoff(attempts=2, first=0.01)).main()
"""


@pytest.mark.parametrize("word", ["fail", "busy"])
def test_errors_while_writing(connector: Any, say: Any, word: str) -> None:
    text = say.lines(say.record("a", {"v": word}), say.state("a", {}))
    said = connector(DESTINATION).run("write", {"password": PLAIN}, say.catalog("a"), text=text, LOG_LEVEL="DEBUG")
    assert said.code == 1
    assert said.errors
    assert any("cannot drop" in log for log in said.logs)
    clean(said.out.decode() + said.err)


def test_lines_of_the_input_are_never_quoted(connector: Any, say: Any) -> None:
    for text in (
        say.lines(say.record("a", {"v": 1})) + f"{PLAIN}\n".encode(),
        f'{{"type":"STATE","state":{{"type":"STREAM","stream":"{PLAIN}"}}}}\n'.encode(),
        f'{{"type":"STATE","state":"{PLAIN}"}}\n'.encode(),
        f'{{"type":"RECORD","record":{{"stream":"a","data":"{PLAIN}"}}}}\n'.encode(),
    ):
        said = connector(DESTINATION).run("write", {"password": "other-one"}, say.catalog("a"), text=text)
        assert said.code == 1
        clean(said.out.decode() + said.err)
