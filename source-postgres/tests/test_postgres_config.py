"""The config: a stock one, the short form, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from connector_sdk import ConfigError
from connector_sdk.config import form, parse, secrets
from source_postgres.config import PostgresConfig
from source_postgres.tables import parse as parse_table

STOCK: dict[str, Any] = {
    "host": "db",
    "port": 5433,
    "database": "shop",
    "schemas": ["public", "Sales"],
    "username": "reader",
    "password": "secret-1",
    "jdbc_url_params": "connectTimeout=5&ApplicationName=airbyte",
    "ssl_mode": {
        "mode": "verify-ca",
        "ca_certificate": "CA",
        "client_certificate": "CERT",
        "client_key": "secret-2",
        "client_key_password": "secret-3",
    },
    "tunnel_method": {
        "tunnel_method": "SSH_PASSWORD_AUTH",
        "tunnel_host": "jump",
        "tunnel_port": 22,
        "tunnel_user": "me",
        "tunnel_user_password": "secret-4",
    },
    "replication_method": {"method": "Xmin"},
    "checkpoint_target_interval_seconds": 300,
    "max_db_connections": 4,
    "check_privileges": True,
    "entra_service_principal_auth": False,
}


def test_a_stock_config_is_taken_as_it_is() -> None:
    config = parse(PostgresConfig, STOCK)
    assert config.by_xmin
    assert config.ssl_mode.mode == "verify-ca"
    assert config.tunnel_method.tunnel_method == "SSH_PASSWORD_AUTH"
    assert [pattern.text for pattern in config.wanted] == ["public.*", "Sales.*"]


@pytest.mark.parametrize("mode", ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"])
def test_every_ssl_mode(mode: str) -> None:
    assert parse(PostgresConfig, {**STOCK, "ssl_mode": {"mode": mode}}).ssl_mode.mode == mode


def test_nulls_of_a_form_count_as_absent() -> None:
    empty = dict.fromkeys(("ssl_mode", "tunnel_method", "replication_method", "schemas", "max_db_connections"))
    config = parse(PostgresConfig, {**STOCK, **empty, "password": None, "jdbc_url_params": None})
    assert config.ssl_mode.mode == "prefer"
    assert config.tunnel_method.tunnel_method == "NO_TUNNEL"
    assert not config.by_xmin


def test_the_short_form() -> None:
    config = parse(PostgresConfig, {"host": "db", "database": "shop", "tables": ["a", "s.b", "s.*"]})
    assert (config.port, config.json_as) == (5432, "value")
    assert [(p.schema.like, p.table.like) for p in config.wanted] == [("public", "a"), ("s", "b"), ("s", "%")]


def test_cdc_is_refused_with_what_to_use_instead() -> None:
    cdc = {"method": "CDC", "plugin": "pgoutput", "replication_slot": "s", "publication": "p"}
    with pytest.raises(ConfigError, match=r"CDC.*Standard.*Xmin"):
        parse(PostgresConfig, {**STOCK, "replication_method": cdc})


def test_a_login_by_entra_is_refused() -> None:
    with pytest.raises(ConfigError, match="Entra"):
        parse(PostgresConfig, {**STOCK, "entra_service_principal_auth": True})


@pytest.mark.parametrize("window", ["1 hour", "2 days 3 hours", "90", 90, 1.5, "1.5 minutes", "1 MONTH"])
def test_lookback_windows(window: Any) -> None:
    assert parse(PostgresConfig, {**STOCK, "lookback_window": window}).lookback_window == str(window)


REFUSED = ["soon", "1 hour'; drop table x", "hour", "-1", "1 fortnight", "", "1 hour 5'", "1 hour 2 x", "1.2.3"]


@pytest.mark.parametrize("window", REFUSED)
def test_other_lookback_windows_are_refused(window: str) -> None:
    with pytest.raises(ConfigError, match="lookback_window"):
        parse(PostgresConfig, {**STOCK, "lookback_window": window})


def test_a_key_without_its_certificate_is_refused() -> None:
    with pytest.raises(ConfigError, match="go together"):
        parse(PostgresConfig, {**STOCK, "ssl_mode": {"mode": "verify-full", "client_key": "secret-2"}})


def test_all_secrets_are_known_as_such() -> None:
    assert {f"secret-{number}" for number in range(1, 5)} <= secrets(PostgresConfig, STOCK)
    key = {"tunnel_method": "SSH_KEY_AUTH", "tunnel_host": "j", "tunnel_user": "u", "ssh_key": "secret-5"}
    assert "secret-5" in secrets(PostgresConfig, {**STOCK, "tunnel_method": key})


def test_the_form_has_what_the_stock_one_has() -> None:
    fields = form(PostgresConfig)["properties"]
    assert set(STOCK) <= set(fields)
    for choice in ("ssl_mode", "tunnel_method", "replication_method"):
        for option in fields[choice]["oneOf"]:
            tag = {"ssl_mode": "mode", "replication_method": "method"}.get(choice, choice)
            assert "const" in option["properties"][tag]
            assert tag in option["required"]


@pytest.mark.parametrize(
    ("text", "schema", "table"),
    [
        ("t", "public", "t"),
        ("s.t", "s", "t"),
        ("s.*", "s", "%"),
        ("log_?", "public", r"log\__"),
        ('"a.b"."c*"', "a.b", "c*"),
        ('"say ""hi"""', "public", 'say "hi"'),
        (r"50%\x", "public", r"50\%\\x"),
    ],
)
def test_names_and_patterns(text: str, schema: str, table: str) -> None:
    (pattern,) = parse_table(text, ["public"])
    assert (pattern.schema.like, pattern.table.like) == (schema, table)


@pytest.mark.parametrize("text", ["", ".", "a.", ".a", "a.b.c", '"x', 'a"b', '""'])
def test_what_names_no_table(text: str) -> None:
    with pytest.raises(ConfigError, match="tables"):
        parse(PostgresConfig, {**STOCK, "tables": [text]})
