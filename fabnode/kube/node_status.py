"""Status of Node objects: Ready, pressure conditions, machine-id."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ..releases.version import Release
from ..releases.version_change import Versions
from ..util.object_lists import lean, listed

if TYPE_CHECKING:
    from .client import Api, Object

NODES = "/api/v1/nodes"
NOT_SINCE = "it has not reported since its kubelet was restarted"
NO_CNI = "joined; NotReady until a CNI is installed"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
# kubernetes pkg/kubelet/runtime.go; before 1.22 without the first word
_NO_NETWORK = re.compile(r"(container )?runtime network not ready: NetworkReady=false ")
_KUBELET = re.compile(r"v?(\d+\.\d+\.\d+)", re.ASCII)
_RUNTIME = re.compile(r"([a-z]{1,20})://v?(\d+\.\d+\.\d+)", re.ASCII)
_PRESSURES = ("MemoryPressure", "DiskPressure", "PIDPressure")


def all_nodes(api: Api) -> dict[str, Object]:
    """Return all Node objects, lean, by name. Raises ApiError where the account may not."""
    return {str(item["metadata"]["name"]): item for item in listed(api, NODES, lean)["items"]}


def not_ready(node: Object, since: float = 0.0) -> str | None:
    """
    Return why a node is not Ready (its own message), or None if it is.

    :param since: unix time; a heartbeat from before that does not count.
    """
    ready = conditions(node).get("Ready")
    if ready is None:
        return "it has not reported its status yet"
    beat = ready.get("lastHeartbeatTime")
    if since and beat and datetime.fromisoformat(beat).timestamp() < int(since):
        return NOT_SINCE
    if ready["status"] == "True":
        return None
    return str(ready.get("message") or ready.get("reason") or "no reason given")


def is_silent(node: Object) -> bool:
    """Return whether Kubernetes has given a node up: its kubelet has not reported in time."""
    return conditions(node).get("Ready", {}).get("status") == "Unknown"


def lacks_only_network(node: Object) -> bool:
    """
    Return whether only a missing CNI configuration keeps a node from being Ready.

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


def versions(live: Object) -> Versions:
    """Return what a Node object reports that it runs."""
    info = (live.get("status") or {}).get("nodeInfo") or {}
    kubelet = _KUBELET.match(str(info.get("kubeletVersion", "")))
    runtime = _RUNTIME.match(str(info.get("containerRuntimeVersion", "")))
    return Versions(
        _release(kubelet[1]) if kubelet else None,
        runtime[1] if runtime else "",
        _release(runtime[2]) if runtime else None,
    )


def internal_ips(node: Object) -> tuple[str, ...]:
    """Return the addresses that the node's kubelet reported as its own."""
    reported = (node.get("status") or {}).get("addresses") or ()
    return tuple(str(a.get("address")) for a in reported if a.get("type") == "InternalIP")


def lease_path(name: str) -> str:
    """Return the path of a node's Lease."""
    return f"{LEASES}/{name}"


def _release(text: str) -> Release | None:
    try:
        return Release.parse(text)
    except ValueError:
        return None
