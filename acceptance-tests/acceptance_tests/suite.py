"""Behaviours: functions that try one promise of a connector, their register, and what comes of running them."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Protocol, TypeVar, overload

from acceptance_tests.report import FAILED, PASSED, SKIPPED, WAIVED, Outcome


class Failure(Exception):
    """The connector broke a promise: what was expected, what was seen, and what to look at."""

    def __init__(self, expected: str, seen: str, look_at: str) -> None:
        super().__init__(f"expected: {expected}\nseen: {seen}\nlook at: {look_at}")


class NotApplicable(Exception):
    """The behaviour cannot be tried here. The text is the reason."""


@dataclass(frozen=True)
class Behaviour:
    """One promise, named, and the function that tries it on a subject: it returns, or raises one of the above."""

    name: str
    promise: str
    run: Callable[[Any], None]
    slow: bool = False
    """Takes more than a few seconds."""


Register = list[Behaviour]
F = TypeVar("F", bound=Callable[[Any], None])


class Enter(Protocol):
    """`@behaviour` or `@behaviour(slow=True)`: enters the function and gives it back."""

    @overload
    def __call__(self, function: F) -> F: ...

    @overload
    def __call__(self, *, slow: bool) -> Callable[[F], F]: ...


def behaviours(register: Register, group: str) -> Enter:
    """A decorator that enters functions of this group: `@behaviour` or `@behaviour(slow=True)`.

    The function's name is the behaviour's, the first paragraph of its docstring the promise.
    """

    def enter(function: Callable[[Any], None] | None = None, *, slow: bool = False) -> Any:
        if function is None:
            return lambda inner: enter(inner, slow=slow)
        promise = " ".join((function.__doc__ or "").partition("\n\n")[0].split())
        register.append(Behaviour(f"{group}.{function.__name__}", promise, function, slow))
        return function

    return enter


def expect(truth: object, expected: str, seen: str, look_at: str) -> None:
    """Raise a Failure where it is not true."""
    if not truth:
        raise Failure(expected, seen, look_at)


def some(things: Iterable[object], most: int = 5) -> str:
    """The first few of many things, as text."""
    listed = [str(thing) for thing in things]
    more = f" … and {len(listed) - most} more" if len(listed) > most else ""
    return "; ".join(listed[:most]) + more


def chosen(register: Sequence[Behaviour], only: Sequence[str]) -> list[Behaviour]:
    """Those whose name matches one of the patterns (`read.*`); all of them without patterns."""
    return [one for one in register if not only or any(fnmatchcase(one.name, pattern) for pattern in only)]


def attempt(one: Behaviour, subject: Any) -> Outcome:
    """Try a behaviour. Nothing but a KeyboardInterrupt gets through."""
    started = time.monotonic()

    def outcome(kind: str, message: str = "") -> Outcome:
        return Outcome(one.name, kind, subject.masked(message), one.promise, time.monotonic() - started)

    try:
        one.run(subject)
    except NotApplicable as reason:
        return outcome(SKIPPED, str(reason))
    except Failure as failure:
        return outcome(FAILED, str(failure))
    except Exception as error:
        return outcome(FAILED, _broke(error))
    finally:
        subject.tidy()
    return outcome(PASSED)


def _broke(error: Exception) -> str:
    """A connector can say things that nobody has thought of: the other tests go on."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{frame.filename.rpartition('/')[2]}:{frame.lineno}"
    return (
        f"expected: output that this test can read\nseen: {type(error).__name__}: {error} (at {where})\n"
        "look at: the connector's output; if it is right, this suite is wrong"
    )


def judged(outcome: Outcome, waivers: Mapping[str, str]) -> Outcome:
    """The outcome with its waiver, if it has one: a failure is waived, a waiver that is not needed is a failure."""
    reason = waivers.get(outcome.test)
    if reason is None or outcome.outcome == SKIPPED:
        return outcome
    if outcome.outcome == FAILED:
        return _with(outcome, WAIVED, f"{reason}\n{outcome.message}")
    return _with(
        outcome,
        FAILED,
        f"expected: a failure, since it is waived: {reason}\nseen: it passed\nlook at: take the waiver away",
    )


def _with(outcome: Outcome, kind: str, message: str) -> Outcome:
    return Outcome(outcome.test, kind, message, outcome.promise, outcome.seconds)


def unknown(waivers: Iterable[str], register: Iterable[Behaviour]) -> list[str]:
    """Waivers for tests that do not exist."""
    known = {one.name for one in register}
    return [name for name in waivers if name not in known]


def run(register: Sequence[Behaviour], subject: Any, waivers: Mapping[str, str]) -> Iterator[Outcome]:
    """Try all of them, in order."""
    for one in register:
        yield judged(attempt(one, subject), waivers)
