"""The page of each connector, docs/connectors/NAME.md: made of what its spec, metadata and changelog say."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from connector_images.tree import TREE, connectors, description, metadata, version

Json = dict[str, Any]
FOLDER = TREE / "docs" / "connectors"


def stale() -> dict[Path, str]:
    """The pages that are not what they should be, and what they should be."""
    pages = {FOLDER / f"{name}.md": page(name) for name in connectors()}
    return {file: text for file, text in pages.items() if not file.exists() or file.read_text() != text}


def page(connector: str) -> str:
    """All of the page of one connector."""
    spec = ask(connector)
    form = spec["connectionSpecification"]
    parts = [
        "<!-- Made by `make pages` from what the connector says of itself: change that, not this. -->",
        f"# {connector}",
        description(connector),
        "\n".join(facts(connector, spec)),
        "## Options",
        form.get("description", ""),
        *options(form),
        "## Changes",
        changes(connector),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def ask(connector: str) -> Json:
    """Its SPEC, by its command."""
    command = [str(Path(sys.executable).with_name(connector)), "spec"]
    done = subprocess.run(command, capture_output=True, check=True)
    messages = (json.loads(line) for line in done.stdout.splitlines())
    spec: Json = next(message["spec"] for message in messages if message["type"] == "SPEC")
    return spec


def facts(connector: str, spec: Json) -> Iterator[str]:
    """The table at the top."""
    data = metadata(connector)
    yield "| | |\n|---|---|"
    yield f"| what it is | a {data['connectorType']} ({data['connectorSubtype']}), version {version(connector)} |"
    yield f"| image | `{data['dockerRepository']}:{version(connector)}` ([how to register it](../register.md)) |"
    if modes := spec.get("supported_destination_sync_modes"):
        yield f"| destination sync modes | {', '.join(modes)} |"
    yield f"| in Airbyte's metadata | [metadata.yaml](../../{connector}/metadata.yaml) |"
    yield f"| how it behaves | [README](../../{connector}/README.md) |"


def options(form: Json, path: str = "") -> Iterator[str]:
    """A table of the options of one object, then a section for each that has choices or options of its own."""
    yield table(form)
    yield from sections(form, path)


def table(form: Json) -> str:
    """The options of one object, but the one that says which choice it is."""
    required = form.get("required", ())
    properties: Json = form.get("properties", {})
    rows = [row(name, one, name in required) for name, one in properties.items() if "const" not in one]
    return "\n".join(["| option | value | meaning |\n|---|---|---|", *rows]) if rows else ""


def sections(form: Json, path: str) -> Iterator[str]:
    """What does not fit into the table of `form`."""
    for name, one in form.get("properties", {}).items():
        choices = one.get("oneOf", ())
        if "properties" in one:
            yield f"### {path}`{name}`"
            yield from options(one, f"{path}`{name}` ")
        elif choices and not plain(choices):
            yield f"### {path}`{name}`"
            for choice in choices:
                yield from (chosen(choice), table(choice))
            for choice in choices:
                yield from sections(choice, f"{path}`{name}` {tag(choice)[1]}: ")


def plain(choices: list[Json]) -> bool:
    """Choices with nothing to tell but their names."""
    return all(len(choice.get("properties", {})) == 1 and not explained(choice) for choice in choices)


def row(name: str, one: Json, required: bool) -> str:
    """One option: its name, what it takes, what it means."""
    marks = [mark for mark, set_ in (("required", required), ("secret", one.get("airbyte_secret"))) if set_]
    marks += ["not in the form"] if one.get("airbyte_hidden") else []
    value = [taken(one), *marks]
    if "default" in one and one["default"] not in ("", None) and "oneOf" not in one:
        value.append(f"default {code(one['default'])}")
    return f"| `{name}` | {', '.join(value)} | {cell(meaning(one))} |"


def taken(one: Json) -> str:
    """What values an option takes."""
    if plain(choices := one.get("oneOf", [])) and choices:
        return f"`{tag(choices[0])[0]}` is " + " or ".join(code(tag(choice)[1]) for choice in choices)
    if choices:
        return "one of those below"
    if "enum" in one:
        return " or ".join(code(value) for value in one["enum"])
    if one.get("type") == "array":
        return f"list of {taken(one.get('items', {}))}s"
    return str(one.get("type", "anything"))


def meaning(one: Json) -> str:
    """Its text, or at least its title, and examples."""
    text = one.get("description") or one.get("title", "")
    examples = ", ".join(code(value) for value in one.get("examples", ()))
    return f"{text} Such as {examples}." if examples else text


def chosen(choice: Json) -> str:
    """A choice of several: how it is named in a config, and its text."""
    text = explained(choice)
    return f"**{choice.get('title', '')}**, `{': '.join(tag(choice))}`" + (f": {text}" if text else "")


def tag(choice: Json) -> tuple[str, str]:
    """The option that says which choice it is, and what it says."""
    return next(((name, one["const"]) for name, one in choice["properties"].items() if "const" in one), ("", ""))


def explained(choice: Json) -> str:
    """The text of a choice: its own, or that of the option that names it."""
    name, _ = tag(choice)
    text: str = choice.get("description") or choice["properties"].get(name, {}).get("description", "")
    return text


def code(value: Any) -> str:
    return f"`{value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}`"


def cell(text: str) -> str:
    """A text as it has to stand in a table."""
    return " ".join(text.split()).replace("|", "\\|")


def changes(connector: str) -> str:
    """What its changelog says, one heading lower."""
    _, _, versions = (TREE / connector / "CHANGELOG.md").read_text().partition("\n## ")
    return f"### {versions}".replace("\n## ", "\n### ").strip()
