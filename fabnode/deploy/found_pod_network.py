"""The pod network that a cluster has already, by its DaemonSets. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..config.starter import Network
from ..kube.server_side_apply import MANAGER
from .api_answers import Denied, field_at, full_name, list_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..kube.client import Object

# The beginnings of names of DaemonSets that are a cluster's pod network.
_NETWORKS = (
    *("antrea-agent", "aws-node", "azure-cni", "canal", "cilium", "kindnet", "kube-flannel"),
    *("kube-ovn-cni", "kube-router", "ovnkube-node", "weave-net"),
)


def pod_network(sets: Sequence[Object] | Denied) -> Network:
    """Return the network that one of these DaemonSets is."""
    if isinstance(sets, Denied):
        return Network(unseen=f"{sets}.")
    for each in sets:
        namespace, name = full_name(each)
        if name == "calico-node":
            release = _calico_release(each)
            if namespace == "kube-system" and release and _is_ours(each):
                return Network(calico=release)
            return Network(other=f"Calico {release} by the DaemonSet {namespace}/{name}")
        if name.startswith(_NETWORKS):
            return Network(other=f"the DaemonSet {namespace}/{name}")
    return Network()


def _is_ours(found: Object) -> bool:
    fields = field_at(found, "metadata", "managedFields")
    return any(field_at(each, "manager") == MANAGER for each in list_of(fields))


def _calico_release(found: Object) -> str:
    """Return the tag of calico-node's image, as 3.32.1; empty where it has none."""
    containers = field_at(found, "spec", "template", "spec", "containers")
    for each in list_of(containers):
        if field_at(each, "name") == "calico-node":
            image = str(field_at(each, "image") or "").partition("@")[0].rpartition("/")[2]
            return image.rpartition(":")[2].removeprefix("v") if ":" in image else ""
    return ""
