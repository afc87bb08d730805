"""Text and JSON of drain and maintenance previews."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ..util.fan_out import Outcome
from ..util.words import counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..deploy.maintenance import Prospect
    from ..deploy.node_drainer import Preview
    from ..upkeep.departures import Departure

HEADS = ("NODE", "POD", "", "WHY")


def lines(found: Mapping[str, Outcome[Preview]]) -> list[tuple[str, ...]]:
    """Return a row for each pod of each node, those that hold a drain up first."""
    return [
        (node, each.pod, each.fate, _why(each))
        for node, outcome in found.items()
        if outcome.value
        for each in outcome.value.departures
    ]


def bound_lines(volumes: Sequence[str]) -> list[str]:
    """Return the line about volumes that go out of reach with a node; none where there is none."""
    if not volumes:
        return []
    return [
        f"no other node can have {counted(len(volumes), 'volume')} of it, nor pods with them start"
        f" elsewhere; a reset leaves their data: {', '.join(volumes)}"
    ]


def drains_of(found: Mapping[str, Outcome[Any]]) -> dict[str, Outcome[Preview]]:
    """Return the drains of what would be done with nodes, where it drains them."""
    return {
        name: Outcome(outcome.value.drain)
        for name, outcome in found.items()
        if outcome.value and outcome.value.drain
    }


def document(found: Mapping[str, Outcome[Preview]]) -> list[dict[str, Any]]:
    """Return the JSON: per node its cordon and its pods, or why nothing is known."""
    return [
        {"node": node, **preview_document(outcome.value)}
        if outcome.value
        else {"node": node, "error": str(outcome.error or outcome.skipped)}
        for node, outcome in found.items()
    ]


def prospect_lines(found: Mapping[str, Outcome[Prospect]]) -> list[str]:
    """Return a line for each node: what would be done with it, and why."""
    return [f"{node}: {_prospect(outcome)}" for node, outcome in found.items()]


def prospect_document(found: Mapping[str, Outcome[Prospect]]) -> list[dict[str, Any]]:
    """Return the JSON of a maintenance: per node what would be done, and its pods."""
    return [
        {
            "node": node,
            "action": outcome.value.action,
            "due": outcome.value.due,
            "goes_on": outcome.value.goes_on,
            "no_kubelet": outcome.value.no_kubelet,
            "drain": preview_document(outcome.value.drain) if outcome.value.drain else None,
        }
        if outcome.value
        else {"node": node, "error": str(outcome.error or outcome.skipped)}
        for node, outcome in found.items()
    ]


def _prospect(outcome: Outcome[Prospect]) -> str:
    seen = outcome.value
    if seen is None:
        return f"can't be checked: {outcome.error or outcome.skipped}"
    if not seen.action:
        return "nothing: no reboot is due"
    if seen.goes_on and seen.drain is None:
        return f"goes on: {seen.goes_on}"
    due = f" ({seen.due})" if seen.due else ""
    cordon = f"; it is cordoned: {seen.drain.cordon}" if seen.drain and seen.drain.cordon else ""
    text = f"drain, {seen.action}{due}, verify, uncordon{cordon}"
    if not seen.no_kubelet:
        return text
    return f"{text}; {without_kubelet(seen.no_kubelet, reboots=seen.reboots)}"


def without_kubelet(why: str, *, reboots: bool = False) -> str:
    """Return what becomes of pods that are evicted, and that no kubelet ends, in a clause."""
    how = "end with the reboot" if reboots else "are ended by the runtime"
    return f"{why}: pods that are evicted {how}, and go once that is proved"


def preview_document(seen: Preview) -> dict[str, Any]:
    """Return the JSON of a node's drain: the owner of its cordon, and its pods."""
    pods = [
        {**asdict(each), "budgets": list(each.budgets), "data": list(each.data)}
        for each in seen.departures
    ]
    return {"cordon": seen.cordon, "pods": pods}


def _why(each: Departure) -> str:
    owner = f"by {each.owner}" if each.owner and each.fate != "stays" else ""
    frees = f"what frees it: {each.frees}" if each.frees else ""
    return "; ".join(filter(None, (each.why, owner, *each.data, frees)))
