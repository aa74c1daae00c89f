"""What is moved and how: the source's catalog and the user's wishes become a configured catalog for each side."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from airpipe.errors import ConfigProblem
from airpipe.pipeline import Loaded, StreamChoice
from airpipe.streams import StreamName

_WHATEVER = StreamChoice(name="*")


@dataclass(slots=True)
class StreamPlan:
    """How one stream is moved. `why` says it in words."""

    stream: StreamName
    entry: Mapping[str, Any]
    """Its entry in the source's catalog."""
    mode: str
    write: str
    cursor: list[str] = field(default_factory=list)
    key: list[list[str]] = field(default_factory=list)
    why: str = ""
    exclude: Sequence[str] = ()
    rename: Mapping[str, str] = field(default_factory=dict)

    @property
    def incremental(self) -> bool:
        return self.mode == "incremental"

    @property
    def overwrites(self) -> bool:
        return self.write == "overwrite"

    @property
    def resumable(self) -> bool:
        return bool(self.entry.get("is_resumable"))

    @property
    def changes_rows(self) -> bool:
        return bool(self.exclude or self.rename)


@dataclass(frozen=True, slots=True)
class Plan:
    streams: list[StreamPlan]
    skipped: list[str]
    """What there is and is not moved, with the reason."""


def plan(loaded: Loaded, catalog: Mapping[str, Any], offered: Sequence[str]) -> Plan:
    """Choose streams and modes. `offered` are the destination's modes; without any, append is all that is known."""
    entries = {StreamName.of(entry): entry for entry in catalog.get("streams") or ()}
    if not entries:
        raise loaded.problem(("source",), "the source finds nothing to read; look at its config and what it may read")
    chosen = _choose(loaded, entries)
    streams = [
        _planned(loaded, number, choice, name, entries[name], offered) for name, (number, choice) in chosen.items()
    ]
    _check_shared_cursor(loaded, streams)
    left = [str(name) for name in entries if name not in chosen]
    skipped = [f"{_some(left)}: not named under streams"] if left else []
    return Plan(streams, skipped)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _choose(
    loaded: Loaded, entries: Mapping[StreamName, Mapping[str, Any]]
) -> dict[StreamName, tuple[int, StreamChoice]]:
    """The first choice that fits a stream is the stream's; one that is named in full comes before any pattern."""
    choices = loaded.pipeline.streams
    if choices is None:
        return dict.fromkeys(entries, (-1, _WHATEVER))
    found: dict[StreamName, tuple[int, StreamChoice]] = {}
    numbered = sorted(enumerate(choices), key=lambda pair: bool(set("*?[") & set(pair[1].name)))
    for number, choice in numbered:
        fitting = _fitting(choice.name, entries)
        if not fitting:
            raise loaded.problem(("streams", number, "name"), _unknown(choice.name, entries))
        for name in fitting:
            found.setdefault(name, (number, choice))
    return {name: found[name] for name in entries if name in found}


def _fitting(pattern: str, names: Iterable[StreamName]) -> list[StreamName]:
    names = list(names)
    exact = [name for name in names if pattern in (str(name), name.name)]
    whole = [name for name in exact if str(name) == pattern]
    return (
        whole
        or exact
        or [
            name for name in names if fnmatch.fnmatchcase(str(name), pattern) or fnmatch.fnmatchcase(name.name, pattern)
        ]
    )


def _unknown(wanted: str, entries: Iterable[StreamName]) -> str:
    there = [str(name) for name in entries]
    near = get_close_matches(wanted, [*there, *(name.name for name in entries)], n=1)
    meant = f"did you mean {near[0]}?" if near else f"there are {_some(there)}"
    return f"the source has no stream {wanted}, or may not read it; {meant}"


# Modes


