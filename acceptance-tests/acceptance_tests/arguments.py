"""Arguments of the commands: what is wrong with one is told before any work begins, under the name of its option."""

from __future__ import annotations

import json
import os
import shlex
import sys
from argparse import ArgumentTypeError
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema

from acceptance_tests.protocol import Json, loads

CATALOG: Json = {
    "type": "object",
    "required": ["streams"],
    "properties": {
        "streams": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["stream", "sync_mode", "destination_sync_mode"],
                "properties": {
                    "stream": {
                        "type": "object",
                        "required": ["name"],
                        "properties": {
                            "name": {"type": "string"},
                            "namespace": {"type": ["string", "null"]},
                            "json_schema": {"type": ["object", "null"]},
                        },
                    },
                    "sync_mode": {"type": "string"},
                    "destination_sync_mode": {"type": "string"},
                },
            },
        }
    },
}
"""What a configured catalog must hold."""


def command_line(text: str) -> str:
    """A command as it is typed in a shell."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r} is no command: {error}") from None
    if not words:
        raise ArgumentTypeError("the command is empty")
    return text


def json_file(path: str, read: Callable[[bytes], Any] = loads) -> Any:
    """What a JSON file holds."""
    try:
        return read(Path(path).read_bytes())
    except OSError as error:
        raise ArgumentTypeError(f"{path!r} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ArgumentTypeError(f"{path!r} has to be JSON, and is not: {error}") from None


def config_file(path: str) -> Json:
    """A connector's config."""
    found = json_file(path, json.loads)
    if not isinstance(found, dict):
        raise ArgumentTypeError(f'{path!r} holds no config: write an object, such as {{"host": "localhost"}}')
    return found


def catalog_file(path: str) -> list[Json]:
    """The streams of a configured catalog."""
    found = json_file(path)
    mistake = jsonschema.exceptions.best_match(jsonschema.Draft7Validator(CATALOG).iter_errors(found))
    if mistake is not None:
        raise ArgumentTypeError(
            f"{path!r} is no configured catalog: {mistake.json_path}: {mistake.message[:200]}; write "
            '{"streams": [{"stream": {"name": …, "json_schema": …}, "sync_mode": …, "destination_sync_mode": …}]}'
        )
    streams: list[Json] = found["streams"]
    return streams


def file_to_write(path: str) -> Path:
    """A file for what comes out at the end: it is opened once now, and stays as it is."""
    file = Path(path)
    if file.is_fifo():
        return file  # Its reader would take this for the end.
    there = os.path.lexists(path)
    try:
        file.open("ab").close()
        if not there:
            file.unlink()
    except OSError as error:
        raise ArgumentTypeError(
            f"{path!r} cannot be written: {error.strerror}; name a file in a folder that is there and may be written to"
        ) from None
    return file


def write(file: Path, content: bytes) -> None:
    """Write such a file. Ends the process where that fails after all."""
    try:
        file.write_bytes(content)
    except OSError as error:
        sys.exit(f"error: {str(file)!r} cannot be written: {error.strerror}")


def pair(form: str) -> Callable[[str], tuple[str, str]]:
    """Two texts in the form `NAME=VALUE`."""

    def parted(text: str) -> tuple[str, str]:
        name, _, value = text.partition("=")
        if not name or not value:
            raise ArgumentTypeError(f"{text!r} is not of the form {form}")
        return name, value

    return parted
