"""Pods of a network's DaemonSet: on which nodes they are ready, and why not on the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..util.pods import is_ending, is_ready, metadata, node_name, state

if TYPE_CHECKING:
    from collections.abc import Collection

    from .protocol import Object

# How a DaemonSet and its pods say which template is meant (kubernetes pkg/apis/apps).
_TEMPLATE = "deprecated.daemonset.template.generation"
_TEMPLATE_OF_POD = "pod-template-generation"
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

    It compares a template's content: pods of a template that was changed and changed back, before
    they were replaced, are of an old generation and yet up to date.
    """
    status = (daemonset or {}).get("status") or {}
    generation = metadata(daemonset).get("generation", 0)
    pods: int = status.get("currentNumberScheduled", 0)
    updated: int = status.get("updatedNumberScheduled", 0)
    return status.get("observedGeneration", 0) >= generation and 0 < pods <= updated
