"""Figures as a table, as JSON, and as a picture."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from benchmarks.measure import Contestant, Cost


@dataclass(frozen=True, slots=True)
class Figures:
    """Medians of a contestant's runs, per row where that makes sense."""

    name: str
    ours: bool
    rows_per_second: float
    client_us: float
    """CPU microseconds a row, all stages together."""
    server_us: float
    """CPU microseconds a row in the database server."""
    stages_us: tuple[float, ...]
    memory_mb: tuple[float, ...]

    @property
    def total_us(self) -> float:
        return self.client_us + self.server_us


def figures(contestant: Contestant, costs: Sequence[Cost], rows: int) -> Figures:
    def us(seconds: float) -> float:
        return round(seconds / rows * 1e6, 3)

    stages = range(len(contestant.stages))
    return Figures(
        name=contestant.name,
        ours=contestant.ours,
        rows_per_second=round(statistics.median(rows / cost.wall for cost in costs)),
        client_us=us(statistics.median(sum(cost.cpu) for cost in costs)),
        server_us=us(statistics.median(cost.server_cpu for cost in costs)),
        stages_us=tuple(us(statistics.median(cost.cpu[n] for cost in costs)) for n in stages),
        memory_mb=tuple(round(max(cost.memory[n] for cost in costs) / 1e6, 1) for n in stages),
    )


def table(title: str, found: Sequence[Figures]) -> str:
    lines = [
        f"### {title}",
        "",
        "| | rows/s | CPU µs a row: client | by stage | server | memory MB |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for one in found:
        name = f"**{one.name}**" if one.ours else one.name
        stages = " + ".join(f"{us:.2f}" for us in one.stages_us) if len(one.stages_us) > 1 else ""
        memory = " + ".join(f"{mb:.0f}" for mb in one.memory_mb)
        lines.append(
            f"| {name.replace('|', chr(92) + '|')} | {one.rows_per_second:,} | {one.client_us:.2f} | {stages} "
            f"| {one.server_us:.2f} | {memory} |"
        )
    return "\n".join(lines) + "\n"


WIDTH, LEFT, BAR, GAP, RIGHT = 980, 300, 20, 34, 80


def picture(title: str, groups: Mapping[str, Sequence[Figures]]) -> str:
    """An SVG: a bar of rows/s and a bar of CPU per row for each contestant, ours in colour."""
    parts, y = [], 64
    for name, found in groups.items():
        parts.append(f'<text x="16" y="{y}" class="group">{escape(name)}</text>')
        y += 16
        parts += [
            f'<text x="{LEFT}" y="{y}" class="axis">rows/s (more is better)</text>',
            f'<text x="{_second()}" y="{y}" class="axis">CPU µs a row, client + server (less is better)</text>',
        ]
        y += 10
        fastest = max(one.rows_per_second for one in found)
        dearest = max(one.total_us for one in found)
        for one in found:
            parts += _bars(one, y, one.rows_per_second / fastest, one.total_us / dearest)
            y += GAP
        y += 30
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" viewBox="0 0 {WIDTH} {y}">'
    body = "\n".join(parts)
    return f'{head}\n{_STYLE}\n<text x="16" y="30" class="title">{escape(title)}</text>\n{body}\n</svg>\n'


def _second() -> int:
    return LEFT + (WIDTH - LEFT) // 2


def _bars(one: Figures, y: int, speed: float, cost: float) -> list[str]:
    room = (WIDTH - LEFT) // 2 - RIGHT
    ours = "ours" if one.ours else "peer"
    server = cost * room * one.server_us / one.total_us
    middle = y + 15
    return [
        f'<text x="{LEFT - 10}" y="{middle}" class="name {ours}">{escape(one.name)}</text>',
        f'<rect x="{LEFT}" y="{y}" width="{speed * room:.1f}" height="{BAR}" class="{ours}"/>',
        f'<text x="{LEFT + speed * room + 6:.1f}" y="{middle}">{one.rows_per_second:,}</text>',
        f'<rect x="{_second()}" y="{y}" width="{cost * room - server:.1f}" height="{BAR}" class="{ours}"/>',
        f'<rect x="{_second() + cost * room - server:.1f}" y="{y}" width="{server:.1f}" height="{BAR}" '
        f'class="{ours} server"/>',
        f'<text x="{_second() + cost * room + 6:.1f}" y="{middle}">{one.client_us:.1f} + {one.server_us:.1f}</text>',
    ]


_STYLE = """<style>
svg { background: #fff }
text { font: 13px system-ui, sans-serif; fill: #222 }
.title { font-size: 18px; font-weight: 600 }
.group { font-size: 15px; font-weight: 600 }
.axis { font-size: 11px; fill: #666 }
.name { text-anchor: end }
.name.ours { font-weight: 600 }
rect.ours { fill: #0b7a75 }
rect.peer { fill: #b8bcc4 }
rect.server { opacity: .45 }
</style>"""
