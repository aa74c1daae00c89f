"""The two suites: every behaviour, in the order in which they are tried."""

from __future__ import annotations

from acceptance_tests.suite import Register
from acceptance_tests.suites import always, check, image, spec
from acceptance_tests.suites.destination import DESTINATION_ONLY, FIRST
from acceptance_tests.suites.source import SOURCE_ONLY

SOURCE: Register = [*spec.ALL, *image.ALL, *check.ALL, *SOURCE_ONLY, *always.ALL]
DESTINATION: Register = [*spec.ALL, *spec.DESTINATION, *image.ALL, *FIRST, *check.ALL, *DESTINATION_ONLY, *always.ALL]
