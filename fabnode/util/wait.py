"""Bounded waiting: the deadline, interval and jitter of everything that polls or tries again."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from .errors import FabnodeError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

T = TypeVar("T")


class WaitTimeoutError(FabnodeError, TimeoutError):
    """
    Something that was waited for did not come in time.

    :ivar awaited: what was waited for.
    :ivar seconds: how long.
    """

    def __init__(self, awaited: str, seconds: float, detail: str = "", advice: str = "") -> None:
        super().__init__(f"waited {seconds:g} s for {awaited}{detail and f': {detail}'}", advice)
        self.awaited = awaited
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Waiting:
    """
    A wait in progress.

    :param state: of what is awaited, as last seen. :param waited, limit: seconds.
    """

    awaited: str
    state: str
    waited: float
    limit: float


def unobserved(_: Waiting) -> None:
    """Pass over the state of a wait."""


class Wait:
    """
    One wait, which begins when it is made.

    :param awaited: what is waited for, as a time-out names it.
    :param timeout: seconds.
    :param interval: seconds between two checks; the last one comes at the deadline.
    :param jitter: share of the interval that is added at random, 0 to 1, so that many who wait for
        one server do not all ask at once.
    :param advice: next step after a time-out.
    :param on_state: gets each new state that is reported to the wait.
    :param clock: seconds that never go back.
    """

    def __init__(
        self,
        awaited: str,
        timeout: float,
        interval: float = 0.1,
        *,
        jitter: float = 0.0,
        advice: str = "",
        on_state: Callable[[Waiting], None] = unobserved,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._awaited = awaited
        self._timeout = timeout
        self._interval = interval
        self._jitter = jitter
        self._advice = advice
        self._on_state = on_state
        self._state: str | None = None
        self._clock = clock
        self._sleep = sleep
        self._deadline = clock() + timeout

    @property
    def left(self) -> float:
        """Seconds until the deadline; negative after it."""
        return self._deadline - self._clock()

    @property
    def over(self) -> bool:
        """Whether the deadline has passed."""
        return self.left <= 0

    def overdue(self, detail: str = "", advice: str = "") -> WaitTimeoutError:
        """
        Return the error of this wait.

        :param detail: the state in which it ended.
        :param advice: next step, in place of the wait's.
        """
        return WaitTimeoutError(self._awaited, self._timeout, detail, advice or self._advice)

    def report(self, state: str) -> None:
        """Report the state of what is awaited; those who follow the wait learn it if it is new."""
        if state != self._state:
            self._state = state
            waited = self._timeout - self.left
            self._on_state(Waiting(self._awaited, state, waited, self._timeout))

    def part(self) -> Wait:
        """Return a wait for the same thing until the next check of this one is due."""
        timeout = min(self._interval, self.left)
        return Wait(self._awaited, timeout, clock=self._clock, sleep=self._sleep)

    def pause(self) -> None:
        """Sleep until the next check is due; not at all after the deadline."""
        spread = random.random()  # noqa: S311 - nothing secret
        self._sleep(max(0.0, min(self._interval * (1 + self._jitter * spread), self.left)))

    def until(self, check: Callable[[], T | None]) -> T:
        """
        Return what `check` returns once that is neither None nor False.

        :raises WaitTimeoutError: it was not so at the deadline.
        """
        while (result := check()) is None or result is False:
            if self.over:
                raise self.overdue()
            self.pause()
        return result


def retry(
    work: Callable[[], T],
    pauses: Sequence[float],
    on: type[Exception],
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """Return what `work` returns, tried again after each pause (seconds) while it raises `on`."""
    for pause in pauses:
        try:
            return work()
        except on:
            sleep(pause)
    return work()


def unless(stopped: threading.Event) -> Callable[[float], None]:
    """
    Return the sleep of a wait that ends when the user interrupts.

    :param stopped: set then; the sleep raises KeyboardInterrupt.
    """

    def sleep(seconds: float) -> None:
        if stopped.wait(seconds):
            raise KeyboardInterrupt

    return sleep
