"""
Networks of Services and of pods, and the address of DNS, as a cluster's objects have them. Pure.

Objects that name a network count first, then what the control plane is configured with; what is
guessed from addresses that were given out is marked as a guess. Services say which families a
cluster has: Calico makes a pool of each that a host's kernel knows, whether pods get it or not.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from ..config.starter import Fact, Known, Missing
from ..util.families import (
    FAMILY_NAMES,
    families_of,
    family_of,
    first_of_family,
    join_family_names,
    split_values,
)
from .api_answers import Denied, field_at, full_name, network_texts, one_of_each, texts_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ..kube.client import Object
    from ..util.families import Family
    from .control_plane_settings import ControlPlaneSettings

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_MOST_NAMED = 5
# Lengths that networks of Services have: of IPv6 a /112 has all that apiservers before 1.31 give
# out of any (kubernetes pkg/registry/core/service/ipallocator, 65,536 addresses).
_SERVICES: Mapping[Family, range] = {4: range(16, 29), 6: range(112, 125)}
# What tools set where nobody chose a network: by its first address, its length.
_USUAL_RANGES = {"10.96.0.0": 12, "10.233.0.0": 18}
# How much larger a network of pods is than a node's part of it: as mostly, and at most.
_USUAL_BITS, _MOST_BITS = 8, 16


def service_cidr(
    ranges: Sequence[Object] | Denied, configured: ControlPlaneSettings
) -> Known | None:
    """
    Return the network of Services, or one of each family; None where it can only be guessed.

    :param ranges: ServiceCIDRs.
    """
    if not isinstance(ranges, Denied):
        first = [each for each in ranges if full_name(each)[1] == "kubernetes"]
        cidrs = [cidr for each in first for cidr in texts_of(field_at(each, "spec", "cidrs"))]
        if found := one_of_each(cidrs):
            return Known(",".join(found), "Of the ServiceCIDR kubernetes.")
    return configured.network("serviceSubnet", "service-cluster-ip-range")


def cluster_addresses(service: Object | None) -> list[str]:
    """Return the addresses of a Service, one of each family, the preferred one first."""
    first = field_at(service, "spec", "clusterIP")
    more = texts_of(field_at(service, "spec", "clusterIPs"))
    return one_of_each([*([first] if isinstance(first, str) else []), *more])


def guessed_service_cidr(
    service: Object | Denied | None,
    ranges: Sequence[Object] | Denied,
    others: Sequence[Object] | Denied,
    nodes: Sequence[Object] | Denied,
) -> Fact:
    """
    Return the range of which the Service `kubernetes` has the first address, as far as known.

    That Service has one family, the first of the cluster's; of the other one other Services tell.

    :param service: that Service. :param ranges: ServiceCIDRs, which did not name it.
    :param others: all Services. :param nodes: whose pods' networks are of all families.
    """
    before = f"{ranges}; " if isinstance(ranges, Denied) else ""
    if isinstance(service, Denied):
        return Missing(f"{before}{service}.")
    addresses = cluster_addresses(service)
    if not addresses:
        return Missing(f"{before}the Service kubernetes has no address.")
    address = addresses[0]
    guessed = _begun_before(address)
    if guessed is None:
        return Missing(
            f"{before}the Service kubernetes has {address}, which begins no usual network."
        )
    source = f"guessed, for the Service kubernetes has its first address, {address}"
    rest = [a for each in _read(others) for a in cluster_addresses(each)]
    if second := [each for each in rest if family_of(each) != family_of(address)]:
        other = _around(second)
        if other is None:
            named = ", ".join(second[:_MOST_NAMED])
            return Missing(f"{before}Services have {address} and {named}, too far apart for one.")
        guessed = f"{guessed},{other}"
        source += f", and others have {second[0]} and the like"
    elif lacking := set(_families_of_pods(nodes)) - {family_of(address)}:
        named = join_family_names(lacking)
        return Missing(
            f"{before}the Service kubernetes has {address}, and pods have {named} as well: only the"
            " apiserver's --service-cluster-ip-range tells both networks."
        )
    source = f"{before}{source}: only the apiserver's --service-cluster-ip-range tells its length."
    return Known(guessed, source, doubtful=True)


def _read(found: Sequence[Object] | Denied) -> Sequence[Object]:
    return () if isinstance(found, Denied) else found


def _begun_before(address: str) -> str | None:
    """Return the network that begins right before an address; None: none that is usual does."""
    first = ipaddress.ip_address(address)
    if not int(first):
        return None
    start = first - 1
    # A network begins where as many of the last bits are 0 as it has bits for hosts.
    bits = first.max_prefixlen
    lengths = (n for n in _SERVICES[first.version] if int(start) % (1 << (bits - n)) == 0)
    length = _USUAL_RANGES.get(str(start)) or next(lengths, None)
    return None if length is None else f"{start}/{length}"


def _around(addresses: Sequence[str]) -> str | None:
    """Return the network of a usual length that these addresses are in; None: there is none."""
    length = _SERVICES[family_of(addresses[0])][0]
    found = {str(ipaddress.ip_network(f"{each}/{length}", strict=False)) for each in addresses}
    return found.pop() if len(found) == 1 else None


def pod_cidr(
    pools: Sequence[Object] | Denied,
    configured: ControlPlaneSettings,
    nodes: Sequence[Object] | Denied,
    families: Sequence[Family],
) -> Fact | None:
    """
    Return the pods' network, or one of each family.

    None where all could be read, and nothing has one yet.

    :param pools: Calico's IPPools.
    :param families: of Services, in their order; empty: nobody knows them.
    """
    cidrs = network_texts(str(field_at(each, "spec", "cidr")) for each in _for_pods(_read(pools)))
    wanted = tuple(families) or tuple(sorted(families_of(cidrs))[:1])
    of_pools = [[each for each in cidrs if family_of(each) == family] for family in wanted]
    if several := next((each for each in of_pools if len(each) > 1), None):
        named = ", ".join(several[:_MOST_NAMED])
        return Missing(f"Calico has several IPPools ({named}); name the one of new nodes.")
    if of_pools and all(of_pools):
        found = [each for (each,) in of_pools]
        if not families and len(families_of(cidrs)) > 1:
            other = join_family_names(set(families_of(cidrs)) - set(wanted))
            source = (
                f"of Calico's IPPool of {FAMILY_NAMES[wanted[0]]}; there is one of {other} too,"
            )
            return Known(found[0], f"{source} and only Services tell who gets it.", doubtful=True)
        source = "only IPPool" if len(found) == 1 else "IPPools, one of each family"
        return Known(",".join(found), f"Of Calico's {source}.")
    if known := _of_families(configured.network("podSubnet", "cluster-cidr"), families):
        return known
    given = [_pod_cidrs(node) for node in _read(nodes)]
    readable = not isinstance(pools, Denied) and not isinstance(nodes, Denied)
    if readable and not any(given) and not any(of_pools):
        return None
    before = _lack_of_pools(pools, dict(zip(wanted, of_pools, strict=True)))
    if isinstance(nodes, Denied):
        return Missing(f"{before}{nodes}.")
    return _of_nodes(given, before, families)


def _lack_of_pools(
    pools: Sequence[Object] | Denied, by_family: Mapping[Family, Sequence[str]]
) -> str:
    if isinstance(pools, Denied):
        return f"{pools}; "
    lacking = [family for family, found in by_family.items() if not found]
    of = f" of {join_family_names(lacking)}" if any(by_family.values()) else ""
    return f"there are no IPPools of Calico{of}; "


def _of_families(known: Known | None, families: Sequence[Family]) -> Known | None:
    """Return a fact with networks of these families alone; None: it has not all of them."""
    if known is None or not families:
        return known
    found = [each for each in split_values(known.value) if family_of(each) in families]
    return Known(",".join(found), known.source) if len(found) == len(families) else None


def _for_pods(pools: Iterable[Object]) -> list[Object]:
    found = []
    for pool in pools:
        uses = texts_of(field_at(pool, "spec", "allowedUses"))
        if not field_at(pool, "spec", "disabled") and (not uses or "Workload" in uses):
            found.append(pool)
    return found


def _pod_cidrs(node: Object) -> list[str]:
    """Return a node's own networks of pods, one of each family."""
    first = field_at(node, "spec", "podCIDR")
    more = texts_of(field_at(node, "spec", "podCIDRs"))
    return one_of_each([*([first] if isinstance(first, str) else []), *more])


