"""What holds in every run: these look at all that the others have made the connector say, so they come last."""

from __future__ import annotations

from acceptance_tests.subject import Subject
from acceptance_tests.suite import NotApplicable, Register, behaviours, expect, some

ALL: Register = []
behaviour = behaviours(ALL, "always")


def _runs(subject: Subject) -> None:
    if not subject.noticed.runs:
        raise NotApplicable("nothing was run before")


@behaviour
def standard_output_holds_messages_only(subject: Subject) -> None:
    """Every line on standard output is an Airbyte message; everything else belongs on standard error."""
    _runs(subject)
    noise = subject.noticed.noise
    expect(
        not noise, "JSON messages only", f"{len(noise)} other lines: {some(noise, 3)}", "what prints to standard output"
    )


@behaviour
def messages_follow_the_protocol(subject: Subject) -> None:
    """Every message has the fields that the protocol asks for, of the right types."""
    _runs(subject)
    wrong = subject.noticed.wrong
    expect(not wrong, "messages of the protocol", f"{len(wrong)} others: {some(wrong, 3)}", "how messages are made")


@behaviour
def secrets_stay_secret(subject: Subject) -> None:
    """No value that the form marks as secret stands in a log, an error, a status or on standard error."""
    subject.talk()
    leaks = subject.noticed.leaks
    expect(
        not leaks, "no secret outside of the data", f"{len(leaks)} times: {some(leaks, 3)}", "what is logged and raised"
    )


@behaviour
def no_process_is_left(subject: Subject) -> None:
    """When the connector has ended, so have all processes that it has started."""
    _runs(subject)
    left = subject.noticed.left
    expect(not left, "none", some(left, 3), "what is started in the background")
