"""The behaviours of sources alone."""

from __future__ import annotations

from acceptance_tests.suite import Register
from acceptance_tests.suites.source import changes, discover, judged, places, read, readers, resume, states, stop

SOURCE_ONLY: Register = [
    *discover.ALL,
    *read.ALL,
    *states.ALL,
    *resume.ALL,
    *readers.ALL,
    *stop.ALL,
    *places.ALL,
    *judged.ALL,
    *changes.ALL,
]
"""Those that change the source's system come last."""
