"""The options of a connector (`config`), held against the form that its spec gives."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from airpipe.errors import ConfigProblem
from airpipe.pipeline import Loaded

_OPTIONS = {
    "sync_config.batch_size": ("batch_size", "batchSize"),
    "sync_config.parallel_workers": ("parallel_workers", "max_db_connections", "num_workers", "workers", "concurrency"),
    "incremental_sync.lookback_window": ("lookback_window", "lookback"),
}


def with_wishes(loaded: Loaded, configs: dict[str, dict[str, Any]], forms: Mapping[str, Any]) -> Iterator[str]:
    """Put what the file wishes of both sides into the options that their specs know. Yields what has no place."""
    pipeline = loaded.pipeline
    wishes = {
        "sync_config.batch_size": pipeline.sync_config.batch_size,
        "sync_config.parallel_workers": pipeline.sync_config.parallel_workers,
        "incremental_sync.lookback_window": pipeline.incremental_sync.lookback_window,
    }
    for wish, value in wishes.items():
        if value is None:
            continue
        taken = [_take(configs[side], forms[side], _OPTIONS[wish], value) for side in configs]
        if not any(taken):
            yield f"{wish} is left out: neither connector has an option for it"


def _take(config: dict[str, Any], form: Mapping[str, Any], options: Sequence[str], value: Any) -> bool:
    known = form.get("properties", {})
    for option in options:
        if option in known:
            config.setdefault(option, value)
            return True
    return False


def unknown_options(loaded: Loaded, side: str, config: Mapping[str, Any], form: Mapping[str, Any]) -> Iterator[str]:
    """A sentence for each option that the connector does not know."""
    known = form.get("properties", {})
    if not known or form.get("oneOf"):
        return
    for option in config:
        if option not in known:
            near = get_close_matches(option, known, n=1)
            meant = f"; did you mean {near[0]}?" if near else ""
            where = loaded.problem((side, "config", option), f"the connector has no such option{meant}")
            yield where.message


def typed(config: Mapping[str, Any], form: Mapping[str, Any]) -> dict[str, Any]:
    """The options with texts made numbers and truths where the spec wants those; `${PORT}` gives a text."""
    known = form.get("properties", {})
    return {key: _typed(value, known.get(key, {}).get("type")) for key, value in config.items()}


def _typed(value: Any, kind: Any) -> Any:
    kinds = kind if isinstance(kind, list) else [kind]
    if not isinstance(value, str) or "string" in kinds:
        return value
    if "integer" in kinds and re.fullmatch(r"-?\d+", value):
        return int(value)
    if "number" in kinds and re.fullmatch(r"-?\d+(\.\d+)?", value):
        return float(value)
    return {"true": True, "false": False}.get(value.lower(), value) if "boolean" in kinds else value


def problem_of_check(loaded: Loaded, side: str, config: Mapping[str, Any], text: str) -> ConfigProblem:
    """A failed check, at the line of the option that it talks of."""
    option = next((word for word in re.findall(r"[\w.]+", text) if word.split(".")[0] in config), None)
    where = tuple(option.split(".")) if option else ()
    return loaded.problem((side, "config", *where), text)
