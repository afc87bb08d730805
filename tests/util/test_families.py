"""Families of addresses: the one by which hosts reach each other."""

from __future__ import annotations

import pytest

from fabnode.util.families import Family, shared_family

FOUR, SIX = "192.0.2.1", "2001:db8::1"


@pytest.mark.parametrize(
    ("members", "family"),
    [
        ([(FOUR,), (FOUR,)], 4),
        ([(SIX,), (SIX,)], 6),
        ([(FOUR, SIX), (FOUR, SIX)], 4),
        ([(SIX, FOUR), (SIX, FOUR)], 6),
        ([(FOUR, SIX), (SIX, FOUR), (SIX, FOUR)], 6),
        ([(SIX, FOUR), (FOUR, SIX)], 6),
        ([(FOUR, SIX), (SIX, FOUR)], 4),
        ([(FOUR, SIX), (FOUR, SIX), (SIX,)], 6),
        ([(SIX, FOUR), (SIX, FOUR), (FOUR,)], 4),
        ([(FOUR,), (SIX,), (SIX,)], 6),
    ],
)
def test_the_family_that_members_share(members: list[tuple[str, ...]], family: Family) -> None:
    assert shared_family(members) == family
