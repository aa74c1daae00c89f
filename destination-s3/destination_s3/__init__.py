"""Airbyte destination: JSONL, CSV, Parquet and Avro files on S3, on all that speaks it, or in a local folder."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from connector_sdk import ConfiguredStream, Destination, Limits
from destination_s3.config import S3Config

if TYPE_CHECKING:
    from destination_s3.store import ObjectStore

__all__ = ["destination", "main"]


def limits(config: S3Config) -> Limits:
    """One lane: parts travel in threads of their own, and two lanes would hold twice the open files in memory."""
    return Limits(commit_seconds=config.file_max_seconds)


def check(config: S3Config) -> None:
    from destination_s3.write import check

    check(config)


def warm_up(config: S3Config) -> None:
    from destination_s3.write import warm_up

    warm_up(config)


def open_stream(config: S3Config, stream: ConfiguredStream) -> AbstractContextManager[ObjectStore]:
    from destination_s3.write import open_stream

    return open_stream(config, stream)


destination = Destination(
    S3Config,
    check=check,
    open_stream=open_stream,
    limits=limits,
    warm_up=warm_up,
    modes=("overwrite", "append"),
    documentation="https://docs.airbyte.com/integrations/destinations/s3",
)
main = destination.main
