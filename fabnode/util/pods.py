"""Status of a pod: whether it is ready, its state, and why it is not ready."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .sanitize import clean, cut

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

Object = dict[str, Any]

# Reasons of containers that merely have not been started yet (kubernetes pkg/kubelet).
_NOT_BEGUN = frozenset({"PodInitializing", "ContainerCreating"})
_LONGEST = 300


def is_ending(pod: Object) -> bool:
    """Return whether a pod was deleted, and only has to stop."""
    return "deletionTimestamp" in metadata(pod)


def metadata(item: Object | None) -> Object:
    """Return an object's metadata; empty where there is no object."""
    return (item or {}).get("metadata") or {}


def node_name(pod: Object) -> str:
    """Return the node that a pod was placed on; empty where it was not yet."""
    return str((pod.get("spec") or {}).get("nodeName") or "")


def is_ready(pod: Object) -> bool:
    """Return whether a pod's readiness probes succeed."""
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def state(pod: Object) -> str:
    """
    Return a pod's state as kubectl shows it, such as `Init:CrashLoopBackOff`; empty: it runs.

    An init container that runs is named: to kubectl such a pod is `Init:0/2`, to its phase Pending,
    as one is that no kubelet has seen.
    """
    status = pod.get("status") or {}
    for kind, mark in (("initContainerStatuses", "Init:"), ("containerStatuses", "")):
        for container in status.get(kind) or ():
            reason = ((container.get("state") or {}).get("waiting") or {}).get("reason")
            if reason and reason != "PodInitializing":
                return cut(clean(f"{mark}{reason}"), _LONGEST)
    if running := _running_init(status):
        return cut(clean(f"Init: {running} runs"), _LONGEST)
    phase = clean(str(status.get("phase") or ""))
    return "" if phase == "Running" else phase


def problem(pod: Object, events: Collection[Object]) -> str:
    """
    Return why a pod is not ready, in one line.

    The first that there is of: what stops one of its containers, why its kubelet rejected or
    evicted it, its newest warning, its phase.

    :param events: events of this pod, in any order.
    """
    status = pod.get("status") or {}
    warnings = [event for event in events if event.get("type") == "Warning"]
    found = next(_stopped(status), "") or _ended_by_kubelet(status)
    found = cut(clean(found), _LONGEST) or newest_message(warnings)
    if not found and (running := _running_init(status)):
        return cut(clean(f"its init container {running} has not ended"), _LONGEST)
    return found or f"its pod is {clean(str(status.get('phase') or 'gone'))}"


def has_ended(pod: Object) -> bool:
    """Return whether no container of a pod will ever run again."""
    return (pod.get("status") or {}).get("phase") in ("Failed", "Succeeded")


def _ended_by_kubelet(status: Object) -> str:
    """Return why a kubelet rejected or evicted a pod (Evicted, OutOfcpu, NodeAffinity, …)."""
    if status.get("phase") != "Failed":
        return ""
    return ": ".join(str(text) for key in ("reason", "message") if (text := status.get(key)))


def _running_init(status: Object) -> str:
    """Return the init container that runs, and that all others wait for; empty: none does."""
    if any((c.get("state") or {}).get("running") for c in status.get("containerStatuses") or ()):
        return ""  # those that still run are sidecars
    containers = status.get("initContainerStatuses") or ()
    names = [str(c["name"]) for c in containers if (c.get("state") or {}).get("running")]
    return names[-1] if names else ""


def newest_message(events: Collection[Object]) -> str:
    """Return the message of the newest of these events in one line; empty where there is none."""
    newest = max(events, key=_time, default={})
    return cut(clean(str(newest.get("message") or "")), _LONGEST)


def _stopped(status: Object) -> Iterator[str]:
    for kind in ("initContainerStatuses", "containerStatuses"):
        for container in status.get(kind) or ():
            state = container.get("state") or {}
            waiting = state.get("waiting") or {}
            ended = state.get("terminated") or (container.get("lastState") or {}).get("terminated")
            reason = waiting.get("reason") or ""
            if reason == "CrashLoopBackOff" or (not waiting and not state.get("running")):
                if ended and ended.get("exitCode"):
                    yield _ending_of(container["name"], ended)
            elif reason and reason not in _NOT_BEGUN:
                yield ": ".join(filter(None, (container["name"], reason, waiting.get("message"))))


def _ending_of(name: str, ended: Object) -> str:
    detail = ended.get("message") or ended.get("reason") or ""
    return f"{name} ended with exit code {ended['exitCode']}{detail and f': {detail}'}"


def _time(event: Object) -> str:
    """Return when an event was last seen, RFC 3339: sorts as text to the second."""
    series = event.get("series") or {}
    times = (series.get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime"))
    return next((str(time) for time in times if time), "")
