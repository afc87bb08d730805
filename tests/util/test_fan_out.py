"""Many nodes at once: bounds, isolation, batches, interruption."""

from __future__ import annotations

import signal
import threading
import time

import pytest

from fabnode.util.fan_out import EARLIER_BATCH, STOPPED, Outcome, fan_out


class Gauge:
    """Counts how many are at work at once, and the most there ever were."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now: dict[str, int] = {}
        self.most: dict[str, int] = {}

    def pass_through(self, *kinds: str) -> None:
        with self._lock:
            for kind in kinds:
                self._now[kind] = self._now.get(kind, 0) + 1
                self.most[kind] = max(self.most.get(kind, 0), self._now[kind])
        time.sleep(0.01)
        with self._lock:
            for kind in kinds:
                self._now[kind] -= 1


def test_outcomes_come_by_name_in_the_order_of_the_items() -> None:
    """The slow first item is still the first of the results."""

    def work(n: int) -> int:
        time.sleep(0.05 if n == 0 else 0)
        return n * n

    outcomes = fan_out(range(5), work, name=str, max_parallel=5)
    assert [(name, o.value, o.ok) for name, o in outcomes.items()] == [
        (str(n), n * n, True) for n in range(5)
    ]
    assert outcomes["0"].seconds >= 0.05 > outcomes["1"].seconds


def test_one_failure_leaves_the_others_alone() -> None:
    """Whatever work raises, SystemExit too, is that item's outcome and nobody else's."""

    def work(n: int) -> int:
        if n == 1:
            raise SystemExit(3)
        if n == 2:
            raise ValueError("full disk")
        return n

    outcomes = fan_out(range(4), work, name=str, max_parallel=2)
    assert [name for name, o in outcomes.items() if o.ok] == ["0", "3"]
    assert isinstance(outcomes["1"].error, SystemExit)
    assert str(outcomes["2"].error) == "full disk"


def test_nodes_do_not_wait_for_each_other() -> None:
    """While one item blocks, all others get through, on the one other place there is."""
    others = threading.Semaphore(0)

    def work(n: int) -> bool:
        if n:
            others.release()
            return True
        return all(others.acquire(timeout=5) for _ in range(9))

    assert fan_out(range(10), work, name=str, max_parallel=2)["0"].value is True


@pytest.mark.parametrize("most", [1, 3, 50])
def test_no_more_than_max_parallel_at_once(most: int) -> None:
    """The bound is never passed."""
    gauge = Gauge()
    fan_out(range(40), lambda _: gauge.pass_through("all"), name=str, max_parallel=most)
    assert gauge.most["all"] <= most


def test_as_many_as_allowed_at_once() -> None:
    """The bound is used to the full: ten meet, though only ten are worked on at once."""
    meeting = threading.Barrier(10)
    outcomes = fan_out(range(30), lambda _: meeting.wait(5), name=str, max_parallel=10)
    assert all(outcome.ok for outcome in outcomes.values())


def test_groups_have_bounds_of_their_own() -> None:
    """A group's bound holds for its members, and does not hold back others."""
    gauge = Gauge()
    meeting = threading.Barrier(5)
    groups = {n: ["ssd"] if n < 20 else ["hdd"] if n < 30 else [] for n in range(40)}

    def work(n: int) -> None:
        gauge.pass_through("all", *groups[n])
        if groups[n] == ["hdd"]:
            meeting.wait(5)

    outcomes = fan_out(
        range(40),
        work,
        name=str,
        max_parallel=8,
        group_limits={"ssd": 2, "unused": 1},
        groups_of=lambda n: groups[n],
    )
    assert all(outcome.ok for outcome in outcomes.values())
    assert gauge.most["ssd"] <= 2
    assert gauge.most["all"] <= 8


