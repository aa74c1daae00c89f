"""The pytest plugin: a connector's own test file is a few lines.

    import pytest
    from acceptance_tests.plugin import Acceptance, source_suite

    @pytest.fixture(scope="module")
    def connector(postgres):
        return Acceptance(command="source-postgres", config={...}, put=put, waivers={"reader.may_be_slow": "why"})

    test_source_postgres = source_suite()

Each behaviour becomes one test. What cannot be tried is skipped with its reason, what is waived is an expected failure,
and a waiver that is no longer needed fails. Those that take long are marked `slow`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from acceptance_tests.hooks import Get, Put
    from acceptance_tests.subject import Subject
    from acceptance_tests.suite import Behaviour, Register


@dataclass
class Acceptance:
    """What the fixture `connector` of a test module gives: how to run it, what only its author can do, and waivers.

    `put(stream, rows, delete)` and `get(stream)` are as in `acceptance_tests.hooks`. `waivers` are test → reason.
    """

    config: dict[str, Any]
    command: str | Sequence[str] | None = None
    image: str | None = None
    put: Put | None = None
    get: Get | None = None
    waivers: Mapping[str, str] = field(default_factory=dict)
    timeout: float = 60.0
    environment: Mapping[str, str] = field(default_factory=dict)
    cursors: Mapping[str, str] = field(default_factory=dict)
    docker_options: Sequence[str] = ()

    def subject(self) -> Subject:
        """The connector as the behaviours take it."""
        from acceptance_tests.connector import Connector
        from acceptance_tests.destination_subject import DestinationSubject
        from acceptance_tests.source_subject import SourceSubject
        from acceptance_tests.subject import Subject

        connector = Connector(
            config=self.config,
            command=self.command,
            image=self.image,
            timeout=self.timeout,
            environment=self.environment,
            cursors=self.cursors,
            docker_options=self.docker_options,
        )
        first = Subject(connector)
        is_destination = first.is_destination
        connector.watchers.clear()
        subject = DestinationSubject(connector, self.get) if is_destination else SourceSubject(connector, self.put)
        subject.take_over(first)
        return subject


def source_suite(fast: Sequence[str] = ("*",)) -> Callable[..., None]:
    """A test function for a module with a fixture `connector`: every behaviour of a source.

    Those that match none of the patterns `fast` are marked slow as well.
    """
    from acceptance_tests.suites import SOURCE

    return _tests(SOURCE, fast)


def destination_suite(fast: Sequence[str] = ("*",)) -> Callable[..., None]:
    """A test function for a module with a fixture `connector`: every behaviour of a destination.

    Those that match none of the patterns `fast` are marked slow as well.
    """
    from acceptance_tests.suites import DESTINATION

    return _tests(DESTINATION, fast)


def _tests(register: Register, fast: Sequence[str]) -> Callable[..., None]:
    from acceptance_tests.suite import chosen

    quick = {one.name for one in chosen(register, fast) if not one.slow} if fast else set()

    @pytest.mark.parametrize("behaviour", [_parameter(one, one.name in quick) for one in register])
    def test(behaviour: Behaviour, connector: Acceptance, acceptance_subject: Subject) -> None:
        strange = set(connector.waivers) - {one.name for one in register}
        assert not strange, f"waivers for tests that do not exist: {strange}"
        _judge(behaviour, acceptance_subject, connector.waivers)

    return test


def _parameter(one: Behaviour, quick: bool) -> Any:
    return pytest.param(one, id=one.name, marks=[] if quick else [pytest.mark.slow])


def _judge(behaviour: Behaviour, subject: Subject, waivers: Mapping[str, str]) -> None:
    from acceptance_tests.report import FAILED, SKIPPED, WAIVED
    from acceptance_tests.suite import attempt, judged

    outcome = judged(attempt(behaviour, subject), waivers)
    if outcome.outcome == SKIPPED:
        pytest.skip(outcome.message)
    if outcome.outcome == WAIVED:
        pytest.xfail(outcome.message)
    if outcome.outcome == FAILED:
        pytest.fail(f"{outcome.promise}\n{outcome.message}", pytrace=False)


@pytest.fixture(scope="module")
def acceptance_subject(connector: Acceptance) -> Iterator[Subject]:
    """The connector of this module, shared by its tests: what was read once is not read again."""
    subject = connector.subject()
    yield subject
    subject.close()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: takes more than a few seconds")