def _families_of_pods(nodes: Sequence[Object] | Denied) -> tuple[Family, ...]:
    return families_of(cidr for node in _read(nodes) for cidr in _pod_cidrs(node))


def _of_nodes(given: Sequence[Sequence[str]], before: str, families: Sequence[Family]) -> Fact:
    """Return the networks that all nodes' own networks of pods lie in, as far as they show it."""
    found = []
    wanted = tuple(families) or families_of(cidr for each in given for cidr in each)
    for family in wanted:
        parts = [cidr for each in given if (cidr := first_of_family(each, family))]
        if not parts:
            of = f" of {FAMILY_NAMES[family]}" if any(given) else ""
            return Missing(f"{before}no Node has a podCIDR{of}.")
        whole = _whole(parts)
        if whole is None:
            return Missing(f"{before}the podCIDRs of Nodes lie too far apart.")
        found.append(whole)
    if not found:
        return Missing(f"{before}no Node has a podCIDR.")
    source = (
        f"{before}guessed: the podCIDRs of all Nodes lie in it; only the controller manager's"
        " --cluster-cidr tells its length."
    )
    return Known(",".join(found), source, doubtful=True)


def _whole(cidrs: Sequence[str]) -> str | None:
    """Return the network that these lie in; None: there is none that a controller would divide."""
    parts = [ipaddress.ip_network(each, strict=False) for each in cidrs]
    length = min(each.prefixlen for each in parts)
    whole: _Network = parts[0].supernet(new_prefix=max(0, length - _USUAL_BITS))
    while not all(whole.supernet_of(each) for each in parts):  # type: ignore[arg-type]  # of one family
        if whole.prefixlen <= max(0, length - _MOST_BITS):
            return None
        whole = whole.supernet()
    return str(whole)


def dns_address(what: str, service: Object) -> Fact:
    """
    Return the address of the Service of DNS, or one of each family.

    :param what: how it is called in a sentence.
    """
    found = cluster_addresses(service)
    return Known(",".join(found), f"Of {what}.") if found else Missing(f"{what} has no address.")
