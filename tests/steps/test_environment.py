"""The host's environment: what would break a node or its pods is found before the first change."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

import pytest

from fabnode.node import layout
from fabnode.node.facts import HostNetwork, Mount, PathFact, Space, UnitFact
from fabnode.pki.certificates import CertificateFile
from fabnode.steps import environment
from fabnode.steps.environment import MIB
from fabnode.steps.finding import Finding
from tests.support import certificate, make_config

from .support import assert_finding, make_inputs
from .test_preflight import CLIENT, GOOD

RUNTIME = "/var/lib/containerd"
JOINED = {
    "certificates": {CLIENT: CertificateFile.of(certificate("system:node:n1"))},
    "paths": {layout.KUBELET_KUBECONFIG: PathFact("file")},
    "authorities": {layout.KUBELET_KUBECONFIG: layout.CA},
}
ALL_CONTROLLERS = frozenset({"cpu", "cpuset", "memory", "pids", "io"})
OTHERS = {"calico": {"enabled": False}}
CONTROLLERS = {"calico": {"components": "controllers"}}
VFS = {
    "cluster": {"version": "1.30.4"},
    "runtime": {"name": "docker", "root": RUNTIME, "daemon": {"storage-driver": "vfs"}},
}


def found(facts: dict[str, Any], **overrides: Any) -> tuple[Finding, ...]:
    inputs = make_inputs(make_config(**overrides), replace(GOOD, **facts))
    return tuple(environment.findings(replace(inputs, now=datetime.now(UTC))))


HASHSIZE = "/sys/module/nf_conntrack/parameters/hashsize"
CONTAINER = {"conntrack": {HASHSIZE: "missing"}, "modules": GOOD.modules - {"nf_conntrack"}}
NO_LIMITS = {"kube_proxy": {"config": {"conntrack": {"maxPerCore": 0, "min": 0}}}}
PLAIN_BGP = {"backend": "bird", "encapsulation": "Never"}
RUNNING_PROXY = {
    "units": {"kube-proxy.service": UnitFact("loaded", "active", "running", "enabled")}
}


def nic(mtu: int) -> dict[str, Any]:
    return {"networks": (own("192.0.2.11/24", "eth0"),), "mtus": {"eth0": mtu}}


def own(text: str, interface: str = "stor0") -> HostNetwork:
    address = IPv4Interface(text)
    return HostNetwork(interface, address.network, address.ip)


def route(text: str, interface: str = "eth1") -> HostNetwork:
    return HostNetwork(interface, IPv4Network(text))


def mounted(path: str, options: str, *, shared: bool = True) -> dict[str, Any]:
    return {"mounts": {path: Mount(frozenset(options.split(",")), shared)}}


def on(kind: str, free: int = 9000 * MIB, inodes: int | None = 9000) -> dict[str, Any]:
    return {"space": {RUNTIME: Space(free, inodes, kind)}}


NM = "/etc/NetworkManager/conf.d"
RUNS = {"/run/NetworkManager": ()}
HOSTS_OWN = {"/usr/lib/systemd/network/80-container-host0.network": ("[Match]", "Name=host0")}
ADVISED = (
    "[keyfile]",
    "unmanaged-devices=interface-name:cali*;interface-name:tunl*;interface-name:vxlan.calico;"
    "interface-name:wireguard.cali",
)


def managed(*lines: str) -> dict[str, Any]:
    """Return facts of a host with one .network file of systemd-networkd's."""
    return {"config_files": {"/etc/systemd/network/50-all.network": lines}}


def cni(*names: str) -> dict[str, Any]:
    return {"config_files": {f"/etc/cni/net.d/{name}": () for name in names}}


def proxies(**variables: str) -> dict[str, Any]:
    return {"proxies": variables}