def _planned(
    loaded: Loaded,
    number: int,
    choice: StreamChoice,
    name: StreamName,
    entry: Mapping[str, Any],
    offered: Sequence[str],
) -> StreamPlan:
    where = ("streams", number)
    fields = list((entry.get("json_schema") or {}).get("properties") or {})
    modes = list(entry.get("supported_sync_modes") or ["full_refresh"])

    def wrong(part: str, text: str) -> ConfigProblem:
        return loaded.problem((*where, part), text)

    cursor, cursor_why = _cursor(loaded, choice, name, entry, fields, wrong)
    key = _key(choice, name, entry, fields, wrong)
    _check_fields(choice, name, fields, key, cursor, wrong)
    knows_cursor = bool(cursor or entry.get("source_defined_cursor"))
    mode = choice.mode or ("incremental" if "incremental" in modes and knows_cursor else "full_refresh")
    if mode not in modes:
        raise wrong("mode", f"the source cannot read {name} by {mode}, only by {' or '.join(modes)}")
    if choice.mode is None and choice.cursor_field and "incremental" not in modes:
        raise wrong("cursor_field", f"the source reads {name} only whole, so a cursor has no use; leave it out")
    write, write_why = _write(loaded, choice, mode, key, offered, wrong)
    why = f"{name}: {_in_words(mode, write)} ({_reason(mode, modes, cursor, cursor_why, entry)}{write_why})"
    result = StreamPlan(name, entry, mode, write, cursor if mode == "incremental" else [], key, why)
    result.exclude, result.rename = choice.exclude, choice.rename
    return result


def _cursor(
    loaded: Loaded, choice: StreamChoice, name: StreamName, entry: Mapping[str, Any], fields: list[str], wrong: Any
) -> tuple[list[str], str]:
    shared = loaded.pipeline.incremental_sync.cursor_field
    if choice.cursor:
        if fields and choice.cursor[0] not in fields:
            raise wrong("cursor_field", _no_field(name, choice.cursor[0], fields))
        return choice.cursor, "as you said"
    if shared and shared in fields and choice.mode != "full_refresh":
        return [shared], "as incremental_sync says"
    return list(entry.get("default_cursor_field") or ()), "the source's own"


def _key(
    choice: StreamChoice, name: StreamName, entry: Mapping[str, Any], fields: list[str], wrong: Any
) -> list[list[str]]:
    if choice.primary_key is None:
        return list(entry.get("source_defined_primary_key") or ())
    key = [[part] if part in fields else part.split(".") for part in choice.primary_key]
    for part in key:
        if fields and part[0] not in fields:
            raise wrong("primary_key", _no_field(name, part[0], fields))
    return key


def _check_fields(
    choice: StreamChoice, name: StreamName, fields: list[str], key: list[list[str]], cursor: list[str], wrong: Any
) -> None:
    if fields and not set("*?[") & set(choice.name):
        for part in ("exclude", "rename"):
            for wanted in getattr(choice, part):
                if wanted not in fields:
                    raise wrong(part, _no_field(name, wanted, fields))
    needed = {part[0] for part in key}
    if lost := needed & set(choice.exclude):
        raise wrong("exclude", f"{', '.join(sorted(lost))} is the key of {name} and cannot be left out")
    kept = [choice.rename.get(part, part) for part in fields if part not in choice.exclude]
    if twice := sorted({part for part in kept if kept.count(part) > 1}):
        raise wrong("rename", f"two fields of {name} would be called {twice[0]}")


def _no_field(name: StreamName, wanted: str, fields: list[str]) -> str:
    near = get_close_matches(wanted, fields, n=1)
    meant = f"did you mean {near[0]}?" if near else f"it has {_some(fields)}"
    return f"the stream {name} has no field {wanted}; {meant}"


