"""The log of each run: a file beside the pipeline's, without secrets. The last ones are kept."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

from airpipe.words import file_name, harmless

KEPT = 50
"""Logs that are kept of a pipeline."""
LONGEST = 20_000
"""Characters of one entry."""
LEVELS = {"TRACE": 0, "DEBUG": 1, "INFO": 2, "WARN": 3, "WARNING": 3, "ERROR": 4, "FATAL": 4}
Mask = Callable[[str], str]


class RunLog:
    """Takes lines from any thread. Where it cannot write, it says so once, and the run goes on."""

    def __init__(
        self, folder: Path, pipeline: str, run: int, mask: Mask, show: Callable[[str, str, str], None]
    ) -> None:
        self._mask = mask
        self._show = show
        self._lock = threading.Lock()
        self._file: IO[str] | None = None
        place = folder_of(folder, pipeline)
        try:
            place.mkdir(parents=True, exist_ok=True)
            self._file = (place / f"{run}.log").open("a", encoding="utf-8", buffering=1)
        except OSError as error:
            self._show("airpipe", "WARN", f"no log is kept: {place} cannot be written ({error.strerror})")
            return
        for old in numbers(folder, pipeline)[:-KEPT]:
            with suppress(OSError):
                (place / f"{old}.log").unlink()

    def __call__(self, origin: str, level: str, message: str) -> None:
        level = level.upper()
        text = harmless(self._mask(message))
        if len(text) > LONGEST:
            text = f"{text[:LONGEST]}… ({len(text):,} characters)"
        moment = time.strftime("%Y-%m-%dT%H:%M:%S")
        with self._lock:
            if self._file is not None:
                with suppress(OSError, ValueError):
                    self._file.write(f"{moment} {level:5} {origin}: {text}\n")
        self._show(origin, level, text)

    def close(self) -> None:
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None


def folder_of(folder: Path, pipeline: str) -> Path:
    return folder / "logs" / file_name(pipeline)


def numbers(folder: Path, pipeline: str) -> list[int]:
    """The runs whose logs are kept, the oldest first."""
    try:
        return sorted(int(path.stem) for path in folder_of(folder, pipeline).glob("*.log") if path.stem.isdigit())
    except OSError:
        return []
