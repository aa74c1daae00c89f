"""The one place that decides whether the native twins of our Python code do the work."""

from __future__ import annotations

import os
from functools import cache
from importlib import import_module
from types import ModuleType

from connector_sdk.errors import ConfigError
from connector_sdk.logs import log

INTERFACE = 5
"""The interface of `connector_native` that this version is written for."""
_COST = (
    "Everything works, but a record costs many times the CPU in this process: more than twice where it is passed on, "
    "about 30 times where it is decoded. `make native` builds it."
)


@cache
def module() -> ModuleType | None:
    """The native module, or None where the Python twins do the work; where it is missing, a log line says so once.

    The environment variable CONNECTOR_NATIVE is for tests: `0` switches it off without a word, with `1` its absence is
    an error.
    """
    asked = os.environ.get("CONNECTOR_NATIVE")
    if asked == "0":
        return None
    found, problem = _find()
    if found is None and asked == "1":
        raise ConfigError(f"CONNECTOR_NATIVE=1 asks for the native part, but {problem}.")
    if found is None:
        log.info("The native part is not used: %s. %s", problem, _COST)
    return found


def keep_memory() -> None:
    """Let freed memory be kept for the next block; without the native part it goes back to the system each time."""
    found = module()
    if found is not None:
        found.keep_memory()


def _find() -> tuple[ModuleType | None, str]:
    try:
        found = import_module("connector_native")
    except ImportError as error:
        return None, f"connector_native cannot be imported ({error})"
    interface = getattr(found, "INTERFACE", None)
    if interface != INTERFACE:
        return None, f"connector_native has the interface {interface}, and {INTERFACE} is needed"
    return found, ""
