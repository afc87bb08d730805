"""Tables as CSV: what spreadsheets, inventories and people write, each row with its line."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..util.problems import ConfigError, Problem, plain

if TYPE_CHECKING:
    from collections.abc import Iterator

_QUOTED = re.compile(r'"[^"]*"?')
_DELIMITERS = ",;\t"
_SEPARATOR = re.compile(r"sep=(.)\s*", re.IGNORECASE)  # the first line that Excel writes and reads


@dataclass(frozen=True, slots=True)
class Row:
    """A row below the header: the line where it begins, and its cells that are not empty."""

    line: int
    cells: dict[str, str]


@dataclass(frozen=True, slots=True)
class Table:
    """A table: its columns by name, the line that names them, and the rows below."""

    columns: tuple[str, ...]
    line: int
    rows: tuple[Row, ...]


def parse(text: str, name: str) -> Table:
    """
    Read a table whose first row names its columns.

    Comma, semicolon or tab separates cells: the one that the header has most, unless `sep=;`
    stands above it. Blank lines and those that begin with `#` are passed over, and blanks around
    cells.

    :param name: the file, for problems.
    :raises ConfigError: it has no header, or rows that do not fit it.
    """
    lines = _Lines(text)
    table = csv.reader(lines, delimiter=_delimiter(text), skipinitialspace=True, strict=True)
    header: list[str] | None = None
    top = 1
    found: list[Row] = []
    problems: list[Problem] = []
    try:
        for each in table:
            cells = [cell.strip() for cell in each]
            line = lines.begin_next()
            if header is None:
                header, top = cells, line
                problems += _of_header(header, line, name)
            elif any(cells):
                problems += _of_row(header, cells, line, name)
                pairs = zip(header, cells, strict=False)
                found.append(Row(line, {column: cell for column, cell in pairs if column and cell}))
    except csv.Error as error:
        message = f"is not valid CSV: {plain(str(error))}"
        raise ConfigError([Problem(name, lines.line, "", message)]) from None
    if problems:
        raise ConfigError(problems)
    if header is None:
        hint = "its first row names its columns: name,address"
        raise ConfigError([Problem(name, None, "", "is empty", hint)])
    return Table(tuple(column for column in header if column), top, tuple(found))


def _of_header(header: list[str], line: int, name: str) -> Iterator[Problem]:
    for column in {column for column in header if column and header.count(column) > 1}:
        yield Problem(name, line, plain(column), "two columns have this name", "rename one of them")


def _of_row(header: list[str], cells: list[str], line: int, name: str) -> Iterator[Problem]:
    if any(cells[len(header) :]):
        message = f"has {len(cells)} cells, but the header {len(header)}"
        yield Problem(name, line, "", message, "put a cell that has the separator in it in quotes")
    elif any(cell for column, cell in zip(header, cells, strict=False) if not column):
        yield Problem(name, line, "", "has a cell below a column without a name", "name the column")


def _delimiter(text: str) -> str:
    if given := _SEPARATOR.match(text):
        return given[1]
    first = next((line for line in _lines_of(text) if not _passed_over(line)), "")
    plain_text = _QUOTED.sub("", first)
    return max(_DELIMITERS, key=plain_text.count)


def _passed_over(line: str) -> bool:
    return not line.strip() or line.lstrip().startswith("#")


def _lines_of(text: str) -> Iterator[str]:
    """Yield lines with their ends, of any system's; `splitlines` ends some within a cell."""
    return iter(io.StringIO(text, newline=""))


class _Lines:
    """Lines for `csv.reader`, which takes as many as a row has: cells may hold newlines."""

    def __init__(self, text: str) -> None:
        self.line = 0
        self._lines = _lines_of(text)
        self._begins: int | None = None

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        for each in self._lines:
            self.line += 1
            if self._begins is not None:
                return each
            if not _passed_over(each) and not (self.line == 1 and _SEPARATOR.fullmatch(each)):
                self._begins = self.line
                return each
        raise StopIteration

    def begin_next(self) -> int:
        """Return the line where the row began, after it was read; the next line begins another."""
        line, self._begins = self._begins or self.line, None
        return line
