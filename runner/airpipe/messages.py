"""What the messages of a connector mean that are neither RECORD nor STATE, and what a side has said."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Any, cast

import msgspec

_decode = msgspec.json.Decoder().decode
_NO_REASON = re.compile(r"^\s*(Traceback|File |(Run|See) 'docker )")
"""Lines that tell nothing of why."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """An ERROR that a connector reported."""

    message: str
    kind: str
    stream: str = ""

    @property
    def is_config(self) -> bool:
        return self.kind == "config_error"


class Side:
    """What one connector says beside its data: its errors, and its last words. Log lines go to `log`."""

    def __init__(self, name: str, log: Callable[[str, str, str], None]) -> None:
        self.name = name
        self.troubles: list[Trouble] = []
        self._last: list[str] = []
        self._log = log

    def hear(self, message: dict[str, Any]) -> None:
        """Take a LOG or an ERROR."""
        if message.get("type") == "LOG" and isinstance(message.get("log"), dict):
            self._log(self.name, str(message["log"].get("level") or "INFO"), str(message["log"].get("message")))
        elif found := _trouble(message):
            self.troubles.append(found)
            self._log(self.name, "ERROR", found.message)

    def hear_errors(self, stream: IO[bytes]) -> None:
        """Take what comes on the standard error, until its end."""
        for line in lines(stream):
            text = line.decode(errors="replace").rstrip()
            if text:
                self._last = [*self._last[-30:], text]
                self._log(self.name, "DEBUG", text)

    @property
    def worst(self) -> Trouble | None:
        """The error to show: one that the user can mend comes first."""
        return next((trouble for trouble in self.troubles if trouble.is_config), next(iter(self.troubles), None))

    @property
    def last_words(self) -> str:
        """What was said at last on the standard error."""
        spoken = [line for line in self._last if not _NO_REASON.match(line)]
        return f": {spoken[-1].strip()[:500]}" if spoken else ""


def lines(stream: IO[bytes]) -> Iterator[bytes]:
    """The lines of an unbuffered pipe, which is closed at the end. A pipe that is closed meanwhile has ended."""
    try:
        with io.BufferedReader(cast(io.RawIOBase, stream)) as buffered:
            yield from buffered
    except ValueError:
        return


def parse(line: bytes) -> dict[str, Any] | None:
    """The message in this line; text that is none counts as a log line, and an empty line as nothing."""
    try:
        message = _decode(line)
    except msgspec.MsgspecError:
        message = None
    if isinstance(message, dict) and "type" in message:
        return message
    text = line.decode(errors="replace").strip()
    return {"type": "LOG", "log": {"level": "INFO", "message": text}} if text else None


def _trouble(message: dict[str, Any]) -> Trouble | None:
    trace = message.get("trace")
    error = trace.get("error") if message.get("type") == "TRACE" and isinstance(trace, dict) else None
    if not isinstance(error, dict):
        return None
    descriptor = error.get("stream_descriptor") or {}
    return Trouble(str(error.get("message")), str(error.get("failure_type")), str(descriptor.get("name") or ""))
