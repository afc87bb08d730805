"""
Networks of Services and of pods, and the address of DNS, as a cluster's objects have them. Pure.

Objects that name a network count first, then what the control plane is configured with; what is
guessed from addresses that were given out is marked as a guess.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from ..config.starter import Fact, Known, Missing
from .api_answers import Denied, field_at, full_name, ipv4_network, ipv4_texts, texts_of
from .control_plane_settings import ALSO_IPV6

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..kube.client import Object
    from .control_plane_settings import ControlPlaneSettings

_COMMON_PREFIX = 16
_WIDEST_PREFIX = 8
_MOST_NAMED = 5
# What tools set where nobody chose a network: by its first address, its length.
_USUAL_RANGES = {"10.96.0.0": 12, "10.233.0.0": 18}


def service_cidr(
    ranges: Sequence[Object] | Denied, configured: ControlPlaneSettings
) -> Known | None:
    """
    Return the network of Services; None where it can only be guessed.

    :param ranges: ServiceCIDRs.
    """
    if not isinstance(ranges, Denied):
        first = [each for each in ranges if full_name(each)[1] == "kubernetes"]
        cidrs = [cidr for each in first for cidr in texts_of(field_at(each, "spec", "cidrs"))]
        if found := ipv4_texts(cidrs):
            both = any(":" in cidr for cidr in cidrs)
            source = f"Of the ServiceCIDR kubernetes{ALSO_IPV6 * both}."
            return Known(found[0], source, doubtful=both)
    return configured.network("serviceSubnet", "service-cluster-ip-range")


def guessed_service_cidr(
    service: Object | Denied | None, ranges: Sequence[Object] | Denied
) -> Fact:
    """
    Return the range of which the Service `kubernetes` has the first address, as far as known.

    :param service: that Service. :param ranges: ServiceCIDRs, which did not name it.
    """
    before = f"{ranges}; " if isinstance(ranges, Denied) else ""
    if isinstance(service, Denied):
        return Missing(f"{before}{service}.")
    address = field_at(service, "spec", "clusterIP")
    if not (isinstance(address, str) and ipv4_texts([address])):
        return Missing(
            f"{before}the Service kubernetes has no IPv4 address; for one of IPv6 see docs/ipv6.md."
        )
    start = ipaddress.IPv4Address(int(ipaddress.IPv4Address(address)) - 1)
    # A network begins where as many of the last bits are 0 as it has bits for hosts.
    longest = [n for n in range(_COMMON_PREFIX, 29) if int(start) % (1 << (32 - n)) == 0]
    length = _USUAL_RANGES.get(str(start)) or next(iter(longest), None)
    if length is None:
        return Missing(
            f"{before}the Service kubernetes has {address}, which begins no usual network."
        )
    source = (
        f"{before}guessed, for the Service kubernetes has its first address, {address}: only the"
        " apiserver's --service-cluster-ip-range tells its length."
    )
    return Known(f"{start}/{length}", source, doubtful=True)


def pod_cidr(
    pools: Sequence[Object] | Denied,
    configured: ControlPlaneSettings,
    nodes: Sequence[Object] | Denied,
) -> Fact | None:
    """
    Return the pods' network; None where all could be read, and nothing has one yet.

    :param pools: Calico's IPPools.
    """
    if not isinstance(pools, Denied):
        cidrs = ipv4_texts(str(field_at(pool, "spec", "cidr")) for pool in pools if _for_pods(pool))
        if len(cidrs) == 1:
            return Known(cidrs[0], "Of Calico's only IPPool.")
        if cidrs:
            named = ", ".join(cidrs[:_MOST_NAMED])
            return Missing(f"Calico has several IPPools ({named}); name the one of new nodes.")
    if known := configured.network("podSubnet", "cluster-cidr"):
        return known
    given = (
        [] if isinstance(nodes, Denied) else [field_at(each, "spec", "podCIDR") for each in nodes]
    )
    if not isinstance(pools, Denied) and not isinstance(nodes, Denied) and not any(given):
        return None
    before = f"{pools}; " if isinstance(pools, Denied) else "there are no IPPools of Calico; "
    if isinstance(nodes, Denied):
        return Missing(f"{before}{nodes}.")
    return _of_nodes([str(each or "") for each in given], before)


def _for_pods(pool: Object) -> bool:
    uses = texts_of(field_at(pool, "spec", "allowedUses"))
    disabled = bool(field_at(pool, "spec", "disabled"))
    return not disabled and (not uses or "Workload" in uses)


def _of_nodes(cidrs: Sequence[str], before: str) -> Fact:
    """Return the network that all nodes' own networks of pods lie in, as far as they show it."""
    parts = [part for part in map(ipv4_network, ipv4_texts(cidrs)) if part]
    if not parts:
        return Missing(f"{before}no Node has a podCIDR.")
    whole = parts[0]
    while not all(part.subnet_of(whole) for part in parts):
        whole = whole.supernet()
    if whole.prefixlen < _WIDEST_PREFIX:
        return Missing(f"{before}the podCIDRs of Nodes lie too far apart.")
    if whole.prefixlen > _COMMON_PREFIX:
        whole = whole.supernet(new_prefix=_COMMON_PREFIX)
    source = (
        f"{before}guessed: the podCIDRs of all Nodes lie in it; only the controller manager's"
        " --cluster-cidr tells its length."
    )
    return Known(str(whole), source, doubtful=True)


def dns_address(what: str, service: Object) -> Fact:
    """
    Return the address of the Service of DNS.

    :param what: how it is called in a sentence.
    """
    addresses = [
        field_at(service, "spec", "clusterIP"),
        *texts_of(field_at(service, "spec", "clusterIPs")),
    ]
    found = ipv4_texts(filter(None, map(str, addresses)))
    return Known(found[0], f"Of {what}.") if found else Missing(f"{what} has no IPv4 address.")
