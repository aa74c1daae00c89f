"""check: SUCCEEDED only where the connector will work, FAILED or an error with the reason everywhere else."""

from __future__ import annotations

from typing import Any

from acceptance_tests.connector import Said
from acceptance_tests.subject import Subject
from acceptance_tests.suite import Failure, NotApplicable, Register, behaviours, expect, some
from acceptance_tests.wrong_configs import unreachable, with_wrong_types, without_each_required

ALL: Register = []
behaviour = behaviours(ALL, "check")


def verdict(said: Said) -> str:
    """What a check came to: SUCCEEDED, FAILED, ERROR (a TRACE and a non-zero end), or what is wrong with its answer."""
    statuses = [message.body.get("status") for message in said.transcript.of("CONNECTION_STATUS")]
    if len(statuses) > 1:
        return f"{len(statuses)} CONNECTION_STATUS messages"
    if statuses == ["SUCCEEDED"]:
        return "SUCCEEDED" if said.ok else f"SUCCEEDED, but {said.run.ended}"
    if statuses == ["FAILED"]:
        message = said.transcript.of("CONNECTION_STATUS")[0].body.get("message")
        return "FAILED" if message else "FAILED without a message"
    if said.transcript.errors and not said.ok:
        return "ERROR"
    return f"no CONNECTION_STATUS and no ERROR; {said.story}"


def refused(subject: Subject, what: str, config: Any) -> str | None:
    """None where `check` refuses this config in good order, else what it did."""
    subject.ask("check")
    said = subject.answered("check", subject.connector.check(config), good=False)
    found = verdict(said)
    return None if found in ("FAILED", "ERROR") else f"{what}: {found}"


@behaviour
def succeeds_with_the_given_config(subject: Subject) -> None:
    """With the config that works, `check` prints one CONNECTION_STATUS, SUCCEEDED, and ends with 0."""
    said = subject.checked
    found = verdict(said)
    message = [str(one.body.get("message")) for one in said.transcript.of("CONNECTION_STATUS")]
    expect(
        found == "SUCCEEDED",
        "SUCCEEDED",
        f"{found}: {some(message) or said.story}",
        "the config, and what `check` tries",
    )


@behaviour
def says_the_same_twice(subject: Subject) -> None:
    """A second `check` succeeds as the first one did: it leaves nothing behind that is in its own way."""
    if verdict(subject.checked) != "SUCCEEDED":
        raise NotApplicable("check does not succeed")
    found = verdict(subject.check())
    expect(found == "SUCCEEDED", "SUCCEEDED again", found, "what `check` leaves behind")


@behaviour
def tolerates_an_option_that_it_does_not_know(subject: Subject) -> None:
    """A config with one key more than the form has works as well."""
    if verdict(subject.checked) != "SUCCEEDED":
        raise NotApplicable("check does not succeed")
    said = subject.answered("check", subject.connector.check({**subject.config, "acceptance_unknown_option": 1}))
    found = verdict(said)
    expect(found == "SUCCEEDED", "SUCCEEDED", f"{found}; {said.story}", "how the config is read")


@behaviour
def refuses_a_config_without_a_required_option(subject: Subject) -> None:
    """Each required option taken out, one at a time: FAILED with a message, or an ERROR and a non-zero end."""
    wrong = [
        refused(subject, f"without {name}", config)
        for name, config in without_each_required(subject.form, subject.config)
    ]
    if not wrong:
        raise NotApplicable("the form requires nothing that the config gives")
    expect(not any(wrong), "FAILED or ERROR each time", some(filter(None, wrong)), "how the config is read")


@behaviour
def refuses_a_value_of_a_wrong_type(subject: Subject) -> None:
    """Each option given a value of another type, one at a time: FAILED with a message, or an ERROR and no 0."""
    wrong = [
        refused(subject, f"{name} of a wrong type", config)
        for name, config in with_wrong_types(subject.form, subject.config)
    ]
    if not wrong:
        raise NotApplicable("the config gives no option with a type")
    expect(not any(wrong), "FAILED or ERROR each time", some(filter(None, wrong)), "how the config is read")


@behaviour
def refuses_a_config_that_is_none(subject: Subject) -> None:
    """A config file that holds no JSON object, or no JSON at all, is refused in good order."""
    files = {"a list": b"[1, 2]", "broken text": b'{"a": ', "an empty file": b""}
    wrong = [refused(subject, name, text) for name, text in files.items()]
    expect(not any(wrong), "FAILED or ERROR each time", some(filter(None, wrong)), "how the config file is read")


@behaviour
def fails_where_the_other_side_cannot_be_reached(subject: Subject) -> None:
    """With every host, port and path of the config leading nowhere, `check` fails and says why."""
    config = unreachable(subject.form, subject.config)
    if config is None:
        raise NotApplicable("the config names no host, address or path")
    if (found := refused(subject, "leading nowhere", config)) is not None:
        raise Failure("FAILED with a message, or an ERROR and a non-zero end", found, "what `check` really tries")
