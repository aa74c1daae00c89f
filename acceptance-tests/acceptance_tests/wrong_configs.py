"""Configs that cannot work, made of one that does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from acceptance_tests.protocol import Json
from acceptance_tests.subject import CANARY, changed, fits, options

NOWHERE = "/dev/null/nowhere"
"""Below a file: nobody can make it."""
HOST_NAMES = re.compile(r"(host|host_?name|servers?|address|endpoint|brokers?|domain)$", re.IGNORECASE)
_host_and_port = re.compile(r"[\w.-]+:\d{1,5}(,[\w.-]+:\d{1,5})*")


def unreachable(form: Json, config: Json) -> Json | None:
    """The config with every address, port and path leading nowhere, canaries for secrets. None where it has none."""
    found = config
    led = False
    for path, part, value in _leaves(form, config):
        if part.get("airbyte_secret") and isinstance(value, str) and not _nowhere(path, value):
            found = changed(found, path, CANARY)
        elif (new := _nowhere(path, value)) is not None:
            found, led = changed(found, path, new), True
    return found if led else None


def _leaves(form: Json, config: Json) -> Iterator[tuple[tuple[str, ...], Json, Any]]:
    """Options that hold a plain value; those that the form does not know have an empty schema."""
    known = {path: part for path, part, _ in options(form, config)}

    def walk(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Json, Any]]:
        if isinstance(value, dict):
            for key, inner in value.items():
                yield from walk(inner, (*path, key))
        elif path:
            yield path, known.get(path, {}), value

    return walk(config, ())


def _nowhere(path: tuple[str, ...], value: Any) -> Any:
    """The same kind of address, leading nowhere; None for what is no address."""
    name = path[-1]
    if isinstance(value, bool):
        return None
    if isinstance(value, list):
        moved = [_nowhere(path, one) for one in value]
        return moved if moved and all(one is not None for one in moved) else None
    if "port" in name.lower().split("_") and (isinstance(value, int) or str(value).isdigit()):
        return 1 if isinstance(value, int) else "1"
    if not isinstance(value, str) or not value:
        return None
    if "://" in value:
        return _url(value)
    if value.startswith("/") and len(value) > 1 and "\n" not in value:
        return NOWHERE
    if _host_and_port.fullmatch(value) and not value.replace(":", "").isdigit():
        return "127.0.0.1:1"
    return "127.0.0.1" if HOST_NAMES.search(name) and " " not in value and "\n" not in value else None


def _url(value: str) -> str | None:
    try:
        parts = urlsplit(value)
    except ValueError:
        return None
    if parts.scheme == "file":
        return f"file://{NOWHERE}"
    if not parts.netloc:
        return None
    who = f"{parts.username}:{CANARY}@" if parts.password else f"{parts.username}@" if parts.username else ""
    return urlunsplit((parts.scheme, f"{who}127.0.0.1:1", parts.path, parts.query, parts.fragment))


def without_each_required(form: Json, config: Json) -> Iterator[tuple[str, Json]]:
    """(option, the config without it) for each required option that the config gives, nested ones too."""
    parts: list[tuple[tuple[str, ...], Json]] = [((), form), *((path, part) for path, part, _ in options(form, config))]
    for path, part in parts:
        inner: Any = config
        for key in path:
            inner = inner[key]
        for name in _required(part, inner) if isinstance(inner, dict) else ():
            yield ".".join((*path, name)), changed(config, (*path, name), remove=True)


def _required(part: Json, inner: Json) -> Iterator[str]:
    """Required options that are there, those of the chosen branch as well; tags of branches can have defaults."""
    branches = [one for one in part.get("oneOf") or () if isinstance(one, dict) and fits(one, inner)]
    for one in (part, *branches):
        for name in one.get("required") or ():
            if name in inner and "const" not in ((one.get("properties") or {}).get(name) or {}):
                yield name


def with_wrong_types(form: Json, config: Json) -> Iterator[tuple[str, Json]]:
    """(option, the config with a value of a wrong type for it) for each typed option of the config."""
    for path, part, _ in options(form, config):
        if (wrong := _wrong(part)) is not None:
            yield ".".join(path), changed(config, path, wrong)


def _wrong(part: Json) -> Any:
    kind = part.get("type")
    if kind in ("string", "integer", "number", "boolean"):
        return {"of_a_wrong_type": CANARY if part.get("airbyte_secret") else "x"}
    if kind in ("object", "array"):
        return "of a wrong type"
    return None
