"""Counting: how many rows and bytes went by, and how fast. Told now and then, and at the end."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from connector_sdk.logs import log

EVERY = 10.0
"""Seconds between two progress lines."""


@dataclass(slots=True)
class Meter:
    """`verb` is what the connector does: "read" or "written"."""

    verb: str
    rows: int = 0
    bytes: int = 0
    _started: float = field(default_factory=time.monotonic)
    _told: float = field(default_factory=time.monotonic)

    def add(self, rows: int, size: int) -> None:
        self.rows += rows
        self.bytes += size
        now = time.monotonic()
        if now - self._told >= EVERY:
            self._told = now
            log.info("%s so far", self)

    def __str__(self) -> str:
        seconds = max(time.monotonic() - self._started, 1e-3)
        return (
            f"{self.rows:,} rows ({size_text(self.bytes)}) {self.verb} in {seconds:.1f} s, "
            f"{self.rows / seconds:,.0f} rows/s"
        )


def size_text(size: float) -> str:
    """Bytes as a person says them: `1.5 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
