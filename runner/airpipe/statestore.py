"""Where states, generations and the history of runs are kept: a file, a PostgreSQL database or an S3 bucket.

A store keeps texts by pipeline and key. `save` is atomic: all of its changes or none, and safe when it returns. A lock
is held as long as the run or any of its connectors lives, and not longer.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airpipe.errors import ConfigProblem

if TYPE_CHECKING:
    from types import TracebackType

    from airpipe.pipeline import Loaded

PATIENCE = 12.0
"""Seconds to wait for a lock: what a run has started ends within ten seconds of it."""


class Lock:
    """A lock that is held. `held` are descriptors that hold it, too, in the hands of whoever inherits them."""

    held: tuple[int, ...] = ()

    def check(self) -> None:
        """Raise where the lock is lost."""

    def regain(self) -> None:
        """Take it again where it was lost and nobody has taken it since. For a time when no connector runs."""


class Store(ABC):
    """May be used by one thread at a time."""

    @abstractmethod
    def load(self, pipeline: str) -> dict[str, str]:
        """All that is kept of a pipeline."""

    @abstractmethod
    def save(self, pipeline: str, changes: Mapping[str, str | None]) -> None:
        """Keep these texts, and forget those that are None."""

    @abstractmethod
    def runs(self, pipeline: str, limit: int = 20) -> list[dict[str, Any]]:
        """The last runs, the newest first."""

    @abstractmethod
    def put_run(self, pipeline: str, run: Mapping[str, Any]) -> None:
        """Keep what is known of the run `run["run"]`."""

    @abstractmethod
    def lock(self, pipeline: str) -> AbstractContextManager[Lock]:
        """Hold the pipeline's lock. Another run that is under way is an error."""

    @abstractmethod
    def close(self) -> None: ...

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def busy(pipeline: str, detail: str = "") -> ConfigProblem:
    return ConfigProblem(
        f"The pipeline {pipeline} is being run already{detail}: one run at a time. Wait for it, or end it."
    )


def open_store(loaded: Loaded) -> Store:
    """The store that the file names. What cannot be reached is an error at the line of `state`."""
    where = loaded.pipeline.state
    try:
        if where is None:
            from airpipe.store_sqlite import SqliteStore

            return SqliteStore(loaded.home / "state.db")
        store = _by_address(where, loaded.file.parent)
        store.runs(loaded.name, 1)  # What cannot be read is told with the line.
        return store
    except ConfigProblem as problem:
        raise loaded.problem(("state",), problem.message) from None


def _by_address(where: str, folder: Path) -> Store:
    scheme = where.partition("://")[0] if "://" in where else ""
    if scheme in ("postgresql", "postgres"):
        from airpipe.store_postgres import PostgresStore

        return PostgresStore(where)
    if scheme == "s3" and where.removeprefix("s3://").strip("/"):
        from airpipe.store_s3 import S3Store

        return S3Store(where)
    if scheme in ("", "sqlite", "file"):
        from airpipe.store_sqlite import SqliteStore

        path = where.partition("://")[2] if scheme else where
        return SqliteStore(folder / Path(path.removeprefix("/") if scheme == "sqlite" else path).expanduser())
    raise ConfigProblem("state is a file, postgresql://user@host/database or s3://bucket/path")
