"""The table of checks in docs/audit.md is that of the code, both ways."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import get_args

from fabnode.audit import finding

ROOT = Path(__file__).parents[2]
CHECKS = list(get_args(finding.Check))


def test_the_docs_list_every_check_and_no_other() -> None:
    page = (ROOT / "docs" / "audit.md").read_text()
    assert re.findall(r"^\| `([a-z-]+)` \|", page, re.MULTILINE) == CHECKS


def test_every_check_is_made_somewhere() -> None:
    """The type checker holds the other way: no finding is of a check that isn't listed."""
    used = {
        node.value
        for path in (ROOT / "fabnode" / "audit").glob("*.py")
        if path.name != "finding.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant)
    }
    assert set(CHECKS) <= used
