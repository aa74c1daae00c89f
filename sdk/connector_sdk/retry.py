"""Trying again: how often, how long to wait. Used where a destination writes a batch and where a source resumes."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from connector_sdk.errors import TransientError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits that double from `first` to `longest` seconds, each shortened by a random part of up to a half.

    The randomness keeps many clients from coming back in step. A wait that the other side asked for is kept whole.
    """

    attempts: int = 6
    first: float = 0.5
    longest: float = 60.0

    def wait(self, failures: int, asked: float | None = None) -> float:
        """Seconds to wait after this many failures (1 and up)."""
        wait = min(self.longest, self.first * 2.0 ** (failures - 1)) * random.uniform(0.5, 1.0)
        return max(wait, asked or 0.0)

    def call(self, action: Callable[[], T], tell: Callable[[TransientError, float], None]) -> T:
        """Run `action` until it succeeds; a TransientError is tried again, `attempts` times in all."""
        for failures in range(1, self.attempts + 1):
            try:
                return action()
            except TransientError as error:
                if failures == self.attempts:
                    raise
                wait = self.wait(failures, error.retry_after)
                tell(error, wait)
                time.sleep(wait)
        raise AssertionError("attempts must be at least 1")


DEFAULT_BACKOFF = Backoff()
