"""The connector as a value. What it imports is light: the driver comes with the first command that needs it."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from connector_sdk import ConfiguredStream, Source, Stream, StreamName
from connector_sdk.rows import Yielded
from source_postgres.config import PostgresConfig


def check(config: PostgresConfig) -> None:
    from source_postgres import discover as there_is

    there_is.check(config)


def discover(config: PostgresConfig) -> Iterator[Stream]:
    from source_postgres import discover as there_is

    return there_is.discover(config)


def find(config: PostgresConfig, wanted: Collection[StreamName]) -> Iterator[Stream]:
    from source_postgres import discover as there_is

    return there_is.find(config, wanted)


def read(config: PostgresConfig, stream: ConfiguredStream) -> Iterator[Yielded]:
    from source_postgres import reading

    return reading.read(config, stream)


source = Source(PostgresConfig, check=check, discover=discover, read=read, find=find)
