"""A source of the tests: numbers from 1 on, each with a version, with whatever trouble a test asks for.

Written with the SDK, run as a command. `fail`, `hang` and the like make one trouble in the first run only, since a file
remembers that it was made.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import Field

from connector_sdk import (
    Checkpoint,
    Config,
    ConfigError,
    ConfiguredStream,
    Estimate,
    Lines,
    Secret,
    Source,
    Stream,
    TransientError,
    schema,
)


class Numbers(Config):
    rows: int = 1000
    every: int = 100
    pause: float = 0.0
    version: str = "1"
    streams: list[str] = Field(default=["numbers"])
    trouble: str = ""
    after: int = 500
    once: str = ""
    secret: Secret | None = None
    lookback_window: str = ""
    batch_size: int = 0
    echo: str = ""


def check(config: Numbers) -> None:
    if config.trouble == "check":
        raise ConfigError("rows: there are no such numbers")
    if config.echo:
        Path(config.echo).write_text(config.model_dump_json())


def discover(config: Numbers) -> Iterator[Stream]:
    columns = {"id": schema.INTEGER, "version": schema.STRING, "text": schema.STRING, "secret": schema.STRING}
    for name in config.streams:
        namespace, _, name = name.rpartition(".")
        yield Stream(
            name, schema.table(columns), namespace=namespace or None, primary_key=["id"], incremental=name != "whole",
        )  # fmt: skip


def read(config: Numbers, stream: ConfiguredStream) -> Iterator[Any]:
    begin = int((stream.state or {}).get("id", 0)) if stream.incremental else 0
    yield Estimate(rows=config.rows - begin)
    for first in range(begin + 1, config.rows + 1, config.every):
        last = min(first + config.every - 1, config.rows)
        yield Lines(
            b"".join(
                b'{"id":%d,"version":"%s","text":"%s","secret":"s"}\n' % (n, config.version.encode(), b"x" * 50)
                for n in range(first, last + 1)
            ),
            last - first + 1,
        )
        if stream.incremental:
            yield Checkpoint({"id": last})
        if last >= config.after:
            make_trouble(config)
        time.sleep(config.pause)


def make_trouble(config: Numbers) -> None:
    if not config.trouble or (config.once and Path(config.once).exists()):
        return
    if config.once:
        Path(config.once).touch()
    match config.trouble:
        case "config":
            raise ConfigError(
                f"The numbers are forbidden: ask for them. {config.secret and config.secret.get_secret_value()}"
            )
        case "transient":
            raise TransientError("The numbers are away for a moment.")
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
        case "exit":
            os._exit(3)
        case "hang":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            while True:
                time.sleep(10)
        case "memory":
            kept = [b"x" * (1 << 20) for _ in range(400)]
            time.sleep(30)
            del kept


main = Source(Numbers, check=check, discover=discover, read=read)

if __name__ == "__main__":
    main.main()
