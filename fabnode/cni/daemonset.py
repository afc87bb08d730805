"""Pods of a network's DaemonSet: on which nodes they are ready, and why not on the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..util.sanitize import clean, cut

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from .protocol import Object

# How a DaemonSet and its pods say which template is meant (kubernetes pkg/apis/apps).
_TEMPLATE = "deprecated.daemonset.template.generation"
_TEMPLATE_OF_POD = "pod-template-generation"
# Reasons of containers that merely have not been started yet (kubernetes pkg/kubelet).
_NOT_BEGUN = frozenset({"PodInitializing", "ContainerCreating"})
# What kubelets call containers that they try to start again and again (kubernetes pkg/kubelet).
_FAILING = frozenset(
    {
        "CrashLoopBackOff",
        "CreateContainerConfigError",
        "ErrImageNeverPull",
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
    }
)
_LONGEST = 300


def unready_nodes(
    daemonset: Object | None, pods: Collection[Object], nodes: Collection[str]
) -> list[str]:
    """
    Return those of the nodes on which no pod of the newest template is ready, sorted.

    Pods are judged one by one, not the DaemonSet's own count: that one also counts nodes which
    are down or are no part of the run. Pods of a template that has been replaced don't count.

    :param pods: those of the DaemonSet.
    """
    ready = {
        node_name(pod) for pod in _newest(daemonset, pods) if is_ready(pod) and not is_ending(pod)
    }
    return sorted(set(nodes) - ready)


def broken_pods(
    daemonset: Object | None, pods: Collection[Object], nodes: Collection[str]
) -> dict[str, Object]:
    """
    Return the pods of the newest template that are not ready, by node.

    A node without one waits: its old pod runs on until its turn comes, or none is scheduled there.
    """
    missing = set(unready_nodes(daemonset, pods, nodes))
    return {node_name(pod): pod for pod in _newest(daemonset, pods) if node_name(pod) in missing}


def replaced_later(
    daemonset: Object | None, pods: Collection[Object], nodes: Collection[str]
) -> list[str]:
    """Return those of the nodes on which an older pod works until its turn comes, sorted."""
    ready = {node_name(pod) for pod in pods if is_ready(pod) and not is_ending(pod)}
    return sorted(ready & set(unready_nodes(daemonset, pods, nodes)))


def older(daemonset: Object, pods: Collection[Object]) -> dict[str, str]:
    """Return by node the name of its pod where that is not of the newest template."""
    newest = {str(metadata(pod)["name"]) for pod in _newest(daemonset, pods)}
    return {
        node_name(pod): name
        for pod in pods
        if (name := str(metadata(pod)["name"])) not in newest and not is_ending(pod)
    }


def stuck(pods: Collection[Object]) -> bool:
    """Return whether there are pods, and each waits for what only somebody else can change."""
    return bool(pods) and all(state(pod).removeprefix("Init:") in _FAILING for pod in pods)


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

    The first that there is of: what stops one of its containers, its newest warning, its phase.

    :param events: events of this pod, in any order.
    """
    status = pod.get("status") or {}
    warnings = [event for event in events if event.get("type") == "Warning"]
    found = cut(clean(next(_stopped(status), "")), _LONGEST) or newest_message(warnings)
    if not found and (running := _running_init(status)):
        return cut(clean(f"its init container {running} has not ended"), _LONGEST)
    return found or f"its pod is {clean(str(status.get('phase') or 'gone'))}"


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


def _newest(daemonset: Object | None, pods: Collection[Object]) -> list[Object]:
    annotations = metadata(daemonset).get("annotations") or {}
    template, all_updated = annotations.get(_TEMPLATE), _all_updated(daemonset)

    def label(pod: Object) -> str | None:
        labels: dict[str, str] = metadata(pod).get("labels") or {}
        return labels.get(_TEMPLATE_OF_POD)

    return [pod for pod in pods if all_updated or label(pod) == template]


def _all_updated(daemonset: Object | None) -> bool:
    """
    Return whether the controller counts every pod as one of the newest template.

    It goes by a template's content: pods of a template that was changed and changed back, before
    they were replaced, are of an old generation and yet up to date.
    """
    status = (daemonset or {}).get("status") or {}
    generation = metadata(daemonset).get("generation", 0)
    pods: int = status.get("currentNumberScheduled", 0)
    updated: int = status.get("updatedNumberScheduled", 0)
    return status.get("observedGeneration", 0) >= generation and 0 < pods <= updated


def _time(event: Object) -> str:
    """Return when an event was last seen, RFC 3339: sorts as text to the second."""
    series = event.get("series") or {}
    times = (series.get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime"))
    return next((str(time) for time in times if time), "")
