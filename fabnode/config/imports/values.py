"""Values of other tools' files: what was written, and where. Plain data, or marked as none."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a file, counted from 1."""

    file: str
    line: int

    def __str__(self) -> str:
        """Return it as editors take it."""
        return f"{self.file}:{self.line}"


class Kind(Enum):
    """What a scalar is: plain data, or what is not to be read as data."""

    PLAIN = auto()
    SECRET = auto()  # encrypted, or a password
    EXPRESSION = auto()  # for another program to evaluate
    FOREIGN = auto()  # with a tag of another program's


Data: TypeAlias = "str | int | float | bool | dict[str, Value] | list[Value] | None"


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """
    A value of a file, with values within it.

    Two of them are never equal: a report lists each that stands in a file.

    :param data: text, number, boolean, null; list or mapping of Values; of secrets nothing.
    :param written: a scalar as it stands in the file: `1.30` is a number, and a release.
    :param of: the values in files that it was made from, where it stands in none itself.
    """

    data: Data = field(repr=False)
    place: Place
    kind: Kind = Kind.PLAIN
    written: str = field(default="", repr=False)
    of: tuple[Value, ...] = field(default=(), repr=False)

    def at(self, *keys: str) -> Value | None:
        """Return what lies at this path, None where nothing does."""
        found: Value | None = self
        for key in keys:
            found = found.data.get(key) if found and isinstance(found.data, dict) else None
        return found

    @property
    def items(self) -> list[Value]:
        """The values of a list; of anything else none."""
        return self.data if isinstance(self.data, list) else []

    @property
    def keys(self) -> dict[str, Value]:
        """The values of a mapping; of anything else none."""
        return self.data if isinstance(self.data, dict) else {}

    @property
    def empty(self) -> bool:
        """Whether it says nothing: null, or an empty text, list or mapping."""
        return self.kind is Kind.PLAIN and (self.data is None or self.data in ("", [], {}))

    @property
    def odd(self) -> Kind:
        """What it is, or what the first value within it is that is not plain."""
        return next((each.kind for each in self.walk() if each.kind is not Kind.PLAIN), Kind.PLAIN)

    def walk(self) -> Iterator[Value]:
        """Yield it and all values within it."""
        waiting = [self]
        while waiting:
            value = waiting.pop()
            yield value
            waiting += [*value.items, *value.keys.values()]

    def plain(self) -> Any:
        """Return it as plain data; what is not plain within it is None."""
        if isinstance(self.data, dict):
            return {key: each.plain() for key, each in self.data.items()}
        if isinstance(self.data, list):
            return [each.plain() for each in self.data]
        return self.data if self.kind is Kind.PLAIN else None


def text_of(value: Value | None) -> str:
    """Return a plain scalar as text; of anything else, and of null, an empty one."""
    if value is None or value.kind is not Kind.PLAIN or isinstance(value.data, dict | list):
        return ""
    if isinstance(value.data, str):
        return value.data.strip()
    return "" if value.data is None else value.written or str(value.data)


def truth_of(value: Value | None, *, default: bool) -> bool:
    """Return whether a value is true as Ansible's `bool` filter takes it."""
    if value is None or value.kind is not Kind.PLAIN or value.data is None:
        return default
    return str(value.data).strip().lower() in {"true", "yes", "on", "1", "y", "t"}
