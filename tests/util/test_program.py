"""Commands in advice fit the program that was started; no advice names one by itself."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fabnode.util import program

PACKAGE = Path(program.__file__).parents[1]
# Help and the schema are the same text for all programs; a fabfile is for `fab` alone.
STATIC = {"config/sections.py", "cli/app.py", "tasks.py", "host_tasks.py", "util/program.py"}


@pytest.mark.parametrize(
    ("started", "in_wheel", "expected"),
    [
        ("/clone/.venv/bin/inv", False, "inv plan"),
        ("/clone/.venv/bin/fab", False, "inv plan"),
        ("/clone/.venv/bin/fabnode", False, "fabnode plan"),
        ("/venv/bin/fabnode", True, "fabnode plan"),
        ("/venv/bin/inv", True, "fabnode plan"),
        ("/site/deploy.py", True, "fabnode plan"),
    ],
)
def test_tasks_are_named_as_they_can_be_run(
    monkeypatch: pytest.MonkeyPatch, started: str, in_wheel: bool, expected: str
) -> None:
    monkeypatch.setattr(sys, "argv", [started])
    monkeypatch.setattr(program, "IN_WHEEL", in_wheel)
    assert program.task("plan") == expected


@pytest.mark.parametrize(
    ("started", "in_wheel", "note"),
    [
        ("/clone/.venv/bin/inv", False, ""),
        ("/venv/bin/fab", True, ""),
        (
            "/venv/bin/fabnode",
            True,
            " (fabfile.py needs the line: from fabnode.host_tasks import ns)",
        ),
    ],
)
def test_tasks_for_one_host_are_named_as_they_can_be_run(
    monkeypatch: pytest.MonkeyPatch, started: str, in_wheel: bool, note: str
) -> None:
    monkeypatch.setattr(sys, "argv", [started])
    monkeypatch.setattr(program, "IN_WHEEL", in_wheel)
    assert program.host_task("n1", "logs") == f"fab -H n1 logs{note}"


def test_no_message_names_a_program_by_itself() -> None:
    found = [
        f"{path.relative_to(PACKAGE)}: {text}"
        for path in PACKAGE.rglob("*.py")
        if str(path.relative_to(PACKAGE)) not in STATIC
        for text in texts(ast.parse(path.read_text()))
        if re.search(r"\b(inv|fab -H) [a-z{]", text) and "python -m" not in text
    ]
    assert not found


def texts(tree: ast.Module) -> Iterator[str]:
    """Yield the literal texts of a module, without its docstrings."""
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield node.value
