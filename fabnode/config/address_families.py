"""
Checks of address families: what Services, pods and nodes have of IPv4 and IPv6, and who can.

Services and pods have the same families, and each node an address of each: kube-proxy serves
Services of one family by the node's address of it (kubernetes `pkg/proxy/util`, `detectNodeIPs`).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from ..releases import compatibility
from ..releases.matrix import matrix
from ..util.families import FAMILY_NAMES, families_of, join_family_names, split_values
from ..util.problems import KeyPath
from .host_addresses import EXAMPLES
from .validators import is_address

if TYPE_CHECKING:
    from .configuration import Node
    from .schema import NodeEntry
    from .sections import CalicoSettings, ClusterSettings

Violation = tuple[KeyPath, str, str]


def cluster(settings: ClusterSettings) -> Iterator[Violation]:
    """Check that pods have the families of Services, and that the release can have these."""
    services, pods = settings.families, families_of(settings.pod_cidrs)
    if set(services) != set(pods):
        message = (
            f"is of {join_family_names(pods)}, and service_cidr of {join_family_names(services)}"
        )
        hint = "give both the same: one network, or one of IPv4 and one of IPv6"
        yield ("cluster", "pod_cidr"), message, hint
    # Also one of a cache on each node (169.254.20.10): a pod reaches it by an address of its own.
    if extra := set(families_of(settings.dns_addresses)) - set(services):
        message = f"is of {join_family_names(extra)}, which Services have not (service_cidr)"
        yield ("cluster", "dns_address"), message, f"give one of {join_family_names(services)}"
    minor, known = settings.version.minor, matrix().kubelet
    if compatibility.kubernetes(settings.version):
        return  # another check reports that
    path: KeyPath = ("cluster", "service_cidr")
    if len(services) > 1 and minor not in known.dual_stack:
        message = f"IPv4 and IPv6 need Kubernetes 1.{known.dual_stack.since} or newer"
        yield path, message, "give one network here, in pod_cidr and as `ip` of nodes"
    elif services == (6,) and minor not in known.ipv6:
        message = f"IPv6 alone needs Kubernetes 1.{known.ipv6.since} or newer"
        yield path, message, "give a network of IPv4"


def nodes(settings: ClusterSettings, entries: Mapping[int, NodeEntry]) -> Iterator[Violation]:
    """Check that each node has an address of each family, and no other, that nodes can have."""
    wanted = set(settings.families)
    for index, entry in entries.items():
        own = split_values(entry.ip or (entry.address if is_address(entry.address) else ""))
        path: KeyPath = ("nodes", index, "ip" if entry.ip else "address")
        for address in own:
            if why := _unfit(address):
                yield path, f"{address} {why}", "give an address that other nodes reach it by"
        has = set(families_of(own))
        if not own or has == wanted:
            continue
        if lacking := wanted - has:
            examples = ",".join((*own, *(EXAMPLES[family] for family in sorted(lacking))))
            names = join_family_names(lacking)
            message = f"'{entry.name}' has no {names} address, which Services have"
            yield path, message, f"add it to `ip`, as in `ip: {examples}`"
        else:
            names = join_family_names(has - wanted)
            message = f"'{entry.name}' has an {names} address, and Services have none"
            yield (
                path,
                message,
                "take it out of `ip`, or give service_cidr and pod_cidr that family",
            )


def _unfit(address: str) -> str:
    """
    Return why a kubelet takes no such address; empty: it does, or is of IPv4.

    kubernetes pkg/kubelet/kubelet_node_status.go, validateNodeIP.
    """
    found = ipaddress.ip_address(address)
    if found.version == 4:
        return ""
    if found.is_link_local:
        return "is a link-local address, which no kubelet serves on"
    if found.is_loopback or found.is_unspecified or found.is_multicast:
        return "is no address of one host among others"
    return ""


def node(settings: ClusterSettings, one: Node) -> Iterator[Violation]:
    """Check a node's own settings; paths begin with the section."""
    able = matrix().kubelet.dual_stack_cloud
    minor = settings.version.minor
    if one.second_ip and one.kubelet.cloud_provider and minor not in able:
        message = f"needs Kubernetes 1.{able.since} or newer for nodes of two families"
        yield ("kubelet", "cloud_provider"), message, "give nodes an address of one family"


def calico(settings: ClusterSettings, one: CalicoSettings) -> Iterator[Violation]:
    """Check that Calico carries pods' IPv6 as it is configured."""
    if not one.enabled or 6 not in settings.families:
        return
    if one.backend == "bird" and one.encapsulation != "Never":
        message = f"IPIP carries {FAMILY_NAMES[4]} alone, and pods have {FAMILY_NAMES[6]}"
        hint = "use `encapsulation: Never` with bird, or `backend: vxlan`"
        yield ("calico", "encapsulation"), message, hint
    if one.backend == "vxlan" and (misfit := compatibility.calico_vxlan_ipv6(one.version)):
        yield ("calico", "version"), misfit.why, misfit.nearest
