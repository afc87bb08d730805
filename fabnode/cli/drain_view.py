"""A drain as people and programs read it: a row for each pod, with what frees it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..deploy.node_drainer import Preview
    from ..upkeep.departures import Departure
    from ..util.fan_out import Outcome

HEADS = ("NODE", "POD", "", "WHY")


def lines(found: Mapping[str, Outcome[Preview]]) -> list[tuple[str, ...]]:
    """Return a row for each pod of each node, those that hold a drain up first."""
    return [
        (node, each.pod, each.fate, _why(each))
        for node, outcome in found.items()
        if outcome.value
        for each in outcome.value.departures
    ]


def document(found: Mapping[str, Outcome[Preview]]) -> list[dict[str, Any]]:
    """Return what programs get: per node its cordon and its pods, or why nothing is known."""
    return [
        {
            "node": node,
            "cordon": outcome.value.cordon,
            "pods": [
                {
                    **asdict(each),
                    "budgets": list(each.budgets),
                    "data": list(each.data),
                }
                for each in outcome.value.departures
            ],
        }
        if outcome.value
        else {"node": node, "error": str(outcome.error or outcome.skipped)}
        for node, outcome in found.items()
    ]


def _why(each: Departure) -> str:
    owner = f"by {each.owner}" if each.owner and each.fate != "stays" else ""
    frees = f"what frees it: {each.frees}" if each.frees else ""
    return "; ".join(filter(None, (each.why, owner, *each.data, frees)))
