"""What a run of the suite found: a list of outcomes, for people, as JSON, as JUnit's XML and as one HTML page."""

from __future__ import annotations

import html
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

PASSED, FAILED, WAIVED, SKIPPED = "passed", "failed", "waived", "skipped"


@dataclass(frozen=True)
class Outcome:
    """One test and how it went. `promise` says what the test asks for."""

    test: str
    outcome: str
    message: str = ""
    promise: str = ""
    seconds: float = 0.0


def failed(outcomes: Iterable[Outcome]) -> bool:
    return any(one.outcome == FAILED for one in outcomes)


def summary(outcomes: Sequence[Outcome]) -> str:
    """`12 passed, 1 failed, 2 skipped in 31 s`."""
    counts = Counter(one.outcome for one in outcomes)
    parts = [f"{counts[kind]} {kind}" for kind in (PASSED, FAILED, WAIVED, SKIPPED) if counts[kind]]
    return f"{', '.join(parts) or 'nothing was run'} in {sum(one.seconds for one in outcomes):.0f} s"


def line(one: Outcome) -> str:
    """One outcome as a person reads it while the suite runs."""
    mark = {PASSED: "ok", FAILED: "FAILED", WAIVED: "waived", SKIPPED: "-"}[one.outcome]
    text = f"{mark:7}{one.test}"
    if one.outcome == FAILED:
        return "\n".join([text, *(f"           {part}" for part in [one.promise, *one.message.splitlines()] if part)])
    return f"{text}  ({one.message})" if one.message else text


def as_json(outcomes: Iterable[Outcome]) -> str:
    rows = [{"test": one.test, "outcome": one.outcome, "message": one.message} for one in outcomes]
    return json.dumps(rows, indent=1, ensure_ascii=False) + "\n"


def as_junit(outcomes: Sequence[Outcome], name: str) -> str:
    counts = Counter(one.outcome for one in outcomes)
    suite = ElementTree.Element(
        "testsuite",
        name=_xml(name),
        tests=str(len(outcomes)),
        failures=str(counts[FAILED]),
        errors="0",
        skipped=str(counts[SKIPPED] + counts[WAIVED]),
        time=f"{sum(one.seconds for one in outcomes):.3f}",
    )
    for one in outcomes:
        group, _, test = one.test.rpartition(".")
        case = ElementTree.SubElement(suite, "testcase", classname=group, name=test, time=f"{one.seconds:.3f}")
        if one.outcome == FAILED:
            message = _xml(one.message)
            ElementTree.SubElement(case, "failure", message=message.partition("\n")[0]).text = message
        elif one.outcome != PASSED:
            ElementTree.SubElement(case, "skipped", message=_xml(f"{one.outcome}: {one.message}"))
    ElementTree.indent(suite)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(suite, encoding="unicode") + "\n"


def _xml(text: str) -> str:
    """Without the characters that XML cannot hold."""
    return "".join(c if c in "\t\n\r" or " " <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" else "\ufffd" for c in text)


STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; color: #1c1e21 }
table { border-collapse: collapse; width: 100% }
td { border-top: 1px solid #ddd; padding: .4rem .6rem; vertical-align: top }
td:first-child { white-space: nowrap; font-weight: 600 }
pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: .3rem 0; font-size: 13px }
.passed { color: #1a7f37 } .failed { color: #b42318 } .waived { color: #9a6700 } .skipped { color: #667085 }
small { color: #667085 }
"""


def as_html(outcomes: Sequence[Outcome], name: str) -> str:
    """One page without any other file. What failed stands first."""
    order = [FAILED, WAIVED, PASSED, SKIPPED]
    rows = "\n".join(_row(one) for one in sorted(outcomes, key=lambda one: order.index(one.outcome)))
    title = html.escape(f"{name}: {summary(outcomes)}")
    return (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>\n'
        f"<h1>{html.escape(name)}</h1>\n<p>{html.escape(summary(outcomes))}</p>\n<table>\n{rows}\n</table></html>\n"
    )


def _row(one: Outcome) -> str:
    message = f"<pre>{html.escape(one.message)}</pre>" if one.message else ""
    return (
        f'<tr><td class="{one.outcome}">{one.outcome}</td>'
        f"<td><b>{html.escape(one.test)}</b> <small>{one.seconds:.1f} s</small><br>"
        f"{html.escape(one.promise)}{message}</td></tr>"
    )
