"""Configs: how a file becomes a model, what its errors say, and the form that Airbyte renders of it."""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import AliasChoices, BaseModel, Field, field_validator

from connector_sdk import config as configs
from connector_sdk.config import Config, Secret
from connector_sdk.errors import ConfigError

few = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


class Password(BaseModel):
    """Log in by password."""

    method: Literal["password"] = "password"
    user: str = Field("me", title="User")
    password: Secret = Field(description="The password.")


class Key(BaseModel):
    method: Literal["key"] = "key"
    private_key: Secret = Field(json_schema_extra={"multiline": True})
    passphrase: Secret | None = None


class Level(str, Enum):
    LOW = "low"
    HIGH = "high"


class Inner(BaseModel):
    depth: int = 1
    token: Secret | None = None


class Full(Config):
    host: str = Field(title="Host", description="Where it runs.", examples=["db.example.com"])
    port: int = Field(5432, ge=1, le=65535, title="Port", json_schema_extra={"group": "connection"})
    login: Password | Key = Field(discriminator="method", title="Log in")
    tunnel: Key | Password | None = Field(None, discriminator="method")
    tables: list[str] = Field(default=["public.*"], title="Tables")
    start: str | None = Field(
        None, pattern=r"^\d{4}-\d{2}-\d{2}$", json_schema_extra={"pattern_descriptor": "YYYY-MM-DD"}
    )
    level: Level = Level.LOW
    mode: Literal["fast", "slow"] = "fast"
    ratio: float = 0.5
    old: bool = Field(False, json_schema_extra={"airbyte_hidden": True})
    inner: Inner = Inner()
    headers: dict[str, Secret] = Field({})
    tokens: list[Secret] = Field([])
    api_key: Secret | None = Field(None, alias="apiKey")


FORM = configs.form(Full)


def properties() -> dict[str, Any]:
    found: dict[str, Any] = FORM["properties"]
    return found


# The form


def test_the_order_of_the_form_is_the_order_of_the_fields() -> None:
    assert [properties()[name]["order"] for name in properties()] == list(range(len(Full.model_fields)))
    assert list(properties())[:3] == ["host", "port", "login"]
    assert properties()["apiKey"]["order"] == 13
    password = properties()["login"]["oneOf"][0]["properties"]
    assert {name: field["order"] for name, field in password.items()} == {"method": 0, "user": 1, "password": 2}


def test_a_field_of_the_form() -> None:
    assert properties()["host"] == {
        "type": "string",
        "title": "Host",
        "description": "Where it runs.",
        "examples": ["db.example.com"],
        "order": 0,
    }
    port = properties()["port"]
    assert (port["type"], port["default"], port["minimum"], port["maximum"]) == ("integer", 5432, 1, 65535)
    assert port["group"] == "connection"
    assert properties()["old"]["airbyte_hidden"] is True
    assert properties()["tables"]["default"] == ["public.*"]
    assert properties()["tables"]["items"] == {"type": "string"}
    assert properties()["mode"]["enum"] == ["fast", "slow"]
    assert properties()["level"]["enum"] == ["low", "high"]
    assert properties()["level"]["default"] == "low"
    assert properties()["inner"]["properties"]["depth"]["default"] == 1


def test_only_what_has_no_default_is_required() -> None:
    assert FORM["required"] == ["host", "login"]
    assert FORM["additionalProperties"] is True
    assert FORM["type"] == "object"


def test_an_optional_field_is_its_type_that_is_not_required() -> None:
    start = properties()["start"]
    assert start["type"] == "string"
    assert "anyOf" not in start
    assert "default" not in start
    assert start["pattern"] == r"^\d{4}-\d{2}-\d{2}$"
    assert start["pattern_descriptor"] == "YYYY-MM-DD"


