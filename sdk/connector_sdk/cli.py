"""The command line of every connector: spec, check, discover, read, write; exit codes; signals."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, TextIO, cast

from connector_sdk import config as configs
from connector_sdk import logs, protocol
from connector_sdk.catalog import parse_catalog
from connector_sdk.destination import Destination, write
from connector_sdk.errors import ConfigError, ConnectorError
from connector_sdk.logs import log
from connector_sdk.mask import Mask
from connector_sdk.output import Interrupted, Output, ReaderGone
from connector_sdk.source import Source, read, tell
from connector_sdk.state import parse_input_state

Connector = Source | Destination

OK, FAILED, USAGE, READER_GONE = 0, 1, 2, 128 + signal.SIGPIPE
PATIENCE = 8.0
"""Seconds after a signal in which the last messages must find a reader."""
AT_MOST = 9.5
"""Seconds after a signal in which the process ends, whatever hangs."""
NUDGE = signal.SIGURG
"""Wakes a main thread that sleeps although it was sent a signal. Nobody minds this one."""


def run(connector: Connector, arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command and end the process: 0 done, 1 failed, 2 wrong usage, 128 + n ended by signal n."""
    name = os.path.basename(sys.argv[0]) or "connector"
    asked = _parser(connector, name).parse_args(arguments)
    output = Output(_claim_stdout())
    logs.start(output)
    sys.stdout = sys.stderr = cast(TextIO, _Masked(sys.stderr, output.mask))
    _listen(output)
    code = _guarded(lambda: _surrounded(connector, asked, output), connector, output)
    _leave(code, connector, output)


def _listen(output: Output) -> None:
    """End in good order on SIGTERM and SIGINT, and in any case within `AT_MOST` seconds.

    The latter is seen to by a thread that the system's own handler tells. Python's handler may never run: not where the
    main thread is within foreign code, nor where a signal comes just before it begins to sleep. It is nudged.
    """
    heard, told = os.pipe()
    os.set_blocking(told, False)
    signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    stopped: list[int] = []
    threading.Thread(target=_end_late, args=(heard, stopped), name="last-resort", daemon=True).start()

    def stop(number: int, _frame: object) -> None:
        stopped.append(number)
        output.interrupt(number, PATIENCE)

    signal.signal(NUDGE, lambda *_: None)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)


def _end_late(heard: int, stopped: list[int]) -> None:
    """End the process `AT_MOST` seconds after the first signal: where all goes well it has ended itself by then."""
    while (number := os.read(heard, 1)[0]) not in (signal.SIGTERM, signal.SIGINT):
        continue
    deadline = time.monotonic() + AT_MOST
    while (left := deadline - time.monotonic()) > 0:
        time.sleep(min(left, 0.5))  # The main thread has so long to hear for itself.
        if not stopped:
            signal.pthread_kill(threading.main_thread().ident or 0, NUDGE)
    os._exit(128 + number)


def _claim_stdout() -> int:
    """Keep the standard output for messages: what anybody else prints goes to the standard error."""
    try:
        os.fstat(1)
    except OSError:
        print("error: the standard output is closed, and messages have nowhere to go", file=sys.stderr, flush=True)
        os._exit(FAILED)
    if sys.stderr is None:  # It was closed: nothing else may come to stand under its number.
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    ours = os.dup(1)
    os.dup2(2, 1)
    return ours


