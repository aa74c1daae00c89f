"""The command line. Everything that is heavy is imported by the command that needs it."""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import click

from airpipe.errors import AirpipeError
from airpipe.mask import Mask, masking
from airpipe.words import harmless

if TYPE_CHECKING:
    from airpipe.ask import Log
    from airpipe.pipeline import Loaded

FAILED, WRONG, STOPPED = 1, 2, 130
TWICE = 1.0
"""Seconds after which a second signal is a second wish. `timeout` and some terminals send each one twice."""


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
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # What the terminal cannot write ends no run.
    airpipe(prog_name="airpipe")
    raise AssertionError("click ends the process")


@contextmanager
def _stopping() -> Iterator[threading.Event]:
    """Set when somebody asks us to end. Who asks twice does not want to wait: the guards end what is left."""
    stop = threading.Event()

    asked = 0.0

    def ask(number: int, _frame: object) -> None:
        nonlocal asked
        if stop.is_set():
            if time.monotonic() - asked > TWICE:
                os._exit(128 + number)
            return
        asked = time.monotonic()
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
    from airpipe.library import run_loaded
    from airpipe.pipeline import load

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


@contextmanager
def _one(file: str, name: str | None) -> Iterator[tuple[Loaded, Mask]]:
    """The pipeline of this name, or the only one of the file, and what hides its secrets."""
    from airpipe.errors import ConfigProblem
    from airpipe.pipeline import load

    found = load(file, [name] if name else [])
    if len(found) > 1:
        names = ", ".join(loaded.name for loaded in found)
        raise ConfigProblem(f"{file} holds several pipelines; choose one by --pipeline: {names}")
    with masking(found[0]) as mask:
        yield found[0], mask


_pipeline = click.option("--pipeline", "name", help="Which pipeline, where the file holds several.")


def _warns(mask: Mask) -> Log:
    """Shows what is worth a warning."""

    def warn(origin: str, level: str, message: str) -> None:
        if level.upper() in ("WARN", "WARNING", "ERROR"):
            click.echo(f"{origin}: {harmless(mask(message))}", err=True)

    return warn


@airpipe.command()
@_file
@_names
def check(file: str, pipelines: tuple[str, ...]) -> None:
    """Check FILE: the file itself, both connections, the streams and how they would be moved."""
    from airpipe.catalog import plan
    from airpipe.folder import Folder
    from airpipe.pipeline import load
    from airpipe.questions import Questions, programs
    from airpipe.tables import show_plan

    with _stopping() as stop:
        for loaded in load(file, pipelines):
            with masking(loaded) as mask, Folder() as folder:
                sides = programs(loaded, "source", "destination")
                configs = {side: dict(getattr(loaded.pipeline, side).config) for side in sides}
                questions = Questions(loaded, sides, configs, folder, stop, mask, _warns(mask))
                found = plan(loaded, questions.ask(discover=True), questions.offered)
                labels = mask(f"{sides['source'].label} → {sides['destination'].label}")
            click.echo(f"{loaded.name}: {labels}: both are reached")
            show_plan(found.streams)
            for text in found.skipped:
                click.echo(f"  skipped: {text}")


@airpipe.command()
@_file
@_pipeline
@click.option("--json", "as_json", is_flag=True, help="The catalog as the source gives it.")
def discover(file: str, name: str | None, as_json: bool) -> None:
    """List what the source of FILE has: streams, keys, cursors, fields."""
    import json

    from airpipe.preview import asked
    from airpipe.tables import show_streams

    with _one(file, name) as (one, mask), _stopping() as stop, asked(one, stop, mask, _warns(mask)) as (found, _, _):
        if as_json:
            click.echo(json.dumps(found, ensure_ascii=False, indent=1))
        else:
            show_streams(found)


