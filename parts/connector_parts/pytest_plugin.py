"""Real servers as session fixtures, and at the end of a run the list of what was not run, and why.

A server that this machine cannot have skips the tests that ask for it; the skip says what is missing and what would
help. Every skip, of whatever origin, is listed at the end, and so is a missing part that another stood in for: nothing
is left out without a word.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pytest

from connector_parts.parts import Missing, survey
from connector_parts.postgres import Postgres, system_version
from connector_parts.s3 import S3
from connector_parts.strangers import programs


class Server(Protocol):
    def start(self) -> Any: ...

    def stop(self) -> None: ...


Part = TypeVar("Part", bound=Server)


def session_part(make: Callable[[], Part]) -> Iterator[Part]:
    """The body of a session fixture: start the server, or skip whoever asks for it; stop it at the end."""
    try:
        server = make()
        server.start()
    except Missing as missing:
        pytest.skip(f"MISSING {missing}")
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """PostgreSQL 18 with pgvector. Make a database of your own with `postgres.create_database()`."""
    yield from session_part(Postgres)


@pytest.fixture(scope="session")
def postgres15() -> Iterator[Postgres]:
    """An older PostgreSQL: Debian's, 15 on bookworm."""
    yield from session_part(lambda: Postgres(system_version() or "15"))


@pytest.fixture(scope="session")
def s3() -> Iterator[S3]:
    """versitygw if it is built, else moto (`s3.kind` tells). Make a bucket of your own with `s3.bucket()`."""
    yield from session_part(S3.best)


@pytest.fixture(scope="session")
def stranger() -> Callable[[str], Path]:
    """`stranger("faker")`: the folder with the programs of one of `strangers.PACKAGES`."""

    def found(name: str) -> Path:
        try:
            return programs(name)
        except Missing as missing:
            pytest.skip(f"MISSING {missing}")

    return found


def pytest_report_header() -> list[str]:
    return [f"part: {part}" for part in survey()]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say loudly what was not run."""
    absent: dict[str, list[str]] = {str(part): [] for part in survey() if part.missing}
    reasons = absent | skipped(terminalreporter.stats.get("skipped", []))
    if not reasons:
        return
    tests = sum(len(names) for names in reasons.values())
    terminalreporter.section(f"NOT RUN: {tests}" if tests else "MISSING", sep="!", yellow=True, bold=True)
    for reason, names in sorted(reasons.items()):
        terminalreporter.write_line(reason, yellow=True)
        for name in names:
            terminalreporter.write_line(f"    {name}")


def skipped(reports: list[Any]) -> dict[str, list[str]]:
    """Reason → the tests that it kept from running."""
    found: dict[str, list[str]] = defaultdict(list)
    for report in reports:
        text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        found[text.removeprefix("Skipped: ")].append(report.nodeid)
    return found
