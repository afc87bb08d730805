"""Problems of the configuration as messages (file, line, key, what to do), and text for them."""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .errors import FabnodeError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_MAX_LINE = 2000

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """
    One thing that is wrong with what the user gave.

    :param file: as the user named it; empty where no file is meant (an option).
    :param line: counted from 1; None where no line is meant.
    :param key: dotted, as in `nodes[n1].ssh.port`; may be empty.
    :param hint: what to do; may be empty.
    """

    file: str
    line: int | None
    key: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.file and self.line else self.file
        text = f"{self.message}; {self.hint}" if self.hint else self.message
        return plain(": ".join(part for part in (place, self.key, text) if part), _MAX_LINE)


class ConfigError(InputError):
    """The user's input is wrong. Its text is one line per problem; tasks end with exit code 2."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        """Keep each problem once, in the order of files and their lines."""
        unique = dict.fromkeys(problems)
        files = {file: n for n, file in enumerate(dict.fromkeys(p.file for p in unique))}
        self.problems: list[Problem] = sorted(
            unique, key=lambda problem: (files[problem.file], problem.line or 0)
        )
        super().__init__("\n".join(map(str, self.problems)))


class InvalidValueError(FabnodeError, ValueError):
    """A value that is not what is wanted: `wants …`; what was got is added later."""


def nearest(word: str, known: Iterable[str]) -> str:
    """Return `did you mean X?` where one of `known` is near to `word`, else nothing."""
    found = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"did you mean {found[0]}?" if found else ""


def either(words: Sequence[str]) -> str:
    """Join words for a sentence: `a, b or c`."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def plain(text: str, limit: int = 80) -> str:
    """Return text that is safe to print in one line: no control characters, and not too long."""
    short = text if len(text) <= limit else f"{text[: limit - 1]}…"
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in short)


def shown(value: object) -> str:
    """Return a value as the user would know it from YAML, short and safe to print."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case str():
            return f"'{plain(value)}'"
        case int() if abs(value) >= 10**20:
            return "a very large number"
        case float() if not math.isfinite(value):
            return "a number that is not finite"
        case int() | float():
            return str(value)
        case list() | tuple():
            return "a list"
        case dict():
            return "a mapping"
        case _:
            return f"a {plain(type(value).__name__)}"
