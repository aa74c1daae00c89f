"""spec: the form that Airbyte renders. Most of these are the retired stock suite's lints, seen from outside."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import jsonschema

from acceptance_tests.protocol import Json
from acceptance_tests.subject import Subject
from acceptance_tests.suite import Failure, NotApplicable, Register, behaviours, expect, some

ALL: Register = []
DESTINATION: Register = []
behaviour = behaviours(ALL, "spec")
for_destinations = behaviours(DESTINATION, "spec")

Part = tuple[str, Json]
"""A place in the form, as text, and the schema that stands there."""

SECRET_NAMES = re.compile(
    r"(^|_)(password|passwd|passphrase|secret|secret_key|api_key|apikey|token|access_token|refresh_token|private_key|"
    r"ssh_key|client_secret|secret_access_key|connection_string)$",
    re.IGNORECASE,
)
MODES = {"append", "overwrite", "append_dedup", "update", "soft_delete"}
LOOK = "the connectionSpecification of `spec`"


def parts(schema: Any, place: str = "") -> Iterator[Part]:
    """Every option of the form below this place, branches of oneOf included."""
    if not isinstance(schema, dict):
        return
    for name, part in (schema.get("properties") or {}).items():
        if isinstance(part, dict):
            inner = f"{place}.{name}" if place else name
            yield inner, part
            yield from parts(part, inner)
    for number, branch in enumerate(schema.get("oneOf") or ()):
        yield from parts(branch, f"{place}[{number}]")
    if isinstance(schema.get("items"), dict):
        yield from parts(schema["items"], f"{place}[]")


def everything(node: Any, place: str = "") -> Iterator[Part]:
    """Every JSON object of the form, and where it stands."""
    if isinstance(node, dict):
        yield place, node
        for key, inner in node.items():
            yield from everything(inner, f"{place}.{key}" if place else key)
    elif isinstance(node, list):
        for number, inner in enumerate(node):
            yield from everything(inner, f"{place}[{number}]")


def none_of(found: list[str], expected: str) -> None:
    expect(not found, expected, some(found), LOOK)


def kinds(part: Json) -> set[str]:
    kind = part.get("type")
    return {kind} if isinstance(kind, str) else set(kind) if isinstance(kind, list) else set()


@behaviour
def answers(subject: Subject) -> None:
    """`spec` prints one SPEC message, ends with 0 and prints nothing else that is not a message."""
    found = subject.spec
    expect(isinstance(found["connectionSpecification"], dict), "a form", "none", LOOK)


@behaviour
def is_a_json_schema(subject: Subject) -> None:
    """The form is a JSON Schema (draft 7) of an object."""
    try:
        jsonschema.Draft7Validator.check_schema(subject.form)
    except jsonschema.SchemaError as error:
        where = ".".join(map(str, error.absolute_path))
        raise Failure("a valid draft-07 schema", f"{where}: {error.message[:300]}", LOOK) from None
    expect(
        subject.form.get("type", "object") == "object" and isinstance(subject.form.get("properties", {}), dict),
        "an object with properties",
        f"type {subject.form.get('type')!r}",
        LOOK,
    )


@behaviour
def allows_the_given_config(subject: Subject) -> None:
    """The config that the connector works with is valid by its own form."""
    errors = list(jsonschema.Draft7Validator(subject.form).iter_errors(subject.config))
    words = [".".join(map(str, error.absolute_path)) for error in errors if _is_shorthand(error)]
    errors = [error for error in errors if not _is_shorthand(error)]
    if words and not errors:
        raise NotApplicable(f"the config has a word for {some(words)}, a short form that the UI does not show")
    texts = [
        f"{'.'.join(map(str, error.absolute_path)) or 'the config'}: breaks {error.validator!r}" for error in errors
    ]
    expect(not errors, "no error", some(texts), "the form and the config")


def _is_shorthand(error: jsonschema.ValidationError) -> bool:
    """A word in place of a choice between branches: configs for people may have such, the form of the UI never does."""
    return isinstance(error.instance, str) and isinstance(error.schema, dict) and "oneOf" in error.schema


@behaviour
def allows_more_than_it_knows(subject: Subject) -> None:
    """`additionalProperties` is nowhere false: the platform and older configs add keys."""
    none_of(
        [place or "the form" for place, node in everything(subject.form) if node.get("additionalProperties") is False],
        "additionalProperties true or absent everywhere",
    )


@behaviour
def gives_each_option_one_type(subject: Subject) -> None:
    """No option has a list of types: the form has one widget for each."""
    none_of(
        [f"{place}: {part['type']}" for place, part in parts(subject.form) if isinstance(part.get("type"), list)],
        "one type for each option",
    )


@behaviour
def uses_no_combinations_that_the_form_cannot_show(subject: Subject) -> None:
    """No allOf, anyOf, not, prefixItems, or the like."""
    banned = ("allOf", "anyOf", "not", "prefixItems", "patternProperties", "dependencies", "if", "then", "else")
    found = [(place, part) for place, part in [("the form", subject.form), *parts(subject.form)]]
    none_of(
        [f"{place}: {word}" for place, part in found for word in banned if word in part], f"none of {', '.join(banned)}"
    )


@behaviour
def references_lead_somewhere(subject: Subject) -> None:
    """Each $ref points into the form itself."""

    def broken(reference: Any) -> bool:
        node: Any = subject.form
        if not isinstance(reference, str) or not reference.startswith("#"):
            return True
        for key in reference.lstrip("#").strip("/").split("/"):
            if key and not (isinstance(node, dict) and key in node):
                return True
            node = node[key] if key else node
        return False

    none_of(
        [
            f"{place}: {node['$ref']}"
            for place, node in everything(subject.form)
            if "$ref" in node and broken(node["$ref"])
        ],
        "references that can be resolved",
    )


@behaviour
def marks_secrets(subject: Subject) -> None:
    """Options that hold a password, token or key are marked `airbyte_secret`, and only strings and the like are."""
    open_ones = [
        place
        for place, part in parts(subject.form)
        if SECRET_NAMES.search(place.rpartition(".")[2])
        and kinds(part) & {"string", "integer", "number"}
        and not part.get("airbyte_secret")
        and not {"const", "enum"} & set(part)
    ]
    none_of(open_ones, "airbyte_secret: true on these")
    none_of(
        [
            place
            for place, part in parts(subject.form)
            if part.get("airbyte_secret") and kinds(part) & {"object", "array", "boolean", "null"}
        ],
        "airbyte_secret only on strings and numbers",
    )


@behaviour
def required_lists_what_exists(subject: Subject) -> None:
    """`required` is a list of options that the form has; no option says `required: true` or `optional`."""
    wrong = []
    for place, node in [("the form", subject.form), *parts(subject.form)]:
        required = node.get("required")
        if required is not None and not isinstance(required, list):
            wrong.append(f"{place}: required is {required!r}")
        elif required and "properties" in node:
            wrong += [
                f"{place}: {name} is required and does not exist" for name in required if name not in node["properties"]
            ]
        if isinstance(node.get("optional"), bool):
            wrong.append(f"{place}: optional")
    none_of(wrong, "a list of names")


@behaviour
def choices_are_tagged(subject: Subject) -> None:
    """A `oneOf` is of type object; its branches are objects that share one option with a different constant in each."""
    wrong = []
    for place, part in [("the form", subject.form), *parts(subject.form)]:
        branches = part.get("oneOf")
        if branches is not None:
            wrong += [f"{place}: {problem}" for problem in _choice_problems(part, branches)]
    none_of(wrong, "branches that the form can tell apart")


def _choice_problems(part: Json, branches: Any) -> Iterator[str]:
    if part.get("type") != "object":
        yield "a oneOf that is not of type object"
    if not isinstance(branches, list) or not all(isinstance(one, dict) and "properties" in one for one in branches):
        yield "a branch without properties"
        return
    shared = set.intersection(
        *({name for name, inner in one["properties"].items() if "const" in inner} for one in branches)
    )
    if not shared:
        yield "no option with a const is common to all branches"
    for name in shared:
        values = [str(one["properties"][name]["const"]) for one in branches]
        if len(set(values)) == len(values):
            return
    if shared:
        yield f"the constants of {', '.join(sorted(shared))} repeat"
    for one in branches:
        for inner in one["properties"].values():
            if "const" in inner and "enum" in inner and inner["enum"] != [inner["const"]]:
                yield "a const beside an enum with other values"


@behaviour
def enums_have_distinct_values(subject: Subject) -> None:
    """No enum is empty or repeats a value."""
    wrong = []
    for place, part in parts(subject.form):
        values = part.get("enum")
        if values is not None and (not values or max(Counter(map(str, values)).values()) > 1):
            wrong.append(f"{place}: {values}")
    none_of(wrong, "distinct values")


@behaviour
def arrays_say_what_they_hold(subject: Subject) -> None:
    """An array option has items of a type that the form can show."""
    good = {"string", "integer", "number", "object"}
    none_of(
        [
            place
            for place, part in parts(subject.form)
            if part.get("type") == "array"
            and not (isinstance(part.get("items"), dict) and (kinds(part["items"]) & good or "enum" in part["items"]))
        ],
        "items of type string, integer, number or object",
    )


@behaviour
def objects_are_not_empty(subject: Subject) -> None:
    """An object option has properties or branches: the form shows nothing for it otherwise."""
    none_of(
        [
            place
            for place, part in parts(subject.form)
            if part.get("type") == "object" and not ({"properties", "oneOf", "additionalProperties"} & set(part))
        ],
        "properties, oneOf or additionalProperties",
    )


@behaviour
def dates_have_a_pattern(subject: Subject) -> None:
    """An option of format date or date-time has a pattern too: the form checks that and not the format."""
    none_of(
        [
            place
            for place, part in parts(subject.form)
            if part.get("format") in ("date", "date-time") and "pattern" not in part
        ],
        "a pattern beside the format",
    )


@behaviour
def patterns_are_regular_expressions(subject: Subject) -> None:
    """Each pattern compiles, and fits the option's own default and examples."""
    wrong = []
    for place, part in parts(subject.form):
        if not isinstance(part.get("pattern"), str):
            continue
        try:
            pattern = re.compile(part["pattern"])
        except re.error as error:
            wrong.append(f"{place}: {error}")
            continue
        if isinstance(default := part.get("default"), str) and default and not pattern.search(default):
            wrong.append(f"{place}: the default does not fit")
    none_of(wrong, "patterns that compile and fit the default")


