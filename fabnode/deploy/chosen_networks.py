"""
Networks of a cluster that has none yet, chosen: what its pods get, and where its DNS will be.

A control plane that was just made, without nodes and add-ons, says nothing of either. Whatever is
chosen is marked as that in the configuration.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from ..config.starter import Fact, Known, Missing
from ..util.families import families_of, family_of, split_values

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..util.families import Family

# What tools take where nobody chooses, which sites therefore keep free: kubeadm's and flannel's
# documentation, then the middle of private ranges; Calico's own, 192.168.0.0/16, is mostly in use.
# Of IPv6 kind's, and others of its kind: of local addresses (RFC 4193), with a /64 for 256 nodes.
_OF_PODS: Mapping[Family, tuple[str, ...]] = {
    4: (
        *("10.244.0.0/16", "10.200.0.0/16", "172.20.0.0/16", "172.24.0.0/16"),
        *("10.128.0.0/16", "192.168.0.0/16"),
    ),
    6: ("fd00:10:244::/56", "fd00:10:200::/56", "fd00:172:20::/56", "fd00:172:24::/56"),
}
_DNS_INDEX = 10  # kubeadm cmd/kubeadm/app/constants/constants.go, GetDNSIP


def pod_network(service_cidr: Fact, addresses: Iterable[str]) -> Fact:
    """
    Return a network for pods, of each family of Services, that overlaps nothing known here.

    Where these are not known, they are of the addresses, of IPv4 if one is of it.

    :param addresses: of apiservers, nodes and hosts; names among them are passed over.
    """
    services = split_values(service_cidr.value) if isinstance(service_cidr, Known) else ()
    taken = [text for text in (*addresses, *services) if _is_network(text)]
    families = families_of(services) or tuple(sorted(families_of(taken))[:1]) or (4,)
    chosen = [_free(family, taken) for family in families]
    if not all(chosen):
        return Missing(
            "nothing in the cluster has one yet, and those usually taken are in use here."
        )
    return Known(
        ",".join(chosen),
        "chosen, for nothing in the cluster has a network for pods yet: it overlaps neither"
        " Services nor the apiserver, nodes and hosts that are known here. Take another"
        " where your network uses this one, and the controller manager's --cluster-cidr"
        " where it has one.",
        doubtful=True,
    )


def _free(family: Family, taken: Iterable[str]) -> str:
    """Return a network of a family that overlaps none of these; empty: all that there are do."""
    others = [ipaddress.ip_network(text) for text in taken if family_of(text) == family]
    for text in _OF_PODS[family]:
        if not any(ipaddress.ip_network(text).overlaps(other) for other in others):
            return text
    return ""


def dns_address(service_cidr: Fact, services: Mapping[str, str]) -> Fact:
    """
    Return where the Service of DNS is to be, by kubeadm's convention.

    :param services: names of Services by their addresses.
    """
    none = "there is no Service kube-system/kube-dns yet"
    # Of two, the first one, as kubeadm has it.
    first = split_values(service_cidr.value)[0] if isinstance(service_cidr, Known) else ""
    if _is_network(first):
        network = ipaddress.ip_network(first)
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
    return "%" not in text  # a link-local address is in nobody's way
