"""Kernel requirements of a node: modules (loaded or built in), settings, tools."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from ..cni.registry import network
from ..config.reserved_fields import SYSCTLS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..config.configuration import Config, Node

_ALWAYS = {
    "overlay": "the runtime's snapshots",
    "br_netfilter": "iptables rules for bridged pods",
}
_PROXY = {"nf_conntrack": "kube-proxy's connection tracking"}
# kubernetes pkg/proxy/ipvs and pkg/proxy/nftables check for these when they start.
_PROXY_MODE: Mapping[str, Mapping[str, str]] = {
    "iptables": {},
    "ipvs": dict.fromkeys(("ip_vs", "ip_vs_rr", "ip_vs_wrr", "ip_vs_sh"), "kube-proxy's ipvs mode"),
    "nftables": {"nf_tables": "kube-proxy's nftables mode"},
}
# What kube-proxy calls in each mode, with the package that most distributions have it in.
PROXY_TOOLS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "iptables": {"iptables": "iptables"},
        "ipvs": {"iptables": "iptables", "ipset": "ipset"},
        "nftables": {"nft": "nftables"},
    }
)
# kubernetes pkg/proxy/nftables/supported.go
NFTABLES_KERNEL = (5, 13)
NFTABLES_NFT = (1, 0, 1)


def sysctls(node: Node) -> dict[str, str]:
    """Return the settings of the kernel that this node is to have: fabnode's and the site's."""
    return {**SYSCTLS, **node.host.sysctls}


def modules(config: Config, node: Node) -> dict[str, str]:
    """Return the modules that this node needs, each with who needs it."""
    proxy = node.kube_proxy
    needed = {**_ALWAYS, **({**_PROXY, **_PROXY_MODE[proxy.mode]} if proxy.enabled else {})}
    sites = dict.fromkeys(node.host.modules, "host.modules")
    return {**sites, **needed, **network(config).kernel_modules}
