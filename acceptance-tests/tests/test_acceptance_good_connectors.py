"""Good connectors pass everything, nothing is skipped for them, and the page about the suite is true."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from fault_table import PAGE, faults, page_with_table

from acceptance_tests.destination_subject import DestinationSubject
from acceptance_tests.report import PASSED, line
from acceptance_tests.source_subject import SourceSubject
from acceptance_tests.suite import run
from acceptance_tests.suites import DESTINATION, SOURCE


@pytest.mark.slow
def test_the_good_source_passes_everything(a_source: Callable[[str], SourceSubject]) -> None:
    outcomes = list(run(SOURCE, a_source("good_source.py"), {}))
    assert not [line(one) for one in outcomes if one.outcome != PASSED and not one.test.startswith("image.")]


@pytest.mark.slow
def test_the_good_destination_passes_everything(a_destination: Callable[[str], DestinationSubject]) -> None:
    outcomes = list(run(DESTINATION, a_destination("good_destination.py"), {}))
    assert not [line(one) for one in outcomes if one.outcome != PASSED and not one.test.startswith("image.")]


def test_the_table_of_faults_is_the_library_of_broken_connectors() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert page_with_table(text) == text, "run: python acceptance-tests/tests/broken/fault_table.py"


def test_every_fault_names_a_test_that_exists() -> None:
    for kind, register in (("source", SOURCE), ("destination", DESTINATION)):
        names = {one.name for one in register}
        assert not [fault.name for fault in faults(kind) if fault.caught_by not in names]
