"""
YAML of other tools as Values with lines: tags of theirs are marked, and nothing is constructed.

Anchors and merge keys are followed, since people use them; how much comes of them is limited.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, cast

import yaml

from ...util.problems import ConfigError, Problem
from ..yaml_reader import LOADER, not_yaml, refuse_deep
from .values import Kind, Place, Value

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_DEPTH = 40
MAX_VALUES = 30_000
_LONGEST_NUMBER = 40
_CORE = "tag:yaml.org,2002:"
_MERGE = f"{_CORE}merge"
_SCALARS = {f"{_CORE}{name}" for name in ("null", "bool", "int", "float", "timestamp", "value")}
_SECRET_TAGS = {"!vault", "!vault-encrypted"}
_TEXT_TAGS = {f"{_CORE}str", "!unsafe"}  # !unsafe: text that Ansible does not evaluate
_TRUE = {"yes": True, "true": True, "on": True, "no": False, "false": False, "off": False}


def read(text: str, file: str, *, first_line: int = 1) -> list[Value]:
    """
    Return the documents of a text that hold anything.

    :param first_line: of the text in its file, for YAML within YAML.
    :raises ConfigError: it is no YAML, or too much of it.
    """
    try:
        refuse_deep(text, file, most=MAX_DEPTH, first_line=first_line)
        reader = _Reader(file, first_line - 1)
        nodes = list(yaml.compose_all(text, Loader=LOADER))
        return [reader.value(node) for node in nodes if node is not None]
    except (yaml.YAMLError, UnicodeError, ValueError) as error:
        raise not_yaml(error, file, first_line=first_line) from None


class _Reader:
    def __init__(self, file: str, before: int) -> None:
        self.file = file
        self.before = before
        self._count = 0
        self._open: set[int] = set()
        self._scalars = yaml.constructor.SafeConstructor()

    def value(self, node: yaml.Node) -> Value:
        self._count += 1
        if self._count > MAX_VALUES:
            message = f"holds more than {MAX_VALUES} values after expansion of its aliases"
            raise ConfigError([Problem(self.file, None, "", message)])
        place = self._place(node)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, place)
        if id(node) in self._open:
            raise ConfigError([self._problem(node, "is an alias that contains itself")])
        if len(self._open) > MAX_DEPTH:
            raise ConfigError([self._problem(node, f"is nested deeper than {MAX_DEPTH} levels")])
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return Value(dict(self._pairs(node)), place, _kind_of(node, "map"))
            items = [self.value(item) for item in cast("list[yaml.Node]", node.value)]
            return Value(items, place, _kind_of(node, "seq"))
        finally:
            self._open.discard(id(node))

    def _pairs(self, node: yaml.MappingNode) -> Iterator[tuple[str, Value]]:
        """Yield keys and values, those of merge keys first: what is written here replaces them."""
        for key, value in node.value:
            if key.tag == _MERGE:
                sources = value.value if isinstance(value, yaml.SequenceNode) else [value]
                for source in reversed(sources):  # the first of several counts
                    yield from self.value(source).keys.items()
        for key, value in node.value:
            if key.tag != _MERGE:
                yield self._key(key), self.value(value)

    def _key(self, node: yaml.Node) -> str:
        if not isinstance(node, yaml.ScalarNode):
            hint = "an expression such as {{ name }} is a value in quotes alone; fill templates in"
            raise ConfigError([self._problem(node, "has a key that is no text", hint)])
        return _clean(str(node.value))

    def _scalar(self, node: yaml.ScalarNode, place: Place) -> Value:
        written = str(node.value)
        if node.tag in _SECRET_TAGS or written.startswith("$ANSIBLE_VAULT"):
            return Value(None, place, Kind.SECRET)
        if node.tag in _TEXT_TAGS:
            return text_value(written, place, evaluated=node.tag != "!unsafe")
        if node.tag not in _SCALARS:
            return Value(None, place, Kind.FOREIGN)
        return Value(self._data(node, written), place, written=_clean(written))

    def _data(self, node: yaml.ScalarNode, written: str) -> Any:
        kind = node.tag.removeprefix(_CORE)
        if kind == "null":
            return None
        if kind == "bool":
            return _TRUE.get(written.lower(), False)
        if kind in {"int", "float"} and len(written) <= _LONGEST_NUMBER:
            try:
                number = self._scalars.construct_object(node)
            except (yaml.YAMLError, ValueError, LookupError, ArithmeticError, AttributeError):
                return _clean(written)
            if not isinstance(number, float) or math.isfinite(number):
                return number
        return _clean(written)  # dates as well: no setting of ours is one

    def _place(self, node: yaml.Node) -> Place:
        return Place(self.file, self.before + (node.start_mark.line if node.start_mark else 0) + 1)

    def _problem(self, node: yaml.Node, message: str, hint: str = "") -> Problem:
        return Problem(self.file, self._place(node).line, "", message, hint)


def text_value(text: str, place: Place, *, evaluated: bool = True) -> Value:
    """
    Return a text as a Value.

    :param evaluated: whether its tool evaluates expressions in it.
    """
    kind = Kind.EXPRESSION if evaluated and is_expression(text) else Kind.PLAIN
    return Value(_clean(text), place, kind, _clean(text))


def is_expression(text: str) -> bool:
    """Say whether Jinja would evaluate something in a text."""
    return any(mark in text for mark in ("{{", "{%", "{#"))


def _kind_of(node: yaml.Node, kind: str) -> Kind:
    return Kind.PLAIN if node.tag == f"{_CORE}{kind}" else Kind.FOREIGN


def _clean(text: str) -> str:
    """Return a text without what no encoding carries."""
    return re.sub("[\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", text)
