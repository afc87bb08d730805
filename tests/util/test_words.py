"""Numbers of things in sentences."""

from __future__ import annotations

import pytest

from fabnode.util.words import counted


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 nodes"), (1, "1 node"), (2, "2 nodes"), (30, "30 nodes")]
)
def test_a_noun_follows_its_number(number: int, text: str) -> None:
    assert counted(number, "node") == text
