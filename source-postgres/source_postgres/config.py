"""The config: what a stock Airbyte source-postgres config says, and the short form `host, database, tables`."""

from __future__ import annotations

import re
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from connector_sdk import Config, Secret
from source_postgres.tables import Pattern, everything, parse


def _group(name: str, **more: Any) -> dict[str, Any]:
    return {"group": name, **more}


_pem: dict[str, Any] = {"airbyte_secret": True, "multiline": True, "always_show": True}


# Encryption


class Plain(BaseModel):
    model_config = ConfigDict(title="disable")
    mode: Literal["disable"] = Field(description="Never encrypt.")


class Allow(BaseModel):
    model_config = ConfigDict(title="allow")
    mode: Literal["allow"] = Field(description="Encrypt only where the server insists on it.")


class Prefer(BaseModel):
    model_config = ConfigDict(title="prefer")
    mode: Literal["prefer"] = Field(description="Encrypt where the server can; go on without where it cannot.")


class Require(BaseModel):
    model_config = ConfigDict(title="require")
    mode: Literal["require"] = Field(description="Always encrypt, but do not ask who the server is.")


class Verified(BaseModel):
    """Encrypted, and the server proves by a certificate that it is the right one."""

    mode: str
    ca_certificate: Secret | None = Field(
        None,
        title="CA certificate",
        description="The certificate (PEM) that has signed the server's. Without one the system's authorities count.",
        json_schema_extra=_pem,
    )
    client_certificate: Secret | None = Field(
        None,
        title="Client certificate",
        description="A certificate (PEM) by which this client proves who it is; needs the client key as well.",
        json_schema_extra=_pem,
    )
    client_key: Secret | None = Field(
        None, title="Client key", description="The private key (PEM) of the client certificate.", json_schema_extra=_pem
    )
    client_key_password: Secret | None = Field(
        None, title="Client key password", description="Opens the client key, where it is encrypted."
    )

    @model_validator(mode="after")
    def _both_or_none(self) -> Verified:
        if (self.client_certificate is None) != (self.client_key is None):
            raise ValueError("client_certificate and client_key go together: give both or neither")
        return self


class VerifyCa(Verified):
    model_config = ConfigDict(title="verify-ca")
    mode: Literal["verify-ca"] = Field(description="Encrypt, and check who signed the server's certificate.")


class VerifyFull(Verified):
    model_config = ConfigDict(title="verify-full")
    mode: Literal["verify-full"] = Field(
        description="Encrypt, and check who signed the server's certificate and that it names this host."
    )


# The way there


HostKey = Annotated[
    str,
    Field(
        title="Host key of the jump host",
        description="The public key that the jump host must show, as `ssh-keyscan` prints it. "
        "Without it any key is accepted, and the log says which one it was.",
    ),
]


class NoTunnel(BaseModel):
    model_config = ConfigDict(title="No tunnel")
    tunnel_method: Literal["NO_TUNNEL"] = Field(description="Connect to the database directly.")


class Tunnel(BaseModel):
    """A jump host that is reached by SSH and reaches the database."""

    tunnel_method: str
    tunnel_host: str = Field(title="Jump host", description="The host that takes SSH connections.")
    tunnel_port: int = Field(22, ge=1, le=65535, title="SSH port", description="The port of the SSH server.")
    tunnel_user: str = Field(title="SSH user", description="Who logs in on the jump host.")
    tunnel_host_key: HostKey | None = None


class KeyTunnel(Tunnel):
    model_config = ConfigDict(title="SSH with a key")
    tunnel_method: Literal["SSH_KEY_AUTH"] = Field(description="Log in on a jump host with a private key.")
    ssh_key: Secret = Field(
        title="SSH private key",
        description="The whole private key, PEM or OpenSSH format, without a passphrase.",
        json_schema_extra={"airbyte_secret": True, "multiline": True},
    )


