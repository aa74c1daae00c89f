"""Before anything else has been run with the config."""

from __future__ import annotations

from acceptance_tests.destination_subject import DestinationSubject, by_ui, id_of
from acceptance_tests.suite import Register, behaviours
from acceptance_tests.suites.destination.modes import (
    plain,
)

ALL: Register = []
behaviour = behaviours(ALL, "first")


@behaviour
def works_without_a_check_before(subject: DestinationSubject) -> None:
    """`write` is the first command ever run with this config, and what is written is there."""
    stream = subject.stream()
    rows = subject.rows(7)
    subject.written([by_ui(stream, subject.any_mode)], plain(id_of(stream), rows), "a first write")
    if subject.can_get:
        subject.must_hold(id_of(stream), rows, "after a first write")
