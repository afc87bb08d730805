"""What is public: listed in one place, documented, typed, light to import."""

from __future__ import annotations

import ast
import collections.abc
import dataclasses
import inspect
import re
import subprocess
import sys
import types
import typing
from pathlib import Path

import pytest
from mypy import api as mypy

import fabnode
from fabnode.library import public

from .examples import LIBRARY, examples

ROOT = Path(__file__).parents[2]


# What modules import for type checkers alone.
STANDARD: dict[str, object] = {
    "Any": typing.Any,
    "Callable": collections.abc.Callable,
    "Mapping": collections.abc.Mapping,
    "Path": Path,
}


def documented() -> set[str]:
    """Return the names in the first column of the table of public names."""
    section = LIBRARY.read_text().partition("## What is public")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`[^|]*) \|", section, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}


def test_public_names_are_the_documented_ones() -> None:
    assert set(fabnode.__all__) == documented()
    assert dir(fabnode) == sorted(fabnode.__all__)


@pytest.mark.parametrize("name", fabnode.__all__)
def test_public_names_exist_and_have_a_docstring(name: str) -> None:
    found = getattr(fabnode, name)
    if name != "__version__":
        assert found.__name__ == name
        assert inspect.getdoc(found)


def test_other_names_do_not_exist() -> None:
    with pytest.raises(AttributeError, match="no attribute 'deploy_node'"):
        fabnode.deploy_node  # type: ignore[attr-defined]  # noqa: B018 - what is missing is meant


def test_type_checkers_know_the_same_names() -> None:
    """They read the imports under TYPE_CHECKING, Python the table of homes."""
    tree = ast.parse(Path(public.__file__).read_text())
    imported = {
        (alias.asname, f"{'' if node.level > 1 else 'library.'}{node.module}")
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level
        for alias in node.names
    }
    assert imported == set(public.HOMES.items())


FIELDS_ELSEWHERE = {"Config", "Node", "Inputs", "Step"}


def mentioned(hint: object) -> set[type]:
    """Return the classes of fabnode that a type hint names."""
    if isinstance(hint, list):
        return set().union(*map(mentioned, hint))
    if isinstance(hint, type) and not isinstance(hint, types.GenericAlias):
        return {hint} if hint.__module__.startswith("fabnode.") else set()
    return set().union(*map(mentioned, typing.get_args(hint)))


@pytest.mark.parametrize("name", sorted(set(fabnode.__all__) - {"__version__", *FIELDS_ELSEWHERE}))
def test_what_public_names_return_and_hold_is_public(name: str) -> None:
    """But settings, which have the names of the example, and what docs/extending.md lists."""
    found = getattr(fabnode, name)
    public = {getattr(fabnode, each) for each in fabnode.__all__}
    scope = {each: getattr(fabnode, each) for each in fabnode.__all__} | STANDARD
    holders = [found]
    if inspect.isclass(found):
        holders += [m.fget for m in vars(found).values() if isinstance(m, property)]
        holders += [m for n, m in vars(found).items() if inspect.isfunction(m) and n[0] != "_"]
    for holder in holders:
        if dataclasses.is_dataclass(holder) or inspect.isfunction(holder):
            hints = typing.get_type_hints(holder, vars(sys.modules[holder.__module__]), scope)
            assert set().union(*map(mentioned, hints.values())) <= public, holder


def test_import_is_light() -> None:
    """The names and the version, nothing else of the package or that others wrote."""
    code = (
        "import sys; before = set(sys.modules); import fabnode\n"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(*(new - set(sys.stdlib_module_names)))\n"
        "print(*(name for name in sys.modules if name.startswith('fabnode.')))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    light = ["library", "library.public", "util", "util.about"]
    assert done.stdout.splitlines() == ["fabnode", " ".join(f"fabnode.{name}" for name in light)]


def test_examples_pass_a_strict_type_checker(tmp_path: Path) -> None:
    files = []
    for number, text in enumerate(examples()):
        files.append(tmp_path / f"example_{number}.py")
        files[-1].write_text(text)
    assert len(files) > 4
    # The cache of `make check`, wherever pytest was started: without it all of fabnode is analysed.
    cache = ["--cache-dir", str(ROOT / ".mypy_cache")]
    settings = ["--strict", "--config-file", str(ROOT / "pyproject.toml"), *cache]
    report, errors, code = mypy.run([*settings, *map(str, files)])
    assert code == 0, report + errors