@airpipe.command()
@_file
@click.argument("stream", required=False)
@_pipeline
@click.option("--rows", "count", default=10, show_default=True, help="How many rows.")
@click.option("--json", "as_json", is_flag=True, help="One row a line, as JSON.")
def preview(file: str, stream: str | None, name: str | None, count: int, as_json: bool) -> None:
    """Show the first rows of a STREAM of FILE. Nothing is written anywhere."""
    import json

    from airpipe import preview as previews
    from airpipe.tables import show_rows

    with _one(file, name) as (loaded, mask), _stopping() as stop:
        warn = _warns(mask)
        with previews.asked(loaded, stop, mask, warn) as (found, folder, program):
            plan = previews.choose(loaded, found, stream)
            rows = previews.rows(program, folder, plan, count, stop, warn)
    if as_json:
        for row in rows:
            click.echo(json.dumps(row, ensure_ascii=False))
    elif rows:
        show_rows(rows, f"{plan.stream}, the first {len(rows)} rows")
    else:
        click.echo(f"{plan.stream} has no rows")


@airpipe.command()
@click.argument("file", type=click.Path(dir_okay=False), default="pipeline.yaml")
def init(file: str) -> None:
    """Ask a few questions and write FILE (pipeline.yaml)."""
    from airpipe.init import write_first

    with _stopping() as stop:
        write_first(file, stop)


@airpipe.command()
def schema() -> None:
    """Print the JSON Schema of the file, for editors."""
    import json

    from airpipe.pipeline import json_schema

    click.echo(json.dumps(json_schema(), indent=1))


@airpipe.command()
@_file
@_pipeline
@click.option("--limit", default=20, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One run a line, with all that is known.")
def runs(file: str, name: str | None, limit: int, as_json: bool) -> None:
    """Show the last runs of FILE."""
    import json

    from airpipe.statestore import open_store
    from airpipe.tables import show_runs

    with _one(file, name) as (loaded, _), open_store(loaded) as store:
        found = store.runs(loaded.name, limit)
        for run in found[1:]:
            run["dead"] = True
    if as_json:
        for run in found:
            click.echo(json.dumps(run, ensure_ascii=False))
    else:
        show_runs(found)


@airpipe.command()
@_file
@click.argument("run", type=int, required=False)
@_pipeline
def logs(file: str, run: int | None, name: str | None) -> None:
    """Show the log of the last RUN of FILE, or of the one with this number."""
    from airpipe.errors import ConfigProblem
    from airpipe.logs import folder_of, numbers

    with _one(file, name) as (loaded, _):
        kept = numbers(loaded.home, loaded.name)
        if not kept or (run is not None and run not in kept):
            there = f"; there are {kept[0]} to {kept[-1]}" if kept else ""
            raise ConfigProblem(f"no log is kept of {f'run {run}' if run else 'any run'} of {loaded.name}{there}")
        path = folder_of(loaded.home, loaded.name) / f"{run or kept[-1]}.log"
    click.echo(path.read_text(encoding="utf-8"), nl=False)


@airpipe.group()
def state() -> None:
    """Show, forget or set where the next run begins."""


@state.command("show")
@_file
@_pipeline
def state_show(file: str, name: str | None) -> None:
    """Print the states, as a JSON array that `state set` takes."""
    from airpipe.states_file import show

    with _one(file, name) as (loaded, _):
        click.echo(show(loaded))


@state.command("reset")
@_file
@_pipeline
@click.option("--stream", "streams", multiple=True, help="Only this stream; may be given several times.")
def state_reset(file: str, name: str | None, streams: tuple[str, ...]) -> None:
    """Forget the states: the next run reads everything again."""
    from airpipe.states_file import reset

    with _one(file, name) as (loaded, _):
        for text in reset(loaded, streams):
            click.echo(f"forgotten: {text}")


@state.command("set")
@_file
@_pipeline
@click.argument("states", type=click.File("rb"), default="-")
def state_set(file: str, name: str | None, states: Any) -> None:
    """Take STATES (a JSON array as `state show` prints it; by default the standard input) in place of what is kept."""
    from airpipe.states_file import replace

    with _one(file, name) as (loaded, _):
        for text in replace(loaded, states.read()):
            click.echo(f"set: {text}")


@airpipe.command()
@_file
@_names
@click.option("--port", type=int, default=8080, show_default=True)
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--log", "kind", type=click.Choice(["plain", "json"]), help="How runs are shown.")
def serve(file: str, pipelines: tuple[str, ...], port: int, host: str, kind: str | None) -> None:
    """Run the schedules of FILE, and answer /metrics and /health."""
    from airpipe.serve import serve as serve_file

    with _stopping() as stop:
        serve_file(file, pipelines, host, port, kind or "plain", stop)
