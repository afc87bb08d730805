"""Waits: checked at once and at the deadline, never beyond it; a time-out says what was awaited."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from fabnode.util.errors import FabnodeError
from fabnode.util.wait import Wait, Waiting, WaitTimeoutError, retry

ROOT = Path(__file__).parents[2]


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def wait(self, timeout: float, interval: float, jitter: float = 0.0) -> Wait:
        return Wait(
            "rain", timeout, interval, jitter=jitter, advice="dance", clock=self, sleep=self.sleep
        )


@pytest.mark.parametrize(
    ("timeout", "interval", "ready_at", "slept"),
    [
        (10, 4, 0, []),
        (10, 4, 1, [4]),
        (10, 4, 4, [4]),
        (10, 4, 10, [4, 4, 2]),
        (0, 4, 0, []),
    ],
)
def test_it_ends_with_the_first_check_that_finds_it(
    timeout: float, interval: float, ready_at: float, slept: list[float]
) -> None:
    clock = Clock()
    wait = clock.wait(timeout, interval)
    assert wait.until(lambda: "it" if clock() >= 1000 + ready_at else None) == "it"
    assert clock.slept == slept


@pytest.mark.parametrize("nothing", [None, False])
@pytest.mark.parametrize(("timeout", "slept"), [(10, [4, 4, 2]), (0, [])])
def test_after_the_deadline_it_says_what_was_awaited_and_how_long(
    nothing: bool | None, timeout: float, slept: list[float]
) -> None:
    clock = Clock()
    with pytest.raises(WaitTimeoutError) as caught:
        clock.wait(timeout, 4).until(lambda: nothing)
    assert clock.slept == slept
    assert str(caught.value) == f"waited {timeout} s for rain"
    assert (caught.value.awaited, caught.value.seconds) == ("rain", timeout)
    assert caught.value.advice == "dance"
    assert isinstance(caught.value, FabnodeError)
    assert isinstance(caught.value, TimeoutError)


def test_empty_results_are_results() -> None:
    assert Clock().wait(0, 1).until(lambda: 0) == 0
    assert Clock().wait(0, 1).until(lambda: "") == ""


def test_a_time_out_may_say_in_which_state_it_ended() -> None:
    assert str(Clock().wait(0, 1).overdue("clouds only")) == "waited 0 s for rain: clouds only"


def test_a_state_is_reported_when_it_is_new_with_the_time_waited() -> None:
    clock, seen = Clock(), list[Waiting]()
    wait = Wait("rain", 90, 10, on_state=seen.append, clock=clock, sleep=clock.sleep)
    for state in ("clouds", "clouds", "thunder"):
        wait.report(state)
        wait.pause()
    assert seen == [Waiting("rain", "clouds", 0, 90), Waiting("rain", "thunder", 20, 90)]


def test_there_is_no_pause_after_the_deadline() -> None:
    clock = Clock()
    wait = clock.wait(1, 2)
    assert not wait.over
    wait.pause()
    assert wait.over
    wait.pause()
    assert clock.slept == [1, 0]


def test_jitter_spreads_pauses_over_its_share_and_stays_within_the_deadline() -> None:
    clock = Clock()
    wait = clock.wait(1000, 1, jitter=0.5)
    for _ in range(200):
        wait.pause()
    assert min(clock.slept) >= 1
    assert max(clock.slept) <= 1.5
    assert max(clock.slept) - min(clock.slept) > 0.25
    late = clock.wait(0.5, 1, jitter=0.5)
    late.pause()
    assert clock.slept[-1] == 0.5
    assert late.over


@pytest.mark.parametrize("failures", [0, 1, 2, 3])
def test_work_is_tried_again_after_each_pause(failures: int) -> None:
    clock, tries = Clock(), 0

    def work() -> int:
        nonlocal tries
        tries += 1
        if tries <= failures:
            raise BlockingIOError(tries)
        return tries

    if failures > 2:
        with pytest.raises(BlockingIOError):
            retry(work, (1, 2), BlockingIOError, clock.sleep)
    else:
        assert retry(work, (1, 2), BlockingIOError, clock.sleep) == failures + 1
    assert clock.slept == [1, 2][:failures]


def test_other_errors_end_the_tries_at_once() -> None:
    clock = Clock()
    with pytest.raises(ZeroDivisionError):
        retry(lambda: 1 // 0, (1, 2), BlockingIOError, clock.sleep)
    assert clock.slept == []


@pytest.mark.parametrize(
    "path",
    sorted([*(ROOT / "fabnode").rglob("*.py"), *(ROOT / "lab").rglob("*.py")]),
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_nothing_else_sleeps(path: Path) -> None:
    """A fixed sleep is too long or too short: all waiting goes through `util/wait.py`."""
    named = {
        node.attr
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "time"
    }
    assert ("sleep" in named) == (path == ROOT / "fabnode/util/wait.py")