class PasswordTunnel(Tunnel):
    model_config = ConfigDict(title="SSH with a password")
    tunnel_method: Literal["SSH_PASSWORD_AUTH"] = Field(description="Log in on a jump host with a password.")
    tunnel_user_password: Secret = Field(title="SSH password", description="The password of the SSH user.")


# How changes are found


class Cursor(BaseModel):
    model_config = ConfigDict(title="By a cursor column")
    method: Literal["Standard"] = Field(
        description="Rows whose cursor column has grown, and every row that was written since the last run. "
        "A table without a chosen cursor is read by the system column xmin.",
    )


class Xmin(BaseModel):
    model_config = ConfigDict(title="By the system column xmin")
    method: Literal["Xmin"] = Field(
        description="Every row that was written since the last run; no cursor column is needed."
    )


_no_cdc = (
    "reading the write-ahead log (CDC) is not offered in this version; choose Standard (a cursor column) or Xmin, "
    "which find inserted and changed rows, though not deleted ones"
)

_number = re.compile(r"\d+(\.\d+)?")
_words = re.compile(r"\d+(\.\d+)? *(second|minute|hour|day|week|month|year)s?", re.IGNORECASE)


def _lookback(value: str | int | float) -> str:
    """A number, or an interval in words; both as text that is safe between quotes."""
    text = str(value).strip()
    parts = re.split(r"(?<=[a-z]) +(?=\d)", text, flags=re.IGNORECASE)
    if not _number.fullmatch(text) and not all(_words.fullmatch(part) for part in parts):
        raise ValueError('give a time in words, such as "1 hour" or "2 days", or a number in the unit of the cursor')
    return text


Lookback = Annotated[str | int | float, AfterValidator(_lookback)]


