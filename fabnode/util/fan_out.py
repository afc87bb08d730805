"""Bounded parallel work over nodes, in batches if asked; each node's failure is its own outcome."""

from __future__ import annotations

import queue
import threading
import time
from collections import Counter
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Generic, TypeVar

from .wait import Wait

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

T = TypeVar("T")
R = TypeVar("R")

NO_LIMITS: Mapping[str, int] = MappingProxyType({})
EARLIER_BATCH = "an earlier batch failed"
STOPPED = "the run was stopped"


@dataclass(frozen=True, slots=True)
class Outcome(Generic[R]):
    """
    What became of one item: a value, the exception its work raised, or the reason it was skipped.

    :param seconds: how long its work took, not counting the wait for a turn.
    """

    value: R | None = None
    error: BaseException | None = None
    skipped: str = ""
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether the work ran and returned."""
        return self.error is None and not self.skipped


@dataclass(frozen=True, slots=True)
class Bounds(Generic[T]):
    """
    How many items are worked on at once.

    :param groups: most of one group at once, by the group's name; others are not bounded.
    :param groups_of: the groups an item belongs to.
    """

    max_parallel: int
    groups: Mapping[str, int]
    groups_of: Callable[[T], Iterable[str]]

    def __post_init__(self) -> None:
        """Refuse bounds under which some item would never get its turn."""
        if self.max_parallel < 1 or any(limit < 1 for limit in self.groups.values()):
            raise ValueError("at least one item at a time")


def fan_out(
    items: Sequence[T],
    work: Callable[[T], R],
    *,
    name: Callable[[T], str],
    max_parallel: int,
    group_limits: Mapping[str, int] = NO_LIMITS,
    groups_of: Callable[[T], Iterable[str]] = lambda _: (),
    batch: int | None = None,
    stop: threading.Event | None = None,
    grace: float = 10.0,
    on_outcome: Callable[[str, Outcome[R]], None] = lambda _name, _outcome: None,
    on_interrupt: Callable[[], None] = lambda: None,
) -> dict[str, Outcome[R]]:
    """
    Return what became of each item, by its name, in the order of `items`.

    An item whose work raises fails alone. With `batch`, so many are taken at a time; once a batch
    has a failure, later ones are skipped, as one expects of a rolling change.

    :param stop: checked before each item is begun; work may check it too. Set when the
        user interrupts: running work then has `grace` seconds to end before KeyboardInterrupt is
        passed on, or until the next interrupt. Nothing that is still running after that keeps the
        process alive.
    :param on_outcome: called in this thread with each outcome as it comes, those of skipped items
        and of work that ended in the grace of an interrupt among them.
    :param on_interrupt: called when the user interrupts: has running work end.
    """
    bounds = Bounds(max_parallel, group_limits, groups_of)
    stop = stop or threading.Event()
    outcomes: dict[str, Outcome[R]] = {}
    size = batch or len(items) or 1
    for first in range(0, len(items), size):
        part = items[first : first + size]
        if all(outcome.ok for outcome in outcomes.values()):
            came = partial(_named, on_outcome, [name(item) for item in part])
            done = _together(part, work, bounds, stop, grace, came, on_interrupt)
        else:
            why = STOPPED if stop.is_set() else EARLIER_BATCH
            done = [Outcome(skipped=why) for _ in part]
            for item, outcome in zip(part, done, strict=True):
                on_outcome(name(item), outcome)
        outcomes.update(zip(map(name, part), done, strict=True))
    return outcomes


def _named(
    on_outcome: Callable[[str, Outcome[R]], None],
    names: Sequence[str],
    index: int,
    outcome: Outcome[R],
) -> None:
    on_outcome(names[index], outcome)


def _together(
    items: Sequence[T],
    work: Callable[[T], R],
    bounds: Bounds[T],
    stop: threading.Event,
    grace: float,
    came: Callable[[int, Outcome[R]], None],
    on_interrupt: Callable[[], None],
) -> list[Outcome[R]]:
    """Work on all items side by side, within the bounds; `came` learns of each end."""
    finished: queue.SimpleQueue[tuple[int, Outcome[R]]] = queue.SimpleQueue()
    outcomes: dict[int, Outcome[R]] = {}
    waiting = list(range(len(items)))
    running: set[int] = set()
    used: Counter[str] = Counter()
    bounded = [[g for g in bounds.groups_of(item) if g in bounds.groups] for item in items]

    def attend(index: int) -> None:
        finished.put((index, _outcome(work, items[index])))

    try:
        while waiting or running:
            for index in [] if stop.is_set() else list(waiting):
                if len(running) >= bounds.max_parallel:
                    break
                if any(used[group] >= bounds.groups[group] for group in bounded[index]):
                    continue
                waiting.remove(index)
                running.add(index)
                used.update(bounded[index])
                # A daemon, as a pool's threads are not: Python waits for those when it exits, so
                # that one silent host would hold back a user who pressed Ctrl-C.
                threading.Thread(target=attend, args=(index,), daemon=True).start()
            if not running:
                break
            index, outcome = finished.get()
            running.remove(index)
            used.subtract(bounded[index])
            outcomes[index] = outcome
            came(index, outcome)
    except KeyboardInterrupt:
        stop.set()
        on_interrupt()
        _wait_for(len(running), finished, grace, came)
        raise
    for index in waiting:
        outcomes[index] = Outcome(skipped=STOPPED)
        came(index, outcomes[index])
    return [outcomes[index] for index in range(len(items))]


def _outcome(work: Callable[[T], R], item: T) -> Outcome[R]:
    """Do the work; whatever it raises is part of the outcome."""
    began = time.monotonic()
    try:
        value = work(item)
    except (
        BaseException
    ) as error:  # a thread that ended without a message would be waited for for ever
        return Outcome(error=error, seconds=time.monotonic() - began)
    return Outcome(value=value, seconds=time.monotonic() - began)


def _wait_for(
    count: int,
    finished: queue.SimpleQueue[tuple[int, Outcome[R]]],
    grace: float,
    came: Callable[[int, Outcome[R]], None],
) -> None:
    """Give running work a moment to end in good order."""
    wait = Wait("running work", grace)
    for _ in range(count):
        try:
            came(*finished.get(timeout=max(0.0, wait.left)))
        except queue.Empty:
            return
