"""The behaviours of destinations alone."""

from __future__ import annotations

from acceptance_tests.suite import Register
from acceptance_tests.suites.destination import inputs, judged, modes, states, stop, streams, values

FIRST: Register = modes.FIRST
"""Before any check."""
DESTINATION_ONLY: Register = [
    *modes.ALL,
    *states.ALL,
    *inputs.ALL,
    *streams.ALL,
    *values.ALL,
    *judged.ALL,
    *stop.ALL,
]
