"""What the CDK does to its process, and what becomes of it here: prints, secrets learnt on the way, files, forks."""

from __future__ import annotations

import io
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
from airbyte_cdk.entrypoint import AirbyteEntrypoint
from airbyte_cdk.models import AirbyteMessage
from airbyte_cdk.sources.declarative.decoders.composite_raw_decoder import JsonParser
from airbyte_cdk.utils import is_cloud_environment
from airbyte_cdk.utils.airbyte_secrets_utils import update_secrets
from airbyte_cdk.utils.constants import ENV_REQUEST_CACHE_PATH

from connector_sdk.cdk.messages import tell
from connector_sdk.logs import level_of
from connector_sdk.mask import Mask
from connector_sdk.output import Output

Config = Mapping[str, Any]


class Process:
    """The surroundings that the CDK's entrypoint gives a source. `secrets` finds those of a config."""

    def __init__(self, secrets: Callable[[Config], Iterable[str]]) -> None:
        self._secrets = secrets
        self._output: Output | None = None
        self._folder = ""
        self._changed_to: Config | None = None

    @contextmanager
    def around(self, output: Output) -> Iterator[None]:
        """For the time of a command: one folder for the CDK's files, and all that it prints is looked at."""
        self._output = output
        logging.getLogger("airbyte").setLevel(level_of(os.environ.get("LOG_LEVEL")))
        update_secrets(_Secrets(output.mask))
        os.register_at_fork(after_in_child=_in_child)
        JsonParser._parse_orjson = _parse_exactly
        with TemporaryDirectory(ignore_cleanup_errors=True) as folder, redirect_stdout(_Printed(self)):
            self._folder = os.environ[ENV_REQUEST_CACHE_PATH] = folder
            yield

    def configured(self, source: Any, config: dict[str, Any]) -> dict[str, Any]:
        """The config as the source makes it. The CDK's own way of that would leave its secrets in a file."""
        if is_cloud_environment():
            AirbyteEntrypoint(source)  # From now on requests to private addresses are refused.
        if type(source).configure.__module__.split(".")[0] == "airbyte_cdk":
            source.write_config = lambda config, path: None
        return dict(source.configure(config, self._folder))

    def changed(self, config: Config) -> None:
        """Tell the platform of a changed config (a rotated token), once, and keep its secrets too."""
        if self._output and config != self._changed_to:
            self._changed_to = dict(config)
            self._output.mask.learn(self._secrets(config))
            self._output.control(config)

    def told(self, source: Any) -> None:
        """Pass on what the source has put aside to be told."""
        for message in _aside(source):
            tell(message, self.changed)

    def followed(self, source: Any, messages: Iterable[AirbyteMessage]) -> Iterator[AirbyteMessage]:
        """The messages, and after them what was put aside, also where they end in an error."""
        try:
            yield from messages
        except Exception:
            yield from _aside(source)
            raise
        yield from _aside(source)

    def printed(self, line: str) -> None:
        """A line on standard output: a changed config is one of the messages that the CDK prints on its own."""
        found = _json_object(line) if line.startswith("{") else {}
        match found:
            case {"type": "CONTROL", "control": {"connectorConfig": {"config": dict(config)}}}:
                self.changed(config)
            case _ if line and self._output:
                print(self._output.mask(line), file=sys.stderr, flush=True)


def _aside(source: Any) -> Iterator[AirbyteMessage]:
    repository = getattr(source, "message_repository", None)
    if repository:
        yield from repository.consume_queue()


def _json_object(line: str) -> Any:
    try:
        return msgspec.json.decode(line)
    except msgspec.DecodeError:
        return {}


def _parse_exactly(parser: JsonParser, data: bytes) -> Any:
    """A manifest's JSON with all digits of its integers: orjson makes floats of those above 64 bits, in silence.

    None where it is not JSON: then the CDK tries the standard library, and tells.
    """
    try:
        return msgspec.json.decode(data.decode(parser.encoding))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


class _Printed(io.TextIOBase):
    """A standard output that hands its lines to the process."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._rest = ""
        self._lock = threading.RLock()

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        with self._lock:
            *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._process.printed(line)
        return len(text)


class _Secrets(list[str]):
    """The CDK's list of secrets: what a source adds to it while it runs, our mask learns."""

    def __init__(self, mask: Mask) -> None:
        super().__init__()
        self._mask = mask

    def append(self, secret: str) -> None:
        super().append(secret)
        self._mask.learn([str(secret)])


def _in_child() -> None:
    """A process that a source forks off (a pool) has no part in our output and our signals."""
    sys.stdout = sys.stderr
    logging.getLogger().handlers[:] = [logging.StreamHandler()]
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
