"""Rate limiter: passes so many lines a minute, and counts the rest."""

from __future__ import annotations

from fabnode.journal.rate_limit import RateLimiter


def test_the_first_pass_and_the_rest_are_counted_minute_by_minute() -> None:
    now = [0.0]
    limiter = RateLimiter(3, lambda: now[0])
    assert [limiter.allow() for _ in range(5)] == [True, True, True, False, False]
    assert limiter.take_suppressed() == 2
    assert limiter.take_suppressed() == 0
    now[0] = 61.0
    assert limiter.allow()
