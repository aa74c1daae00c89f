"""Tables for a terminal."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from airpipe.catalog import StreamPlan
from airpipe.words import size_text, time_text

WIDEST = 100
"""Characters of a value that are shown."""
NARROWEST = 16
"""Characters of a value that have to find room."""
GAP = 2
"""Spaces between two columns."""


def show(columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str = "") -> None:
    """Print a table as wide as the terminal. Columns that have no room are named below it."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    cells = [[_cell(value) for value in row] for row in rows]
    room = _room(columns, cells, console.width)
    table = Table(title=title or None, title_justify="left", box=None, header_style="bold", pad_edge=False)
    for column, width in zip(columns, _widths(columns[:room], cells, console.width), strict=False):
        table.add_column(Text(column), overflow="ellipsis", no_wrap=True, width=width)
    for row in cells:
        table.add_row(*map(Text, row[:room]))
    console.print(table)
    if room < len(columns):
        console.print(f"… and {', '.join(columns[room:])}", markup=False)


def _room(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> int:
    """How many columns fit, each with a part of its text at least."""
    used = 0
    for number, column in enumerate(columns):
        used += _needed(number, column, rows) + GAP
        if used - GAP > width and number:
            return number
    return len(columns)


def _widths(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> Iterator[int]:
    """What each column needs; what is left over goes to the first that want more."""
    needed = [_needed(number, column, rows) for number, column in enumerate(columns)]
    spare = max(width - sum(needed) - GAP * (len(columns) - 1), 0)
    for number, least in enumerate(needed):
        widest = max((len(row[number]) for row in rows), default=0)
        more = min(max(widest - least, 0), spare)
        spare -= more
        yield least + more


def _needed(number: int, column: str, rows: Sequence[Sequence[str]]) -> int:
    widest = max((len(row[number]) for row in rows), default=0)
    return min(max(widest, len(column)), NARROWEST)


def _cell(value: Any) -> str:
    text = "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = " ".join(text.split())
    return text if len(text) <= WIDEST else f"{text[: WIDEST - 1]}…"


def show_rows(rows: Sequence[Mapping[str, Any]], title: str) -> None:
    columns = list(dict.fromkeys(key for row in rows for key in row))
    show(columns, [[row.get(column) for column in columns] for row in rows], title)


def show_streams(found: Mapping[str, Any]) -> None:
    def line(entry: Mapping[str, Any]) -> Sequence[Any]:
        properties = (entry.get("json_schema") or {}).get("properties") or {}
        key = ", ".join(".".join(part) for part in entry.get("source_defined_primary_key") or ())
        cursor = ".".join(entry.get("default_cursor_field") or ())
        name = f"{entry['namespace']}.{entry['name']}" if entry.get("namespace") else entry["name"]
        return name, key, cursor, ", ".join(entry.get("supported_sync_modes") or ()), ", ".join(properties)

    show(["stream", "key", "cursor", "modes", "fields"], map(line, found.get("streams") or ()))


def show_plan(plans: Sequence[StreamPlan]) -> None:
    for plan in plans:
        print(f"  {plan.why}")


def show_runs(runs: Iterable[Mapping[str, Any]]) -> None:
    def line(run: Mapping[str, Any]) -> Sequence[Any]:
        started = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(run["started"]))
        took = time_text(run["seconds"]) if "seconds" in run else ""
        status = "died" if run["status"] == "running" and run.get("dead") else run["status"]
        amount = size_text(run.get("bytes", 0))
        return str(run["run"]), started, took, status, f"{run.get('acknowledged', 0):,}", amount, run.get("error", "")

    show(["run", "started", "took", "status", "rows", "bytes", "error"], map(line, runs))