@pytest.mark.parametrize(
    ("facts", "overrides", "level", "text"),
    [
        (
            {"config_files": RUNS},
            {},
            "warning",
            "NetworkManager may change interfaces and routes of Calico: cali, vxlan.calico, tunl0",
        ),
        (
            {"config_files": {**RUNS, f"{NM}/calico.conf": ADVISED}},
            {},
            None,
            "",
        ),
        (
            {
                "config_files": {
                    **RUNS,
                    f"{NM}/a.conf": ("unmanaged-devices=*",),
                }
            },
            {},
            None,
            "",
        ),
        (
            {
                "config_files": {
                    **RUNS,
                    f"{NM}/a.conf": ADVISED,
                    f"{NM}/b.conf": ("unmanaged-devices=mac:00:11",),
                }
            },
            {},
            "warning",
            "NetworkManager may change",
        ),
        ({"config_files": RUNS}, {"calico": {"enabled": False}}, None, ""),
        ({"config_files": HOSTS_OWN}, {}, None, ""),
        (
            managed("[Match]", "Name=*", "[Network]"),
            {},
            "warning",
            "/etc/systemd/network/50-all.network has systemd-networkd manage interfaces of Calico",
        ),
        (managed("[Match]", "Type=ether", "[Network]"), {}, "warning", "cali, vxlan.calico"),
        (managed("[Match]", "Type=ether", "Name=en* eth*"), {}, None, ""),
        (managed("[Match]", "Name=!cali* vxlan* tunl* wireguard*"), {}, None, ""),
        (managed("[Match]", "Kind=!*"), {}, None, ""),
        (managed("[Match]", "MACAddress=00:11:22:33:44:55"), {}, None, ""),
        (
            {
                "config_files": {
                    "/run/systemd/network/10-calico.network": (
                        *("[Match]", "Name=cali* vxlan.calico* tunl* wireguard.cali*"),
                        *("[Link]", "Unmanaged=yes"),
                    ),
                    "/etc/systemd/network/50-all.network": ("[Match]", "Name=*"),
                }
            },
            {},
            None,
            "",
        ),
        ({"lacking": frozenset({"tar", "flock"})}, {}, "error", "it has no flock, tar, needed"),
        ({"tools": GOOD.tools - {"ss"}}, {}, "warning", "no ss, so its ports could not be"),
        (
            {"tools": GOOD.tools - {"ip", "ss"}},
            {},
            "warning",
            "no ip, ss, so its addresses and ports could not be checked",
        ),
        ({"readonly": frozenset({"/usr/local/bin"})}, {}, "error", "read-only at /usr/local/bin"),
        ({"booted": False}, {}, "error", "systemd is there, but is not its init"),
        ({"kmsg": False}, {}, "error", "it has no /dev/kmsg, which the kubelet reads"),
        (mounted("/usr/local/bin", "rw,noexec"), {}, "error", "/usr/local/bin is on a file system"),
        (mounted("/opt/cni/bin", "noexec"), {}, "error", "/opt/cni/bin is on a file system that"),
        (mounted("/opt/cni/bin", "rw,nosuid,nodev"), {}, None, ""),
        (mounted("/var/lib/kubelet", "rw,noexec"), {}, None, ""),
        (mounted("/sys/fs", "rw", shared=False), {}, "error", "mounts below /sys/fs are private"),
        (mounted("/sys/fs", "rw", shared=False), OTHERS, "warning", "mounts below /sys/fs are"),
        (mounted("/var/lib/kubelet", "rw", shared=False), {}, "warning", "below /var/lib/kubelet"),
        (on("xfs", 100 * MIB), {}, "error", "/var/lib/containerd has 100 MiB free, 2048 MiB are"),
        (on("xfs", 100 * MIB) | JOINED, {}, None, ""),
        (on("xfs", MIB - 1) | JOINED, {}, "error", "less than 1 MiB is free at /var/lib/cont"),
        (on("xfs", inodes=12), {}, "error", "of /var/lib/containerd has 12 free inodes"),
        (on("btrfs", inodes=None), {}, None, ""),
        (on("overlayfs"), {}, "error", "/var/lib/containerd is on overlayfs, on which overlay"),
        (on("nfs"), {}, "error", "is on nfs"),
        (on("ecryptfs"), {}, "error", "is on ecryptfs"),
        (on("UNKNOWN"), {}, None, ""),
        (on("overlayfs"), VFS, None, ""),
        ({"controllers": ALL_CONTROLLERS}, {}, None, ""),
        (
            {"controllers": ALL_CONTROLLERS - {"memory"}},
            {},
            "error",
            "without the cgroup controllers memory",
        ),
        ({"controllers": frozenset()}, {}, None, ""),
        ({"resolv_conf": None}, {}, "error", "/etc/resolv.conf is missing: no pod can start"),
        (
            {"resolv_conf": None, "resolv_link": "/run/x"},
            {},
            "error",
            "/etc/resolv.conf leads to /run/x, which is not there",
        ),
        ({"resolv_conf": None, "systemd_resolved": True}, {}, None, ""),
        ({"resolv_conf": None}, {"kubelet": {"config": {"resolvConf": "/etc/r"}}}, None, ""),
        ({"resolv_conf": "nameserver 127.0.0.1\n"}, {}, "warning", "names 127.0.0.1 alone"),
        ({"resolv_conf": "nameserver ::1\n"}, {}, "warning", "names ::1 alone"),
        ({"resolv_conf": "nameserver 127.0.0.1\nnameserver 192.0.2.3\n"}, {}, None, ""),
        ({"resolv_conf": "search example.org\n"}, {}, None, ""),
        (
            {"networks": (own("172.20.5.1/24"),)},
            {},
            "error",
            "its network 172.20.5.0/24 on stor0 lies in pod_cidr 172.20.0.0/16",
        ),
        ({"networks": (own("10.68.9.1/32"),)}, {}, "error", "lies in service_cidr 10.68.0.0/16"),
        ({"networks": (own("192.0.2.11/24"),)}, {}, None, ""),
        ({"networks": (own("172.20.5.1/32", "vxlan.calico"),)}, {}, None, ""),
        ({"networks": (own("10.68.0.1/32", "kube-ipvs0"),)}, {}, None, ""),
        ({"networks": (own("172.20.5.1/24"), route("172.20.5.0/24", "stor0"))}, {}, "error", "172"),
        ({"networks": (route("172.20.8.0/24"),)}, {}, "error", "172.20.8.0/24 on eth1 lies in"),
        ({"networks": (route("172.20.8.0/26"),)} | JOINED, {}, None, ""),
        ({"networks": (route("172.16.0.0/12"),)}, {}, None, ""),
        ({"networks": (own("172.20.5.1/24"),)} | JOINED, {}, "error", "172.20.5.0/24 on stor0"),
        ({"networks": (own("172.20.5.1/24"),)} | JOINED, OTHERS, None, ""),
        ({"networks": (own("172.20.5.1/24"),)} | JOINED, CONTROLLERS, None, ""),
        ({"networks": (own("10.68.9.1/32"),)} | JOINED, OTHERS, "error", "lies in service_cidr"),
        ({"networks": (own("172.20.5.1/24"),)}, OTHERS, "error", "172.20.5.0/24 on stor0 lies in"),
        ({"networks": (route("172.20.8.0/26", "*"),)}, {}, None, ""),
        (nic(1500), {"calico": {"mtu": 1450}}, None, ""),
        (nic(1500), {"calico": {"mtu": 1451}}, "error", "eth0 has MTU 1500, but packets of pods"),
        (nic(1400), {}, None, ""),  # Calico then goes by the NIC itself
        (nic(1500), {"calico": {"mtu": 1481, "backend": "bird"}}, "error", "take up to 1501 bytes"),
        (nic(1500), {"calico": {"mtu": 1500, **PLAIN_BGP}}, None, ""),
        ({"networks": nic(1500)["networks"]}, {"calico": {"mtu": 9000}}, None, ""),
        ({"mtus": {"eth1": 1500}}, {"calico": {"mtu": 9000}}, None, ""),
        (
            CONTAINER | {"modules": GOOD.modules | {"nf_conntrack"}},
            {"kube_proxy": {"config": {"conntrack": {"maxPerCore": 32768}}}},
            "error",
            f"it has no {HASHSIZE}, without which kube-proxy ends",
        ),
        (
            CONTAINER | {"modules": GOOD.modules | {"nf_conntrack"}},
            {"kube_proxy": {"config": {"conntrack": {"min": 0}}}},
            "warning",
            "as in a container: kube-proxy leaves the limits of connection tracking as they are",
        ),
        (CONTAINER, {}, None, ""),  # the module is not loaded yet
        (CONTAINER | {"modules": frozenset({"nf_conntrack"})}, NO_LIMITS, None, ""),
        ({"conntrack": {HASHSIZE: "readonly"}}, {}, "warning", f"can't write to {HASHSIZE}"),
        ({"conntrack": {HASHSIZE: "readonly"}}, NO_LIMITS, None, ""),
        ({"conntrack": {HASHSIZE: "readonly"}} | RUNNING_PROXY, {}, None, ""),
        (
            proxies(HTTPS_PROXY="http://192.0.2.1:3128"),
            {},
            "warning",
            "a proxy: HTTPS_PROXY=http://192.0.2.1:3128; containerd.service pulls images by it",
        ),
        (proxies(no_proxy="example.org"), {}, None, ""),
        (
            {"firewall": (("iptables", "-P INPUT DROP"),)},
            {"calico": {"backend": "bird"}},
            "warning",
            "(iptables) drops what no rule admits, and seems not to admit 10250/tcp (kubelet, from"
            " the control plane), 179/tcp (Calico's BGP, from all nodes), IPIP (pods' packets",
        ),
        (
            {"firewall": (("iptables", "-P INPUT DROP"),)},
            {"calico": {"enabled": False}},
            "warning",
            "seems not to admit 10250/tcp (kubelet, from the control plane)",
        ),
        (
            {
                "firewall": (
                    ("nft", "table inet fw {"),
                    ("nft", "chain f {"),
                    ("nft", "type filter hook forward priority filter; policy drop;"),
                )
            },
            {},
            "warning",
            "its firewall (nft table inet fw) drops what the host forwards, and seems not to admit"
            " packets to pods",
        ),
        (proxies(http_proxy=""), {}, None, ""),
        (
            cni("05-cilium.conflist", "10-calico.conflist"),
            {},
            "warning",
            "05-cilium.conflist comes before 10-calico.conflist: the runtime takes that for",
        ),
        (cni("10-bridge.conf"), {}, "warning", "/etc/cni/net.d/10-bridge.conf comes before"),
        (cni("10-calico.conflist", "87-podman-bridge.conflist"), {}, None, ""),
        (cni("05-cilium.conflist"), OTHERS, None, ""),
    ],
)
def test_each_trouble_is_found_with_its_fix(
    facts: dict[str, Any], overrides: dict[str, Any], level: str | None, text: str
) -> None:
    """One trouble gives exactly one finding, of the right weight; near misses give none."""
    seen = found(facts, **overrides)
    assert_finding(seen, level, text)