def _check_shared_cursor(loaded: Loaded, streams: Sequence[StreamPlan]) -> None:
    shared = loaded.pipeline.incremental_sync.cursor_field
    if shared and not any(shared in ((s.entry.get("json_schema") or {}).get("properties") or {}) for s in streams):
        fields = [field for s in streams for field in (s.entry.get("json_schema") or {}).get("properties") or {}]
        near = get_close_matches(shared, fields, n=1)
        meant = f"did you mean {near[0]}?" if near else f"there are {_some(list(dict.fromkeys(fields)))}"
        raise loaded.problem(("incremental_sync", "cursor_field"), f"no stream has a field {shared}; {meant}")


def _write(
    loaded: Loaded, choice: StreamChoice, mode: str, key: list[list[str]], offered: Sequence[str], wrong: Any
) -> tuple[str, str]:
    strategy = loaded.pipeline.incremental_sync.deduplication_strategy
    if choice.write:
        if offered and choice.write not in offered:
            raise wrong("write", f"the destination does not offer {choice.write}, only {', '.join(offered)}")
        if choice.write == "append_dedup" and not key:
            raise wrong("write", "append_dedup needs a primary_key, and the source names none; give it here")
        if choice.write == "overwrite" and mode == "incremental":
            raise wrong("write", "overwrite with incremental would keep only what is new; choose mode: full_refresh")
        return choice.write, ""
    if mode == "full_refresh":
        return ("overwrite", "") if "overwrite" in offered or not offered else ("append", ", the destination only adds")
    if strategy == "none":
        return "append", ", every version kept as deduplication_strategy says"
    if not key:
        return "append", ", no key to dedup by"
    if "append_dedup" not in offered:
        return "append", f", the destination cannot dedup by {_keys(key)}"
    return "append_dedup", f", by {_keys(key)}"


def _keys(key: list[list[str]]) -> str:
    return ", ".join(".".join(part) for part in key)


def _in_words(mode: str, write: str) -> str:
    ways = {"append": "append", "overwrite": "overwrite", "append_dedup": "dedup"}
    return f"{'incremental' if mode == 'incremental' else 'full refresh'}, {ways[write]}"


def _reason(mode: str, modes: Sequence[str], cursor: list[str], why: str, entry: Mapping[str, Any]) -> str:
    if mode == "incremental":
        return f"by {'.'.join(cursor)}, {why}" if cursor else "the source knows what is new"
    if "incremental" not in modes:
        return "the source offers nothing else"
    return "as you said" if cursor or entry.get("source_defined_cursor") else "no cursor_field is given"


# For the connectors


def for_source(plan: StreamPlan, generation: int, minimum: int, sync: int) -> dict[str, Any]:
    """The entry of the configured catalog that the source is given."""
    return {
        "stream": plan.entry,
        "sync_mode": plan.mode,
        "destination_sync_mode": plan.write,
        "cursor_field": plan.cursor,
        "primary_key": plan.key,
        "generation_id": generation,
        "minimum_generation_id": minimum,
        "sync_id": sync,
    }


def for_destination(plan: StreamPlan, generation: int, minimum: int, sync: int) -> dict[str, Any]:
    """The same, with the fields as the destination will see them."""
    entry = for_source(plan, generation, minimum, sync)
    if not plan.changes_rows:
        return entry
    stream = dict(plan.entry)
    schema = dict(stream.get("json_schema") or {})
    schema["properties"] = {
        plan.rename.get(name, name): kind
        for name, kind in (schema.get("properties") or {}).items()
        if name not in plan.exclude
    }
    if "required" in schema:
        schema["required"] = [plan.rename.get(n, n) for n in schema["required"] if n not in plan.exclude]
    key = [_renamed(path, plan.rename) for path in plan.key]
    stream |= {
        "json_schema": schema,
        "source_defined_primary_key": key,
        "default_cursor_field": _renamed(stream.get("default_cursor_field") or [], plan.rename),
    }
    return entry | {"stream": stream, "primary_key": key, "cursor_field": _renamed(plan.cursor, plan.rename)}


def _renamed(path: Sequence[str], names: Mapping[str, str]) -> list[str]:
    return [names.get(path[0], path[0]), *path[1:]] if path else []
