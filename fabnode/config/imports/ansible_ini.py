"""
Ansible's INI inventories, whose dialect is its own: no `configparser` reads it.

As ansible.plugins.inventory.ini: sections of hosts, of groups and of variables; host lines are
split like a shell's; values of both places are Python's literals, and text otherwise.
"""

from __future__ import annotations

import ast
import math
import re
import shlex
from typing import TYPE_CHECKING

from ...util.problems import ConfigError, Problem, plain, shown
from .host_patterns import spread
from .inventory import Inventory, Layer
from .values import Kind, Place, Value
from .yaml_values import text_value

if TYPE_CHECKING:
    from collections.abc import Iterator

_SECTION = re.compile(r"\[([^:\]\s]+)(?::(\w+))?\]\s*(?:#.*)?", re.ASCII)
_KINDS = ("hosts", "children", "vars")
_LONGEST_LITERAL = 1000  # ast's parser recurses
_LINE = "one host a line: NAME key=value …"


def looks_like_ini(text: str) -> bool:
    """Say whether a text begins as an inventory in INI form does: with a section or a host."""
    for line in text.split("\n"):
        stripped = line.strip()
        if stripped and stripped[0] not in "#;":
            return bool(_SECTION.fullmatch(stripped)) or (
                ":" not in stripped.partition("=")[0] and not stripped.startswith(("-", "{"))
            )
    return False


def read(text: str, file: str, inventory: Inventory) -> None:
    """
    Add what an INI inventory says.

    :raises ConfigError: with all lines that can't be read.
    """
    problems: list[Problem] = []
    group, kind = "ungrouped", "hosts"
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.strip()
        if not stripped or stripped[0] in "#;":
            continue
        place = Place(file, number)
        try:
            if stripped.startswith("[") and (section := _section(stripped)):
                group, kind = section
                inventory.group(group)
            elif kind == "hosts":
                _host(stripped, place, group, inventory)
            elif kind == "children":
                child = stripped.partition("#")[0].strip()
                inventory.group(child)
                inventory.group(group).children.setdefault(child, place)
            else:
                name, value = _variable(stripped, place)
                inventory.set_group(group, name, value, Layer.GROUP_IN_FILE)
        except _LineError as error:
            problems.append(Problem(file, number, "", str(error), error.hint))
    if problems:
        raise ConfigError(problems)


class _LineError(ValueError):
    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def _section(line: str) -> tuple[str, str] | None:
    found = _SECTION.fullmatch(line)
    if found is None:
        raise _LineError(
            f"{shown(line)} is no section", "write [group], [group:children] or [group:vars]"
        )
    kind = found[2] or "hosts"
    if kind not in _KINDS:
        raise _LineError(f"a section can't be of {plain(kind, 40)}", "of hosts, children or vars")
    return found[1], kind


def _host(line: str, place: Place, group: str, inventory: Inventory) -> None:
    try:
        words = shlex.split(line, comments=True)
    except ValueError as error:
        hint = "a quote that begins must end in the same line"
        raise _LineError(f"can't be split into words: {str(error).lower()}", hint) from None
    if not words:
        return
    pattern, *assignments = words
    pairs = list(_assignments(assignments, place))
    try:
        names, port = spread(pattern)
    except ValueError as error:
        raise _LineError(str(error), _LINE) from None
    for name in names:
        inventory.add_host(name, place, group)
        if port:
            value = Value(port, place, written=str(port))
            inventory.set_host(name, "ansible_port", value, Layer.HOST_IN_FILE)
        for key, value in pairs:
            inventory.set_host(name, key, value, Layer.HOST_IN_FILE)


def _assignments(words: list[str], place: Place) -> Iterator[tuple[str, Value]]:
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name:
            raise _LineError(f"{_unquoted(word)} is no key=value", _LINE)
        yield name, value_of(text, place)


def _unquoted(word: str) -> str:
    # A word without `=` may be the second half of a password with a blank.
    return f"a word of {len(word)} characters after the host's name"


def _variable(line: str, place: Place) -> tuple[str, Value]:
    name, equals, text = line.partition("=")
    if not equals:
        raise _LineError("a line of variables has no `=`", "one a line: key=value")
    return name.strip(), value_of(text.strip(), place)


def value_of(text: str, place: Place) -> Value:
    """Return a value as Ansible reads it: Python's literal, where it is one, else text."""
    if text.startswith("$ANSIBLE_VAULT"):
        return Value(None, place, Kind.SECRET)
    if len(text) <= _LONGEST_LITERAL:
        try:
            made = _made(ast.literal_eval(text), place)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            made = None
        if made is not None:
            return Value(made.data, place, made.kind, text)
    return text_value(text, place)


def _made(data: object, place: Place) -> Value | None:
    """Return plain data as Values; None for what is none, such as sets and bytes."""
    match data:
        case str():
            return text_value(data, place)
        case float() if not math.isfinite(data):
            return None
        case None | bool() | int() | float():
            return Value(data, place, written=_written(data))
        case list() | tuple():
            items = [_made(each, place) for each in data]
            return None if None in items else Value([x for x in items if x], place)
        case dict():
            pairs = {str(key): _made(each, place) for key, each in data.items()}
            return Value({k: v for k, v in pairs.items() if v}, place)
    return None


def _written(data: object) -> str:
    try:
        return str(data)
    except ValueError:  # of more digits than Python converts
        return ""
