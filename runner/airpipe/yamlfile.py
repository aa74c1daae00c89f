"""YAML with the place of everything: values as YAML 1.2 reads them, and the line of each.

PyYAML's composer does the parsing; how a plain word becomes a value is ours, since YAML 1.1 takes `no` for false,
`12:30` for a number and `2024-01-01` for a date.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from airpipe.errors import ConfigProblem

Path = tuple[str | int, ...]
_NULL = {"", "~", "null", "Null", "NULL"}
_TRUTH = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_integer = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_number = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")


@dataclass(slots=True)
class Document:
    """A YAML file: its value, and where each part of it stands."""

    name: str
    value: Any = None
    lines: dict[Path, int] = field(default_factory=dict)

    def line(self, path: Path) -> int:
        """The line of this part; where it does not exist, of what should hold it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def problem(self, path: Path, text: str) -> ConfigProblem:
        """The error `file:line: field: text`."""
        return self._problem(self.line(path), spoken(path), text)

    def _problem(self, line: int, where: str, text: str) -> ConfigProblem:
        return ConfigProblem(f"{self.name}:{line}: {where}: {text}" if where else f"{self.name}:{line}: {text}")


def spoken(path: Path) -> str:
    """`pipelines[0].source.type`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def parse(text: str, name: str) -> Document:
    """Read one YAML document. What is no YAML, or says a key twice, is an error with its line."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    document = Document(name)
    try:
        node = yaml.compose(text, Loader=loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        number = mark.line if mark else 0
        line = [*text.splitlines(), ""][number]
        problem = f"this is no YAML: {error.problem or error.context}. {_advice(str(error.problem), line)}"
        raise ConfigProblem(f"{name}:{number + 1}: {problem}") from None
    except yaml.YAMLError as error:
        raise ConfigProblem(f"{name}:1: this is no YAML: {error}") from None
    if node is not None:
        document.value = _Builder(document).build(node, ())
    return document


def _advice(problem: str, line: str) -> str:
    if line[: len(line) - len(line.lstrip())].count("\t"):
        return "Indent by spaces, not by tabs."
    if "mapping values are not allowed" in problem:
        return "Put the text in quotes where it holds a colon, and look at the indentation."
    return "Look at the indentation, quotes and brackets here and just before."


class _Builder:
    def __init__(self, document: Document) -> None:
        self._document = document
        self._open: set[int] = set()

    def build(self, node: yaml.Node, path: Path) -> Any:
        self._document.lines.setdefault(path, node.start_mark.line + 1)
        if id(node) in self._open:
            raise self._document.problem(path, "an alias that stands within its own anchor")
        self._open.add(id(node))
        try:
            return self._value(node, path)
        finally:
            self._open.discard(id(node))

    def _value(self, node: yaml.Node, path: Path) -> Any:
        if isinstance(node, yaml.MappingNode):
            return dict(self._entries(node, path))
        if isinstance(node, yaml.SequenceNode):
            return [self.build(child, (*path, number)) for number, child in enumerate(node.value)]
        plain = isinstance(node, yaml.ScalarNode) and not node.style
        return _scalar(node.value) if plain else node.value

    def _entries(self, node: yaml.MappingNode, path: Path) -> Iterator[tuple[str, Any]]:
        seen: set[str] = set()
        for key_node, value_node in node.value:
            if key_node.value == "<<" and isinstance(value_node, (yaml.MappingNode, yaml.SequenceNode)):
                yield from self._merged(value_node, path)
        for key_node, value_node in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else ""
            if key == "<<" and isinstance(value_node, (yaml.MappingNode, yaml.SequenceNode)):
                continue
            here: Path = (*path, key)
            self._document.lines[here] = key_node.start_mark.line + 1
            if key in seen or not isinstance(key_node, yaml.ScalarNode):
                raise self._document.problem(here, "this key stands twice; keep one of them")
            seen.add(key)
            yield key, self.build(value_node, here)

    def _merged(self, node: yaml.Node, path: Path) -> Iterator[tuple[str, Any]]:
        found = self.build(node, path)
        for mapping in reversed(found) if isinstance(found, list) else [found]:
            if isinstance(mapping, dict):
                yield from mapping.items()


def _scalar(text: str) -> Any:
    """A plain word as YAML 1.2's core schema reads it, without octal and hexadecimal numbers."""
    if text in _NULL:
        return None
    if text in _TRUTH:
        return _TRUTH[text]
    if _integer.fullmatch(text):
        return int(text)
    if _number.fullmatch(text) and not re.fullmatch(r"[-+]?0[0-9]+", text):
        return float(text)
    return text
