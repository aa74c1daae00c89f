"""What goes wrong, named by what happens next."""

from __future__ import annotations

from airpipe.words import one_line


class AirpipeError(Exception):
    """Something that ends a run. `message` is one line for a person and says what to do."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = one_line(message)


class ConfigProblem(AirpipeError):
    """The user must change something; trying again would not help."""


class TransientProblem(AirpipeError):
    """Trying again may help."""


class Stopped(AirpipeError):
    """Somebody asked the run to end."""
