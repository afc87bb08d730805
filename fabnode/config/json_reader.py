"""Reader of JSON that keeps the line of each value, which Python's own reader does not tell."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from ..util.problems import ConfigError, Problem, plain
from .yaml_reader import MAX_DEPTH, MAX_VALUES, encodable, too_deep

if TYPE_CHECKING:
    from ..util.problems import KeyPath

_BLANKS = re.compile(r"[ \t\r\n]*")


class JsonReader:
    """
    One pass over a text: plain values, their lines, and how numbers and booleans were written.

    The same limits hold as for YAML: depth, and how many values there are.
    """

    def __init__(self, text: str, name: str) -> None:
        self.lines: dict[KeyPath, int] = {}
        self.texts: dict[KeyPath, str] = {}
        self._text = text
        self._name = name
        self._at = 0
        self._line, self._counted = 1, 0
        self._count = 0
        self._scalars = json.JSONDecoder(parse_constant=_no_constant)

    def document(self) -> object:
        """
        Return the value that the whole text is.

        :raises ConfigError: it is no JSON, or beyond the limits.
        """
        value = self._value(())
        if self._next():
            raise self._problem("is not valid JSON: it goes on after its end")
        return value

    def _value(self, path: KeyPath) -> object:
        self._count += 1
        if self._count > MAX_VALUES:
            message = f"holds more than {MAX_VALUES} values"
            raise ConfigError([Problem(self._name, None, "", message)])
        first = self._next()
        self.lines.setdefault(path, self._line_here())
        if len(path) > MAX_DEPTH:
            raise ConfigError([too_deep(self._name, self._line_here())])
        if first == "{":
            return self._object(path)
        if first == "[":
            return self._array(path)
        return self._scalar(path)

    def _scalar(self, path: KeyPath) -> object:
        begin = self._at
        try:
            value, self._at = self._scalars.raw_decode(self._text, begin)
        except ValueError as error:  # bad syntax, and a number of more digits than Python converts
            detail = getattr(error, "msg", "a number of too many digits")
            raise self._problem(f"is not valid JSON: {plain(detail)}") from None
        if not isinstance(value, str):
            self.texts[path] = self._text[begin : self._at]
        elif not encodable(value):
            raise self._problem("holds characters that are not Unicode text")
        return value

    def _array(self, path: KeyPath) -> list[object]:
        found: list[object] = []
        self._at += 1
        if self._next() == "]":
            self._at += 1
            return found
        while True:
            found.append(self._value((*path, len(found))))
            if self._separator("]"):
                return found

    def _object(self, path: KeyPath) -> dict[str, object]:
        found: dict[str, object] = {}
        self._at += 1
        if self._next() == "}":
            self._at += 1
            return found
        while True:
            key = self._key(path)
            if key in found:
                first = self.lines[(*path, key)]
                raise self._problem(f"has '{plain(key)}' twice: first in line {first}")
            self.lines[(*path, key)] = self._line_here()
            if self._next() != ":":
                raise self._problem("is not valid JSON: a colon is missing after a key")
            self._at += 1
            found[key] = self._value((*path, key))
            if self._separator("}"):
                return found

    def _key(self, path: KeyPath) -> str:
        if self._next() != '"':
            raise self._problem("is not valid JSON: a key in double quotes is missing")
        key = self._scalar((*path, ""))
        return str(key)

    def _separator(self, end: str) -> bool:
        """Pass over a comma, or over the end of what is open, which is reported."""
        found = self._next()
        if found not in {",", end}:
            raise self._problem(f"is not valid JSON: a comma or {end} is missing")
        self._at += 1
        return found == end

    def _next(self) -> str:
        """Pass over blanks; return the character there, or nothing at the end."""
        blanks = _BLANKS.match(self._text, self._at)
        self._at = blanks.end() if blanks else self._at
        return self._text[self._at : self._at + 1]

    def _line_here(self) -> int:
        self._line += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        return self._line

    def _problem(self, message: str) -> ConfigError:
        return ConfigError([Problem(self._name, self._line_here(), "", message)])


def _no_constant(word: str) -> object:
    raise ValueError(f"{word} is no number of JSON's")
