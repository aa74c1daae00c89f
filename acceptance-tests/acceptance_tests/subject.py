"""What every behaviour is given: the connector, its spec, and what was noticed in all of its runs."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NoReturn
from urllib.parse import quote

from acceptance_tests.connector import Connector, Said
from acceptance_tests.process import Process
from acceptance_tests.protocol import Json
from acceptance_tests.suite import Failure, NotApplicable

CANARY = "c4n4ry-Zq7-secret"
"""Stands in for a secret in runs that are meant to fail."""
SHORTEST_SECRET = 5
KINDS = {
    "`spec`": {"SPEC"},
    "`check`": {"CONNECTION_STATUS"},
    "`discover`": {"CATALOG"},
    "`read`": {"RECORD", "STATE"},
    "`write`": {"STATE"},
}
"""The messages that a verb is there for. Each may log, trace, and give a new config as well."""
ALWAYS = {"LOG", "TRACE", "CONTROL"}
TALKATIVE = {"LOG_LEVEL": "TRACE"}


@dataclass
class Noticed:
    """What came to light in any run, for the behaviours that hold always."""

    noise: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    leaks: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    runs: int = 0


class Subject:
    """A connector under test. Runs of the good config that gave no answer once are not tried again."""

    def __init__(self, connector: Connector) -> None:
        self.connector = connector
        self.noticed = Noticed()
        self._mute: dict[str, str] = {}
        self._secrets: list[str] | None = None
        connector.watchers.append(self._notice)

    def take_over(self, first: Subject) -> None:
        """Go on where another subject, which has asked for the spec, has left off."""
        self.spec = first.spec
        self.noticed = first.noticed

    @property
    def config(self) -> Json:
        return self.connector.config

    @property
    def timeout(self) -> float:
        return self.connector.timeout

    def talk(self) -> None:
        """Make the connector say as much as it can: what it logs at the lowest level is looked at as well."""
        self.ask("check")
        self.connector.say(self.connector.start("check", config=self.config, environment=TALKATIVE))

    def tidy(self) -> None:
        """Called after each behaviour."""
        self.connector.end_all()

    def close(self) -> None:
        self.connector.close()

    # The spec

    @cached_property
    def spec(self) -> Json:
        """The body of its SPEC, or a Failure: without one nothing else can be tried."""
        said = self.answered("spec", self.connector.spec())
        found = said.transcript.of("SPEC")
        if len(found) != 1 or not said.ok or not isinstance(found[0].body.get("connectionSpecification"), dict):
            noise = f"; the first other line is {said.transcript.noise[0]}" if said.transcript.noise else ""
            raise Failure(
                "`spec` prints one SPEC message and ends with 0",
                f"{len(found)} SPEC messages, {said.story}{noise}",
                f"the output of: {said.run.command}",
            )
        return found[0].body

    @property
    def form(self) -> Json:
        """The JSON Schema of its config."""
        found = self.spec["connectionSpecification"]
        assert isinstance(found, dict)
        return found

    @property
    def is_destination(self) -> bool:
        """Sources of the stock platform's Java SDK have an empty list of destination modes."""
        return bool(self.spec.get("supported_destination_sync_modes"))

    # Runs

    def answered(self, verb: str, said: Said, *, good: bool = True) -> Said:
        """The run itself; a Failure where it had to be given up. With the good config the verb then counts as mute."""
        if said.run.silent:
            if good:
                self._mute[verb] = f"`{verb}` gave no answer within {self.timeout:.0f} s"
            raise Failure(
                f"an answer within {self.timeout:.0f} s", f"none; {said.story}", f"where it waits: {said.run.command}"
            )
        return said

    def ask(self, verb: str) -> None:
        """Call before a run of the good config."""
        if verb in self._mute:
            raise NotApplicable(f"{self._mute[verb]} before")

    def check(self) -> Said:
        """`check` with the good config."""
        self.ask("check")
        return self.answered("check", self.connector.check())

    @cached_property
    def checked(self) -> Said:
        """The first `check` with the good config."""
        return self.check()

    def discover(self) -> Said:
        """`discover` with the good config."""
        self.ask("discover")
        return self.answered("discover", self.connector.discover())

    def finish(self, verb: str, process: Process) -> Said:
        """Run a read or a write to its end."""
        return self.answered(verb, self.connector.say(process))

    # Secrets

    @cached_property
    def secrets(self) -> list[str]:
        """Values of the config that its spec marks as secret and that cannot stand in a text by chance."""
        hidden = set(secret_values(self.form, self.config))
        open_ones = set(strings(self.config)) - hidden
        return sorted(value for value in hidden if len(value) >= SHORTEST_SECRET and value not in open_ones)

    def _notice(self, said: Said) -> None:
        """Look at a run that has ended."""
        self.noticed.runs += 1
        self.noticed.noise += [f"{text} (in {said.verb})" for text in said.transcript.noise]
        self.noticed.wrong += [f"{text} (in {said.verb})" for text in said.transcript.wrong]
        kinds = KINDS.get(said.verb, {message.kind for message in said.transcript.messages}) | ALWAYS
        strange = sorted({message.kind for message in said.transcript.messages} - kinds)
        self.noticed.wrong += [f"a {kind} message (in {said.verb})" for kind in strange]
        self.noticed.left += [f"{process} outlived {said.verb}" for process in said.run.left]
        if said.verb != "`spec`":
            self._look_for_secrets(said)

    def _look_for_secrets(self, said: Said) -> None:
        """Records and a new config may hold secrets; nothing else may."""
        known = {way for secret in (CANARY, *self._known_secrets()) for way in spellings(secret)}
        data = {message.number for message in said.transcript.messages if message.kind in ("RECORD", "CONTROL")}
        texts = [("its standard error", said.run.stderr)]
        for number, line in enumerate([*said.run.lines, said.run.tail], 1):
            if number not in data:
                texts.append((f"line {number}", line.decode(errors="replace")))
        for where, text in texts:
            if any(way in text for way in known):
                self.noticed.leaks.append(f"a secret stands in {where} of {said.verb}")

    def masked(self, text: str) -> str:
        """For a report: what the connector has leaked is not leaked once more."""
        for secret in self._known_secrets():
            text = text.replace(secret, "****")
        return text

    def _known_secrets(self) -> list[str]:
        try:
            return self.secrets
        except (Failure, NotApplicable):
            return []


