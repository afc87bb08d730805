"""Rate limiter for messages that a third party can cause in any number."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class RateLimiter:
    """
    Passes `limit` lines a minute and counts the rest.

    :param limit: lines a minute.
    :param clock: monotonic time in seconds.
    """

    def __init__(self, limit: int = 10, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._minute = 0
        self._passed = 0
        self._suppressed = 0

    def allow(self) -> bool:
        """Return whether one more line may pass; count it as suppressed otherwise."""
        minute = int(self._clock() // 60)
        if minute != self._minute:
            self._minute, self._passed = minute, 0
        if self._passed < self._limit:
            self._passed += 1
            return True
        self._suppressed += 1
        return False

    def take_suppressed(self) -> int:
        """Return the number of lines suppressed since the last call, and start again from 0."""
        count, self._suppressed = self._suppressed, 0
        return count
