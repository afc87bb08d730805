"""
The tree of exceptions, as docs/library.md shows it.

`python -m tests.library.error_tree` draws it there again after a class was added or moved.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from functools import cache
from typing import TYPE_CHECKING

import fabnode
from fabnode.util.errors import FabnodeError

from .examples import LIBRARY

if TYPE_CHECKING:
    from collections.abc import Iterator

SHOWN = re.compile(r"(?<=^```text\n)FabnodeError .*?(?=^```)", re.MULTILINE | re.DOTALL)


@cache
def defined() -> frozenset[type[BaseException]]:
    """Return all exception classes that the package defines, wherever in a module."""
    for module in pkgutil.walk_packages(fabnode.__path__, "fabnode."):
        if module.name != "fabnode.__main__":
            importlib.import_module(module.name)

    def below(kind: type[BaseException]) -> Iterator[type[BaseException]]:
        for each in type.__subclasses__(kind):
            yield each
            yield from below(each)

    return frozenset(e for e in below(BaseException) if e.__module__.startswith("fabnode."))


def drawn(kind: type[FabnodeError] = FabnodeError, before: str = "") -> str:
    """Return the tree below an exception; an exit code stands where it is not the parent's."""
    kinds = [each for each in kind.__subclasses__() if each.__module__.startswith("fabnode.")]
    lines = []
    for each in sorted(kinds, key=lambda each: each.__name__):
        last = each.__name__ == max(kind.__name__ for kind in kinds)
        code = f"  (exit {each.exit_code})" if each.exit_code != kind.exit_code else ""
        lines.append(f"{before}{'└──' if last else '├──'} {each.__name__}{code}\n")
        lines.append(drawn(each, f"{before}{'    ' if last else '│   '}"))
    return "".join(lines)


def tree() -> str:
    """Return the whole tree."""
    assert defined()  # so that every module is imported
    return f"FabnodeError  (exit {FabnodeError.exit_code})\n{drawn()}"


if __name__ == "__main__":
    LIBRARY.write_text(SHOWN.sub(tree(), LIBRARY.read_text()))
