"""Networks of k0s: its own keys, those of `dualStack`, and the address of DNS that k0s computes."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..validators import is_ipv6
from . import forms, tree
from .facts import Open
from .survey import Rule, UnfitError
from .values import text_of, truth_of

if TYPE_CHECKING:
    from .facts import Ledger
    from .values import Value

# Of pkg/apis/k0s/v1beta1.
NETWORKS: Mapping[str, tuple[str, str, str]] = {
    "cluster.pod_cidr": ("podCIDR", "IPv6podCIDR", "10.244.0.0/16"),
    "cluster.service_cidr": ("serviceCIDR", "IPv6serviceCIDR", "10.96.0.0/12"),
}
"""By our key: k0s' own, that of `dualStack`, and what holds without the first."""
_DNS_NUMBER, _DNS_NUMBER_OF_FEW, _FEW = 10, 2, 8


def take(config: Value | None, ledger: Ledger) -> None:
    """Take the networks of Services and pods, and the address of DNS."""
    for key in NETWORKS:
        _take(config, key, ledger)
    services = next((str(t.value) for t in ledger.taken if t.key == "cluster.service_cidr"), "")
    try:
        four = next((each for each in services.split(",") if ":" not in each), services)
        ledger.assume("cluster.dns_address", _dns_address(four), "k0s")
    except UnfitError:
        why = "cluster.service_cidr is not known, which it lies in"
        ledger.leave_open("cluster.dns_address", why)


def _take(config: Value | None, key: str, ledger: Ledger) -> None:
    """As `Network.BuildServiceCIDR` and `BuildPodCIDR` of pkg/apis/k0s/v1beta1 have it."""
    network = config.at("spec", "network") if config else None
    dual = network.at("dualStack") if network else None
    both = truth_of(dual.at("enabled") if dual else None, default=False)
    name, second, default = NETWORKS[key]
    given = [
        (each, value)
        for each, value in (
            (name, network.at(name) if network else None),
            (second, dual.at(second) if dual and both else None),
        )
        if value and not value.empty
    ]
    names = [each for each, _ in given]
    if both and second not in names:
        ledger.leave_open(
            key, f"dualStack is enabled, and {second} is not there", dual, "dualStack"
        )
        return
    found = [] if name in names else [default]
    for each, value in given:
        made = tree.one(value, Rule(key, forms.networks), each)
        if isinstance(made, Open):
            ledger.use(value)
            ledger.open.append(made)
            return
        found.append(str(made.value))
    if both and _begins_with_ipv6(config):
        found.reverse()
    try:
        whole = forms.joined(found)
    except UnfitError as error:
        ledger.leave_open(key, f"{' and '.join(names)}: {error}", given[0][1], names[0])
        return
    doubt = "" if name in names else f"the file does not say {name}."
    if not given:
        ledger.assume(key, whole, "k0s", "the file does not say.")
        return
    for _, value in given:
        ledger.use(value)
    ledger.take(key, whole, given[0][1], ", ".join(names), doubt)


def _begins_with_ipv6(config: Value | None) -> bool:
    """Say which family is the first: the configured one, or that of the apiserver's own address."""
    configured = text_of(config.at("spec", "network", "primaryAddressFamily") if config else None)
    address = text_of(config.at("spec", "api", "address") if config else None)
    return configured == "IPv6" or (not configured and is_ipv6(address))


def _dns_address(services: str) -> str:
    """As `Network.DNSAddress`, which counts in the range of IPv4 where there are both."""
    few = bool(services) and ipaddress.ip_network(services).num_addresses <= _FEW
    return forms.nth_address(services, _DNS_NUMBER_OF_FEW if few else _DNS_NUMBER)
