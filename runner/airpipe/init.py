"""`airpipe init`: a few questions from the connectors' own specs, and a first file."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from airpipe import connectors
from airpipe.ask import ask
from airpipe.connectors import Program
from airpipe.errors import AirpipeError, ConfigProblem
from airpipe.folder import Folder
from airpipe.mask import Mask, secrets_in
from airpipe.pipeline import Connector, Loaded, load
from airpipe.words import one_line

HEADER = """\
# airpipe check {name}     airpipe preview {name}     airpipe run {name}
"""


def write_first(file: str, stop: threading.Event) -> None:
    """Ask, try what was answered, and write the file; secrets go into `.env` beside it."""
    import yaml

    path = Path(file)
    if path.exists() and not click.confirm(f"{file} exists. Write it anew?", default=False):
        return
    secrets: dict[str, str] = {}
    source = _side("source", secrets, stop)
    wishes = _streams(source, secrets, stop)
    destination = _side("destination", secrets, stop)
    text = yaml.safe_dump(
        {"source": source, "destination": destination, **wishes, **_schedule()},
        sort_keys=False, allow_unicode=True, width=120,
    )  # fmt: skip
    _keep_secrets(path.with_name(".env"), secrets)
    path.write_text(HEADER.format(name=path.name) + text, encoding="utf-8")
    kept = f" Secrets are in {path.with_name('.env')}: keep it out of version control." if secrets else ""
    click.echo(f"\n{file} is written.{kept}\nNext: airpipe run {file}")


def _keep_secrets(path: Path, secrets: Mapping[str, str]) -> None:
    if not secrets:
        return
    old = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    kept = [line for line in old if line.partition("=")[0] not in secrets]
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in [*kept, *(f"{name}={value}" for name, value in secrets.items())])


# One side


def _side(side: str, secrets: dict[str, str], stop: threading.Event) -> dict[str, Any]:
    """Type and config of one side, checked."""
    there = connectors.installed(side)
    if not there:
        example = next(name for name in connectors.COLLECTION if name.startswith(f"{side}-"))
        raise ConfigProblem(
            f"no {side}-… command is installed; `{connectors.install_line(example)}` in a checkout of the collection "
            "installs one"
        )
    click.echo(f"\n{side.capitalize()}: {', '.join(there)}")
    kind = click.prompt("  type", default=there[0] if len(there) == 1 else None)
    program = connectors.find(side, Connector(type=kind), _stand_in())
    form = ask(program, "spec", None, [], stop, _quiet).get("connectionSpecification") or {}
    config: dict[str, Any] = {}
    _fill(form, config, list(_first(form)), f"{side}_{kind}", secrets)
    others = [name for name, part in _shown(form) if name not in config]
    if others:
        click.echo(f"  There is also: {', '.join(others)}")
        _fill(form, config, _named("  set any of these (names, Enter for none)", others), f"{side}_{kind}", secrets)
    _check(side, program, form, config, f"{side}_{kind}", secrets, stop)
    return {"type": kind, "config": config}


def _check(
    side: str,
    program: Program,
    form: Mapping[str, Any],
    config: dict[str, Any],
    prefix: str,
    secrets: dict[str, str],
    stop: threading.Event,
) -> None:
    """Try the config until it works, or the user wants to keep it as it is."""
    while True:
        click.echo("  trying it …")
        with Folder() as folder:
            folder.write(f"{side}-config", _filled(config, secrets))
            answer = ask(program, "check", folder, [f"{side}-config"], stop, _quiet)
        if answer.get("status") == "SUCCEEDED":
            return click.echo("  it works")
        mask = Mask([*secrets.values(), *secrets_in(form, _filled(config, secrets))])
        click.echo(f"  it does not work: {one_line(mask(str(answer.get('message'))))}")
        wrong = _named("  options to change (names, Enter to keep it so)", [name for name, _ in _shown(form)])
        if not wrong:
            return None
        _fill(form, config, wrong, prefix, secrets)


def _filled(value: Any, secrets: Mapping[str, str]) -> Any:
    """With the secrets in their places."""
    if isinstance(value, str):
        known = {**os.environ, **secrets}
        return re.sub(r"\$\{(\w+)\}", lambda found: known.get(found[1], found[0]), value)
    if isinstance(value, dict):
        return {key: _filled(inner, secrets) for key, inner in value.items()}
    return [_filled(inner, secrets) for inner in value] if isinstance(value, list) else value


def _stand_in() -> Loaded:
    empty = {"source": {"command": "-"}, "destination": {"command": "-"}}
    return load(empty)[0]


def _quiet(_origin: str, _level: str, _message: str) -> None:
    return


# Options


def _shown(form: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    properties = (form.get("properties") or {}).items()
    yield from (
        (n, p) for n, p in sorted(properties, key=lambda it: it[1].get("order", 999)) if not p.get("airbyte_hidden")
    )


def _first(form: Mapping[str, Any]) -> Iterator[str]:
    """What is asked at once: what is required, and what stands in the same groups of the form."""
    required = set(form.get("required") or ())
    wanted = {
        n for n, p in _shown(form) if n in required or p.get("always_show") or "Required" in p.get("description", "")
    }
    groups = {p["group"] for n, p in _shown(form) if n in wanted and "group" in p}
    yield from (name for name, part in _shown(form) if name in wanted or part.get("group") in groups)


def _named(question: str, known: list[str]) -> list[str]:
    while True:
        words = re.split(r"[\s,]+", click.prompt(question, default="", show_default=False).strip())
        unknown = [word for word in words if word and word not in known]
        if not unknown:
            return [word for word in words if word]
        click.echo(f"  there is no option {unknown[0]}")


def _fill(
    form: Mapping[str, Any], config: dict[str, Any], names: list[str], prefix: str, secrets: dict[str, str]
) -> None:
    required = set(form.get("required") or ())
    parts = dict(_shown(form))
    for name in names:
        value = _value(name, parts[name], name in required, prefix, secrets)
        if value is None:
            config.pop(name, None)
        else:
            config[name] = value


def _value(name: str, part: Mapping[str, Any], required: bool, prefix: str, secrets: dict[str, str]) -> Any:
    """The answer, in the type of the option; None for none."""
    if part.get("description"):
        click.echo(f"  # {part['description'].split('. ')[0].rstrip('.')}.")
    if part.get("oneOf"):
        return _one_of(name, part, prefix, secrets)
    default = part.get("default")
    shown = default if isinstance(default, (str, int, float, bool)) and default != "" else None if required else ""
    kind = part.get("type")
    hidden = bool(part.get("airbyte_secret"))
    choice = click.Choice([str(way) for way in part["enum"]]) if part.get("enum") else None
    text = click.prompt(
        f"  {name}", default=shown, hide_input=hidden, type=choice, show_default=shown not in (None, "")
    )
    return _typed(str(text), kind, name, hidden, prefix, secrets, default)


def _typed(text: str, kind: Any, name: str, hidden: bool, prefix: str, secrets: dict[str, str], default: Any) -> Any:
    if text == "" or text == str(default):
        return None
    if re.fullmatch(r"\$\{\w+\}", text):
        return text
    if hidden:
        variable = re.sub(r"\W", "_", f"{prefix}_{name}").upper()
        secrets[variable] = text
        return f"${{{variable}}}"
    kinds = kind if isinstance(kind, list) else [kind]
    if "array" in kinds:
        return [word for word in re.split(r"\s*,\s*", text) if word]
    if "boolean" in kinds:
        return text.lower() in ("true", "yes", "y", "1")
    if "integer" in kinds and re.fullmatch(r"-?\d+", text):
        return int(text)
    if "number" in kinds and re.fullmatch(r"-?\d+(\.\d+)?", text):
        return float(text)
    return text


def _one_of(name: str, part: Mapping[str, Any], prefix: str, secrets: dict[str, str]) -> Any:
    ways = {str(way.get("title") or number): way for number, way in enumerate(part["oneOf"], 1)}
    chosen = ways[click.prompt(f"  {name}", type=click.Choice(list(ways)), default=next(iter(ways)))]
    fixed = {n: p["const"] for n, p in (chosen.get("properties") or {}).items() if "const" in p}
    inner: dict[str, Any] = {}
    _fill(chosen, inner, [n for n, _ in _shown(chosen) if n in (chosen.get("required") or ()) and n not in fixed],
          f"{prefix}_{name}", secrets)  # fmt: skip
    return {**fixed, **inner}


# What to move


def _streams(source: Mapping[str, Any], secrets: Mapping[str, str], stop: threading.Event) -> dict[str, Any]:
    """Which streams, and by what field changes are found."""
    program = connectors.find("source", Connector(type=source["type"]), _stand_in())
    with Folder() as folder:
        folder.write("source-config", _filled(source["config"], secrets))
        try:
            found = ask(program, "discover", folder, ["source-config"], stop, _quiet).get("streams") or []
        except AirpipeError as error:
            mask = Mask([*secrets.values(), *secrets_in({}, source["config"])])
            click.echo(f"  the streams cannot be listed: {mask(error.message)}")
            return {}
    names = [f"{s['namespace']}.{s['name']}" if s.get("namespace") else s["name"] for s in found]
    click.echo(f"\nStreams: {', '.join(names[:20])}{' …' if len(names) > 20 else ''}")
    patterns = re.split(
        r"[\s,]+", click.prompt("  which (names or patterns, Enter for all)", default="", show_default=False)
    )
    chosen = {"streams": [{"name": pattern} for pattern in patterns if pattern]} if any(patterns) else {}
    if all(s.get("source_defined_cursor") or "incremental" not in s.get("supported_sync_modes", ()) for s in found):
        return chosen
    fields = {field for s in found for field in (s.get("json_schema") or {}).get("properties") or {}}
    likely = next((field for field in ("updated_at", "modified_at", "last_modified", "updated") if field in fields), "")
    click.echo("  # A field that grows with each change lets the next run read only what is new.")
    cursor = click.prompt("  cursor_field (- for none)", default=likely or "-")
    return chosen | ({"incremental_sync": {"cursor_field": cursor}} if cursor not in ("-", "") else {})


def _schedule() -> dict[str, Any]:
    from airpipe.words import seconds

    while True:
        text = click.prompt("\nRun every (30s, 1 hour; Enter: only by hand)", default="", show_default=False)
        try:
            return {"schedule": {"every": text}} if text and seconds(text) else {}
        except ValueError as error:
            click.echo(f"  {error}")
