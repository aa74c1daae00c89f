"""Broken sources: each is caught by the test that is named for its fault."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from fault_table import Fault, faults

from acceptance_tests.report import FAILED
from acceptance_tests.source_subject import SourceSubject
from acceptance_tests.suite import attempt
from acceptance_tests.suites import SOURCE

NAMED = {one.name: one for one in SOURCE}
FAULTS = [
    pytest.param(fault, id=fault.name, marks=[] if fault.classic else [pytest.mark.slow]) for fault in faults("source")
]
EXERCISE = (
    "check.succeeds_with_the_given_config",
    "check.fails_where_the_other_side_cannot_be_reached",
    "read.ends_well",
)
"""What is run before a test that looks at all runs."""
MUTE = ("check.succeeds_with_the_given_config", "discover.gives_one_catalog")
"""What catches those that never answer: they are not waited for long."""


def verdict(subject: SourceSubject, name: str) -> tuple[str, str]:
    if name.startswith("always."):
        for before in EXERCISE:
            attempt(NAMED[before], subject)
    outcome = attempt(NAMED[name], subject)
    return outcome.outcome, outcome.message


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_source_is_caught(fault: Fault, a_source: Callable[[str], SourceSubject]) -> None:
    subject = a_source(fault.path.name)
    if fault.caught_by in MUTE:
        subject.connector.timeout = 2.0
    outcome, message = verdict(subject, fault.caught_by)
    assert outcome == FAILED, f"{fault.about} {message}"
    assert "expected: " in message
    assert "output that this test can read" not in message, "the test stumbled over it instead of judging it"