class PostgresConfig(Config):
    """How to reach a PostgreSQL database (version 12 to 18), what to read of it, and how."""

    model_config = ConfigDict(
        title="PostgreSQL source",
        json_schema_extra={
            "groups": [
                {"id": "db"},
                {"id": "auth"},
                {"id": "security", "title": "Security"},
                {"id": "advanced", "title": "Advanced"},
            ]
        },
    )

    host: str = Field(title="Host", description="Name or address of the server.", json_schema_extra=_group("db"))
    port: int = Field(
        5432, ge=1, le=65535, title="Port", description="Port of the server.", json_schema_extra=_group("db")
    )
    database: str = Field(title="Database", description="Name of the database.", json_schema_extra=_group("db"))
    tables: list[str] | None = Field(
        None,
        title="Tables",
        description="What to read: `table`, `schema.table`, or patterns such as `schema.*` and `public.log_*`. "
        'A name with dots or stars in it stands in double quotes: `"a.b"."c*"`. Empty: everything in the schemas.',
        examples=[["documents", "chat.*"]],
        json_schema_extra=_group("db"),
    )
    schemas: list[str] | None = Field(
        None,
        title="Schemas",
        description="Schemas to read from, written exactly as they are. Empty: `public`.",
        json_schema_extra=_group("db", uniqueItems=True),
    )
    username: str | None = Field(
        None,
        title="User",
        description="The role to log in as. Empty: what PGUSER says, or the name of the user at the system.",
        json_schema_extra=_group("auth"),
    )
    password: Secret | None = Field(
        None,
        title="Password",
        description="The role's password. Empty: PGPASSWORD or the password file of libpq, where there is one.",
        json_schema_extra=_group("auth", airbyte_secret=True, always_show=True),
    )
    ssl_mode: Annotated[Plain | Allow | Prefer | Require | VerifyCa | VerifyFull, Field(discriminator="mode")] = Field(
        default_factory=lambda: Prefer(mode="prefer"),
        title="Encryption",
        description="Whether the connection is encrypted, and whether the server has to prove who it is.",
        json_schema_extra=_group("security"),
    )
    tunnel_method: Annotated[NoTunnel | KeyTunnel | PasswordTunnel, Field(discriminator="tunnel_method")] = Field(
        default_factory=lambda: NoTunnel(tunnel_method="NO_TUNNEL"),
        title="SSH tunnel",
        description="Whether the database is reached through a jump host.",
        json_schema_extra=_group("security"),
    )
    replication_method: Annotated[Cursor | Xmin, Field(discriminator="method")] = Field(
        default_factory=lambda: Cursor(method="Standard"),
        title="Update method",
        description="How a run finds what has changed since the last one.",
        json_schema_extra=_group("advanced", display_type="radio"),
    )
    lookback_window: Lookback | None = Field(
        None,
        title="Lookback window",
        description="Read this much again before the last cursor: in words (`1 hour`, `2 days`), or a number in the "
        "unit of the cursor (seconds for a time, days for a date). Rows that commit late are found without it, except "
        "in views and foreign tables.",
        examples=["1 hour", "100"],
        json_schema_extra=_group("advanced"),
    )
    json_as: Literal["value", "text"] = Field(
        "value",
        title="JSON columns",
        description="`value`: json and jsonb columns become JSON values. `text`: strings that hold the JSON.",
        json_schema_extra=_group("advanced"),
    )
    jdbc_url_params: str | None = Field(
        None,
        title="Connection parameters",
        description="More parameters, `key=value` joined by `&`: names of libpq, or those of the JDBC driver that "
        "have a counterpart there.",
        examples=["application_name=sync&connect_timeout=10"],
        json_schema_extra=_group("advanced", pattern_descriptor="key1=value1&key2=value2"),
    )
    checkpoint_target_interval_seconds: int = Field(
        300,
        ge=1,
        title="Seconds between checkpoints",
        description="How often an incremental read notes its place, so that a broken run goes on from there.",
        json_schema_extra=_group("advanced"),
    )
    max_db_connections: int | None = Field(
        None,
        ge=1,
        title="Connections",
        description="The most connections that are open to the database at one time. Empty: one for each processor, "
        "at most 4.",
        json_schema_extra=_group("advanced"),
    )
    check_privileges: bool = Field(
        True,
        title="Leave out what may not be read",
        description="Offer only tables and columns that the role may read.",
        json_schema_extra=_group("advanced"),
    )
    entra_service_principal_auth: bool = Field(
        False, title="Microsoft Entra login", description="Not offered.", json_schema_extra={"airbyte_hidden": True}
    )
    entra_tenant_id: str | None = Field(
        None, title="Entra tenant", description="Not offered.", json_schema_extra={"airbyte_hidden": True}
    )
    entra_client_id: str | None = Field(
        None, title="Entra client", description="Not offered.", json_schema_extra={"airbyte_hidden": True}
    )

    @field_validator("replication_method", mode="before")
    @classmethod
    def _known_method(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = {"method": value}
        if isinstance(value, dict) and value.get("method") == "CDC":
            raise ValueError(_no_cdc)
        return value

    @field_validator("ssl_mode", "tunnel_method", "replication_method", mode="before")
    @classmethod
    def _null_is_absent(cls, value: Any, info: Any) -> Any:
        if value is not None:
            return value
        return cls.model_fields[info.field_name].get_default(call_default_factory=True)

    @field_validator("entra_service_principal_auth")
    @classmethod
    def _no_entra(cls, value: bool) -> bool:
        if value:
            raise ValueError("a login by a Microsoft Entra service principal is not offered; use a role and password")
        return value

    @field_validator("tables")
    @classmethod
    def _readable(cls, value: list[str] | None) -> list[str] | None:
        for entry in value or ():
            parse(entry, [])
        return value

    @cached_property
    def wanted(self) -> list[Pattern]:
        """What to offer; never empty."""
        schemas = self.schemas or ["public"]
        if self.tables:
            return [pattern for entry in self.tables for pattern in parse(entry, schemas)]
        return [everything(schema) for schema in schemas]

    @property
    def by_xmin(self) -> bool:
        return isinstance(self.replication_method, Xmin)
