"""Commands in advice fit the program that was started; no advice names one by itself."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fabnode.util import program

PACKAGE = Path(program.__file__).parents[1]
# Help and the schema are the same text for all programs; a fabfile is for `fab` alone.
STATIC = {"config/sections.py", "cli/options.py", "tasks.py", "host_tasks.py", "util/program.py"}


def test_tasks_are_named_as_the_program_was_started(monkeypatch: pytest.MonkeyPatch) -> None:
    assert program.task("plan --limit n1") == "inv plan --limit n1", "these tests run in a clone"
    monkeypatch.setattr(program, "_name", "inv")
    program.started_as("fabnode")
    assert program.task("plan --limit n1") == "fabnode plan --limit n1"


@pytest.mark.parametrize(
    ("in_wheel", "note"),
    [(False, ""), (True, " (fabfile.py needs the line: from fabnode.host_tasks import ns)")],
)
def test_tasks_for_one_host_say_what_fab_needs(
    monkeypatch: pytest.MonkeyPatch, in_wheel: bool, note: str
) -> None:
    monkeypatch.setattr(program, "IN_WHEEL", in_wheel)
    assert program.host_task("n1", "logs") == f"fab -H n1 logs{note}"


@pytest.mark.parametrize("module", ["fabnode", "invoke"])
def test_a_program_names_itself(tmp_path: Path, module: str) -> None:
    """Advice made when modules are imported included."""
    done = subprocess.run(
        [sys.executable, "-m", module, "report"],
        cwd=PACKAGE.parent,
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    name = {"fabnode": "fabnode", "invoke": "inv"}[module]
    assert done.stderr == f"no run is recorded yet\nnext: {name} deploy-nodes\n"


def test_advice_of_classes_names_the_program_as_well() -> None:
    code = (
        "from fabnode.util import program; program.started_as('fabnode')\n"
        "from fabnode.deploy.errors import MissingRightsError as E; print(E.advice)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "`fabnode rbac.deployer`" in done.stdout


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
