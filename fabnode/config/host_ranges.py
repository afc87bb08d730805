"""
Node entries that stand for many: `node-[01-40]` with addresses that run in step.

Readers of such ranges differ where one runs backwards or has zeros at one end alone: both are
refused here.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from ..util.problems import ConfigError, InvalidValueError, shown
from .node_parts import NodePart, parts_of, with_parts
from .validators import is_ipv6

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..util.problems import KeyPath, Problem
    from .yaml_document import Document

MAX_NODES = 5000
"""Nodes of one entry: what Kubernetes is tested with."""

_RANGE = re.compile(r"\[([^\[\]]*)\]")
_ENDS = re.compile(r"([0-9]{1,9})-([0-9]{1,9})")
_IN_STEP = ("address", "ip")


def spread(document: Document) -> Document:
    """
    Return the document with each entry of a range of nodes as entries of one node each.

    :raises ConfigError: a range is none, or addresses do not run in step with names.
    """
    nodes = document.value.get("nodes")
    if not isinstance(nodes, list) or not any(map(_has_range, nodes)):
        return document
    parts: list[NodePart] = []
    problems: list[Problem] = []
    for index, part in enumerate(parts_of(document)):
        entry = part.value
        try:
            made = entries(entry) if isinstance(entry, dict) else [entry]
        except RangeError as error:
            path: KeyPath = ("nodes", index, error.key)
            problems.append(document.problem(path, error.message, error.advice))
            continue
        parts += [replace(part, value=each) for each in made]
    if problems:
        # Which nodes there are is not known: all that follows would be about others.
        raise ConfigError([*document.problems, *problems])
    return with_parts(document, parts)


class RangeError(InvalidValueError):
    """A range that is none; the text completes a sentence about its key."""

    def __init__(self, key: str, message: str, advice: str) -> None:
        super().__init__(message, advice)
        self.key = key


def _has_range(entry: object) -> bool:
    if not isinstance(entry, dict):
        return False
    name = entry.get("name")
    texts = [name] if isinstance(name, str) else []
    return any("[" in each for key in _IN_STEP for each in (*texts, *_values(entry.get(key))))


def _values(value: object) -> list[str]:
    """Return the texts of a key: `ip` may have two, in a list or with a comma between."""
    if isinstance(value, str):
        return value.split(",")
    whole = isinstance(value, list) and all(isinstance(each, str) for each in value)
    return [str(each) for each in value] if isinstance(value, list) and whole else []


def lines(words: Sequence[str]) -> list[list[str]]:
    """
    Return a line NAME ADDRESS … as one for each node that it stands for.

    :raises InvalidValueError: ranges are none, or do not run in step.
    """
    if not any("[" in word for word in words):
        return [list(words)]
    keys = [*("name", "address", "a second address")[: len(words)], *map(str, range(3, len(words)))]
    try:
        columns = _in_step(dict(zip(keys, ([word] for word in words), strict=True)))
    except RangeError as error:
        word = words[keys.index(error.key)]
        raise InvalidValueError(f"{shown(word)} {error.message}", error.advice) from None
    return [list(each) for each in zip(*columns.values(), strict=True)]


def entries(entry: dict[str, object]) -> list[dict[str, object]]:
    """
    Return an entry as one for each node that it stands for.

    :raises RangeError: a range is none, or does not run in step with the name.
    """
    if not _has_range(entry):
        return [entry]
    given = {key: values for key in _IN_STEP if (values := _values(entry.get(key)))}
    name = entry.get("name")
    columns = _in_step({"name": [name] if isinstance(name, str) else [], **given})
    return [
        {**entry, **dict(zip(columns, texts, strict=True))}
        for texts in zip(*columns.values(), strict=True)
    ]


def _in_step(given: dict[str, list[str]]) -> dict[str, list[str]]:
    """Return the values of each node by key. Raises RangeError."""
    first, *others = given
    sizes = [size for each in given[first] for size in _sizes(first, each)]
    for key in others:
        for each in filter(str.strip, given[key]):
            _check_step(key, _sizes(key, each), sizes)
    count = _product(sizes)
    return {key: _columns(values, count) for key, values in given.items()}


def _columns(values: list[str], count: int) -> list[str]:
    """Return the values of each node, `a,b` where there are two."""
    spread_out = [_texts(each) if each.strip() else [each] * count for each in values]
    return [",".join(each) for each in zip(*spread_out, strict=True)]


def _check_step(key: str, sizes: list[int], of_names: list[int]) -> None:
    count = _product(of_names)
    if not of_names:
        hint = "write the name as node-[01-40], with as many numbers"
        raise RangeError("name", f"has no range, but {key} has one", hint)
    if not sizes:
        hint = "give it a range of as many, as in 192.168.1.[41-80]"
        raise RangeError(key, f"is one for {count} nodes", hint)
    # Several ranges run in step one by one: [1-2]-[1-3] and [1-3].[1-2] would pair at random.
    if sizes not in ([count], of_names):
        hint = "both need the same number of each"
        message = f"stands for {_counts(sizes)}, but the name for {_counts(of_names)}"
        raise RangeError(key, message, hint)


def _counts(sizes: list[int]) -> str:
    return " times ".join(map(str, sizes))


def _sizes(key: str, text: object) -> list[int]:
    if not isinstance(text, str):
        return []
    left = _RANGE.sub("", text)
    if "[" in left or "]" in left:
        raise RangeError(key, f"has a bracket without its other half: '{text}'", _advice())
    sizes = [_size(key, inside) for inside in _RANGE.findall(text)]
    if _product(sizes) > MAX_NODES:
        raise RangeError(key, f"stands for more than {MAX_NODES} nodes", _advice())
    return sizes


def _size(key: str, inside: str) -> int:
    ends = _ENDS.fullmatch(inside)
    if ends is None and is_ipv6(inside):
        hint = f"write an IPv6 address without brackets: {inside}"
        raise RangeError(key, f"has an address in brackets: [{inside}]", hint)
    if ends is None:
        raise RangeError(key, f"has a range that is none: [{inside}]", _advice())
    first, last = ends.groups()
    if (_padded(first) or _padded(last)) and len(first) != len(last):
        hint = "write both ends with as many digits, or both without zeros"
        raise RangeError(key, f"has zeros at one end alone: [{inside}]", hint)
    if int(first) > int(last):
        raise RangeError(key, f"ends before it begins: [{inside}]", f"write [{last}-{first}]")
    return int(last) - int(first) + 1


def _padded(digits: str) -> bool:
    return digits.startswith("0") and len(digits) > 1


def _product(sizes: list[int]) -> int:
    count = 1
    for size in sizes:
        count *= size
    return count


def _texts(text: object) -> list[str]:
    """Return a text with each number of its ranges in turn, the last range running fastest."""
    parts: list[list[str]] = []
    for position, part in enumerate(_RANGE.split(str(text))):
        if position % 2:
            first, last = part.split("-")
            numbers = range(int(first), int(last) + 1)
            parts.append([str(number).zfill(len(first)) for number in numbers])
        else:
            parts.append([part])
    return ["".join(each) for each in itertools.product(*parts)]


def _advice() -> str:
    return "write a range as [01-40], in quotes where the entry is written in one line"