def test_a_good_host_has_no_findings() -> None:
    assert found({}) == ()


def test_what_a_missing_tool_would_have_shown_is_not_concluded() -> None:
    """Without gzip, or modprobe, the kernel's modules are not known to be missing."""
    from fabnode.steps.preflight import findings

    from .test_preflight import AROUND

    for tool in ("gzip", "modprobe"):
        facts = replace(
            GOOD, lacking=frozenset({tool}), missing_modules=frozenset({"vxlan", "overlay"})
        )
        (finding,) = findings(make_inputs(make_config(), facts), AROUND)
        assert finding.text == f"it has no {tool}, needed there"
        assert finding.fix == f"install the packages {'kmod' if tool == 'modprobe' else tool}"


def test_all_troubles_are_found_together() -> None:
    """So that nobody mends a host in ten runs."""
    facts = {
        "lacking": frozenset({"tar"}),
        "readonly": frozenset({"/opt/cni"}),
        "resolv_conf": None,
        "networks": (own("172.20.5.1/24"),),
        "firewall": tuple(("iptables", line) for line in ("-P INPUT DROP",)),
        **on("overlayfs"),
        **proxies(HTTPS_PROXY="http://192.0.2.1:3128"),
    }
    assert len(found(facts)) == len(facts)


def test_addresses_are_values() -> None:
    assert own("172.20.5.1/24").address == IPv4Address("172.20.5.1")
