"""
Networks of a cluster that has none yet, chosen: what its pods get, and where its DNS will be.

A control plane that was just made, without nodes and add-ons, says nothing of either. Whatever is
chosen is marked as that in the configuration.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from ..config.starter import Fact, Known, Missing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# What tools take where nobody chooses, which sites therefore keep free: kubeadm's and flannel's
# documentation, then the middle of private ranges; Calico's own, 192.168.0.0/16, is mostly in use.
_OF_PODS = (
    *("10.244.0.0/16", "10.200.0.0/16", "172.20.0.0/16", "172.24.0.0/16"),
    *("10.128.0.0/16", "192.168.0.0/16"),
)
_DNS_INDEX = 10  # kubeadm cmd/kubeadm/app/constants/constants.go, GetDNSIP


def pod_network(service_cidr: Fact, addresses: Iterable[str]) -> Fact:
    """
    Return a network for pods that overlaps nothing that is known here.

    :param addresses: of apiservers, nodes and hosts; names among them are passed over.
    """
    taken = [
        ipaddress.ip_network(text)
        for text in (*addresses, *([service_cidr.value] if isinstance(service_cidr, Known) else ()))
        if _is_network(text)
    ]
    for text in _OF_PODS:
        chosen = ipaddress.IPv4Network(text)
        if not any(other.version == 4 and chosen.overlaps(other) for other in taken):
            return Known(
                text,
                "chosen, for nothing in the cluster has a network for pods yet: it overlaps neither"
                " Services nor the apiserver, nodes and hosts that are known here. Take another"
                " where your network uses this one, and the controller manager's --cluster-cidr"
                " where it has one.",
                doubtful=True,
            )
    return Missing("nothing in the cluster has one yet, and those usually taken are in use here.")


def dns_address(service_cidr: Fact, services: Mapping[str, str]) -> Fact:
    """
    Return where the Service of DNS is to be, by kubeadm's convention.

    :param services: names of Services by their addresses.
    """
    none = "there is no Service kube-system/kube-dns yet"
    if isinstance(service_cidr, Known) and _is_network(service_cidr.value):
        network = ipaddress.ip_network(service_cidr.value)
        if network.num_addresses > _DNS_INDEX + 1:
            address = str(network[_DNS_INDEX])
            if owner := services.get(address):
                none += f", and the tenth address of service_cidr, {address}, is that of {owner}"
            else:
                return Known(
                    address,
                    f"{none}; this is the tenth address of service_cidr, where kubeadm has it. Give"
                    " it to that Service when DNS is installed.",
                    doubtful=True,
                )
    return Missing(
        f"{none}; choose an address in service_cidr, and give it to that Service when DNS is"
        " installed."
    )


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True
