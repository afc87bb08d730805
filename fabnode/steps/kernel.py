"""Kernel requirements of a node: modules (loaded or built in), settings, tools."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING

from ..cni.registry import network
from ..config import reserved_fields
from ..config.reserved_fields import PROTECTED_SYSCTLS, protects_kernel

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
_VERSION = re.compile(r"\d+(\.\d+)+")


# What settings a module brings, by the beginnings of their names; of all others that is not known.
_SETTINGS: Mapping[str, tuple[str, ...]] = {
    "br_netfilter": ("net.bridge.",),
    "nf_conntrack": ("net.netfilter.", "net.nf_conntrack", "net.ipv4.netfilter."),
    "ip_vs": ("net.ipv4.vs.",),
    **dict.fromkeys(("overlay", "nf_tables", "vxlan", "ip_vs_rr", "ip_vs_wrr", "ip_vs_sh"), ()),
}


def brings(module: str, setting: str) -> bool:
    """Return whether a module could bring a setting of the kernel (with dots) when it is loaded."""
    return module not in _SETTINGS or setting.startswith(_SETTINGS[module])


def numbers(version: str) -> tuple[int, ...]:
    """Return the numbers that a version begins with: `5.10.0-13-amd64` → (5, 10, 0)."""
    found = _VERSION.match(version)
    return tuple(map(int, found[0].split("."))) if found else ()


def too_old(release: str, node: Node) -> str:
    """
    Return why a kernel is too old for what a node runs; empty: it is not, or is not known.

    :param release: as `uname -r` says it, of the kernel that runs or of one that is to.
    """
    mode = node.kube_proxy.mode
    if not node.kube_proxy.enabled or mode != "nftables":
        return ""
    least = ".".join(map(str, NFTABLES_KERNEL))
    old = () < numbers(release) < NFTABLES_KERNEL
    return f"{least} is needed for kube-proxy's {mode} mode" if old else ""


def sysctls(config: Config, node: Node) -> dict[str, str]:
    """Return the settings of the kernel that this node is to have: fabnode's and the site's."""
    kubelets = PROTECTED_SYSCTLS if protects_kernel(node.kubelet.config) else {}
    ours = reserved_fields.sysctls(config.cluster.families)
    return {**ours, **kubelets, **node.host.sysctls}


def modules(config: Config, node: Node) -> dict[str, str]:
    """Return the modules that this node needs, each with who needs it."""
    proxy = node.kube_proxy
    needed = {**_ALWAYS, **({**_PROXY, **_PROXY_MODE[proxy.mode]} if proxy.enabled else {})}
    sites = dict.fromkeys(node.host.modules, "host.modules")
    return {**sites, **needed, **network(config).kernel_modules}
