"""Broken destinations: each is caught by the test that is named for its fault."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from fault_table import Fault, faults

from acceptance_tests.destination_subject import DestinationSubject
from acceptance_tests.report import FAILED
from acceptance_tests.suite import attempt
from acceptance_tests.suites import DESTINATION

NAMED = {one.name: one for one in DESTINATION}
FAULTS = [
    pytest.param(fault, id=fault.name, marks=[] if fault.classic else [pytest.mark.slow])
    for fault in faults("destination")
]
EXERCISE = (
    "check.succeeds_with_the_given_config",
    "append.keeps_both_runs_with_null_ids",
    "stop.ends_on_sigterm",
)
"""What is run before a test that looks at all runs."""
MUTE = ("input.may_be_empty",)
"""What catches those that never answer: they are not waited for long."""


def verdict(subject: DestinationSubject, name: str) -> tuple[str, str]:
    if name.startswith("always."):
        for before in EXERCISE:
            attempt(NAMED[before], subject)
    outcome = attempt(NAMED[name], subject)
    return outcome.outcome, outcome.message


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_destination_is_caught(fault: Fault, a_destination: Callable[[str], DestinationSubject]) -> None:
    subject = a_destination(fault.path.name)
    if fault.caught_by in MUTE:
        subject.connector.timeout = 2.0
    outcome, message = verdict(subject, fault.caught_by)
    assert outcome == FAILED, f"{fault.about} {message}"
    assert "expected: " in message
    assert "output that this test can read" not in message, "the test stumbled over it instead of judging it"
