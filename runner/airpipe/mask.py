"""What must not be shown: how secrets are found in a pipeline, and how they are hidden in all that is said of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from airpipe.errors import AirpipeError
from airpipe.words import one_line

if TYPE_CHECKING:
    from airpipe.pipeline import Loaded

SHORTEST = 4
"""Characters of a secret that is masked: a shorter one stands in too many words."""


class Mask:
    """`mask(text)` is the text with each known secret as `****`. Whoever holds it sees less when it learns more."""

    def __init__(self, known: Iterable[str] = ()) -> None:
        self._ways: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        self.learn(known)

    def learn(self, known: Iterable[str]) -> None:
        """Hide these, too."""
        self._ways |= {way for text in known if len(text) >= SHORTEST for way in _ways(text)}
        longest_first = sorted(self._ways, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def __call__(self, text: str) -> str:
        return self._pattern.sub("****", text) if self._pattern else text


def _ways(text: str) -> Iterator[str]:
    """How a secret may turn up: as it is, on one line, in JSON, in a URL, or a line of it (of a private key)."""
    yield from (text, one_line(text), json.dumps(text)[1:-1], quote(text, safe=""), quote(text))
    yield from (line.strip() for line in text.splitlines() if len(line.strip()) >= 2 * SHORTEST)


@contextmanager
def masking(loaded: Loaded) -> Iterator[Mask]:
    """The mask of a pipeline. An error that comes from within is masked on its way out."""
    mask = first_mask(loaded)
    try:
        yield mask
    except AirpipeError as error:
        raise type(error)(mask(error.message)) from None


def first_mask(loaded: Loaded) -> Mask:
    """What can be known before any spec: names and URLs tell what is secret."""
    pipeline = loaded.pipeline
    parts = (pipeline.source, pipeline.destination, pipeline.monitoring.smtp)
    return Mask(secrets_in({}, [pipeline.state, *(part.model_dump() for part in parts)]))


# Where secrets are


def secrets_in(form: Any, value: Any) -> Iterator[str]:
    """Every text that must not be shown: what the form marks, what its name gives away, and what a text holds."""
    if isinstance(value, dict):
        described = _properties(form)
        for key, inner in value.items():
            part = described.get(key, {})
            if part.get("airbyte_secret") or (isinstance(inner, str) and _telling.search(key)):
                yield from _texts(inner)
            else:
                yield from secrets_in(part, inner)
    elif isinstance(value, list):
        for inner in value:
            yield from secrets_in(form.get("items", {}) if isinstance(form, dict) else {}, inner)
    elif isinstance(value, str):
        yield from _within(value)


_NAMES = r"passw(?:or)?d|passphrase|pwd|secret|token|(?:api|private)[_-]?key"
_telling = re.compile(_NAMES, re.IGNORECASE)
_held = [
    re.compile(pattern, re.IGNORECASE | re.DOTALL)
    for pattern in (
        r"://[^/\s:@]*:([^/\s@]+)@",
        r"://[^:@]*:(\S+)@",
        r"://[^:@]*:(.+)@",
        rf"(?:{_NAMES})\s*=\s*([^\s&;,'\"#]+)",
        rf"(?:{_NAMES})\s*=\s*([^\s&;,'\"]+|'[^']+'|\"[^\"]+\")",
    )
]
"""A password in a URL, as it should be and with characters that should have been escaped; and `password=…`."""


def _within(text: str) -> Iterator[str]:
    """The secrets in a URL or a connection string; of one with an @, also what a reader takes for its parts."""
    for pattern in _held:
        for found in pattern.findall(text):
            yield from (found, unquote(found), found.strip("'\""), *found.split("@"))


def _properties(form: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if isinstance(form, dict):
        for option in (form, *form.get("oneOf", ()), *form.get("anyOf", ()), *form.get("allOf", ())):
            for key, part in (option.get("properties") or {}).items():
                found[key] = part if part.get("airbyte_secret") or key not in found else found[key]
    return found


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
    elif value is not None and not isinstance(value, bool):
        yield str(value)
