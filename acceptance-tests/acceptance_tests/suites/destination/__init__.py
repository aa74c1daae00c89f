"""The behaviours of destinations alone."""

from __future__ import annotations

from acceptance_tests.suite import Register
from acceptance_tests.suites.destination import (
    append,
    dedup,
    first,
    inputs,
    judged,
    overwrite,
    states,
    stop,
    streams,
    values,
)

FIRST: Register = first.ALL
"""Before any check."""
DESTINATION_ONLY: Register = [
    *append.ALL,
    *overwrite.ALL,
    *dedup.ALL,
    *states.ALL,
    *inputs.ALL,
    *streams.ALL,
    *values.ALL,
    *judged.ALL,
    *stop.ALL,
]
