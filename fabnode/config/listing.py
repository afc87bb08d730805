"""Lists of hosts in each format as plain values, with the line of each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..util.problems import ConfigError, Problem
from . import csv_reader, host_list, yaml_document
from .json_reader import JsonReader

if TYPE_CHECKING:
    from ..util.problems import KeyPath
    from .list_settings import Format


@dataclass(frozen=True, slots=True)
class Listing:
    """
    What a file holds or a command printed: values as JSON knows them.

    :param name: the file, for problems.
    :param lines: key path → line, counted from 1.
    :param texts: key path → how a number, a boolean or null was written.
    :param columns: of a table, in their order.
    :param table: whether all its values are texts, whatever they mean.
    """

    name: str
    value: object
    lines: dict[KeyPath, int] = field(repr=False)
    texts: dict[KeyPath, str] = field(repr=False)
    columns: tuple[str, ...] = ()
    table: bool = False

    def line(self, path: KeyPath) -> int:
        """Return the line of this value, or of the nearest around it that has one."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def parse(content: bytes, name: str, kind: Format) -> Listing:
    """
    Read a list in its format.

    :raises ConfigError: it is not in this format, or empty.
    """
    if kind == "yaml":
        return _yaml(content, name)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        hint = "save it as UTF-8 (spreadsheets: CSV UTF-8)" if kind == "csv" else ""
        raise ConfigError([Problem(name, line, "", "is no text in UTF-8", hint)]) from None
    if not text.strip():
        raise ConfigError([Problem(name, None, "", "is empty")])
    if kind == "csv":
        return _csv(text, name)
    if kind == "text":
        return _text(text, name)
    reader = JsonReader(text, name)
    return Listing(name, reader.document(), reader.lines, reader.texts)


def _yaml(content: bytes, name: str) -> Listing:
    found = yaml_document.compose(content, name)
    if found is None:
        raise ConfigError([Problem(name, None, "", "is empty")])
    value, reader = found
    if reader.problems:
        raise ConfigError(
            Problem(name, line, ".".join(map(str, path)), message, hint)
            for path, line, message, hint in reader.problems
        )
    return Listing(name, value, reader.lines, reader.texts)


def _csv(text: str, name: str) -> Listing:
    table = csv_reader.parse(text, name)
    lines: dict[KeyPath, int] = {(index,): row.line for index, row in enumerate(table.rows)}
    lines[()] = table.line
    return Listing(name, [row.cells for row in table.rows], lines, {}, table.columns, table=True)


def _text(text: str, name: str) -> Listing:
    found = [(line, words) for line, words in host_list.words(host_list.numbered(text)) if words]
    lines: dict[KeyPath, int] = {(index,): line or 1 for index, (line, _) in enumerate(found)}
    return Listing(name, [" ".join(words) for _, words in found], lines, {})
