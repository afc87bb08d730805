"""Summary of a run: the result of each node, from its events. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from ..util.errors import FabnodeError
from .events import RUN
from .journal import cause

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..util.fan_out import Outcome
    from .events import Event

Result = Literal["unchanged", "changed", "failed", "skipped", "unfinished"]
NO_OUTCOMES: Mapping[str, Outcome[Any]] = MappingProxyType({})
CLUSTER = "cluster"  # in place of a node's name, for what concerns the whole cluster


@dataclass(frozen=True, slots=True)
class NodeResult:
    """
    One node's result, as the table at the end of a run shows it.

    :param step: where it failed, or the steps that changed something.
    :param cause: why it failed or was skipped; which certificates a renewal kept, and why.
    :param advice: the next command.
    :param detail: the node's output on the failure, several lines; not for tables.
    """

    node: str
    result: Result
    step: str = ""
    cause: str = ""
    advice: str = ""
    seconds: float = 0.0
    detail: str = ""


def rows(
    events: Iterable[Event],
    nodes: Iterable[str] = (),
    outcomes: Mapping[str, Outcome[Any]] = NO_OUTCOMES,
) -> list[NodeResult]:
    """
    Return a row for each of `nodes` and for each other node in the events, in that order.

    The cluster's own steps get a row only when they changed something, failed or were interrupted.
    A node's cause is its first failure, not what followed from it; unless one says what became of
    it after that.

    :param outcomes: results of the work on nodes. A failure there is one here, whatever the
        events are.
    """
    by_node: dict[str | None, list[Event]] = {name: [] for name in nodes}
    for event in events:
        by_node.setdefault(event.node, []).append(event)
    cluster = row_of(CLUSTER, by_node.pop(None, []))
    table = [
        _with_outcome(row_of(name or "", found), outcomes.get(name or ""))
        for name, found in by_node.items()
    ]
    interrupted = cluster.result == "unfinished" and cluster.cause == cause(KeyboardInterrupt())
    shown = interrupted or cluster.result in ("failed", "changed")
    return [cluster, *table] if shown else table


def _with_outcome(row: NodeResult, outcome: Outcome[Any] | None) -> NodeResult:
    if outcome is None or outcome.ok or row.result in ("failed", "skipped"):
        return row
    if isinstance(outcome.error, KeyboardInterrupt):
        return replace(row, result="unfinished", cause=cause(outcome.error))
    if outcome.error is None:
        return replace(row, result="skipped", cause=outcome.skipped)
    advice = outcome.error.advice if isinstance(outcome.error, FabnodeError) else ""
    return replace(row, result="failed", cause=cause(outcome.error), advice=advice)


def row_of(node: str, events: Iterable[Event]) -> NodeResult:
    """Return one node's row from its own events; those that open and close the run don't count."""
    events = [e for e in events if e.step != RUN or e.node is not None]
    seconds = events[-1].at - events[0].at if events else 0.0
    concluded = [e for e in events if e.state == "failed" and e.data.get("concludes")]
    for event in (*concluded, *events):
        if event.data.get("interrupted"):
            return NodeResult(node, "unfinished", event.step, event.text, "", seconds)
        if event.state in ("failed", "skipped"):
            result: Result = "failed" if event.state == "failed" else "skipped"
            advice, detail = (str(event.data.get(key, "")) for key in ("advice", "detail"))
            return NodeResult(node, result, event.step, event.text, advice, seconds, detail)
    ended = [e.step for e in events if e.state in ("done", "changed")]
    begun = [e for e in events if e.state == "start"]
    left = [e for e in begun if e.step not in ended]
    if left or not ended:
        step = left[-1].step if left else ""
        why = "the run ended here" if left else "" if events else "not begun"
        return NodeResult(node, "unfinished", step, why, "", seconds)
    changed = list(dict.fromkeys(e.step for e in events if e.state == "changed"))
    result = "changed" if changed else "unchanged"
    kept = "; ".join(str(text) for event in events for text in event.data.get("kept") or ())
    return NodeResult(node, result, ", ".join(changed), kept, "", seconds)
