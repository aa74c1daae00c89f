"""What the stock platform reads off an image before it runs it. A command has nothing of that."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from acceptance_tests.subject import Subject
from acceptance_tests.suite import NotApplicable, Register, behaviours, expect

ALL: Register = []
behaviour = behaviours(ALL, "image")


def _inspected(subject: Subject) -> dict[str, Any]:
    """The image's configuration as `docker image inspect` tells it."""
    image = subject.connector.image
    if image is None:
        raise NotApplicable("it is a command and not an image")
    words = ["docker", "image", "inspect", image]
    try:
        done = subprocess.run(words, capture_output=True, timeout=subject.timeout, check=False)
        found = json.loads(done.stdout)[0]["Config"]
    except (OSError, ValueError, LookupError, TypeError, subprocess.TimeoutExpired):
        raise NotApplicable("`docker image inspect` tells nothing of it") from None
    return dict(found)


@behaviour
def names_its_entrypoint_in_the_environment(subject: Subject) -> None:
    """AIRBYTE_ENTRYPOINT is set and says what ENTRYPOINT runs: the platform uses the one, people the other."""
    found = _inspected(subject)
    variables = dict(text.partition("=")[::2] for text in found.get("Env") or ())
    named, entrypoint = variables.get("AIRBYTE_ENTRYPOINT"), " ".join(found.get("Entrypoint") or ())
    expect(named, "AIRBYTE_ENTRYPOINT in the image's environment", "it is not set", "ENV in the Dockerfile")
    expect(named == entrypoint, f"ENTRYPOINT {named!r} as well", f"{entrypoint!r}", "ENTRYPOINT in the Dockerfile")


@behaviour
def says_its_name_and_version(subject: Subject) -> None:
    """The labels io.airbyte.name and io.airbyte.version are there."""
    labels = _inspected(subject).get("Labels") or {}
    missing = [name for name in ("io.airbyte.name", "io.airbyte.version") if not labels.get(name)]
    expect(not missing, "both labels", f"no {' and no '.join(missing)}", "LABEL in the Dockerfile")
