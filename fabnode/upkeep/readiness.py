"""Why a pod is not Ready, in one line; which ones are not while their kubelet starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..util.pods import is_ending, is_ready, problem
from ..util.words import counted
from .objects import full_name, line

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from .objects import Object

_UNPLACED = "Unschedulable"


def probed_again(pods: Iterable[Object]) -> str:
    """
    Return in a clause which pods are not Ready after a kubelet's start until they were probed.

    Those without a readiness probe are Ready at once, and no start of a container is waited for
    (kubernetes pkg/kubelet/prober/prober_manager.go, UpdatePodStatus).

    :returns: how many, and the longest time that their probes take, in seconds; empty:
        there is none.
    """
    probes = [_probes(pod) for pod in pods if is_ready(pod) and not is_ending(pod)]
    found = [each for each in probes if each]
    if not found:
        return ""
    seconds = max(
        int(probe.get("periodSeconds") or 10) * int(probe.get("successThreshold") or 1)
        for each in found
        for probe in each
    )
    whose = "its" if len(found) == 1 else "their"
    return (
        f"{counted(len(found), 'pod')} would leave {whose} Services' endpoints until probed again, "
        f"{seconds} s at most"
    )


def _probes(pod: Object) -> list[Object]:
    containers = pod["spec"].get("containers") or ()
    return [probe for each in containers if (probe := each.get("readinessProbe")) is not None]


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
