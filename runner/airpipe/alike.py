"""Whether all lines of a block begin alike: the one question that is asked of every record."""

from __future__ import annotations

import os
from collections.abc import Callable
from io import BytesIO

Alike = Callable[[bytes, bytes, bytes], tuple[int, int]]


def in_python(head: bytes, chunk: bytes, beginning: bytes) -> tuple[int, int]:
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


def _chosen() -> Alike:
    """The native twin, where the connectors beside us have brought it; it takes less than half of the time.

    The environment variable CONNECTOR_NATIVE is for tests: `0` switches it off, with `1` its absence is an error.
    """
    asked = os.environ.get("CONNECTOR_NATIVE")
    if asked == "0":
        return in_python
    try:
        from connector_native import alike as native
    except ImportError:  # There is none, or an older one.
        if asked == "1":
            raise
        return in_python
    found: Alike = native
    return found


alike = _chosen()
