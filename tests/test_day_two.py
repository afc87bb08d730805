"""docs/day-two.md: each promise and each trap has tests that exist, or says why it has none."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "day-two.md").read_text()
SECTION = PAGE[PAGE.index("## What is promised") :]
NAME, PATH = re.compile(r"`(test_\w+)`"), re.compile(r"`(tests/[\w/]+(?:\.py)?)`")
DEFINED = re.compile(r"^def (test_\w+)", re.MULTILINE)


@cache
def defined(*, lab: bool) -> frozenset[str]:
    """Return the names of all tests of the lab, or of all others."""
    paths = (ROOT / "tests").rglob("test_*.py")
    texts = [path.read_text() for path in paths if lab == ("lab" in path.parts)]
    return frozenset(name for text in texts for name in DEFINED.findall(text))


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the table below a heading, without its heads."""
    (section,) = re.findall(rf"^### {heading}$(.*?)(?=^### |\Z)", SECTION, re.M | re.S)
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[1:]]


PROMISES = rows("Thirteen promises that no other system keeps")
TRAPS = rows("Thirty answers that are fast and wrong")
OTHERS = rows("What else is held")


def test_all_promises_and_all_traps_are_there() -> None:
    assert [row[0].partition(".")[0] for row in PROMISES] == [str(n) for n in range(1, 14)]
    assert [row[0].partition(".")[0] for row in TRAPS] == [str(n) for n in range(1, 31)]
    assert len(OTHERS) > 5


@pytest.mark.parametrize("row", [*PROMISES, *TRAPS, *OTHERS], ids=lambda row: row[0][:40])
def test_each_has_tests_that_exist_or_a_reason(row: list[str]) -> None:
    by = row[1] if row in PROMISES or row in OTHERS else row[2]
    unit, _, lab = by.partition("lab:")
    named = NAME.findall(unit), NAME.findall(lab)
    assert set(named[0]) - defined(lab=False) == set()
    assert set(named[1]) - defined(lab=True) == set()
    paths = PATH.findall(by)
    assert [path for path in paths if not (ROOT / path).exists()] == []
    if not (named[0] or named[1] or paths):
        assert by == "no test", "it has neither a test nor a reason"
        assert "**Not**" in row[1]


def test_a_name_that_is_none_would_be_seen() -> None:
    assert "test_a_drain_that_was_cut_off_goes_on" in defined(lab=False)
    assert "test_an_upgrade_that_is_killed_goes_on" in defined(lab=True) - defined(lab=False)
