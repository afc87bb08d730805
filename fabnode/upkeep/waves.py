"""
Waves of nodes: which may be unavailable together, and whether two failures have the same cause.

A node that is down already counts like one that is worked on. Two nodes whose pods share a
disruption budget, or a StatefulSet, are never in one wave: what one of them needs to be healthy,
the other would take.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from . import departures
from .objects import controller, full_name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from .budgets import Budget
    from .objects import Object

_NOBODY: frozenset[str] = frozenset()


def next_wave(
    waiting: Sequence[str],
    size: int,
    *,
    down: Collection[str],
    shares: Mapping[str, frozenset[str]],
) -> tuple[str, ...]:
    """
    Return the nodes to be worked on next, in their order; none: no more are allowed.

    Those that are down already come first: working on them costs nothing, and once they are
    healthy, others can follow.

    :param waiting: nodes that are left. :param size: how many may be unavailable at once.
    :param down: nodes of the cluster that are unhealthy, those that wait among them.
    :param shares: by node, the names of what its pods share with those of others.
    """
    if ill := [name for name in waiting if name in down]:
        return tuple(ill[:size])
    wave: list[str] = []
    taken: set[str] = set()
    for name in waiting:
        if len(wave) + len(down) >= size:
            break
        mine = shares.get(name, _NOBODY)
        if not mine & taken:
            wave.append(name)
            taken |= mine
    return tuple(wave)


def shared(pods: Iterable[Object], budgets: Sequence[Budget]) -> dict[str, frozenset[str]]:
    """
    Return by node which budgets and StatefulSets its pods belong to.

    :param pods: of all nodes; those that belong to their node, or have ended, count nowhere.
    """
    found: dict[str, set[str]] = {}
    around, permits = departures.Surroundings(), departures.Permits()
    for pod in pods:
        node = str((pod.get("spec") or {}).get("nodeName") or "")
        ended = (pod.get("status") or {}).get("phase") in departures.FINISHED
        if not node or ended or departures.departure(pod, around, permits).fate == "stays":
            continue
        names = {f"budget {budget.title}" for budget in budgets if budget.covers(pod)}
        owner = controller(pod)
        if owner and owner.get("kind") == "StatefulSet":
            namespace = full_name(pod).partition("/")[0]
            names.add(f"StatefulSet {namespace}/{owner.get('name')}")
        found.setdefault(node, set()).update(names)
    return {node: frozenset(names) for node, names in found.items()}


def common_cause(failures: Mapping[str, tuple[str, Iterable[str]]]) -> str:
    """
    Return the cause with which two nodes failed alike, in a line; empty: no two did.

    :param failures: by node why it failed, and what in that names the node itself.
    """
    seen: dict[str, str] = {}
    for node, (cause, own) in failures.items():
        names = "|".join(re.escape(name) for name in sorted({node, *own}, key=len, reverse=True))
        text = re.sub(rf"(?<![\w.-])(?:{names})(?![\w-])", "…", cause)
        if other := seen.get(text):
            return f"{other} and {node} failed with the same cause, so it is neither's own: {cause}"
        seen[text] = node
    return ""