def test_a_choice_is_a_one_of_with_a_const_each() -> None:
    for name, order in (("login", ["password", "key"]), ("tunnel", ["key", "password"])):
        choice = properties()[name]
        assert choice["type"] == "object"
        assert "discriminator" not in choice
        assert [option["properties"]["method"]["const"] for option in choice["oneOf"]] == order
        for option in choice["oneOf"]:
            assert option["type"] == "object"
            assert option["title"]
            assert option["properties"]["method"]["type"] == "string"
            assert option["properties"]["method"]["default"] == option["properties"]["method"]["const"]
    assert properties()["login"]["title"] == "Log in"
    assert properties()["login"]["oneOf"][0]["description"] == "Log in by password."


def test_a_secret_is_marked_wherever_it_stands() -> None:
    key = properties()["login"]["oneOf"][1]["properties"]
    for field in (
        properties()["login"]["oneOf"][0]["properties"]["password"],
        key["private_key"],
        key["passphrase"],
        properties()["inner"]["properties"]["token"],
        properties()["headers"]["additionalProperties"],
        properties()["tokens"]["items"],
        properties()["apiKey"],
    ):
        assert field["airbyte_secret"] is True
        assert field["type"] == "string"
        assert "format" not in field
        assert "writeOnly" not in field
    assert key["private_key"]["multiline"] is True
    assert "airbyte_secret" not in properties()["host"]


def test_the_form_stands_alone() -> None:
    text = json.dumps(FORM)
    for word in ("$ref", "$defs", "anyOf", "allOf", "discriminator", '"null"'):
        assert word not in text
    assert FORM["$schema"] == "http://json-schema.org/draft-07/schema#"


def test_the_base_class_does_not_describe_its_children() -> None:
    class Bare(Config):
        x: int = 1

    assert "description" not in configs.form(Bare)


def test_a_choice_of_plain_types_and_of_models_without_a_tag() -> None:
    class Odd(Config):
        number: int | str = 1
        version: Literal[1] = 1
        part: Inner | Password | None = None

    form = configs.form(Odd)["properties"]
    assert form["number"]["type"] in ("integer", "string")
    assert form["version"]["const"] == 1
    assert form["version"]["type"] == "integer"
    assert len(form["part"]["oneOf"]) == 2


# Loading


def load(folder: Path, text: str | bytes) -> dict[str, Any]:
    path = folder / "config"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return configs.load(str(path))


def test_json_and_yaml_say_the_same(tmp_path: Path) -> None:
    expected = {"host": "db", "port": 1, "tables": ["a", "b"], "inner": {"depth": 2}, "start": None, "old": True}
    yaml = "# where\nhost: db\nport: 1\ntables: [a, b]\ninner:\n  depth: 2\nstart:\nold: true\n"
    assert load(tmp_path, yaml) == expected
    assert load(tmp_path, yaml.replace("\n", "\r\n")) == expected
    assert load(tmp_path, json.dumps(expected)) == expected
    assert load(tmp_path, "\ufeff" + json.dumps(expected)) == expected
    assert load(tmp_path, "\ufeff" + yaml) == expected


def test_yaml_means_what_json_would(tmp_path: Path) -> None:
    """A day is the text that was typed, not a Python date that no string field takes; keys are texts."""
    found = load(tmp_path, "start: 2024-01-01\nat: 2024-01-01T10:00:00Z\n7: one\non: x\nlist: [2024-02-03]\n")
    assert found["start"] == "2024-01-01"
    assert found["at"] == "2024-01-01T10:00:00Z"
    assert found["list"] == ["2024-02-03"]
    assert all(isinstance(key, str) for key in found)
    assert found["7"] == "one"


