"""Checks of Services: their addresses lie in the configured range, and DNS is where pods ask."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from ipaddress import ip_address, ip_network

from ...util.families import families_of, join_family_names
from .check import Check, Object

DNS = "DNS address"
RANGE = "Service range"


def dns_checks(services: Iterable[Object], dns_addresses: Sequence[str]) -> Iterator[Check]:
    """
    Yield a check where pods are given another address for DNS than the cluster's Service has.

    :param services: those labelled k8s-app=kube-dns; a cluster without them is not judged, nor is a
        cache on every node, which has a link-local address.
    """
    found = {
        str(item["metadata"]["name"]): [str(a) for a in spec.get("clusterIPs") or (own,)]
        for item in services
        if (own := (spec := item.get("spec") or {}).get("clusterIP")) not in {None, "", "None"}
    }
    known = {address for addresses in found.values() for address in addresses}
    wrong = [at for at in dns_addresses if at not in known and not ip_address(at).is_link_local]
    if not known or not wrong:
        return
    listed = "; ".join(f"the Service {name} has {', '.join(at)}" for name, at in found.items())
    detail = f"pods ask {' and '.join(wrong)} (cluster.dns_address), but {listed}"
    advice = "correct cluster.dns_address; pods keep the old address until they start again"
    yield Check(None, DNS, False, detail, advice)


def service_range(addresses: Sequence[str], service_cidrs: Sequence[str]) -> Iterator[Check]:
    """
    Yield a check where a Service's address is outside of the range; several are possible.

    A Service that prefers both families has one of each that the apiserver has.
    """
    advice = "compare cluster.service_cidr and cluster.dns_address with the apiserver's range"
    good = True
    for address in addresses:
        if not any(ip_address(address) in ip_network(cidr) for cidr in service_cidrs):
            listed = " and ".join(service_cidrs)
            detail = f"a Service got {address}, outside of service_cidr {listed}"
            yield Check(None, RANGE, False, detail, advice)
            good = False
    if good and (lacking := set(families_of(service_cidrs)) - set(families_of(addresses))):
        detail = (
            f"a Service that asks for both families got no {join_family_names(lacking)} address"
        )
        yield Check(None, RANGE, False, detail, advice)
