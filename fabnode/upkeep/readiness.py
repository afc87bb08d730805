"""Why a pod is not Ready, in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..util.pods import is_ending, is_ready, problem
from .objects import full_name, line

if TYPE_CHECKING:
    from collections.abc import Collection

    from .objects import Object

_UNPLACED = "Unschedulable"


def why_unready(pod: Object, events: Collection[Object] = ()) -> str:
    """
    Return in one line why a pod is not Ready; empty: it is.

    :param events: events of this pod, in any order.
    """
    if is_ending(pod):
        return f"{full_name(pod)} is ending"
    if is_ready(pod):
        return ""
    for condition in (pod.get("status") or {}).get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            detail = line(condition.get("message") or condition.get("reason") or _UNPLACED)
            return f"{full_name(pod)} can't be scheduled: {detail}"
    return f"{full_name(pod)} is not Ready: {problem(pod, events)}"
