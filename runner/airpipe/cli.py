"""The command line. Everything that is heavy is imported by the command that needs it."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import click

from airpipe.errors import AirpipeError

if TYPE_CHECKING:
    pass

FAILED, WRONG, STOPPED = 1, 2, 130


class _Commands(click.Group):
    """Errors of ours are one line on the standard error."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except AirpipeError as error:
            click.echo(f"error: {error.message}", err=True)
            context.exit(WRONG)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="airpipe", message="airpipe %(version)s")
def airpipe() -> None:
    """Runs a pipeline of Airbyte connectors from one YAML file."""


def main() -> NoReturn:
    airpipe(prog_name="airpipe")
    raise AssertionError("click ends the process")


@contextmanager
def _stopping() -> Iterator[threading.Event]:
    """Set when somebody asks us to end. Who asks twice does not want to wait: the guards end what is left."""
    stop = threading.Event()

    def ask(number: int, _frame: object) -> None:
        if stop.is_set():
            os._exit(128 + number)
        stop.set()
        click.echo("stopping: what is safe is saved (once more to end at once)", err=True)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


_file = click.argument("file", type=click.Path(dir_okay=False))
_names = click.argument("pipelines", nargs=-1)


@airpipe.command()
@_file
@_names
@click.option("--log", "kind", type=click.Choice(["live", "plain", "json"]), help="How it is shown.")
def run(file: str, pipelines: tuple[str, ...], kind: str | None) -> None:
    """Run the pipelines of FILE, or those named, one after another."""
    from airpipe.alerts import alert
    from airpipe.display import choose
    from airpipe.events import Finished
    from airpipe.pipeline import load
    from airpipe.run import run_loaded

    ended: list[Finished] = []
    display = choose(kind)
    with _stopping() as stop:
        try:
            for loaded in load(file, pipelines):
                if stop.is_set():
                    break
                for event in run_loaded(loaded, stop):
                    display.show(event)
                    if isinstance(event, Finished):
                        ended.append(event)
                alert(loaded, ended[-1], lambda text: click.echo(f"warning: {text}", err=True))
        finally:
            display.close()
        if stop.is_set():
            sys.exit(STOPPED)
    if any(end.status != "succeeded" for end in ended):
        sys.exit(FAILED)
