"""Whether Calico runs on nodes; and if not, why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..util.pods import (
    is_ending,
    is_ready,
    metadata,
    newest_message,
    node_name,
    problem,
    state,
)
from .calico_manifest import CONTROLLERS, DAEMONSET, NAMESPACE, images, release
from .daemonset import broken_pods, replaced_later, stuck, unready_nodes
from .protocol import Diagnosis, Object, Rollout

if TYPE_CHECKING:
    from collections.abc import Collection


def not_ready(
    daemonset: Object | None,
    pods: Collection[Object],
    controllers: Object | None,
    nodes: Collection[str],
) -> str | None:
    """
    Return what of Calico is not ready on these nodes, or None when all is.

    Controllers on another node are that node's trouble, see `elsewhere`.

    :param pods: of both. :param controllers: the Deployment; None where there is none.
    """
    of_node = _labelled(pods, DAEMONSET)
    if missing := unready_nodes(daemonset, of_node, nodes):
        seen = {node: state(pod) for node, pod in broken_pods(daemonset, of_node, missing).items()}
        later = replaced_later(daemonset, of_node, missing)
        shown = [f"{n} ({seen[n]})" if seen.get(n) else n for n in missing if n not in later]
        parts = [f"{DAEMONSET} is not ready on {', '.join(shown)}"] if shown else []
        return "; ".join([*parts, *_waiting(later)])
    if _controllers_ready(controllers) or (nodes and _outside(pods, nodes)):
        return None
    return f"{CONTROLLERS} is not ready"


def nothing_moves(
    daemonset: Object | None, pods: Collection[Object], nodes: Collection[str]
) -> bool:
    """Return whether all calico-node pods that are not ready on these nodes fail to start."""
    broken = broken_pods(daemonset, _labelled(pods, DAEMONSET), nodes)
    return stuck(broken.values())


def _waiting(nodes: Collection[str]) -> list[str]:
    """Return the line about nodes whose working pod is replaced later, if there are any."""
    return [f"{DAEMONSET} is still to be replaced on {', '.join(nodes)}"] if nodes else []


def elsewhere(
    pods: Collection[Object], controllers: Object | None, nodes: Collection[str]
) -> str | None:
    """Return why the controllers are not ready where their pod is on none of these nodes."""
    if _controllers_ready(controllers) or not (outside := _outside(pods, nodes)):
        return None
    return f"{CONTROLLERS} is not ready: its pod is on {', '.join(outside)}, no node of this run"


def _controllers_ready(controllers: Object | None) -> bool:
    status = (controllers or {}).get("status") or {}
    seen: bool = status.get("observedGeneration", 0) >= metadata(controllers).get("generation", 0)
    return seen and status.get("updatedReplicas", 0) >= 1 and status.get("readyReplicas", 0) >= 1


def _outside(pods: Collection[Object], nodes: Collection[str]) -> list[str]:
    """Return where the controllers' pods are, if each is placed and none is on these nodes."""
    staying = [p for p in _labelled(pods, CONTROLLERS) if not is_ending(p)]
    places = {node_name(pod) for pod in staying}
    return [] if "" in places or places & set(nodes) else sorted(places)


def own_pod(pods: Collection[Object]) -> Object | None:
    """Return calico-node's pod, of those of one node."""
    ours = (pod for pod in _labelled(pods, DAEMONSET) if not is_ending(pod))
    return next((pod for pod in ours if metadata(pod).get("namespace") == NAMESPACE), None)


def older_pods(pods: Collection[Object], node: Object) -> list[str]:
    """Return the names of pods on a node that were made before its Node object."""
    registered = metadata(node)
    return [
        str(metadata(pod)["name"])
        for pod in pods
        if node_name(pod) == registered["name"]
        and not is_ending(pod)
        and metadata(pod)["creationTimestamp"] < registered["creationTimestamp"]
    ]


def rollout(live: Object, wanted: Object, pods: Collection[Object]) -> Rollout:
    """
    Return how a changed DaemonSet replaces calico-node's pods.

    :param live: as it is. :param wanted: as it will be applied. :param pods: those of `live`.
    """
    before, after = release(live), release(wanted)
    step = f"Calico {before} → {after}: " if before and before != after else ""
    older = bool(before and after and after < before)
    staying = [pod for pod in pods if not is_ending(pod)]
    return Rollout(
        f"{step}{DAEMONSET} is rolled, one node at a time",
        frozenset(node_name(pod) for pod in staying if is_ready(pod)),
        new_images=not set(images([wanted])) <= set(images([live])),
        older=older,
        before=before,
        after=after,
        placed=frozenset(filter(None, map(node_name, staying))),
    )


def _labelled(pods: Collection[Object], app: str) -> list[Object]:
    return [pod for pod in pods if (metadata(pod).get("labels") or {}).get("k8s-app") == app]


def diagnose(
    daemonset: Object | None,
    pods: Collection[Object],
    events: Collection[Object],
    nodes: Collection[str],
) -> Diagnosis:
    """
    Return why calico-node is not ready on these nodes, else why its controllers are not.

    :param pods: of both.
    :param events: the namespace's warnings: of its pods, and of what makes them.
    """

    def cause(pod: Object) -> str:
        uid = metadata(pod).get("uid")
        return problem(
            pod, [event for event in events if event["involvedObject"].get("uid") == uid]
        )

    of_node, of_controllers = _labelled(pods, DAEMONSET), _labelled(pods, CONTROLLERS)
    broken = broken_pods(daemonset, of_node, nodes)
    causes = [f"{DAEMONSET} on {node}: {cause(pod)}" for node, pod in sorted(broken.items())]
    later = replaced_later(daemonset, of_node, nodes)
    if without := sorted({*unready_nodes(daemonset, of_node, nodes)} - {*broken, *later}):
        causes.append(f"{DAEMONSET} has no pod on {', '.join(without)}")
        causes += _refused(events, {DAEMONSET})
    causes += _waiting(later)
    suspects = [broken[node] for node in sorted(broken)]
    if not causes:
        suspects = [pod for pod in of_controllers if not is_ready(pod)]
        causes = [f"{CONTROLLERS}: {cause(pod)}" for pod in suspects]
        # Its ReplicaSet has a name of its own, with that of the Deployment before it.
        causes += [] if suspects else _refused(events, _makers_of_controllers(events))
    logs = f"logs {metadata(suspects[0])['name']} --all-containers" if suspects else "describe pods"
    return Diagnosis("; ".join(causes), f"kubectl -n {NAMESPACE} {logs}")


def _refused(events: Collection[Object], makers: Collection[str]) -> list[str]:
    """Return the newest refusal of the pods that these objects make: by admission, or a quota."""
    of_maker = [
        event
        for event in events
        if event.get("reason") == "FailedCreate" and event["involvedObject"].get("name") in makers
    ]
    return [f"its pods are refused: {newest_message(of_maker)}"] if of_maker else []


def _makers_of_controllers(events: Collection[Object]) -> set[str]:
    names = {str(event["involvedObject"].get("name")) for event in events}
    return {name for name in names if name.startswith(f"{CONTROLLERS}-")}
