"""What may come by the hundred is told one by one up to a point, and counted from there."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Flood:
    """
    Lets so many lines a minute through, and counts the others.

    :param clock: seconds.
    """

    def __init__(self, limit: int = 10, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._minute = 0
        self._told = 0
        self._kept_back = 0

    def admits(self) -> bool:
        """Say whether one more may be told; it is counted where not."""
        minute = int(self._clock() // 60)
        if minute != self._minute:
            self._minute, self._told = minute, 0
        if self._told < self._limit:
            self._told += 1
            return True
        self._kept_back += 1
        return False

    def kept_back(self) -> int:
        """Return how many were not told since this was last asked."""
        found, self._kept_back = self._kept_back, 0
        return found
