"""The file: what a user may write, and what becomes of it. An error names file, line and field."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "1")  # Looking for plugins reads every installed package.
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from airpipe import words, yamlfile
from airpipe.errors import ConfigProblem
from airpipe.yamlfile import Document

# Kinds of values


def _duration(value: str | float) -> str | float:
    words.seconds(value)
    return value


def _size(value: str | int) -> str | int:
    words.size(value)
    return value


Duration = Annotated[str | float, AfterValidator(_duration)]
Size = Annotated[str | int, AfterValidator(_size)]
Words = Annotated[list[str], BeforeValidator(lambda value: shlex.split(value) if isinstance(value, str) else value)]
Metric = Literal["sync_duration", "records_processed", "bytes_processed", "error_rate", "throughput"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


# The parts of a pipeline


class Connector(_Part):
    """One side: `type` names an installed connector, `command` any program, `image` any container image."""

    type: str | None = Field(default=None, description="The connector: `postgres` is the command `source-postgres`.")
    command: Words | None = Field(
        default=None, description="A program that speaks the Airbyte protocol, with its arguments."
    )
    image: str | None = Field(default=None, description="An Airbyte image of anyone; it is run by docker.")
    config: dict[str, Any] = Field(
        default={}, description="Its options; ${NAME} and ${NAME:-default} are environment variables."
    )
    docker_args: Words = Field(default=[], description="More arguments of `docker run`, such as --network=host.")

    @model_validator(mode="after")
    def _one_of(self) -> Connector:
        if sum(bool(way) for way in (self.type, self.command, self.image)) != 1:
            raise ValueError("say what to run by one of type, command and image")
        if self.docker_args and not self.image:
            raise ValueError("docker_args belongs to image")
        return self


class StreamChoice(_Part):
    """One stream, or several by a pattern, and how to move them."""

    name: str = Field(description="`namespace.name`, `name`, or a pattern such as `public.doc*`.")
    mode: Literal["incremental", "full_refresh"] | None = Field(
        default=None, description="Only what is new, or everything each time. Without it, what both sides can decides."
    )
    write: Literal["append", "overwrite", "append_dedup"] | None = Field(
        default=None, description="What becomes of the rows that are there. Without it, the mode decides."
    )
    cursor_field: str | list[str] | None = Field(default=None, description="The field that grows with each change.")
    primary_key: Annotated[list[str], BeforeValidator(lambda key: [key] if isinstance(key, str) else key)] | None = (
        Field(default=None, description="The fields that make a row unique; nested ones with dots.")
    )
    exclude: list[str] = Field(default=[], description="Fields that are left out.")
    rename: dict[str, str] = Field(default={}, description="Fields that get another name.")

    @property
    def cursor(self) -> list[str] | None:
        return [self.cursor_field] if isinstance(self.cursor_field, str) else self.cursor_field


class SyncConfig(_Part):
    batch_size: int | None = Field(
        default=None, ge=1, description="Rows in a batch, where a connector has such an option."
    )
    parallel_workers: int | None = Field(
        default=None, ge=1, description="Workers, where a connector has such an option."
    )
    memory_limit: Size | None = Field(default=None, description="The most memory of each of the two connectors: 2GB.")
    timeout: Duration | None = Field(default=None, description="The longest that one attempt may take: 3600s.")
    retries: int = Field(
        default=3, ge=0, description="How often to try again without progress after a transient error."
    )
    retry_delay: Duration = Field(default="2s", description="The wait before the first retry; it doubles each time.")


class IncrementalSync(_Part):
    cursor_field: str | None = Field(default=None, description="The cursor of every stream that has such a field.")
    lookback_window: str | int | None = Field(default=None, description="How much to read again: 1 hour.")
    deduplication_strategy: Literal["unique_key", "none"] | None = Field(
        default=None,
        description="unique_key: one row for a key, where the destination can; none: every version is kept.",
    )


class Smtp(_Part):
    host: str | None = None
    port: int | None = None
    user: str | None = None
    password: str | None = None
    sender: str | None = Field(default=None, alias="from")
    tls: bool | None = Field(
        default=None, description="STARTTLS (on by default where there is a user); port 465 is TLS anyway."
    )


class Alert(_Part):
    type: Literal["email"]
    condition: str = Field(description="Such as `error_rate > 5%` or `sync_duration > 10m or throughput < 100`.")
    recipients: list[str] = Field(min_length=1)

    @model_validator(mode="after")
    def _readable(self) -> Alert:
        from airpipe.alerts import Condition

        Condition.parse(self.condition)
        return self


class Monitoring(_Part):
    metrics: list[Metric] | None = Field(default=None, description="What /metrics publishes; without it all of them.")
    alerts: list[Alert] = []
    smtp: Smtp = Smtp()


class Schedule(_Part):
    every: Duration | None = Field(default=None, description="30s, 1 hour.")
    cron: str | None = Field(default=None, description='Minute, hour, day, month, weekday: "0 3 * * *".')
    timezone: str | None = Field(default=None, description="Of cron; without it the machine's.")

    @model_validator(mode="after")
    def _one_of(self) -> Schedule:
        if (self.every is None) == (self.cron is None):
            raise ValueError('say either every: "30s" or cron: "0 3 * * *"')
        if self.every is not None and words.seconds(self.every) < 1:
            raise ValueError("every must be at least one second")
        if self.cron is not None:
            from airpipe.serve import cron_trigger

            cron_trigger(self.cron, self.timezone)
        return self


class Shared(_Part):
    """What may stand in a pipeline, or at the top of the file for all of them."""

    sync_config: SyncConfig = SyncConfig()
    incremental_sync: IncrementalSync = IncrementalSync()
    monitoring: Monitoring = Monitoring()
    schedule: Schedule | None = None
    state: str | None = Field(
        default=None,
        description="Where state and history are kept: a file, postgresql://… or s3://bucket/path. "
        "Without it, SQLite beside the file.",
    )


class Pipeline(Shared):
    name: str = Field(
        default="", pattern=r"^[\w .-]*$", description="Names the pipeline's state; without it the file's name."
    )
    source: Connector
    destination: Connector
    streams: list[StreamChoice] | None = Field(
        default=None, min_length=1, description="What to move; without it, everything."
    )


class File(Shared):
    """An airpipe file with several pipelines."""

    pipelines: list[Pipeline] = Field(min_length=1)


M = TypeVar("M", bound=BaseModel)


# Reading it


class Loaded:
    """A pipeline, and where it stands."""

    def __init__(self, pipeline: Pipeline, document: Document, path: yamlfile.Path, file: Path) -> None:
        self.pipeline = pipeline
        self.document = document
        self.path = path
        self.file = file

    @property
    def name(self) -> str:
        return self.pipeline.name

    @property
    def home(self) -> Path:
        """The folder beside the file for state and logs."""
        return self.file.with_name(f"{self.file.stem}.airpipe")

    def problem(self, where: yamlfile.Path, text: str) -> ConfigProblem:
        """An error of this part of the pipeline."""
        return self.document.problem((*self.path, *where), text)


def load(file: str | Path | Mapping[str, Any], names: Sequence[str] = ()) -> list[Loaded]:
    """The pipelines of a file (or of a dict of the same form): those with these names, or all."""
    if isinstance(file, Mapping):
        return _chosen(Document("pipeline", dict(file)), Path("pipeline.yaml").absolute(), names)
    path = Path(file)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigProblem(f"{file}: there is no such file. `airpipe init {file}` makes one.") from None
    except (OSError, UnicodeDecodeError) as error:
        problem = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigProblem(f"{file}: it cannot be read: {problem}.") from None
    return _chosen(yamlfile.parse(text, str(file)), path.absolute(), names)


def _chosen(document: Document, file: Path, names: Sequence[str]) -> list[Loaded]:
    pipelines = _pipelines(document, file, names)
    known = {loaded.name for loaded in pipelines}
    for name in names:
        if name not in known:
            raise document.problem((), f"there is no pipeline {name}; there are {', '.join(sorted(known))}")
    return [loaded for loaded in pipelines if not names or loaded.name in names]


def _pipelines(document: Document, file: Path, names: Sequence[str]) -> list[Loaded]:
    raw = document.value
    if not isinstance(raw, dict):
        raise document.problem((), "a pipeline has a source and a destination; `airpipe init` writes a first one")
    environment = _environment(file)
    several = raw["pipelines"] if isinstance(raw.get("pipelines"), list) else []
    raw = {
        key: value if key == "pipelines" else _expand(document, value, (key,), environment)
        for key, value in raw.items()
    }
    if several:
        raw["pipelines"] = [
            _expand(document, entry, ("pipelines", number), environment) if _is_asked(entry, names) else entry
            for number, entry in enumerate(several)
        ]
    if "pipelines" not in raw:
        return [_loaded(_model(Pipeline, raw, document), document, (), file)]
    whole = _model(File, raw, document)
    found: list[Loaded] = []
    for number, (pipeline, entry) in enumerate(zip(whole.pipelines, raw["pipelines"], strict=True)):
        shared = {key: getattr(whole, key) for key in Shared.model_fields if key in raw and key not in entry}
        if not pipeline.name and len(whole.pipelines) > 1:
            raise document.problem(("pipelines", number), "each of several pipelines needs a name")
        if any(pipeline.name == other.name for other in found):
            raise document.problem(("pipelines", number, "name"), f"two pipelines have the name {pipeline.name}")
        found.append(_loaded(pipeline.model_copy(update=shared), document, ("pipelines", number), file))
    return found


def _is_asked(entry: Any, names: Sequence[str]) -> bool:
    """References of pipelines that nobody asked for may be unset."""
    return not names or not isinstance(entry, dict) or entry.get("name") in names


def _loaded(pipeline: Pipeline, document: Document, path: yamlfile.Path, file: Path) -> Loaded:
    return Loaded(pipeline.model_copy(update={"name": pipeline.name or file.stem}), document, path, file)


# References to the environment


def _environment(file: Path) -> dict[str, str]:
    """The environment, and below it what a `.env` beside the file says."""
    found: dict[str, str] = {}
    try:
        lines = file.with_name(".env").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    for line in lines:
        name, equals, value = line.strip().removeprefix("export ").partition("=")
        if equals and not name.startswith("#"):
            value = value.strip()
            found[name.strip()] = value[1:-1] if value[:1] in "'\"" and value[-1:] == value[:1] != "" else value
    return found | os.environ


_reference = re.compile(r"\$(\$?)\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


def _expand(document: Document, value: Any, path: yamlfile.Path, environment: Mapping[str, str]) -> Any:
    def look_up(match: re.Match[str]) -> str:
        escaped, name, default = match.groups()
        if escaped:
            return match[0][1:]
        if name not in environment and default is not None:
            return default
        if name not in environment:
            text = f"the environment variable {name} is not set; set it, or put {name}=… into .env beside the file"
            raise document.problem(path, text)
        return environment[name]

    if isinstance(value, str):
        return _reference.sub(look_up, value)
    if isinstance(value, dict):
        return {key: _expand(document, inner, (*path, key), environment) for key, inner in value.items()}
    if isinstance(value, list):
        return [_expand(document, inner, (*path, number), environment) for number, inner in enumerate(value)]
    return value


# Errors of the models


def _model(model: type[M], raw: Mapping[str, Any], document: Document) -> M:
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise _problem(model, error, document) from None


_IN_WORDS = {
    "List should have at least 1 item after validation, not 0": "name at least one",
    "String should match pattern '^[\\w .-]*$'": "only letters, digits, spaces, dots, dashes and underscores",
    "a valid dictionary": "a mapping (key: value)",
    "a valid list": "a list, such as [a, b] or lines that begin with a dash",
    "a valid string": "a text",
    "a valid integer, unable to parse string as an integer": "a whole number",
    "a valid integer": "a whole number",
    "a valid boolean": "true or false",
}
"""How pydantic says it, and how the user does."""


def _problem(model: type[BaseModel], error: ValidationError, document: Document) -> ConfigProblem:
    """The first thing that is wrong, in the order of the file."""
    entries = error.errors(include_url=False, include_input=False, include_context=False)
    # A key with a slip of the pen is told before the one that is missing for that.
    first = min(entries, key=lambda e: (e["type"] == "missing", document.line(_path(e)), -len(e["loc"])))
    path = _path(first)
    if first["type"] == "extra_forbidden":
        return document.problem(path, _unknown(model, path))
    if first["type"] == "missing":
        part = str(path[-1])
        example = f"; add `{part}: {{type: …, config: {{…}}}}`" if part in ("source", "destination") else ""
        return document.problem(path[:-1] if path[:-1] in document.lines else path, f"{part} is missing{example}")
    if first["type"] == "model_type":
        return document.problem(path, f"must be a mapping; its keys are {', '.join(sorted(_keys(model, path)))}")
    text = first["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    for pydantics, ours in _IN_WORDS.items():
        text = text.replace(pydantics, ours)
    return document.problem(path, text)


def _path(entry: Mapping[str, Any]) -> yamlfile.Path:
    """Where in the file; pydantic adds the names of the types that it tried."""
    return tuple(
        part
        for part in entry["loc"]
        if isinstance(part, int)
        or (
            re.fullmatch(r"[a-z_A-Z]\S*", part)
            and not part.startswith(("function-", "list["))
            and part not in ("str", "float", "int")
        )
    )


def _unknown(model: type[BaseModel], path: yamlfile.Path) -> str:
    known = sorted(_keys(model, path[:-1]))
    near = get_close_matches(str(path[-1]), known, n=1)
    meant = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}."
    hint = (
        " Options of the connector belong under its config." if path[-2:-1] in (("source",), ("destination",)) else ""
    )
    return f"there is no such key; {meant}{hint}"


def _keys(model: type[BaseModel], path: yamlfile.Path) -> Iterator[str]:
    """The keys that may stand at this place, by the JSON Schema of the file."""
    schema = model.model_json_schema()
    node: Any = schema
    for part in path:
        node = _resolved(node, schema)
        node = node.get("items", {}) if isinstance(part, int) else node.get("properties", {}).get(part, {})
    yield from _resolved(node, schema).get("properties", {})


def _resolved(node: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    for option in (node, *node.get("anyOf", ()), *node.get("allOf", ())):
        if "$ref" in option:
            found: Mapping[str, Any] = schema["$defs"][option["$ref"].rsplit("/", 1)[-1]]
            return found
        if "items" in option:
            return option  # type: ignore[no-any-return]
    return node


def json_schema() -> dict[str, Any]:
    """The JSON Schema of the file, for editors."""
    one, several = Pipeline.model_json_schema(), File.model_json_schema()
    definitions = one.pop("$defs") | several.pop("$defs")
    several["required"] = ["pipelines"]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "airpipe pipeline",
        "if": {"required": ["pipelines"]},
        "then": several,
        "else": one,
        "$defs": definitions,
    }
