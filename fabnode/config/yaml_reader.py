"""Reader of composed YAML nodes: plain values, the line of each, and the problems met."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

import yaml

from ..util.problems import ConfigError, KeyPath, Problem, plain, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

# The C parser is ten times faster; both know the same YAML.
LOADER = cast("type[yaml.SafeLoader]", getattr(yaml, "CSafeLoader", yaml.SafeLoader))

MAX_DEPTH = 50
MAX_VALUES = 200_000
"""Values after expansion of aliases: a few lines of nested aliases would exhaust memory."""

_MAPPING, _SEQUENCE = "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"
_TEXT = "tag:yaml.org,2002:str"
_MERGE = "tag:yaml.org,2002:merge"
_SCALARS = frozenset(
    f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "str")
)


def line(at: yaml.Node | yaml.Event) -> int:
    """Return the line where a node or event begins, counted from 1."""
    # Marks are declared optional, but always there.
    return at.start_mark.line + 1 if at.start_mark else 1


def too_deep(name: str, at: int, most: int = MAX_DEPTH) -> Problem:
    """Return the problem of a file that is nested too deeply."""
    return Problem(name, at, "", f"is nested deeper than {most} levels")


def refuse_deep(
    content: str | bytes, name: str, *, most: int = MAX_DEPTH, first_line: int = 1
) -> None:
    """
    Refuse what is nested too deeply, before it is composed, which recurses.

    :param most: levels. :param first_line: of the content in its file.
    :raises ConfigError: it is nested deeper. :raises yaml.YAMLError: it is not YAML.
    """
    depth = 0
    for event in yaml.parse(content, Loader=LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > most:
            raise ConfigError([too_deep(name, line(event) + first_line - 1, most)])


def not_yaml(error: Exception, name: str, *, first_line: int = 1) -> ConfigError:
    """Return the error that a file is not YAML, with the parser's reason, and its line if known."""
    at = None
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        at = mark.line + first_line if mark else None
        detail = ", ".join(plain(text) for text in (error.context, error.problem) if text)
    else:
        detail = plain(" ".join(str(error).split()), 200)
    return ConfigError([Problem(name, at, "", f"is not valid YAML: {detail}")])


class NodeReader:
    """
    One pass over composed nodes: plain values, their lines, and problems.

    `texts` holds how numbers, booleans and null were written: `NO` is false to YAML.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.lines: dict[KeyPath, int] = {}
        self.texts: dict[KeyPath, str] = {}
        self.problems: list[tuple[KeyPath, int, str, str]] = []
        self._count = 0
        self._open: set[int] = set()
        self._constructor = yaml.constructor.SafeConstructor()

    def value(self, node: yaml.Node, path: KeyPath) -> object:
        """Return the value of a node at this path; its faults are added to `problems`."""
        self._count_one()
        self.lines.setdefault(path, line(node))
        if len(path) > MAX_DEPTH:
            raise ConfigError([too_deep(self.name, line(node))])
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        if id(node) in self._open:
            self._add_problem(node, path, "is an alias that contains itself")
            return None
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, path)
            return self._sequence(node, path)
        finally:
            self._open.discard(id(node))

    def _scalar(self, node: yaml.ScalarNode, path: KeyPath) -> object:
        if node.tag not in _SCALARS:
            expected = "must be text, a number, true or false"
            self._add_problem(node, path, expected, f'put it in quotes: "{plain(node.value, 40)}"')
            return None
        try:
            value: object = self._constructor.construct_object(node)
        except (yaml.YAMLError, ValueError, LookupError, ArithmeticError, AttributeError):
            self._add_problem(node, path, f"is not a valid {node.tag.rpartition(':')[2]}")
            return None
        if isinstance(value, float) and not math.isfinite(value):
            self._add_problem(node, path, f"must be a finite number, got {shown(node.value)}")
            return None
        if not isinstance(value, str):
            self.texts[path] = node.value
        elif not encodable(value):
            self._add_problem(node, path, "holds characters that are not Unicode text")
            return None
        return value

    def _sequence(self, node: yaml.Node, path: KeyPath) -> list[object]:
        self._check_tag(node, path, _SEQUENCE)
        return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, object]:
        self._check_tag(node, path, _MAPPING)
        result: dict[str, object] = {}
        merged: list[tuple[yaml.Node, yaml.Node]] = []
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                merged += self._merged(value_node, path)
            elif (key := self._key(key_node, path)) is not None:
                if key in result:
                    first = self.lines[(*path, key)]
                    self._add_problem(
                        key_node, (*path, key), f"appears twice: first in line {first}"
                    )
                    continue
                self.lines[(*path, key)] = line(key_node)
                result[key] = self.value(value_node, (*path, key))
        for key_node, value_node in merged:
            if (key := self._key(key_node, path)) is not None and key not in result:
                self.lines[(*path, key)] = line(key_node)
                result[key] = self.value(value_node, (*path, key))
        return result

    def _key(self, node: yaml.Node, path: KeyPath) -> str | None:
        if isinstance(node, yaml.MappingNode):
            self._add_problem(node, path, "keys must be text, got a mapping")
        elif not isinstance(node, yaml.ScalarNode):
            self._add_problem(node, path, "keys must be text, got a list")
        elif node.tag == _TEXT:
            key = self._scalar(node, path)
            return key if isinstance(key, str) else None
        elif written := plain(node.value, 40):
            hint = f'put it in quotes: "{written}"'
            self._add_problem(node, path, f"keys must be text, got {written}", hint)
        else:
            self._add_problem(node, path, "keys must be text, got nothing")
        return None

    def _merged(self, node: yaml.Node, path: KeyPath) -> Iterator[tuple[yaml.Node, yaml.Node]]:
        """Yield the pairs that a merge key (`<<: *base`) adds, those that take precedence first."""
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        for source in sources:
            if isinstance(source, yaml.MappingNode) and id(source) not in self._open:
                self._open.add(id(source))
                for key_node, value_node in source.value:
                    self._count_one()
                    if key_node.tag == _MERGE:
                        yield from self._merged(value_node, path)
                    else:
                        yield key_node, value_node
                self._open.discard(id(source))
            else:
                self._add_problem(node, path, "<< must be an alias of a mapping")

    def _check_tag(self, node: yaml.Node, path: KeyPath, tag: str) -> None:
        if node.tag != tag:
            self._add_problem(node, path, f"has the unknown tag {plain(node.tag, 40)}")

    def _add_problem(self, node: yaml.Node, path: KeyPath, message: str, hint: str = "") -> None:
        self.problems.append((path, line(node), message, hint))

    def _count_one(self) -> None:
        self._count += 1
        if self._count > MAX_VALUES:
            message = f"holds more than {MAX_VALUES} values after expansion of its aliases"
            raise ConfigError([Problem(self.name, None, "", message)])


def encodable(text: str) -> bool:
    """Return whether a text is Unicode: JSON and YAML can write halves of characters."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
