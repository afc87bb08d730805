"""Floods are told of, not told."""

from __future__ import annotations

from fabnode.journal.rate_limit import Flood


def test_the_first_are_told_and_the_rest_counted_minute_by_minute() -> None:
    now = [0.0]
    flood = Flood(3, lambda: now[0])
    assert [flood.admits() for _ in range(5)] == [True, True, True, False, False]
    assert flood.kept_back() == 2
    assert flood.kept_back() == 0
    now[0] = 61.0
    assert flood.admits()
