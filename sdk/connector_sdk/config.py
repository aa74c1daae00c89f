"""Configs: one pydantic model gives parsing, error texts, secrets and the form that Airbyte renders."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar, get_args, get_origin
from urllib.parse import unquote

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo

from connector_sdk.errors import ConfigError

Secret = Annotated[SecretStr, Field(json_schema_extra={"airbyte_secret": True})]
"""A string that is never shown: not in the form, a log, an error or a trace. Read it with `.get_secret_value()`."""


class Config(BaseModel):
    """The base of a connector's config. The order of fields is their order in the form; unknown keys are told."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True, hide_input_in_errors=True)
    own_variables: ClassVar[Collection[str]] = ()
    """Names that mean something to the connector in `${NAME}`: they are no references to the environment."""
    ready_form: ClassVar[Mapping[str, Any] | None] = None
    """A form that was made elsewhere, for a source written for another SDK: it is shown as it is."""


C = TypeVar("C", bound=Config)


# Loading


def load(path: str, own: Collection[str] = ()) -> dict[str, Any]:
    """Read a config file, JSON or YAML, and put `${NAME}` and `${NAME:-default}`, references to the environment, in
    place.

    `$${NAME}` stands for the text `${NAME}` itself, and so does `${NAME}` where it is one of the connector's `own`.
    With `CONNECTOR_EXPAND=0` in the environment all is taken as it is: whoever wrote the file has done it before.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(f"The config file {path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise ConfigError(f"The config file {path} is not UTF-8 text.") from None
    found = _parse(text, path)
    if not isinstance(found, dict):
        raise ConfigError(f'The config file {path} must hold an object of options, such as {{"host": "…"}}.')
    if os.environ.get("CONNECTOR_EXPAND") == "0":
        return {str(key): value for key, value in found.items()}
    return {str(key): _expand(value, str(key), own) for key, value in found.items()}


def _parse(text: str, path: str) -> Any:
    """JSON first, since it is quick and exact; else YAML. An error gives the place and never the text."""
    try:
        return json.loads(text)
    except ValueError as json_error:
        problem = str(json_error)
    import yaml

    try:
        return yaml.load(text, Loader=_without_dates(getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "its text"
        said = _quoted.sub(lambda found: found[0] if found[1] else "…", str(error.problem))
        problem = problem if text.lstrip().startswith("{") else f"{said} at {where}"
    except yaml.YAMLError as error:
        problem = type(error).__name__
    raise ConfigError(f"The config file {path} is neither JSON nor YAML: {problem}.")


_quoted = re.compile(r"""((['"]).{1,2}\2(?=[\s,]|$))|(['"]).*\3""")
"""What a YAML error quotes: first the characters that YAML itself is made of, which are shown, or the user's text."""


def _without_dates(loader: Any) -> Any:
    """The loader, with a day or a time as the text that was typed, as in JSON."""
    kept = {
        first: [(tag, pattern) for tag, pattern in known if not tag.endswith(":timestamp")]
        for first, known in loader.yaml_implicit_resolvers.items()
    }
    return type("Loader", (loader,), {"yaml_implicit_resolvers": kept})


_reference = re.compile(r"\$(\$?)\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


def _expand(value: Any, where: str, own: Collection[str]) -> Any:
    if isinstance(value, str):
        return _reference.sub(lambda match: _look_up(match, where, own), value)
    if isinstance(value, dict):
        return {str(key): _expand(inner, f"{where}.{key}", own) for key, inner in value.items()}
    if isinstance(value, list):
        return [_expand(inner, f"{where}.{number}", own) for number, inner in enumerate(value)]
    return value


def _look_up(match: re.Match[str], where: str, own: Collection[str]) -> str:
    escaped, name, default = match.groups()
    if escaped:
        return match[0][1:]
    if name in own:
        return match[0]
    if name not in os.environ and default is not None:
        return default
    if name not in os.environ:
        raise ConfigError(
            f"The environment variable {name} is not set ({where} refers to it). "
            f"Set it, or write $${{{name}}} for the text."
        )
    return os.environ[name]


def parse(model: type[C], raw: Mapping[str, Any]) -> C:
    """The config as a model. An error names each field and what is wrong, never a value."""
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        problems = "; ".join(_problem(model, entry) for entry in error.errors(include_url=False, include_input=False))
        raise ConfigError(f"The config is not right: {problems}.") from None


def _problem(model: type[BaseModel], entry: Mapping[str, Any]) -> str:
    where = ".".join(str(part) for part in entry["loc"])
    match entry["type"]:
        case "missing":
            text = "is required"
        case "union_tag_invalid":  # Its own message quotes what was given.
            text = "{discriminator} must be one of {expected_tags}".format(**entry["ctx"])
        case "string_pattern_mismatch":
            info = model.model_fields.get(where)
            like = f", such as {info.examples[0]}" if info is not None and info.examples else ""
            text = f"must have the form {entry['ctx']['pattern']}{like}"
        case _:
            text = entry["msg"].removeprefix("Value error, ").rstrip(".")
    return f"{where}: {text}" if where else text


def unknown_keys(model: type[BaseModel], raw: Mapping[str, Any]) -> Iterator[str]:
    """A sentence for each key that the model has no use for, however deep, with the name that was perhaps meant."""
    return _unknown([model], raw, "")


def _unknown(models: Collection[type[BaseModel]], raw: Mapping[str, Any], where: str) -> Iterator[str]:
    """`raw` is to be one of these models: what none of them knows."""
    if any(model.model_config.get("extra") == "allow" for model in models):
        return
    known: dict[str, list[type[BaseModel]]] = {}
    for model in models:
        for field, info in model.model_fields.items():
            for name in (field, *_aliases(info)):
                known.setdefault(name, []).extend(_models(info.annotation))
    for key, value in raw.items():
        if key in known:
            for inner in value if isinstance(value, list) else [value]:
                if known[key] and isinstance(inner, dict):
                    yield from _unknown(known[key], inner, f"{where}{key}.")
        elif not key.startswith("__"):
            near = get_close_matches(key, known, n=1)
            hint = f"; did you mean {where}{near[0]}?" if near else "."
            yield f"The config has an option {where}{key} that does not exist here{hint}"


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models that a value of this type may be, or a list of it may hold."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) is not dict:
        for argument in get_args(annotation):
            yield from _models(argument)


def _aliases(field: FieldInfo) -> Iterator[str]:
    for alias in (field.alias, field.validation_alias):
        for choice in alias.choices if isinstance(alias, AliasChoices) else [alias]:
            yield from [choice] if isinstance(choice, str) else []


# Secrets


def secrets(model: type[BaseModel], raw: Mapping[str, Any]) -> set[str]:
    """Every value of `raw` that must not be shown: what the form marks secret, and passwords inside of URLs."""
    return set(_marked(form(model), raw)) | set(_in_urls(raw))


def parsed_secrets(value: Any) -> set[str]:
    """Every secret of a parsed config, by whatever name it came."""
    if isinstance(value, SecretStr):
        return {value.get_secret_value()}
    if isinstance(value, BaseModel):
        value = [getattr(value, name) for name in type(value).model_fields]
    if isinstance(value, dict):
        value = list(value.values())
    return set().union(*map(parsed_secrets, value)) if isinstance(value, list | tuple | set | frozenset) else set()


def _marked(part: Mapping[str, Any], value: Any) -> Iterator[str]:
    if part.get("airbyte_secret"):
        yield from _strings(value)
    for word in ("oneOf", "anyOf", "allOf"):
        for option in part.get(word, ()):
            yield from _marked(option, value)
    if isinstance(value, dict):
        properties, others = part.get("properties", {}), part.get("additionalProperties")
        for key, inner in value.items():
            described = properties.get(key, others)
            if isinstance(described, dict):
                yield from _marked(described, inner)
    if isinstance(value, list) and isinstance(part.get("items"), dict):
        for element in value:
            yield from _marked(part["items"], element)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from _strings(inner)
    elif value is not None and not isinstance(value, bool):
        yield str(value)


_passwords = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"://[^/\s:@]*:([^/\s@]+)@",
        r"://[^/\s:@]*:(\S+)@",
        r"(?:password|passwd|pwd|secret|token|api[_-]?key)\s*=\s*([^\s&;,'\"#]+)",
        r"(?:password|passwd|pwd|secret|token|api[_-]?key)\s*=\s*([^\s&;,'\"]+|'[^']+'|\"[^\"]+\")",
    )
]


def _in_urls(value: Any) -> Iterator[str]:
    for text in _strings(value):
        for pattern in _passwords:
            for found in pattern.findall(text):
                yield from (found, unquote(found), found.strip("'\""))


# The form


def form(model: type[BaseModel]) -> dict[str, Any]:
    """The `connectionSpecification` that Airbyte's form renders: no references, `oneOf` with `const`, an order."""
    ready: Mapping[str, Any] | None = getattr(model, "ready_form", None)
    if ready is not None:
        return dict(ready)
    schema = model.model_json_schema(by_alias=True, mode="validation")
    definitions = schema.pop("$defs", {})
    shown = _plain(schema, definitions)
    return {"$schema": "http://json-schema.org/draft-07/schema#", **shown, "additionalProperties": True}


def _plain(node: Any, definitions: Mapping[str, Any]) -> Any:
    if isinstance(node, list):
        return [_plain(inner, definitions) for inner in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        target = definitions[node["$ref"].rsplit("/", 1)[-1]]
        return _plain({**target, **{key: value for key, value in node.items() if key != "$ref"}}, definitions)
    if "anyOf" in node:
        return _optional(node, definitions)
    plain = {key: value for key, value in node.items() if key not in ("discriminator", "properties")}
    result = {key: _plain(value, definitions) for key, value in plain.items()}
    if "discriminator" in node:
        result = {"type": "object", **result}
    if "properties" in node:
        result["properties"] = {
            key: {**_plain(inner, definitions), "order": order}
            for order, (key, inner) in enumerate(node["properties"].items())
        }
    if "const" in result:
        result.setdefault("type", "string")
        result.setdefault("default", result["const"])
    if result.get("format") == "password":
        del result["format"], result["writeOnly"]
        result["airbyte_secret"] = True
    return result


def _optional(node: Mapping[str, Any], definitions: Mapping[str, Any]) -> Any:
    """`X | None` is X that is not required; a default of null is no default."""
    kept = [inner for inner in node["anyOf"] if inner != {"type": "null"}]
    rest = {key: value for key, value in node.items() if key != "anyOf" and (key, value) != ("default", None)}
    if len(kept) == 1:
        return _plain({**kept[0], **rest}, definitions)
    if all("$ref" in inner for inner in kept):
        return _plain({**rest, "type": "object", "oneOf": kept}, definitions)
    return _plain({**kept[0], **rest}, definitions)
