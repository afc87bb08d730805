"""Counts what was tried, for the table that `make attacks` prints."""

from __future__ import annotations

from collections import Counter

TRIED, JUDGED, WRONG = "attacks tried", "requests judged", "wrong"
COUNTED: Counter[str] = Counter()


def tried(count: int = 1) -> None:
    """Note attacks: things done, or inputs given, to get what one should not get."""
    COUNTED[TRIED] += count


def judged(count: int = 1) -> None:
    """Note signing requests on which fabnode gave a verdict, or that the API refused for it."""
    COUNTED[JUDGED] += count


def wrong(what: list[str]) -> None:
    """Note and refuse verdicts that were wrong."""
    COUNTED[WRONG] += len(what)
    assert not what, what
