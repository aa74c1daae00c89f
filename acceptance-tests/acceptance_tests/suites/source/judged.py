"""A whole sync under the eyes of the stock platform's rules."""

from __future__ import annotations

import sys

from acceptance_tests.judge import Judge, replicate
from acceptance_tests.process import Process
from acceptance_tests.source_subject import FULL, INCREMENTAL, SourceSubject
from acceptance_tests.suite import Failure, Register, behaviours

ALL: Register = []
behaviour = behaviours(ALL, "judge")


@behaviour
def accepts_a_full_refresh(subject: SourceSubject) -> None:
    """The stock platform's rules are kept in a full refresh of all streams: counts, states, names, statuses."""
    _sync(subject, FULL)


@behaviour
def accepts_an_incremental_sync(subject: SourceSubject) -> None:
    """The stock platform's rules are kept in an incremental sync from nothing."""
    _ = subject.incremental
    _sync(subject, INCREMENTAL)


def _sync(subject: SourceSubject, mode: str) -> None:
    _ = subject.full
    catalog = subject.catalog(mode, subject.growing if mode == INCREMENTAL else None)
    judge = Judge(catalog)
    source = subject.start(catalog)
    stand_in = [sys.executable, "-m", "acceptance_tests.stand_in", "destination"]
    with source, Process(stand_in, folder="/", takes_input=True) as destination:
        verdict = replicate(source, destination, judge, subject.timeout)
    if not verdict.ok:
        raise Failure(
            "a sync that the platform accepts", "; ".join(verdict.failures[:5]), "section by section: judge.py"
        )