def test_a_batch_starts_when_the_one_before_is_through() -> None:
    """Nothing of a later batch runs beside an earlier one."""
    log: list[int] = []
    fan_out(range(9), lambda n: log.append(n // 3), name=str, max_parallel=9, batch=3)
    assert log == sorted(log)


def test_a_batch_with_a_failure_stops_later_ones() -> None:
    """The rest of the failing batch is finished; later batches are skipped, and say why."""
    seen: list[int] = []

    def work(n: int) -> None:
        seen.append(n)
        if n == 2:
            raise RuntimeError

    outcomes = fan_out(range(8), work, name=str, max_parallel=1, batch=2)
    assert seen == [0, 1, 2, 3]
    assert [name for name, o in outcomes.items() if o.skipped] == ["4", "5", "6", "7"]
    assert outcomes["7"].skipped == EARLIER_BATCH
    assert not outcomes["7"].ok


def test_without_batches_a_failure_stops_nothing() -> None:
    """All items get their turn when batches."""
    outcomes = fan_out(range(8), lambda n: 1 // n, name=str, max_parallel=1)
    assert [name for name, o in outcomes.items() if not o.ok] == ["0"]


def test_interrupt_stops_handing_out_stops_running_work_and_is_passed_on() -> None:
    """Ctrl-C: the event is set, running work ends in good order, nothing new starts."""
    stop = threading.Event()
    begun: list[int] = []
    ended: list[int] = []

    def work(n: int) -> None:
        begun.append(n)
        stop.wait(5)
        ended.append(n)

    threading.Timer(0.1, _interrupt_main).start()
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        fan_out(range(20), work, name=str, max_parallel=3, stop=stop)
    assert time.monotonic() - started < 3
    assert stop.is_set()
    assert begun == sorted(ended) == [0, 1, 2]


def _interrupt_main() -> None:
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


def test_interrupt_has_running_work_end() -> None:
    ended = threading.Event()
    outcomes: dict[str, Outcome[bool]] = {}
    threading.Timer(0.1, _interrupt_main).start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        fan_out(
            [1],
            lambda _: ended.wait(30),
            name=str,
            max_parallel=1,
            on_interrupt=ended.set,
            on_outcome=outcomes.__setitem__,
        )
    assert outcomes["1"].value is True
    assert time.monotonic() - began < 5


def test_a_second_interrupt_ends_the_grace() -> None:
    release = threading.Event()
    again = threading.Timer(0.1, _interrupt_main)
    threading.Timer(0.1, _interrupt_main).start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        fan_out(
            [1],
            lambda _: release.wait(30),
            name=str,
            max_parallel=1,
            grace=20,
            on_interrupt=again.start,
        )
    assert time.monotonic() - began < 5
    release.set()


def test_interrupt_does_not_wait_for_work_that_hangs() -> None:
    """Work that ignores the event is left behind after the grace time."""
    release = threading.Event()
    threading.Timer(0.1, _interrupt_main).start()
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        fan_out([1], lambda _: release.wait(30), name=str, max_parallel=1, grace=0.2)
    assert time.monotonic() - started < 3
    release.set()


def test_a_stop_from_elsewhere_skips_what_has_not_begun() -> None:
    """Work may ask for the stop itself: running items end, the others are skipped."""
    stop = threading.Event()
    outcomes = fan_out(range(5), lambda _: stop.set(), name=str, max_parallel=1, stop=stop, batch=2)
    assert [o.skipped for o in outcomes.values()] == ["", *[STOPPED] * 4]


@pytest.mark.parametrize("limits", [{"max_parallel": 0}, {"max_parallel": 1, "group": 0}])
def test_bounds_under_which_nothing_would_run_are_refused(limits: dict[str, int]) -> None:
    """A bound of nothing at a time is an error, not a run that never ends."""
    groups = {"g": limits["group"]} if "group" in limits else {}
    with pytest.raises(ValueError, match="at least one"):
        fan_out([1], str, name=str, max_parallel=limits["max_parallel"], group_limits=groups)


def test_no_items_no_outcomes() -> None:
    """An empty selection is no error here."""
    assert fan_out([], str, name=str, max_parallel=1) == {}


def test_each_outcome_is_reported_once_failed_skipped_and_stopped_ones_too() -> None:
    stop = threading.Event()

    def work(n: int) -> int:
        if n == 1:
            raise ValueError("full disk")
        if n == 5:
            stop.set()
        return n

    reported: list[tuple[str, bool]] = []
    outcomes = fan_out(
        range(4),
        work,
        name=str,
        max_parallel=1,
        batch=2,
        on_outcome=lambda name, outcome: reported.append((name, outcome.ok)),
    )
    assert reported == [("0", True), ("1", False), ("2", False), ("3", False)]
    assert outcomes["3"].skipped == EARLIER_BATCH
    reported.clear()
    fan_out(
        range(5, 8),
        work,
        name=str,
        max_parallel=1,
        stop=stop,
        on_outcome=lambda name, outcome: reported.append((name, outcome.ok)),
    )
    assert reported == [("5", True), ("6", False), ("7", False)]
