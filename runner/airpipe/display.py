"""What a person sees of a run: a live table, plain lines where there is no terminal, or JSON for machines."""

from __future__ import annotations

import json
import sys
import time
from abc import ABC, abstractmethod
from collections import deque
from typing import TYPE_CHECKING, Any, TextIO

from airpipe.events import Event, Finished, Log, Planned, Progress, Retrying, Started, StreamReport
from airpipe.logs import LEVELS
from airpipe.summary import summary
from airpipe.words import one_line, size_text, time_text

if TYPE_CHECKING:
    from rich.console import RenderableType

EVERY = 10.0
"""Seconds between two plain lines of progress."""
SHOWN = 20
"""Streams in the live table."""


class Display(ABC):
    """`show` each event; `close` at the end, whatever happened."""

    @abstractmethod
    def show(self, event: Event) -> None: ...

    def close(self) -> None:
        return


def choose(kind: str | None, output: TextIO | None = None) -> Display:
    """`live`, `plain`, `json`; without a word, what fits the output."""
    output = output or sys.stdout
    if kind == "json":
        return Json(output)
    if kind == "live" or (kind is None and output.isatty()):
        return Live(output)
    return Plain(output)


class Json(Display):
    """One event a line."""

    def __init__(self, output: TextIO) -> None:
        self._output = output

    def show(self, event: Event) -> None:
        self._output.write(json.dumps(event.as_dict(), ensure_ascii=False) + "\n")
        self._output.flush()


class Plain(Display):
    """Lines that also read well in a file."""

    def __init__(self, output: TextIO) -> None:
        self._output = output
        self._last = time.monotonic()

    def _say(self, text: str) -> None:
        self._output.write(text + "\n")
        self._output.flush()

    def show(self, event: Event) -> None:
        if isinstance(event, Progress):
            if event.rows and time.monotonic() - self._last >= EVERY:
                self._last = time.monotonic()
                self._say(f"  {_so_far(event)}")
            return
        for text in lines(event):
            self._say(text)


def lines(event: Event) -> list[str]:
    """An event as plain lines; none for what needs no word."""
    return [_indented(text) for text in _told(event)]


def _indented(text: str) -> str:
    """One line, whatever a name or a message holds."""
    return " " * (len(text) - len(text.lstrip(" "))) + one_line(text)


def _told(event: Event) -> list[str]:
    match event:
        case Started():
            return [f"{event.pipeline} run {event.run}: {event.source} → {event.destination}"]
        case Planned():
            shown = [f"  {text}" for text in event.streams[:SHOWN]]
            more = [f"  … and {len(event.streams) - SHOWN} more streams"] if len(event.streams) > SHOWN else []
            return [*shown, *more, *(f"  skipped: {text}" for text in event.skipped)]
        case Log() if LEVELS.get(event.level, 2) == LEVELS["WARN"]:
            return [f"  {event.origin}: {event.message}"]
        case Retrying():
            return [f"  attempt {event.attempt} failed: {event.message} Again in {event.wait:.0f} s."]
        case Finished():
            return list(summary(event))
    return []


def _so_far(event: Progress) -> str:
    rate = event.rows / event.seconds if event.seconds else 0
    safe = sum(stream.acknowledged for stream in event.streams)
    return (
        f"{event.rows:,} rows ({size_text(event.bytes)}), {safe:,} acknowledged, "
        f"{rate:,.0f} rows/s, {time_text(event.seconds)}"
    )


class Live(Display):
    """A table that is drawn again about twice a second; what else happens scrolls above it."""

    def __init__(self, output: TextIO) -> None:
        from rich.console import Console

        self._console = Console(file=output, force_terminal=True, highlight=False)
        self._live: Any = None
        self._recent: deque[tuple[float, dict[str, int]]] = deque(maxlen=12)

    def show(self, event: Event) -> None:
        if isinstance(event, Progress):
            self._recent.append((event.seconds, {stream.stream: stream.rows for stream in event.streams}))
            self._draw(self._table(event))
            return
        if isinstance(event, Finished):
            self.close()
        for text in lines(event):
            self._console.print(text, markup=False, style=_style(event), soft_wrap=True)

    def _draw(self, table: RenderableType) -> None:
        if self._live is None:
            from rich.live import Live as RichLive

            self._live = RichLive(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        self._live.update(table, refresh=True)

    def _table(self, event: Progress) -> RenderableType:
        from rich.table import Table

        table = Table(caption=_so_far(event), caption_justify="left", box=None, pad_edge=False)
        table.add_column("stream")
        for name in ("rows", "bytes", "rows/s", "of estimate", "acknowledged"):
            table.add_column(name, justify="right")
        table.add_column("")
        active = sorted(event.streams, key=lambda stream: (stream.status != "running", -stream.rows))
        for stream in active[:SHOWN]:
            table.add_row(*self._cells(stream))
        return table

    def _cells(self, stream: StreamReport) -> list[str]:
        share = f"{min(stream.rows / stream.estimate, 1):.0%}" if stream.estimate else ""
        rate = f"{self._rate(stream.stream):,.0f}"
        return [
            stream.stream, f"{stream.rows:,}", size_text(stream.bytes), rate, share, f"{stream.acknowledged:,}",
            stream.status,
        ]  # fmt: skip

    def _rate(self, stream: str) -> float:
        """Rows a second over the last seconds."""
        (first, before), (last, now) = self._recent[0], self._recent[-1]
        return (now.get(stream, 0) - before.get(stream, 0)) / (last - first) if last > first else 0.0

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None


def _style(event: Event) -> str:
    if isinstance(event, Finished):
        return "green" if event.status == "succeeded" else "red"
    return "yellow" if isinstance(event, (Log, Retrying)) else ""
