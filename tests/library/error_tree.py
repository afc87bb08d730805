"""
The tree of public exceptions, as docs/library.md shows it.

`python -m tests.library.error_tree` draws it there again after a public class was added or moved.
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


def public() -> list[object]:
    """Return what `import fabnode` offers."""
    return [getattr(fabnode, name) for name in fabnode.__all__]


def drawn(kind: type[FabnodeError] = FabnodeError, before: str = "") -> str:
    """Return the public ones below an exception; an exit code where it differs from its parent."""
    kinds = [each for each in kind.__subclasses__() if each in public()]
    lines = []
    for each in sorted(kinds, key=lambda each: each.__name__):
        last = each.__name__ == max(kind.__name__ for kind in kinds)
        code = f"  (exit {each.exit_code})" if each.exit_code != kind.exit_code else ""
        lines.append(f"{before}{'└──' if last else '├──'} {each.__name__}{code}\n")
        lines.append(drawn(each, f"{before}{'    ' if last else '│   '}"))
    return "".join(lines)


def tree() -> str:
    """Return the tree of public ones."""
    assert defined()  # so that every module is imported
    return f"FabnodeError  (exit {FabnodeError.exit_code})\n{drawn()}"


if __name__ == "__main__":
    LIBRARY.write_text(SHOWN.sub(tree(), LIBRARY.read_text()))
