"""
Timeline of a run for its report: the spans of each node's steps, durations, changes. Pure.

All times are seconds since the run began, unless stated.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import TYPE_CHECKING, Literal

from .events import RUN
from .grouping import Group, changes, failures, warnings
from .summary import CLUSTER, NodeResult, row_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .events import Event

Ending = Literal["done", "changed", "failed", "unfinished"]


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a step, from one `progress` event."""

    text: str
    start: float
    end: float

    @property
    def seconds(self) -> float:
        """Duration."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Span:
    """
    A step of one node.

    :param level: row of the span; above 0 where it overlaps other steps of the same node.
    """

    step: str
    start: float
    end: float
    ending: Ending
    text: str = ""
    parts: tuple[Part, ...] = ()
    level: int = 0

    @property
    def seconds(self) -> float:
        """Duration."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Lane:
    """
    One node's spans in the run.

    :param end: when its last step ended.
    :param sent: bytes sent to it. :param passed: bytes that neighbours passed on to it.
    """

    row: NodeResult
    spans: tuple[Span, ...]
    notes: tuple[str, ...]
    sent: int
    end: float
    passed: int = 0

    @property
    def levels(self) -> int:
        """Number of rows that the spans need."""
        return 1 + max((span.level for span in self.spans), default=0)


@dataclass(frozen=True, slots=True)
class StepTimes:
    """Durations of a step, per node: (seconds, node), the longest first."""

    step: str
    times: tuple[tuple[float, str], ...]

    @property
    def median(self) -> float:
        """Median duration."""
        return statistics.median(seconds for seconds, _ in self.times)

    @property
    def longest(self) -> float:
        """Duration on the slowest node."""
        return self.times[0][0]


@dataclass(frozen=True, slots=True)
class Timeline:
    """
    A whole run.

    :param began: seconds since 1970.
    :param finished: False where the run was killed or still goes on.
    :param lanes: the cluster's own first, if it has any spans, then the nodes as named.
    :param facts: facts of the run's first event: `cluster`, `version`, …
    """

    command: str
    began: float
    seconds: float
    finished: bool
    lanes: tuple[Lane, ...]
    steps: tuple[StepTimes, ...]
    failures: tuple[Group, ...]
    warnings: tuple[Group, ...]
    changes: tuple[Group, ...]
    facts: dict[str, str] = field(default_factory=dict)

    @property
    def nodes(self) -> tuple[Lane, ...]:
        """The lanes of nodes."""
        return tuple(lane for lane in self.lanes if lane.row.node != CLUSTER)

    @property
    def sent(self) -> int:
        """Bytes sent to all nodes."""
        return sum(lane.sent for lane in self.lanes)

    @property
    def passed(self) -> int:
        """Bytes that nodes passed on to each other."""
        return sum(lane.passed for lane in self.lanes)


def timeline(events: Sequence[Event]) -> Timeline:
    """Return the timeline of these events, of which there must be at least one."""
    began = min(event.at for event in events)
    end = max(event.at for event in events) - began
    opening = next((e for e in events if e.step == RUN and e.state == "start"), None)
    facts = dict(opening.data) if opening else {}
    named = facts.pop("nodes", [])
    by_node: dict[str | None, list[Event]] = {None: []}
    by_node.update({str(name): [] for name in (named if isinstance(named, list) else [])})
    for event in events:
        by_node.setdefault(event.node, []).append(event)
    lanes = [_lane(node, found, began, end) for node, found in by_node.items()]
    lanes = [lane for lane in lanes if lane.row.node != CLUSTER or lane.spans]
    return Timeline(
        command=opening.text if opening else "",
        began=began,
        seconds=end,
        finished=any(
            e.node is None and e.step == RUN and e.state in ("done", "failed", "changed")
            for e in events
        ),
        lanes=tuple(lanes),
        steps=_step_times(lanes),
        failures=failures(lane.row for lane in lanes),
        warnings=warnings(events),
        changes=changes(events),
        facts={key: str(value) for key, value in facts.items()},
    )


def _lane(node: str | None, events: list[Event], began: float, end: float) -> Lane:
    """Return one node's lane."""
    spans = _assign_levels(_spans([e for e in events if e.step != RUN], began, end))
    notes = tuple(e.text for e in events if e.state in ("warning", "info") and e.text)
    return Lane(
        row=row_of(node or CLUSTER, events),
        spans=spans,
        notes=notes,
        sent=_bytes(events, "bytes"),
        end=max((span.end for span in spans), default=0.0),
        passed=_bytes(events, "passed"),
    )


def _bytes(events: Iterable[Event], key: str) -> int:
    found = [e.data.get(key) for e in events]
    return sum(n for n in found if isinstance(n, int) and n > 0)


def _spans(events: Iterable[Event], began: float, end: float) -> list[Span]:
    """Pair the starts of steps with their ends; a step without an end lasts until the run's."""
    spans: list[Span] = []
    open_: dict[str, tuple[float, list[Event]]] = {}
    for event in events:
        at = event.at - began
        match event.state:
            case "start":
                open_[event.step] = (at, [])
            case "progress":
                open_.setdefault(event.step, (at - (event.seconds or 0), []))[1].append(event)
            case "done" | "changed" | "failed":
                start, progress = open_.pop(event.step, (at - (event.seconds or 0), []))
                start = max(0.0, min(start, at))
                parts = _parts(progress, began, at)
                spans.append(Span(event.step, start, at, event.state, event.text, parts))
    for step, (start, progress) in open_.items():
        spans.append(Span(step, start, end, "unfinished", "", _parts(progress, began, end)))
    return sorted(spans, key=lambda span: (span.start, -span.end))


def _parts(progress: Sequence[Event], began: float, end: float) -> tuple[Part, ...]:
    """
    Return parts: an event with a duration ends one, any other lasts until the next event.

    A part that is reported both when it begins and, with its duration, when it ends is one part.
    """
    parts = []
    for event, following in zip_longest(progress, progress[1:]):
        at = event.at - began
        if event.seconds is not None:
            parts.append(Part(event.text, max(0.0, at - event.seconds), at))
        elif following is None:
            parts.append(Part(event.text, at, end))
        elif following.seconds is None or following.text != event.text:
            parts.append(Part(event.text, at, following.at - began))
    return tuple(parts)


def _assign_levels(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Place overlapping spans on different levels; spans of no duration need none."""
    free_from: list[float] = []  # per level, the end of its last span
    placed = []
    for span in spans:
        if span.seconds < 0.001:
            placed.append(span)
            continue
        free = (n for n, end in enumerate(free_from) if span.start >= end - 0.001)
        level = next(free, len(free_from))
        free_from[level : level + 1] = [span.end]
        placed.append(replace(span, level=level))
    return tuple(placed)


def _step_times(lanes: Iterable[Lane]) -> tuple[StepTimes, ...]:
    """
    Add up each step's time on each node; the step with the longest time comes first.

    Steps that took no time anywhere are left out.
    """
    spent: dict[str, dict[str, float]] = {}
    for lane in lanes:
        for span in lane.spans:
            nodes = spent.setdefault(span.step, {})
            nodes[lane.row.node] = nodes.get(lane.row.node, 0.0) + span.seconds
    times = [
        StepTimes(step, tuple(sorted(((s, n) for n, s in nodes.items()), reverse=True)))
        for step, nodes in spent.items()
    ]
    return tuple(sorted((t for t in times if t.longest >= 0.001), key=lambda t: -t.longest))
