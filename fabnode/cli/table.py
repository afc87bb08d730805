"""Plain-text tables: wrapped to a terminal's width; elsewhere a line per row, for grep and awk."""

from __future__ import annotations

import os
import shutil
import textwrap
from collections import Counter
from dataclasses import replace
from typing import IO, TYPE_CHECKING

from ..journal.redact import clean

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..journal.summary import NodeResult

GAP = "  "
NARROWEST = 12
_COLOURS = {
    "failed": "31",
    "changed": "33",
    "unchanged": "32",
    "ok": "32",
    "warning": "33",
    "skipped": "35",
    "unfinished": "35",
}


def width_of(stream: IO[str]) -> int | None:
    """Return the terminal's width in columns; None where the stream is not a terminal."""
    return shutil.get_terminal_size().columns if stream.isatty() else None


def supports_colour(stream: IO[str]) -> bool:
    """Return whether to use colour: on terminals that support it, unless NO_COLOR is set."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def table(
    headers: Sequence[str],
    lines: Iterable[Sequence[str]],
    *,
    width: int | None = None,
    colour: bool = False,
) -> str:
    """
    Format a table no wider than `width`, without a final newline.

    Columns get the width of their content; where that is too much, the widest are wrapped. Without
    `width` a row is one line, however long: lines within a cell are joined by semicolons. A
    column other than the first is left out if it is empty in every line. Control characters are
    removed from cells. With `colour`, results such as `failed` alone in a cell are coloured.
    """
    cells = [[clean(str(cell)).strip() for cell in line] for line in lines]
    used = [i for i in range(len(headers)) if i == 0 or any(line[i] for line in cells)]
    body = [[line[i] if width else _one_line(line[i]) for i in used] for line in cells]
    heads = [headers[i] for i in used]
    widths = _widths([heads, *body], width)
    paint = _paint if colour else _plain
    text = [_join([head.ljust(w) for head, w in zip(heads, widths, strict=True)])]
    text.append(_join(["-" * w for w in widths]))
    for line in body:
        columns = [
            _wrap(cell, w) if width else [cell] for cell, w in zip(line, widths, strict=True)
        ]
        for row in range(max(map(len, columns))):
            parts = [c[row] if row < len(c) else "" for c in columns]
            text.append(_join([paint(p, p.ljust(w)) for p, w in zip(parts, widths, strict=True)]))
    return "\n".join(text)


def end_table(rows: Sequence[NodeResult], *, width: int | None = None, colour: bool = False) -> str:
    """
    Format the table that ends a run, and a line with the number of each result.

    With more than twenty rows, nodes with the same result share one.
    """
    lines = []
    for row in _grouped(rows):
        why = row.cause + (f"\nnext: {row.advice}" if row.advice else "")
        lines.append((row.node, row.result, row.step, why))
    counts = Counter(row.result for row in rows)
    total = ", ".join(f"{n} {result}" for result, n in counts.items())
    shown = table(("NODE", "RESULT", "STEP", "CAUSE"), lines, width=width, colour=colour)
    return f"{shown}\n{total or 'no nodes'}"


def _grouped(rows: Sequence[NodeResult]) -> list[NodeResult]:
    """Merge rows that differ in the node only, where there are more than twenty."""
    if len(rows) <= 20:
        return list(rows)
    alike: dict[tuple[str, ...], list[NodeResult]] = {}
    for row in rows:
        key = (row.result, row.step, row.cause, row.advice)
        alike.setdefault(key, []).append(row)
    return [_merged(same) for same in alike.values()]


def _merged(same: list[NodeResult]) -> NodeResult:
    if len(same) == 1 or same[0].result == "failed":
        return replace(same[0], node=" ".join(row.node for row in same))
    return replace(same[0], node=f"{len(same)} nodes")


def _one_line(cell: str) -> str:
    return "; ".join(line.strip() for line in cell.splitlines() if line.strip())


def _widths(lines: Sequence[Sequence[str]], width: int | None) -> list[int]:
    """Return the columns' widths: of their content, the widest narrowed until all fit."""
    widths = [
        max(len(part) for c in column for part in (c.split("\n")))
        for column in zip(*lines, strict=True)
    ]
    if width is None:
        return [*widths[:-1], len(lines[0][-1])]  # nothing stands behind the last one
    room = width - len(GAP) * (len(widths) - 1)
    while sum(widths) > room and max(widths) > NARROWEST:
        widest = widths.index(max(widths))
        widths[widest] -= 1
    return widths


def _wrap(cell: str, width: int) -> list[str]:
    """Break a cell into lines at spaces; words longer than the column are cut."""
    return [
        line
        for part in cell.split("\n")
        for line in textwrap.wrap(part, width, break_on_hyphens=False) or [""]
    ]


def _join(parts: Sequence[str]) -> str:
    return GAP.join(parts).rstrip()


def _plain(_: str, padded: str) -> str:
    return padded


def _paint(word: str, padded: str) -> str:
    code = _COLOURS.get(word)
    return f"\x1b[{code}m{padded}\x1b[0m" if code else padded
