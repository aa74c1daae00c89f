"""discover: which streams there are, with types, keys and cursors that the platform can work with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jsonschema

from acceptance_tests.compare import same
from acceptance_tests.protocol import Json, Stream
from acceptance_tests.rows import schema_at, types
from acceptance_tests.source_subject import SourceSubject
from acceptance_tests.suite import Failure, Register, behaviours, expect, some

ALL: Register = []
behaviour = behaviours(ALL, "discover")

LOOK = "the CATALOG of `discover`"
KINDS = {"null", "string", "boolean", "integer", "number", "object", "array"}
AIRBYTE_TYPES = {
    "timestamp_with_timezone",
    "timestamp_without_timezone",
    "time_with_timezone",
    "time_without_timezone",
    "integer",
    "big_integer",
    "big_number",
}


def none_of(found: list[str], expected: str) -> None:
    expect(not found, expected, f"{len(found)}: {some(found)}", LOOK)


def places(schema: Any, place: str = "") -> Iterator[tuple[str, Json]]:
    """Every schema below this one, and where it stands."""
    if not isinstance(schema, dict):
        return
    yield place or "the top", schema
    for name, part in (schema.get("properties") or {}).items():
        yield from places(part, f"{place}.{name}" if place else name)
    yield from places(schema.get("items"), f"{place}[]")
    for word in ("oneOf", "anyOf"):
        for part in schema.get(word) or ():
            yield from places(part, place)


@behaviour
def gives_one_catalog(subject: SourceSubject) -> None:
    """`discover` prints one CATALOG with at least one stream and ends with 0."""
    said = subject.discovered
    found = said.transcript.of("CATALOG")
    good = said.ok and len(found) == 1 and found[0].body.get("streams")
    expect(good, "one CATALOG with streams and exit code 0", f"{len(found)} CATALOG messages; {said.story}", LOOK)


@behaviour
def names_each_stream_once(subject: SourceSubject) -> None:
    """Namespace and name together are unique, and names are not empty."""
    ids = [stream.id for stream in subject.streams]
    none_of(sorted({str(one) for one in ids if ids.count(one) > 1}), "each stream once")
    expect(all(one.name for one in ids), "names that are not empty", "an empty one", LOOK)


@behaviour
def gives_valid_schemas(subject: SourceSubject) -> None:
    """Each json_schema is a JSON Schema (draft 7) of an object with properties: the platform needs the properties."""
    wrong = []
    for stream in subject.streams:
        try:
            jsonschema.Draft7Validator.check_schema(stream.schema)
        except jsonschema.SchemaError as error:
            wrong.append(f"{stream.id}: {error.message[:200]}")
        if "object" not in (types(stream.schema) or {"object"}) or not isinstance(
            stream.schema.get("properties"), dict
        ):
            wrong.append(f"{stream.id}: no object with properties")
    none_of(wrong, "objects with properties")


@behaviour
def uses_types_of_airbyte(subject: SourceSubject) -> None:
    """Types, formats and `airbyte_type`s are those that the platform knows."""
    wrong = []
    for stream in subject.streams:
        for place, part in places(stream.schema):
            wrong += [f"{stream.id}.{place}: type {kind!r}" for kind in types(part) - KINDS]
            if part.get("airbyte_type") not in (None, *AIRBYTE_TYPES):
                wrong.append(f"{stream.id}.{place}: airbyte_type {part['airbyte_type']!r}")
            if str(part.get("airbyte_type")).startswith("timestamp") and part.get("format") != "date-time":
                wrong.append(f"{stream.id}.{place}: {part['airbyte_type']} without format date-time")
    none_of(wrong, "types of the protocol")


@behaviour
def resolves_references(subject: SourceSubject) -> None:
    """No $ref, allOf or not is left in a schema: destinations do not resolve them."""
    none_of(
        [
            f"{stream.id}.{place}: {word}"
            for stream in subject.streams
            for place, part in places(stream.schema)
            for word in ("$ref", "allOf", "not")
            if word in part
        ],
        "plain types",
    )


@behaviour
def allows_new_fields(subject: SourceSubject) -> None:
    """`additionalProperties` is not false at the top of a schema: sources grow."""
    none_of(
        [str(stream.id) for stream in subject.streams if stream.schema.get("additionalProperties") is False],
        "additionalProperties true or absent",
    )


@behaviour
def offers_sync_modes(subject: SourceSubject) -> None:
    """Each stream lists full_refresh, incremental or both; one with a cursor of its own lists incremental."""
    wrong = []
    for stream in subject.streams:
        if not stream.modes or set(stream.modes) - {"full_refresh", "incremental"}:
            wrong.append(f"{stream.id}: {stream.modes}")
        if stream.entry.get("source_defined_cursor") and "incremental" not in stream.modes:
            wrong.append(f"{stream.id}: a source-defined cursor without incremental")
    none_of(wrong, "full_refresh, incremental or both")


@behaviour
def has_cursors_in_the_schema(subject: SourceSubject) -> None:
    """A default cursor is a path of names, and the schema has that field."""
    wrong = []
    for stream in subject.streams:
        cursor = stream.entry.get("default_cursor_field")
        if cursor is not None and not (isinstance(cursor, list) and all(isinstance(name, str) for name in cursor)):
            wrong.append(f"{stream.id}: {cursor!r}")
        elif cursor and not schema_at(stream.fields, cursor) and cursor[0] not in stream.fields:
            wrong.append(f"{stream.id}: {'.'.join(cursor)} is not in the schema")
    none_of(wrong, "cursors that the schema has")


@behaviour
def has_keys_in_the_schema(subject: SourceSubject) -> None:
    """A primary key is a list of paths; the schema has each field, and none of them is an object or an array."""
    wrong = []
    for stream in subject.streams:
        key = stream.entry.get("source_defined_primary_key") or []
        for path in key if isinstance(key, list) else [key]:
            if not isinstance(path, list) or not path or not all(isinstance(name, str) for name in path):
                wrong.append(f"{stream.id}: {path!r} is no path")
            elif not (part := schema_at(stream.fields, path)):
                wrong.append(f"{stream.id}: {'.'.join(path)} is not in the schema")
            elif types(part) and types(part) <= {"object", "array"}:
                wrong.append(f"{stream.id}: {'.'.join(path)} is {' or '.join(types(part))}")
    none_of(wrong, "keys of plain fields that the schema has")


@behaviour
def says_the_same_twice(subject: SourceSubject) -> None:
    """A second `discover` gives the same catalog, in any order."""
    again = {
        stream.id: stream.entry
        for found in subject.discover().transcript.of("CATALOG")
        for stream in map(Stream, found.body.get("streams") or [])
    }
    first = {stream.id: stream.entry for stream in subject.streams}
    lost = [f"{one} is gone" for one in first if one not in again]
    new = [f"{one} is new" for one in again if one not in first]
    other = [f"{one} differs" for one in first if one in again and not same(first[one], again[one])]
    if lost or new or other:
        raise Failure("the same catalog", some(lost + new + other), "what `discover` depends on")
