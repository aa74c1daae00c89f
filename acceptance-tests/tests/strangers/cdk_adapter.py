"""Runs in the environment of airbyte-cdk: a connector that is a command, as an object that its standard tests drive.

The command is in the environment variable COMMAND. No class of the CDK is needed for that, only its method names.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from airbyte_cdk.models import AirbyteMessage, AirbyteMessageSerializer, FailureType, Type
from airbyte_cdk.utils.traced_exception import AirbyteTracedException


class Command:
    """Each method is a verb of the command."""

    name = "command"
    check_config_against_spec = True
    message_repository = None

    def spec(self, _logger: Any) -> Any:
        return self._one(Type.SPEC, "spec").spec

    def read_config(self, path: str) -> Any:
        self._config = path
        return json.loads(Path(path).read_text())

    def configure(self, config: Any, _folder: str) -> Any:
        return config

    def read_catalog(self, path: str) -> str:
        return path

    def read_state(self, path: str | None) -> str | None:
        return path

    def check(self, _logger: Any, _config: Any) -> Any:
        return self._one(Type.CONNECTION_STATUS, "check", "--config", self._config).connectionStatus

    def discover(self, _logger: Any, _config: Any) -> Any:
        return self._one(Type.CATALOG, "discover", "--config", self._config).catalog

    def read(self, _logger: Any, _config: Any, catalog: str, state: str | None) -> Iterator[AirbyteMessage]:
        more = ["--state", state] if state else []
        yield from self._messages("read", "--config", self._config, "--catalog", catalog, *more)

    def _one(self, kind: Type, *arguments: str) -> AirbyteMessage:
        return next(message for message in self._messages(*arguments) if message.type == kind)

    def _messages(self, *arguments: str) -> Iterator[AirbyteMessage]:
        words = [*shlex.split(os.environ["COMMAND"]), *arguments]
        done = subprocess.run(words, capture_output=True, check=False)
        for line in done.stdout.splitlines():
            yield AirbyteMessageSerializer.load(json.loads(line))
        if done.returncode:
            raise AirbyteTracedException(message=f"ended with {done.returncode}", failure_type=FailureType.config_error)
