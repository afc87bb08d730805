"""YAML documents with line numbers: values, and the line of each key for error messages."""

from __future__ import annotations

import stat
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import yaml

from ..util import program
from ..util.problems import ConfigError, InvalidValueError, KeyPath, Problem, plain, shown
from .yaml_reader import LOADER, NodeReader, not_yaml, refuse_deep

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES = 4 * 2**20


@dataclass(frozen=True, slots=True)
class Place:
    """
    Where a value stands that is not in the document's own file.

    :param file: the other file, as problems name it.
    :param key: what the value is called there, where that is not its key here; may be empty.
    """

    file: str
    key: str = ""


@dataclass(frozen=True, slots=True)
class Document:
    """
    A YAML mapping of plain values (text, numbers, booleans, null, lists, mappings with text keys).

    :param name: the file, as the user named it.
    :param lines: key path → line, counted from 1.
    :param texts: key path → how a number, a boolean or null was written.
    :param problems: faults that reading could continue after, to find more.
    :param places: those of the paths that are of other files, with lines there or missing there.
    """

    name: str
    value: dict[str, object]
    lines: dict[KeyPath, int] = field(repr=False)
    texts: dict[KeyPath, str] = field(repr=False)
    problems: tuple[Problem, ...] = ()
    places: dict[KeyPath, Place] = field(default_factory=dict, repr=False)

    def line(self, path: KeyPath) -> int:
        """Return the line of this key, or of the nearest thing around it that is in the file."""
        return self.lines.get(self._nearest(path), 1)

    def file(self, path: KeyPath) -> str:
        """Return the file that `line` counts in."""
        place = self.places.get(self._nearest(path))
        return place.file if place else self.name

    def _nearest(self, path: KeyPath) -> KeyPath:
        while path and path not in self.lines:
            path = path[:-1]
        return path

    def get(self, path: KeyPath) -> object:
        """Return the value at this path, or None."""
        value: object = self.value
        for key in path:
            if isinstance(value, dict):
                value = value.get(key)
            elif isinstance(value, list) and isinstance(key, int) and key < len(value):
                value = value[key]
            else:
                return None
        return value

    def key(self, path: KeyPath) -> str:
        """Format a path for users; list items that have a name are shown by it."""
        text = ""
        for depth, part in enumerate(path):
            if isinstance(part, str):
                text += f".{plain(part)}" if text else plain(part)
            else:
                name = self.get((*path[: depth + 1], "name"))
                text += f"[{plain(name) if isinstance(name, str) and name else part}]"
        return text

    def problem(self, path: KeyPath, message: str, hint: str = "") -> Problem:
        """Return a problem of the value at this path, with its line."""
        key = self.key(path)
        place = self.places.get(path) or self.places.get(self._nearest(path))
        if place and place.key:
            key += f" ({plain(place.key)})"
        return Problem(self.file(path), self.line(path), key, message, hint)


def read(path: Path) -> Document:
    """
    Read a YAML file whose top level is a mapping.

    :raises ConfigError: where it can't be read or parsed.
    """
    name = str(path)
    try:
        content = content_of(path, "a configuration")
    except UnreadableError as error:
        raise ConfigError([Problem(name, None, "", error.message, _advice())]) from None
    return parse(content, name)


def parse(content: bytes, name: str) -> Document:
    """
    Parse YAML whose top level is a mapping.

    :param name: the file's name in problems.
    :raises ConfigError: where it is not such YAML.
    """
    found = compose(content, name)
    if found is None:
        raise ConfigError([Problem(name, None, "", "is empty", _advice())])
    value, reader = found
    if not isinstance(value, dict):
        expected = f"must be a mapping at its top level, got {shown(value)}"
        raise ConfigError([Problem(name, 1, "", expected, _advice())])
    document = Document(name, value, reader.lines, reader.texts)
    problems = (
        Problem(name, line, document.key(path), message, hint)
        for path, line, message, hint in reader.problems
    )
    return replace(document, problems=tuple(problems))


def compose(content: bytes, name: str) -> tuple[object, NodeReader] | None:
    """
    Return the value that any YAML is, and what read it; None: there is nothing in it.

    :raises ConfigError: where it is not YAML.
    """
    try:
        refuse_deep(content, name)
        root = yaml.compose(content, Loader=LOADER)
    except (yaml.YAMLError, UnicodeError) as error:
        raise not_yaml(error, name) from None
    if root is None:
        return None
    reader = NodeReader(name)
    return reader.value(root, ()), reader


class UnreadableError(InvalidValueError):
    """A file that can't be read; the text completes a sentence about it."""


def content_of(path: Path, what: str) -> bytes:
    """
    Return a regular file's content.

    :param what: what it should be, with its article.
    :raises UnreadableError: there is none, or a larger one than anybody writes.
    """
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise UnreadableError("is not a regular file")
        if found.st_size > MAX_BYTES:
            raise UnreadableError(f"is larger than {MAX_BYTES // 2**20} MiB: not {what}")
        return path.read_bytes()
    except FileNotFoundError:
        raise UnreadableError("no such file") from None
    except UnreadableError:
        raise
    except (OSError, ValueError) as error:
        detail = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise UnreadableError(f"can't be read: {detail}") from None


def _advice() -> str:
    example = program.task("config.example")
    return f"name another with --config or FABNODE_CONFIG, or start from what `{example}` prints"