@behaviour
def defaults_are_allowed(subject: Subject) -> None:
    """The default of an option is of the option's type and among its enum."""
    wrong = []
    for place, part in parts(subject.form):
        if "default" in part and not list(_plain_errors(part)):
            continue
        if "default" in part:
            wrong.append(f"{place}: {part['default']!r}")
    none_of(wrong, "defaults that the form itself allows")


def _plain_errors(part: Json) -> Iterator[Any]:
    rules = {key: part[key] for key in ("type", "enum", "const", "minimum", "maximum") if key in part}
    yield from jsonschema.Draft7Validator(rules).iter_errors(part["default"])


@behaviour
def orders_are_distinct(subject: Subject) -> None:
    """No two options of one level have the same `order`."""
    wrong = []
    for place, part in [("the form", subject.form), *parts(subject.form)]:
        inner = [one for one in (part.get("properties") or {}).values() if isinstance(one, dict)]
        repeated = [
            order for order, count in Counter(one["order"] for one in inner if "order" in one).items() if count > 1
        ]
        wrong += [f"{place}: order {order}" for order in repeated]
    none_of(wrong, "distinct orders")


@behaviour
def groups_are_declared_and_at_the_top(subject: Subject) -> None:
    """`group` stands only on options of the first level, and names one of the form's groups."""
    top = subject.form.get("properties") or {}
    declared = [one.get("id") for one in subject.form.get("groups") or () if isinstance(one, dict)]
    nested = [place for place, part in parts(subject.form) if isinstance(part.get("group"), str) and place not in top]
    none_of(nested, "group on the first level only")
    unknown = [f"{name}: {part['group']}" for name, part in top.items() if part.get("group") not in (None, *declared)]
    none_of(unknown if declared else [], f"one of {declared}")


