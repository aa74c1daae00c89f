"""What came of a run, in lines for a person: what arrived, what did not and why, how fast, what comes next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from airpipe.events import Finished, StreamReport
from airpipe.words import amount, size_text, time_text

_SHOWN = 30


def summary(run: Finished) -> Iterator[str]:
    """The lines, without colours."""
    yield _headline(run)
    width = max((len(report.stream) for report in run.streams), default=0)
    for report in run.streams[:_SHOWN]:
        yield f"  {report.stream:{width}}  {_line(report)}"
    if len(run.streams) > _SHOWN:
        yield f"  … and {len(run.streams) - _SHOWN} more streams"
    for text in run.skipped:
        yield f"  skipped: {text}"
    if run.error:
        yield f"  error: {run.error}"
    if run.usage:
        yield "  " + "; ".join(_cost(side, used) for side, used in run.usage.items())


def _cost(side: str, used: Mapping[str, float]) -> str:
    """A process that lived too short to be looked at has no memory to tell of."""
    memory = f", {size_text(used['memory'])} at most" if used["memory"] else ""
    return f"{side} {used['cpu']:.1f} CPU s{memory}"


def _headline(run: Finished) -> str:
    ends = {"succeeded": "done", "failed": "FAILED", "stopped": "stopped"}
    number = f" run {run.run}" if run.run else ""
    tries = f", {run.attempts} attempts" if run.attempts > 1 else ""
    if not run.streams:
        return f"{run.pipeline}{number}: {ends[run.status]}"
    rate = f", {run.rows / run.moving:,.0f} rows/s" if run.moving > 0 and run.rows else ""
    moved = (
        f"{amount(run.acknowledged, 'row')} arrived ({size_text(run.bytes)}) in {time_text(run.seconds)}{rate}{tries}"
    )
    return f"{run.pipeline}{number}: {ends[run.status]}, {moved}"


def _line(report: StreamReport) -> str:
    parts = [f"{amount(report.acknowledged, 'row')} arrived, {report.status}"]
    if report.rejected:
        parts.append(f"{report.rejected:,} refused by the destination")
    if report.lost:
        parts.append(f"{report.lost:,} sent and not counted by the destination")
    if unsure := report.rows - report.acknowledged - report.rejected - report.lost:
        parts.append(f"{unsure:,} sent without an answer")
    if report.next:
        parts.append(f"the next run {report.next}")
    return "; ".join(parts)
