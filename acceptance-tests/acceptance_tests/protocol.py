"""The Airbyte protocol as this suite reads and writes it: strictly, and without any connector's help.

Numbers keep all their digits (floats are `Decimal`s), so that what is compared is what was said.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

BODY = {
    "RECORD": "record",
    "STATE": "state",
    "LOG": "log",
    "SPEC": "spec",
    "CONNECTION_STATUS": "connectionStatus",
    "CATALOG": "catalog",
    "TRACE": "trace",
    "CONTROL": "control",
    "DESTINATION_CATALOG": "destination_catalog",
}
"""Type of a message → the key that holds it."""

Json = dict[str, Any]


class StreamId(NamedTuple):
    """A stream's identity. A namespace of None is not the empty one."""

    namespace: str | None
    name: str

    def __str__(self) -> str:
        return self.name if self.namespace is None else f"{self.namespace}.{self.name}"


# JSON with all digits


_number = re.compile('"\ue000([^"]*)\ue001"')


def dumps(value: Any) -> str:
    """Compact JSON. A Decimal is a number with every digit that it has."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_placeholder)
    return _number.sub(r"\1", text) if "\ue000" in text else text


def _placeholder(value: Any) -> str:
    if isinstance(value, Decimal):
        return f"\ue000{value}\ue001"
    raise TypeError(f"{type(value).__name__} is no JSON value")


def loads(text: str | bytes) -> Any:
    """JSON with floats as Decimals. Raises ValueError, also where it is nested too deep or says NaN."""
    try:
        return json.loads(text, parse_float=Decimal, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("nested too deep to be read") from None


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


# What a connector said


@dataclass(frozen=True)
class Message:
    """One line that is a message."""

    number: int
    """Its line, from 1."""
    kind: str
    body: Json
    whole: Json


@dataclass
class Transcript:
    """All lines of a run, read strictly."""

    messages: list[Message] = field(default_factory=list)
    noise: list[str] = field(default_factory=list)
    """Lines that are not messages, named by their number."""
    wrong: list[str] = field(default_factory=list)
    """Messages that break the protocol, and how."""

    def of(self, kind: str) -> list[Message]:
        return [message for message in self.messages if message.kind == kind]

    def traces(self, kind: str) -> list[Json]:
        """The bodies of this kind of TRACE: ERROR, STREAM_STATUS, ESTIMATE."""
        key = kind.lower()
        return [found.body.get(key) or {} for found in self.of("TRACE") if found.body.get("type") == kind]

    @property
    def errors(self) -> list[str]:
        """What ERROR traces say."""
        return [str(error.get("message")) for error in self.traces("ERROR")]

    def logs(self, *levels: str) -> list[str]:
        return [str(log.body.get("message")) for log in self.of("LOG") if log.body.get("level") in levels]


def parse(lines: Iterable[bytes], tail: bytes = b"", *, cut: bool = False) -> Transcript:
    """Read the lines of a run's standard output. A tail without a line break counts where it is a whole message.

    `cut`: the run was ended from outside or failed, so that its last line may break off.
    """
    found = Transcript()
    number = 0
    for number, line in enumerate(lines, 1):
        if line.strip():
            _take(found, number, line)
    if tail.strip():
        try:
            loads(tail)
        except ValueError:
            found.noise += [] if cut else [f"the last line breaks off: {_short(tail)}"]
        else:
            _take(found, number + 1, tail)
    return found


def _take(found: Transcript, number: int, line: bytes) -> None:
    try:
        message = loads(line)
    except ValueError:
        found.noise.append(f"line {number}: {_short(line)}")
        return
    kind = message.get("type") if isinstance(message, dict) else None
    if not isinstance(message, dict) or not isinstance(kind, str):
        found.noise.append(f"line {number}: {_short(line)}")
        return
    body = message.get(BODY.get(kind, ""))
    if not isinstance(body, dict):
        why = f"has no {BODY[kind]}" if kind in BODY else "is of a type that the protocol does not know"
        found.wrong.append(f"line {number}: {kind} {why}")
        return
    found.wrong += [f"line {number}: {kind}.{problem}" for problem in problems(kind, body)]
    found.messages.append(Message(number, kind, body, message))


def _short(line: bytes) -> str:
    text = line.decode(errors="replace")
    return text if len(text) <= 160 else f"{text[:160]}…"


# What each message must hold

Rule = Callable[[Any], bool]


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _object(value: Any) -> bool:
    return isinstance(value, dict)


def _integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _number_(value: Any) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def _list(value: Any) -> bool:
    return isinstance(value, list)


def _one_of(*words: str) -> Rule:
    return lambda value: value in words


def _descriptor(value: Any) -> bool:
    return _object(value) and _text(value.get("name")) and isinstance(value.get("namespace"), str | None)


def _changes(value: Any) -> bool:
    return _object(value) and all(
        _object(change) and _text(change.get("field")) and change.get("change") in ("NULLED", "TRUNCATED")
        for change in value.get("changes") or []
    )


def _stats(value: Any) -> bool:
    return _object(value) and _number_(value.get("recordCount"))


RULES: Mapping[str, Mapping[str, Rule]] = {
    "RECORD": {"stream": _text, "data": _object, "emitted_at": _integer, "namespace?": _text, "meta?": _changes},
    "STATE": {
        "type?": _one_of("STREAM", "GLOBAL", "LEGACY"),
        "stream?": lambda value: _object(value) and _descriptor(value.get("stream_descriptor")),
        "global?": lambda value: (
            _object(value)
            and all(
                _object(one) and _descriptor(one.get("stream_descriptor")) for one in value.get("stream_states") or []
            )
        ),
        "sourceStats?": _stats,
        "destinationStats?": _stats,
    },
    "LOG": {
        "level": _one_of("FATAL", "ERROR", "WARN", "INFO", "DEBUG", "TRACE"),
        "message": _text,
        "stack_trace?": _text,
    },
    "SPEC": {
        "connectionSpecification": _object,
        "supported_destination_sync_modes?": _list,
        "documentationUrl?": _text,
    },
    "CONNECTION_STATUS": {"status": _one_of("SUCCEEDED", "FAILED"), "message?": _text},
    "CATALOG": {"streams": _list},
    "TRACE": {"type": _one_of("ERROR", "ESTIMATE", "STREAM_STATUS", "ANALYTICS"), "emitted_at": _number_},
    "CONTROL": {"type": _one_of("CONNECTOR_CONFIG"), "emitted_at": _number_, "connectorConfig": _object},
}
"""Field → what it must be. A `?` marks what may be absent or null."""

TRACE_RULES: Mapping[str, Mapping[str, Rule]] = {
    "ERROR": {
        "message": _text,
        "internal_message?": _text,
        "stack_trace?": _text,
        "failure_type?": _one_of("system_error", "config_error", "transient_error"),
        "stream_descriptor?": _descriptor,
    },
    "STREAM_STATUS": {
        "stream_descriptor": _descriptor,
        "status": _one_of("STARTED", "RUNNING", "COMPLETE", "INCOMPLETE"),
    },
    "ESTIMATE": {
        "name": _text,
        "type": _one_of("STREAM", "SYNC"),
        "row_estimate?": _integer,
        "byte_estimate?": _integer,
    },
    "ANALYTICS": {"type": _text, "value?": _text},
}


def problems(kind: str, body: Json) -> list[str]:
    """Where this message breaks the protocol."""
    found = _against(RULES.get(kind, {}), body)
    if kind == "TRACE" and body.get("type") in TRACE_RULES:
        key = body["type"].lower()
        inner = body.get(key)
        found += (
            [f"{key}.{one}" for one in _against(TRACE_RULES[body["type"]], inner)] if inner else [f"{key} is missing"]
        )
    if kind == "STATE" and body.get("type") in ("STREAM", "GLOBAL") and not body.get(body["type"].lower()):
        found.append(f"{body['type'].lower()} is missing")
    return found


def _against(rules: Mapping[str, Rule], body: Any) -> list[str]:
    if not isinstance(body, dict):
        return ["is no object"]
    found = []
    for key, rule in rules.items():
        name = key.rstrip("?")
        value = body.get(name)
        if value is None:
            found += [] if key.endswith("?") else [f"{name} is missing"]
        elif not rule(value):
            found.append(f"{name} is wrong: {dumps(value)[:100]}")
    return found


# States


@dataclass(frozen=True)
class State:
    """A STATE that came out."""

    number: int
    """Its line."""
    kind: str
    body: Json

    @property
    def stream(self) -> StreamId | None:
        """Its stream; None where it speaks for all."""
        return stream_of(self.body["stream"]["stream_descriptor"]) if self.kind == "STREAM" else None

    @property
    def stats(self) -> Any:
        """`sourceStats.recordCount`, None where it is missing."""
        return (self.body.get("sourceStats") or {}).get("recordCount")

    @property
    def saved(self) -> Json:
        """What a platform keeps of it: its type and its content."""
        key = self.kind.lower()
        return {"type": self.kind, key: self.body[key]} if self.kind != "LEGACY" else {"data": self.body.get("data")}


def state_of(message: Message) -> State:
    return State(message.number, message.body.get("type") or "LEGACY", message.body)


def stream_of(descriptor: Json) -> StreamId:
    return StreamId(descriptor.get("namespace"), descriptor["name"])


def saved_states(states: Iterable[State]) -> list[Json]:
    """The state file after these states: the last one of each stream, or the last GLOBAL one."""
    last: dict[StreamId | None, Json] = {}
    for state in states:
        last[state.stream] = state.saved
    return [last[None]] if None in last else list(last.values())


# What a destination is sent


def now() -> int:
    return time.time_ns() // 1_000_000


def descriptor(stream: StreamId) -> Json:
    return {"name": stream.name} if stream.namespace is None else {"name": stream.name, "namespace": stream.namespace}


def line(message: Json) -> bytes:
    return dumps(message).encode(errors="surrogatepass") + b"\n"


def record(stream: StreamId, data: Json, **more: Any) -> bytes:
    body: Json = {"stream": stream.name, "data": data, "emitted_at": now(), **more}
    if stream.namespace is not None:
        body["namespace"] = stream.namespace
    return line({"type": "RECORD", "record": body})


def stream_state(stream: StreamId, state: Json, rows: int | None = None, **more: Any) -> Json:
    """A STATE message of one stream, as a source writes it. `more` are keys beside its type."""
    body: Json = {"type": "STREAM", "stream": {"stream_descriptor": descriptor(stream), "stream_state": state}, **more}
    if rows is not None:
        body["sourceStats"] = {"recordCount": float(rows)}
    return {"type": "STATE", "state": body}


def global_state(shared: Json, streams: Mapping[StreamId, Json], **more: Any) -> Json:
    members = [{"stream_descriptor": descriptor(stream), "stream_state": state} for stream, state in streams.items()]
    return {
        "type": "STATE",
        "state": {"type": "GLOBAL", "global": {"shared_state": shared, "stream_states": members}, **more},
    }


def stream_status(stream: StreamId, status: str) -> bytes:
    body = {"stream_descriptor": descriptor(stream), "status": status}
    return line({"type": "TRACE", "trace": {"type": "STREAM_STATUS", "emitted_at": now(), "stream_status": body}})


# Catalogs


@dataclass(frozen=True)
class Stream:
    """One stream of a discovered catalog."""

    entry: Json

    @property
    def id(self) -> StreamId:
        return StreamId(self.entry.get("namespace"), self.entry.get("name") or "")

    @property
    def schema(self) -> Json:
        found = self.entry.get("json_schema")
        return found if isinstance(found, dict) else {}

    @property
    def fields(self) -> Json:
        """Top-level field → its schema."""
        found = self.schema.get("properties")
        return found if isinstance(found, dict) else {}

    @property
    def modes(self) -> list[str]:
        return _list_of(self.entry.get("supported_sync_modes"), str)

    @property
    def key(self) -> list[list[str]]:
        """The paths of the primary key."""
        return _list_of(self.entry.get("source_defined_primary_key"), list)

    @property
    def cursor(self) -> list[str]:
        return _list_of(self.entry.get("default_cursor_field"), str)


def _list_of(value: Any, kind: type) -> list[Any]:
    """The members of this kind; what else stands there is for the tests of `discover` to tell."""
    return [one for one in value if isinstance(one, kind)] if isinstance(value, list) else []


def configured(
    stream: Json,
    sync_mode: str = "full_refresh",
    mode: str = "append",
    *,
    cursor: Sequence[str] = (),
    key: Sequence[Sequence[str]] = (),
    generation: int | None = None,
    minimum: int | None = None,
    sync: int | None = None,
) -> Json:
    """One stream of a configured catalog."""
    found: Json = {"stream": stream, "sync_mode": sync_mode, "destination_sync_mode": mode}
    if cursor:
        found["cursor_field"] = list(cursor)
    if key:
        found["primary_key"] = [list(path) for path in key]
    if generation is not None:
        found |= {"generation_id": generation, "minimum_generation_id": minimum, "sync_id": sync}
    return found
