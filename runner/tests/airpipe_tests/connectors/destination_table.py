"""A destination of the tests, written with the SDK: a SQLite file, with append, overwrite and append_dedup.

An overwrite is written beside the table that is seen and takes its place in one transaction.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from connector_sdk import Batch, Config, ConfigError, ConfiguredStream, Destination, Limits, Replace, TransientError


class Table(Config):
    path: str
    trouble: str = ""
    after: int = 0
    once: str = ""
    batch: int = 200
    pause: float = 0.0


def check(config: Table) -> None:
    connect(config).close()


def connect(config: Table) -> sqlite3.Connection:
    if config.trouble == "closed":
        raise ConfigError("path: nobody may write there")
    database = sqlite3.connect(config.path, timeout=20, isolation_level=None)
    database.execute("pragma journal_mode = wal")  # Who reads never blocks who writes.
    return database


@contextmanager
def open_stream(config: Table, stream: ConfiguredStream) -> Iterator[Any]:
    database = connect(config)
    generation = stream.generation_id or 0
    target = f"{stream.name}_new" if stream.replace is not Replace.NOTHING else stream.name
    columns = "id integer, value text, generation integer"
    database.execute("begin immediate")
    database.execute(f'create table if not exists "{stream.name}" ({columns})')
    database.execute(f'create index if not exists "{stream.name}_id" on "{stream.name}" (id)')
    if target != stream.name:
        database.execute(f'create table if not exists "{target}" ({columns})')
        database.execute(f'delete from "{target}" where generation <> ?', [generation])
    database.execute("commit")
    total = 0

    def write(batch: Batch) -> None:
        nonlocal total
        rows = [(row["id"], json.dumps(row), generation) for row in batch.rows]
        database.execute("begin immediate")
        if stream.destination_sync_mode == "append_dedup":
            database.executemany(f'delete from "{target}" where id = ?', [row[:1] for row in rows])
        database.executemany(f'insert into "{target}" values (?, ?, ?)', rows)
        database.execute("commit")
        total += len(rows)
        time.sleep(config.pause)
        if total >= config.after:
            make_trouble(config)

    yield write
    if target != stream.name:
        database.execute("begin immediate")
        database.execute(f'drop table "{stream.name}"')
        database.execute(f'alter table "{target}" rename to "{stream.name}"')
        database.execute("commit")
    database.close()


def make_trouble(config: Table) -> None:
    if not config.trouble or (config.once and Path(config.once).exists()):
        return
    if config.once:
        Path(config.once).touch()
    match config.trouble:
        case "config":
            raise ConfigError("The table is read-only: GRANT INSERT on it.")
        case "transient":
            raise TransientError("The table is busy.")
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
        case "hang":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            while True:
                time.sleep(10)


main = Destination(
    Table,
    check=check,
    open_stream=open_stream,
    limits=lambda config: Limits(rows=config.batch, seconds=0.5),
    modes=("append", "overwrite", "append_dedup"),
)

if __name__ == "__main__":
    main.main()