def spellings(secret: str) -> set[str]:
    """The secret as it may stand in a text: as it is, in a URL, in JSON, in base64 at any offset."""
    return {secret, quote(secret, safe=""), json.dumps(secret)[1:-1], *_in_base64(secret.encode(errors="replace"))}


def _in_base64(secret: bytes) -> set[str]:
    """Those characters of it that depend on nothing that stands beside it, if they are enough to know it by."""
    found = set()
    for before in range(3):
        text = base64.b64encode(bytes(before) + secret).decode().rstrip("=")
        known = text[(0, 2, 3)[before] : (before + len(secret)) * 8 // 6]
        found |= {known} if len(known) >= 10 else set()
    return found


# Walking a form and a config together


def options(form: Json, config: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Json, Any]]:
    """Every option of the form that the config gives: path, schema, value. Branches of a oneOf are followed."""
    if not isinstance(config, dict):
        return
    for name, part in (form.get("properties") or {}).items():
        if name in config and isinstance(part, dict):
            yield (*path, name), part, config[name]
            yield from options(part, config[name], (*path, name))
    for branch in form.get("oneOf") or ():
        if isinstance(branch, dict) and fits(branch, config):
            yield from options(branch, config, path)


def fits(branch: Json, config: Json) -> bool:
    """Whether the constants of this branch of a oneOf are those of the config."""
    constants = {
        name: part["const"]
        for name, part in (branch.get("properties") or {}).items()
        if isinstance(part, dict) and "const" in part
    }
    return all(config.get(name) == value for name, value in constants.items())


def secret_values(form: Json, config: Any) -> Iterator[str]:
    for _, part, value in options(form, config):
        if part.get("airbyte_secret"):
            yield from strings(value)


def strings(value: Any) -> Iterator[str]:
    """All texts and numbers in a JSON value, as text."""
    if isinstance(value, dict):
        for inner in value.values():
            yield from strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner)
    elif value is not None and not isinstance(value, bool):
        yield str(value)


def changed(config: Json, path: tuple[str, ...], new: Any = None, *, remove: bool = False) -> Json:
    """A copy of the config with one option changed or taken out."""
    found = dict(config)
    if len(path) > 1:
        found[path[0]] = changed(config[path[0]], path[1:], new, remove=remove)
    elif remove:
        del found[path[0]]
    else:
        found[path[0]] = new
    return found


def give_up(reason: str) -> NoReturn:
    raise NotApplicable(reason)