@behaviour
def display_types_are_known(subject: Subject) -> None:
    """`display_type` is dropdown or radio, and only on a oneOf."""
    none_of(
        [
            f"{place}: {part['display_type']}"
            for place, part in parts(subject.form)
            if "display_type" in part and (part["display_type"] not in ("dropdown", "radio") or "oneOf" not in part)
        ],
        "dropdown or radio, beside a oneOf",
    )


@behaviour
def oauth_points_at_options(subject: Subject) -> None:
    """Where the spec has advanced_auth, its predicate names a constant of the form and its parts are complete."""
    auth = subject.spec.get("advanced_auth")
    if auth is None:
        return
    path, value = auth.get("predicate_key") or [], auth.get("predicate_value")
    places: dict[str, list[Json]] = {re.sub(r"\[\d*\]", "", place): [] for place, _ in parts(subject.form)}
    for place, part in parts(subject.form):
        places[re.sub(r"\[\d*\]", "", place)].append(part)
    named = places.get(".".join(path), [])
    expect(not path or named, "predicate_key names an option", f"{path}", "advanced_auth of `spec`")
    constants = [part.get("const", part.get("default")) for part in named]
    expect(not path or value in (None, *constants), f"one of {constants}", f"{value!r}", "advanced_auth of `spec`")
    expect(
        auth.get("auth_flow_type") in ("oauth2.0", "oauth1.0"),
        "auth_flow_type oauth2.0 or oauth1.0",
        f"{auth.get('auth_flow_type')!r}",
        "advanced_auth of `spec`",
    )


@for_destinations
def sync_modes_are_known(subject: Subject) -> None:
    """supported_destination_sync_modes is a list of modes of the protocol, not empty, without repetition."""
    modes = subject.spec.get("supported_destination_sync_modes")
    good = (
        isinstance(modes, list) and modes and set(map(str, modes)) <= MODES and len(set(map(str, modes))) == len(modes)
    )
    expect(good, f"some of {sorted(MODES)}", f"{modes}", "supported_destination_sync_modes of `spec`")