class _Masked:
    """The standard error for whoever prints, masked as all else that is not data."""

    def __init__(self, stream: TextIO, mask: Mask) -> None:
        self._stream = stream
        self._mask = mask

    def write(self, text: str) -> int:
        return self._stream.write(self._mask(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _surrounded(connector: Connector, asked: argparse.Namespace, output: Output) -> int:
    around = connector.around if isinstance(connector, Source) else None
    with around(output) if around else nullcontext():
        code: int = asked.command(connector, asked, output)
    return code


def _guarded(command: Callable[[], int], connector: Connector, output: Output) -> int:
    try:
        return command()
    except Interrupted as interrupted:
        return 128 + interrupted.signal
    except ReaderGone as gone:
        return _reader_gone(gone, connector)
    except BaseException as error:
        return _failed(error, connector, output)


def _failed(error: BaseException, connector: Connector, output: Output) -> int:
    try:
        tell(output, error)
    except ReaderGone as gone:
        return _reader_gone(gone, connector)
    except Interrupted:
        return FAILED
    return FAILED


def _reader_gone(gone: ReaderGone, connector: Connector) -> int:
    """`source | head` ends quietly. A destination whose acknowledgements nobody takes has failed, and says so."""
    problem = str(gone)
    if isinstance(connector, Destination):
        problem = problem or "the output was closed, so acknowledgements cannot be delivered"
    if problem:
        print(f"error: {problem}", file=sys.stderr, flush=True)
        return FAILED
    return READER_GONE


def _leave(code: int, connector: Connector, output: Output) -> NoReturn:
    """Flush and end at once: lanes of a failed run may still hang in the network."""
    try:
        output.flush()
    except ReaderGone as gone:
        code = code or _reader_gone(gone, connector)
    except Interrupted:
        code = code or READER_GONE
    sys.stderr.flush()
    os._exit(code)


# Commands


def _spec(connector: Connector, _asked: argparse.Namespace, output: Output) -> int:
    modes = connector.modes if isinstance(connector, Destination) else None
    auth = connector.advanced_auth if isinstance(connector, Source) else None
    output.message(protocol.spec_line(configs.form(connector.config), connector.documentation, modes, auth))
    return OK


def _check(connector: Connector, asked: argparse.Namespace, output: Output) -> int:
    """What the user can mend is a FAILED status; anything else is an error."""
    problem = None
    try:
        connector.check(_config(connector, asked, output))
    except ConnectorError as error:
        problem = output.mask(error.message)
    output.message(protocol.connection_line(problem))
    return OK


def _discover(connector: Source, asked: argparse.Namespace, output: Output) -> int:
    config = _config(connector, asked, output)
    output.message(protocol.catalog_line(connector.discover(config)))
    return OK


def _read(connector: Source, asked: argparse.Namespace, output: Output) -> int:
    config = _config(connector, asked, output)
    catalog = parse_catalog(_bytes(asked.catalog, "catalog"))
    state = parse_input_state(_state_bytes(asked.state))
    return OK if read(connector, config, catalog, state, output) else FAILED


def _write(connector: Destination, asked: argparse.Namespace, output: Output) -> int:
    config = _config(connector, asked, output)
    catalog = parse_catalog(_bytes(asked.catalog, "catalog"))
    write(connector, config, catalog, 0, output)
    return OK


def _config(connector: Connector, asked: argparse.Namespace, output: Output) -> Any:
    raw = configs.load(asked.config, connector.config.own_variables)
    output.secrets_of = partial(configs.secrets, connector.config)
    output.mask.learn(output.secrets_of(raw))
    for sentence in configs.unknown_keys(connector.config, raw):
        log.warning("%s", sentence)
    config = configs.parse(connector.config, raw)
    output.mask.learn(configs.parsed_secrets(config))
    return config


def _bytes(path: str, what: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise _unreadable(what, path, error) from None


def _unreadable(what: str, path: str | None, error: OSError) -> ConfigError:
    return ConfigError(f"The {what} file {path} cannot be read: {error.strerror}.")


def _state_bytes(path: str | None) -> bytes:
    """An absent state file starts anew, as an empty one does; one that cannot be read does not."""
    try:
        return Path(path).read_bytes() if path else b""
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise _unreadable("state", path, error) from None


# Arguments


def _parser(connector: Connector, name: str) -> argparse.ArgumentParser:
    source = isinstance(connector, Source)
    kind, examples = ("source", _SOURCE_HELP) if source else ("destination", _DESTINATION_HELP)
    parser = argparse.ArgumentParser(
        prog=name,
        description=f"{name}: an Airbyte {kind}. Messages are JSON lines on standard output.",
        epilog=examples % {"name": name},
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _command(commands, "spec", _spec, "print the options of --config, as the form of the Airbyte UI renders them")
    _command(commands, "check", _check, "try the config: SUCCEEDED, or FAILED with what to change", "config")
    if source:
        _command(commands, "discover", _discover, "list the streams with their schemas, keys and cursors", "config")
        _command(commands, "read", _read, "read the streams of a catalog", "config", "catalog", "state")
    else:
        _command(commands, "write", _write, "write what comes on standard input", "config", "catalog")
    return parser


_OPTIONS = {
    "config": ("FILE", "options, JSON or YAML; ${NAME} stands for an environment variable"),
    "catalog": ("FILE", "the configured catalog: which streams, and how"),
    "state": ("FILE", "the states of the last run; without it everything is read"),
}


def _command(commands: Any, name: str, function: Callable[..., int], text: str, *options: str) -> None:
    command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    command.set_defaults(command=function)
    for option in options:
        metavar, meaning = _OPTIONS[option]
        command.add_argument(f"--{option}", metavar=metavar, help=meaning, required=option != "state")


class _Version(argparse.Action):
    """argparse's own wants to know the version before it is asked for, and to find it out takes 20 ms."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib import metadata

        try:
            version = metadata.version(parser.prog)
        except metadata.PackageNotFoundError:
            version = "unknown"
        print(f"{parser.prog} {version}")
        parser.exit()


_SOURCE_HELP = """\
examples:
  %(name)s check --config config.yaml
  %(name)s discover --config config.yaml
  %(name)s read --config config.yaml --catalog catalog.json --state state.json |
    destination-s3 write --config s3.yaml --catalog catalog.json

LOG_LEVEL (TRACE, DEBUG, INFO, WARN, ERROR) says which log messages come out.
exit code: 0 done, 1 failed (see the ERROR message), 2 wrong usage, 141 nobody reads any more, 143 ended by SIGTERM
"""

_DESTINATION_HELP = """\
examples:
  %(name)s check --config config.yaml
  source-postgres read --config pg.yaml --catalog catalog.json |
    %(name)s write --config config.yaml --catalog catalog.json

Each STATE comes out again on standard output once the rows before it are safe: keep the last ones for the next read.
LOG_LEVEL (TRACE, DEBUG, INFO, WARN, ERROR) says which log messages come out.
exit code: 0 done, 1 failed (see the ERROR message), 2 wrong usage, 143 ended by SIGTERM
"""
