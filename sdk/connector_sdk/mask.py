"""The one function that keeps secrets out of whatever is not data."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

SHORTEST = 4
"""Shorter values are left alone: masking `a` would make every text unreadable and keep nothing secret."""
SHORTEST_LINE = 16


class Mask:
    """`mask(text)` gives the text with each known secret as `****`, also where it is URL-encoded or escaped as JSON."""

    def __init__(self) -> None:
        self._pattern: re.Pattern[str] | None = None
        self._known: set[str] = set()

    def learn(self, secrets: Iterable[str]) -> None:
        for secret in secrets:
            self._known.update(_spellings(secret))
        if self._known:
            longest_first = sorted(self._known, key=len, reverse=True)
            self._pattern = re.compile("|".join(map(re.escape, longest_first)))

    def __call__(self, text: str) -> str:
        return self._pattern.sub("****", text) if self._pattern else text


def _spellings(secret: str) -> set[str]:
    """A key of several lines may be quoted line by line, so each long line of it is a secret too."""
    parts = [secret, secret.strip(), *(line for line in secret.splitlines() if len(line) >= SHORTEST_LINE)]
    found = {way for part in parts for way in (part, quote(part, safe=""), quote_plus(part), repr(part)[1:-1])}
    found |= {part.replace("\n", "\\n").replace('"', '\\"') for part in parts}
    return {text for text in found if len(text) >= SHORTEST}