def test_references_to_the_environment(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("A_1", "one")
    monkeypatch.setenv("empty", "")
    monkeypatch.setenv("NESTED", "${A_1} \\ \"'")
    text = {
        "a": "${A_1}",
        "b": "x${A_1}y${A_1}${empty}z",
        "c": ["${A_1}", {"d": "${NESTED}"}],
        "${A_1}": 1,
        "e": "$${A_1} $A_1 ${} ${1} ${A-B} $ {A_1}",
        "f": 5,
        "g": None,
        "h": "$$${A_1}",
    }
    assert load(tmp_path, json.dumps(text)) == {
        "a": "one",
        "b": "xoneyonez",
        "c": ["one", {"d": "${A_1} \\ \"'"}],
        "${A_1}": 1,
        "e": "${A_1} $A_1 ${} ${1} ${A-B} $ {A_1}",
        "f": 5,
        "g": None,
        "h": "$${A_1}",
    }


def test_a_reference_may_have_a_default(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("A_1", "one")
    monkeypatch.delenv("NO_SUCH_THING", raising=False)
    text = '{"a": "${A_1:-no}", "b": "${NO_SUCH_THING:-a default}!", "c": "${NO_SUCH_THING:-}", "d": "$${A_1:-x}"}'
    assert load(tmp_path, text) == {"a": "one", "b": "a default!", "c": "", "d": "${A_1:-x}"}


def test_who_has_put_references_in_place_before_may_say_so(tmp_path: Path, monkeypatch: Any) -> None:
    """A password that looks like one must come through."""
    monkeypatch.setenv("CONNECTOR_EXPAND", "0")
    assert load(tmp_path, '{"password": "$${A}${NO_SUCH_THING}"}') == {"password": "$${A}${NO_SUCH_THING}"}


def test_an_unset_variable_is_named_with_its_place(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.delenv("NO_SUCH_THING", raising=False)
    with pytest.raises(ConfigError, match="NO_SUCH_THING") as caught:
        load(tmp_path, '{"login": [{"password": "pre-${NO_SUCH_THING}-fix"}]}')
    assert "login.0.password" in caught.value.message
    assert "pre-" not in caught.value.message


def test_numbers_and_booleans_may_come_from_the_environment(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("PORT", "7")
    monkeypatch.setenv("OLD", "true")
    found = configs.parse(
        Full, load(tmp_path, "host: h\nport: ${PORT}\nold: ${OLD}\nlogin: {method: password, password: x}\n")
    )
    assert (found.port, found.old) == (7, True)


@pytest.mark.parametrize("text", ["", "[]", "null", "7", '"text"', "just words", "- a\n- b\n"])
def test_a_config_that_is_no_object_is_told(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="must hold an object"):
        load(tmp_path, text)


SECRET = "hunter2-swordfish"


@pytest.mark.parametrize(
    "text",
    [
        f'{{"password": "{SECRET}"',
        f'{{"password": {SECRET}}}{{',
        f"password: *{SECRET}",
        f"password: *it's-{SECRET}",
        f"password: *a'{SECRET}'b",
        f"password: !a'{SECRET}'",
        f"password: !{SECRET}",
        f"password: !!python/object:{SECRET} x",
        f"password: &{SECRET} a\nother: &{SECRET} b\n? [",
        f'password: "{SECRET}\\q"',
        f"password: @{SECRET}",
        f"password: {SECRET}: {SECRET}",
        f"password: `{SECRET}",
        f"%{SECRET}",
        f"a: b\n{SECRET}",
        f"password: \t{SECRET}\n\tb: c",
        f"password: |{SECRET}\n",
        f"{SECRET}\x00: 1",
        b'{"password": "\xff' + SECRET.encode() + b'"}',
        f"a: {{b: {SECRET}, c: [}}",
    ],
)
@pytest.mark.parametrize("loader", ["CSafeLoader", "SafeLoader"])
def test_a_config_that_cannot_be_read_is_told_without_its_text(
    tmp_path: Path, monkeypatch: Any, text: str | bytes, loader: str
) -> None:
    if loader == "SafeLoader":
        monkeypatch.delattr(yaml, "CSafeLoader", raising=False)
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    assert SECRET not in str(caught.value)
    assert SECRET not in repr(caught.value.internal)
    assert str(tmp_path / "config") in caught.value.message


def test_what_yaml_expects_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"did not find expected ',' or '\]' at line 2, column 2\."):
        load(tmp_path, "tables: [a, b\nx: 1\n")


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        configs.load(str(tmp_path / "none"))
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        configs.load(str(tmp_path))


# Parsing


def test_stock_configs_parse() -> None:
    found = configs.parse(
        Full, {"host": "h", "login": {"method": "key", "private_key": SECRET}, "apiKey": "a", "more": 1, "__hidden": 2}
    )
    assert isinstance(found.login, Key)
    assert found.login.private_key.get_secret_value() == SECRET
    assert found.api_key is not None
    assert SECRET not in repr(found)
    assert configs.parse(Full, {"host": "h", "login": {"method": "key", "private_key": "k"}, "api_key": "a"}) == (
        configs.parse(Full, {"host": "h", "login": {"method": "key", "private_key": "k"}, "apiKey": "a"})
    )


def test_unknown_options_are_told_with_what_was_perhaps_meant() -> None:
    told = list(configs.unknown_keys(Full, {"hots": SECRET, "apiKey": 1, "api_key": 1, "__x": 1, "zzzzzz": SECRET}))
    assert len(told) == 2
    assert "hots" in told[0]
    assert "host" in told[0]
    assert "zzzzzz" in told[1]
    assert SECRET not in "".join(told)


def test_unknown_options_are_told_however_deep() -> None:
    class Deep(Config):
        login: Annotated[Password | Key, Field(discriminator="method")] | None = None
        logins: list[Password] = Field([])
        headers: dict[str, str] = Field({})

    raw = {
        "login": {"method": "password", "pasword": SECRET, "password": SECRET},
        "logins": [{"password": SECRET}, {"metod": "password"}],
        "headers": {"any": "thing"},
    }
    assert list(configs.unknown_keys(Deep, raw)) == [
        "The config has an option login.pasword that does not exist here; did you mean login.password?",
        "The config has an option logins.metod that does not exist here; did you mean logins.method?",
    ]


def test_an_option_under_another_name_is_known() -> None:
    class Named(Config):
        a: str = Field("", validation_alias="stock_a")
        b: str = Field("", validation_alias=AliasChoices("stock_b", "b"))

    assert list(configs.unknown_keys(Named, {"stock_a": "", "stock_b": "", "b": ""})) == []


def test_what_has_a_form_is_told_by_an_example() -> None:
    class Formed(Config):
        endpoint: str = Field("", pattern="^(https?://.+)?$", examples=["http://localhost:9000"])

    with pytest.raises(ConfigError, match=r"endpoint: must have the form .*, such as http://localhost:9000\.$"):
        configs.parse(Formed, {"endpoint": "localhost:9000"})


class Strict(Config):
    count: int = 0
    start: str = Field("", pattern="^a+$")
    when: Annotated[str, Field(max_length=3)] = ""
    mode: Literal["x", "y"] = "x"
    level: Level = Level.LOW
    login: Password | Key = Field(Password(password="p"), discriminator="method")  # type: ignore[arg-type,call-arg]
    tags: dict[str, int] = Field({})
    items: list[int] = Field([])
    checked: str = ""
    secret: Secret = Field("", max_length=5)  # type: ignore[assignment]

    @field_validator("checked")
    @classmethod
    def _check(cls, value: str) -> str:
        if value:
            raise ValueError("must be empty")
        return value


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("count", SECRET),
        ("count", [SECRET]),
        ("count", {SECRET: SECRET}),
        ("start", SECRET),
        ("when", SECRET),
        ("mode", SECRET),
        ("level", SECRET),
        ("login", SECRET),
        ("login", {"method": SECRET}),
        ("login", {"method": "password"}),
        ("login", {"method": "password", "password": [SECRET]}),
        ("login", {"method": "key", "private_key": {"a": SECRET}}),
        ("tags", {"a": SECRET}),
        ("items", [1, SECRET]),
        ("checked", SECRET),
        ("secret", SECRET),
        ("secret", 12345678),
        ("secret", [SECRET]),
        ("secret", None),
    ],
)
def test_an_error_names_the_field_and_never_its_value(field: str, value: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        configs.parse(Strict, {field: value})
    for text in (str(caught.value), caught.value.message, repr(caught.value.internal), repr(caught.value.__cause__)):
        assert SECRET not in text
        assert "12345678" not in text
    assert field in caught.value.message
    assert caught.value.__cause__ is None


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        configs.parse(Full, {"port": 0, "login": {"method": "password"}})
    for text in ("host: is required", "port", "login.password.password: is required"):
        assert text in caught.value.message


def test_the_choices_of_a_tag_are_told() -> None:
    with pytest.raises(ConfigError, match=r"login.*'password', 'key'"):
        configs.parse(Full, {"host": "h", "login": {"method": "none"}})


# Secrets


def test_the_secrets_of_a_config_are_found_wherever_they_stand() -> None:
    raw = {
        "host": "postgres://me:in-the-url@db/x",
        "login": {"method": "key", "private_key": "of-the-login", "passphrase": None},
        "tunnel": {"method": "password", "password": 12345678},
        "inner": {"token": "of-the-inner", "depth": 1},
        "headers": {"X-Auth": "of-a-header"},
        "tokens": ["one-token", "two-token"],
        "apiKey": "by-its-alias",
        "unknown": "Server=a;Password=in-a-text;x=1",
    }
    found = configs.secrets(Full, raw)
    assert {
        "in-the-url",
        "of-the-login",
        "12345678",
        "of-the-inner",
        "of-a-header",
        "one-token",
        "two-token",
        "by-its-alias",
        "in-a-text",
    } <= found
    assert "1" not in found
    assert "me" not in found


def test_a_secret_under_the_name_of_its_field_is_found() -> None:
    class Named(Config):
        api_key: Secret = Field(alias="apiKey")
        token: Secret = Field(validation_alias=AliasChoices("token", "access_token"))

    raw = {"api_key": "first-secret", "access_token": "second-secret"}
    model = configs.parse(Named, raw)
    assert configs.secrets(Named, raw) | configs.parsed_secrets(model) >= {"first-secret", "second-secret"}


@pytest.mark.parametrize(
    ("url", "password"),
    [
        ("postgres://u:s3cret-word@h/db", "s3cret-word"),
        ("postgres://u:s3cr%40t%2Fword@h/db", "s3cr@t/word"),
        ("postgres://u:s3cr%40t%2Fword@h/db", "s3cr%40t%2Fword"),
        ("mongodb+srv://u:with@at-sign@h/db", "with@at-sign"),
        ("amqp://:only-word@h", "only-word"),
        ("host=h password=s3cret-word user=u", "s3cret-word"),
        ("jdbc:x://h?user=u&password=s3cret-word&ssl=1", "s3cret-word"),
        ("https://h/?api_key=s3cret-word", "s3cret-word"),
        ("https://h/?access_token=s3cret-word#x", "s3cret-word"),
    ],
)
def test_passwords_in_urls_are_secrets(url: str, password: str) -> None:
    class Named(Config):
        url: str = ""

    assert password in configs.secrets(Named, {"url": url})


secret_texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=4, max_size=30).filter(
    lambda text: text.strip() == text
)


@few
@given(st.lists(secret_texts, min_size=4, max_size=4))
def test_any_secret_is_found(values: list[str]) -> None:
    raw = {
        "login": {"method": "key", "private_key": values[0]},
        "inner": {"token": values[1]},
        "headers": {"a": values[2]},
        "tokens": [values[3]],
    }
    assert set(values) <= configs.secrets(Full, raw)


def test_variables_of_the_connector_itself_are_no_references(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text('{"path": "${NAMESPACE}/${YEAR}", "list": ["$${YEAR}"]}')
    assert configs.load(str(path), {"NAMESPACE", "YEAR"}) == {"path": "${NAMESPACE}/${YEAR}", "list": ["${YEAR}"]}
    with pytest.raises(ConfigError, match="YEAR is not set"):
        configs.load(str(path), {"NAMESPACE"})


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from([SECRET, f"x{SECRET}y", "a", ""]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["method", "password", "a"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@few
@given(st.dictionaries(st.sampled_from([*Strict.model_fields, "unknown"]), anything))
def test_whatever_is_wrong_with_a_config_no_value_is_shown(raw: dict[str, Any]) -> None:
    told = " ".join(configs.unknown_keys(Strict, raw))
    try:
        configs.parse(Strict, raw)
    except ConfigError as error:
        told += f"{error} {error.message} {error.internal!r} {error.__cause__!r} {error.__suppress_context__}"
    assert SECRET not in told
