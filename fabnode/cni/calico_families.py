"""
Calico's settings for the address families of pods: of its manifest, and of its pools. Pure.

Calico's documentation, "Configure dual stack or IPv6 only", says what of its manifest to change.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..util.families import Family, family_of, first_of_family

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..config.configuration import Config
    from ..config.sections import CalicoSettings

_IPAM = re.compile(r'"type"\s*:\s*"calico-ipam"')


def environment(config: Config) -> dict[str, str]:
    """
    Return the variables of calico-node that differ from those of IPv4 alone, which come before.

    calico-node makes its first pool of each family whether it is asked for or not (node
    `pkg/lifecycle/startup`, configureIPPools): where pods have none of a family, its network is
    Calico's own choice, no pod gets an address of it, and it has no tunnel.
    """
    cluster, settings = config.cluster, config.calico
    if cluster.families == (4,):
        return {}
    modes = pool_modes(settings, 6)
    found = {
        "IP6": "autodetect",
        "IP6_AUTODETECTION_METHOD": settings.ip6_autodetection,
        "CALICO_IPV6POOL_CIDR": first_of_family(cluster.pod_cidrs, 6),
        "CALICO_IPV6POOL_VXLAN": modes["vxlanMode"],
        # As Calico does for IPv4: addresses of pods are nobody's outside of the cluster.
        "CALICO_IPV6POOL_NAT_OUTGOING": "true",
        "FELIX_IPV6SUPPORT": "true",
    }
    if 4 not in cluster.families:
        found |= {
            "IP": "none",
            "CALICO_IPV4POOL_VXLAN": "Never",
            "CALICO_IPV4POOL_IPIP": "Never",
            "CALICO_ROUTER_ID": "hash",  # of BGP, which is an IPv4 address otherwise
        }
    return found


def without(config: Config) -> tuple[str, ...]:
    """Return the variables of calico-node that are not to be there."""
    if 4 in config.cluster.families:
        return ()
    return ("CALICO_IPV4POOL_CIDR", "IP_AUTODETECTION_METHOD")


def cni_config(text: str, families: tuple[Family, ...]) -> str | None:
    """
    Return the CNI configuration with the families that its IPAM is to assign.

    It is a template whose numbers are placeholders, and so no JSON. None: it is not understood.
    """
    if families == (4,):
        return text
    words = "".join(f', "assign_ipv{one}": "{str(one in families).lower()}"' for one in (4, 6))
    made, count = _IPAM.subn(lambda found: f"{found[0]}{words}", text)
    return made if count == 1 else None


def pool_modes(settings: CalicoSettings, of_family: Family) -> Mapping[str, str]:
    """Return `vxlanMode` and `ipipMode` of the pool of a family; IPIP carries IPv4 alone."""
    vxlan = settings.backend == "vxlan"
    return {
        "vxlanMode": settings.encapsulation if vxlan else "Never",
        "ipipMode": settings.encapsulation if not vxlan and of_family == 4 else "Never",
    }


def pools(config: Config) -> Mapping[str, Mapping[str, str]]:
    """Return the networks of the configured pools, each with its modes."""
    return {cidr: pool_modes(config.calico, family_of(cidr)) for cidr in config.cluster.pod_cidrs}
