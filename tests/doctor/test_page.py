"""docs/doctor.md names every cause, in their order, and which of them the lab produces."""

from __future__ import annotations

import re
from pathlib import Path

from fabnode.doctor.cause import EXPLAINS
from tests.lab.test_doctor import OF_SEVERAL, TROUBLES

PAGE = Path(__file__).parents[2] / "docs" / "doctor.md"
ROW = re.compile(r"^\| `(?P<key>[a-z0-9-]+)` \| .+ \| .+ \| (?P<lab>yes)? ?\|$", re.MULTILINE)


def test_the_page_has_every_cause_in_its_order() -> None:
    assert [row["key"] for row in ROW.finditer(PAGE.read_text())] == list(EXPLAINS)


def test_the_page_says_which_the_lab_produces() -> None:
    """Which of them it did, a run on the lab shows; that each stands there, this test."""
    shown = {row["key"]: row["lab"] for row in ROW.finditer(PAGE.read_text()) if row["lab"]}
    assert shown.keys() == {each.key for each in (*TROUBLES.values(), *OF_SEVERAL.values())}
    assert list(shown.values()).count("yes") >= 25
