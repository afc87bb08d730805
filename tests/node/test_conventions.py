"""What a node's software goes by is written once; elsewhere its name is used."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from fabnode.config.sections import USUAL_PATHS
from fabnode.node import conventions

PACKAGE = Path(conventions.__file__).parents[1]
SHARED = {
    conventions.CRI_DOCKERD_SERVICE,
    conventions.KUBELET_PORT,
    conventions.KUBELET_READ_ONLY_PORT,
    conventions.KUBELET_HEALTH_PORT,
    conventions.PROXY_HEALTH_PORT,
    conventions.PROXY_METRICS_PORT,
}


def test_the_state_lies_where_the_setting_has_its_default() -> None:
    assert USUAL_PATHS.state == conventions.STATE


def typed(path: Path) -> set[str | int]:
    """Return the shared values that a module writes out."""
    values = (
        node.value for node in ast.walk(ast.parse(path.read_text())) if type(node) is ast.Constant
    )
    return {value for value in values if isinstance(value, str | int)} & SHARED


def test_they_are_found_where_they_are_written() -> None:
    assert typed(Path(conventions.__file__)) == SHARED


@pytest.mark.parametrize(
    "path",
    sorted(set(PACKAGE.rglob("*.py")) - {Path(conventions.__file__)}),
    ids=lambda p: str(p.relative_to(PACKAGE)),
)
def test_nobody_else_writes_them(path: Path) -> None:
    assert not typed(path), f"{path}: use the name in node/conventions.py"
