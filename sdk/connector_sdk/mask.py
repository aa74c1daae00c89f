"""The one function that keeps secrets out of whatever is not data."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
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
    return {text for part in parts for text in _ways(part) if len(text) >= SHORTEST}


def _ways(text: str) -> Iterator[str]:
    """The text itself, as a part of a URL, of a Python literal (whose quotes depend on what surrounds it), of JSON."""
    yield text
    yield from (quote(text, "", errors="replace"), quote(text, errors="replace"), quote_plus(text, errors="replace"))
    yield from (repr(text)[1:-1], repr("'\"" + text)[4:-1])
    yield from (json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1])
