"""Whether all lines of a block begin alike: the one question that is asked of every record.

In Python here, which says what is meant; by `connector_native`, where that is installed and has it. CONNECTOR_NATIVE=0
switches it off, as in the connectors.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from io import BytesIO

Alike = Callable[[bytes, bytes, bytes], tuple[int, int]]


def alike(head: bytes, chunk: bytes, beginning: bytes) -> tuple[int, int]:
    """How many whole lines are in `chunk`, and where the last of them ends. The first one began with `head`.

    The number is -1 where one of them does not begin with `beginning`. That all begin alike is seen from the least and
    the greatest of them, which costs less than to look at each.
    """
    lines = BytesIO(chunk).readlines()
    end = len(chunk)
    if lines and not chunk.endswith(b"\n"):
        end -= len(lines.pop())
    if not lines:
        return 0, 0
    if head:
        lines[0] = head + lines[0]
    same = min(lines).startswith(beginning) and max(lines).startswith(beginning)
    return len(lines) if same else -1, end


def best() -> Alike:
    """The native twin where it is to be had."""
    if os.environ.get("CONNECTOR_NATIVE") == "0":
        return alike
    try:
        found: Alike = import_module("connector_native").alike
    except (ImportError, AttributeError):
        return alike
    return found
