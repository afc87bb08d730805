"""Node objects: are they Ready, and what do they say of themselves."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..model.config import Node
    from .api import Api, Object

NODES = "/api/v1/nodes"
NOT_SINCE = "it has not reported since its kubelet was restarted"
NO_CNI = "joined; NotReady until a CNI is installed"
_LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
# kubernetes pkg/kubelet/runtime.go; before 1.22 without the first word
_NO_NETWORK = re.compile(r"(container )?runtime network not ready: NetworkReady=false ")
_PRESSURES = ("MemoryPressure", "DiskPressure", "PIDPressure")


def not_ready(node: Object, since: float = 0.0) -> str | None:
    """
    Say why a node is not Ready (its own message), or None when it is.

    :param since: unix time; a heartbeat from before that does not count.
    """
    ready = conditions(node).get("Ready")
    if ready is None:
        return "it has reported nothing yet"
    beat = ready.get("lastHeartbeatTime")
    if since and beat and datetime.fromisoformat(beat).timestamp() < int(since):
        return NOT_SINCE
    if ready["status"] == "True":
        return None
    return str(ready.get("message") or ready.get("reason") or "no reason given")


def lacks_only_network(node: Object) -> bool:
    """
    Say whether all that keeps a node from being Ready is that it has no CNI configuration.

    The kubelet joins what is wrong in one message, and there is no reason of its own for this one.
    """
    ready = conditions(node).get("Ready", {})
    return ready.get("status") == "False" and bool(_NO_NETWORK.match(str(ready.get("message"))))


def pressures(node: Object) -> list[str]:
    """Return the pressure conditions that are not False."""
    found = conditions(node)
    return [kind for kind in _PRESSURES if found.get(kind, {}).get("status") != "False"]


def conditions(node: Object) -> dict[str, dict[str, Any]]:
    """Return a node's conditions by type."""
    return {c["type"]: c for c in (node.get("status") or {}).get("conditions") or ()}


def machine_id(node: Object) -> str:
    """Return the machine-id that the node's kubelet reported; empty where it didn't yet."""
    return str(((node.get("status") or {}).get("nodeInfo") or {}).get("machineID", ""))


def heartbeat_age(api: Api, live: Object, now: float) -> float:
    """
    Return how many seconds ago the kubelet of this Node last said that it lives.

    It says so by renewing its Lease every 10 s, and by its status, at first and when that changes:
    a node that has just joined may not have a Lease yet. `now` is the apiserver's time. A node
    that never said anything gives infinity.
    """
    lease = api.find(f"{_LEASES}/{live['metadata']['name']}")
    renewed = ((lease or {}).get("spec") or {}).get("renewTime")
    told = conditions(live).get("Ready", {}).get("lastHeartbeatTime")
    beats = [datetime.fromisoformat(beat).timestamp() for beat in (renewed, told) if beat]
    return now - max(beats, default=float("-inf"))


def missing_labels(live: Object | None, node: Node) -> tuple[str, ...]:
    """
    Return the configured labels and taints that a Node lacks, as kubectl writes them.

    :param live: None where there is no Node yet: then it lacks all of them.
    """
    bare: Object = {"metadata": {"resourceVersion": ""}}
    patch = label_patch(live or bare, node)
    if patch is None:
        return ()
    labels = patch["metadata"].get("labels") or {}
    have = {(t["key"], t["effect"]): t.get("value", "") for t in _taints(live or bare)}
    return (
        *(f"{key}={value}" for key, value in labels.items()),
        *(
            f"{t.key}={t.value}:{t.effect}" if t.value else f"{t.key}:{t.effect}"
            for t in node.taints
            if have.get((t.key, t.effect)) != t.value
        ),
    )


def label_patch(live: Object, node: Node) -> Object | None:
    """
    Return the merge patch that gives a Node its configured labels and taints, or None.

    Labels and taints that others set stay. A kubelet may not give itself `node-role` and other
    reserved labels (NodeRestriction), which is why the deployer does it.
    """
    have = live["metadata"].get("labels") or {}
    missing = {k: v for k, v in node.labels.items() if have.get(k) != v}
    present = _taints(live)
    current = {(t["key"], t["effect"]): t.get("value", "") for t in present}
    wanted = {(t.key, t.effect): t.value for t in node.taints}
    patch: Object = {}
    if missing:
        patch["metadata"] = {"labels": missing}
    if any(current.get(at) != value for at, value in wanted.items()):
        kept = [t for t in present if (t["key"], t["effect"]) not in wanted]
        own = [{"key": t.key, "value": t.value, "effect": t.effect} for t in node.taints]
        patch["spec"] = {"taints": kept + own}
        # Somebody else's taint must not get lost between reading and writing.
        patch.setdefault("metadata", {})["resourceVersion"] = live["metadata"]["resourceVersion"]
    return patch or None


def _taints(live: Object) -> list[dict[str, str]]:
    return list((live.get("spec") or {}).get("taints") or ())
