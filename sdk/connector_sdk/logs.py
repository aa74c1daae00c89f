"""Logging: the standard `logging` module in front, LOG messages of the protocol behind it."""

from __future__ import annotations

import logging
import os
import sys
import threading
import traceback

from connector_sdk.output import Output, ReaderGone

log = logging.getLogger("connector")
"""The logger of the SDK and of every connector."""

TRACE = 5
_names = (("TRACE", TRACE), ("DEBUG", 10), ("INFO", 20), ("WARN", 30), ("ERROR", 40), ("FATAL", 50))
_levels = dict(_names) | {"WARNING": 30}


def level_of(name: str | None) -> int:
    """The level that LOG_LEVEL names; INFO where it names none."""
    return _levels.get((name or "INFO").strip().upper(), logging.INFO)


class _Handler(logging.Handler):
    """Writes LOG messages; where a person watches the standard error and the output goes elsewhere, there as well."""

    def __init__(self, output: Output) -> None:
        super().__init__()
        self._output = output
        self._person = sys.stderr.isatty() and not sys.__stdout__.isatty() if sys.__stdout__ else False

    def emit(self, record: logging.LogRecord) -> None:
        stack = "".join(traceback.format_exception(*record.exc_info)) if record.exc_info else ""
        message = _text(record)
        try:
            self._output.log(_name(record.levelno), message, stack)
        except ReaderGone:
            return  # Whoever writes data meets this too, and ends the run.
        if self._person:
            print(f"{_name(record.levelno).lower():5} {self._output.mask(message)}", file=sys.stderr)


def _text(record: logging.LogRecord) -> str:
    """The message; a call that does not fit its own text is no reason to end a run."""
    try:
        return record.getMessage()
    except Exception:
        return f"{record.msg} {record.args}"


def _name(level: int) -> str:
    """The protocol's word for a level of `logging`."""
    return next((name for name, floor in reversed(_names) if level >= floor), "TRACE")


def start(output: Output) -> None:
    """Send the records of all loggers to `output`: ours from LOG_LEVEL on, those of libraries from WARNING on."""
    root = logging.getLogger()
    root.handlers[:] = [_Handler(output)]
    root.setLevel(max(logging.WARNING, level_of(os.environ.get("LOG_LEVEL"))))
    log.setLevel(level_of(os.environ.get("LOG_LEVEL")))
    logging.captureWarnings(True)
    threading.excepthook = _tell_thread


def _tell_thread(failed: threading.ExceptHookArgs) -> None:
    """A thread of a connector that fails says so here and not, unmasked, on the standard error."""
    if failed.exc_value is not None:
        log.error("A thread failed: %s", failed.exc_value, exc_info=failed.exc_value)
