"""Findings about a host's environment: tools, file systems, cgroups, networks, firewall, proxy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network

from ..cni.protocol import Port
from ..cni.registry import network
from ..config.configuration import Config, Node
from ..node import host_tools, layout
from ..node.conventions import KUBELET_PORT, PROXY_SERVICE
from ..node.facts import HostNetwork
from ..node.resolvers import name_servers, on_loopback
from ..releases.matrix import matrix
from ..util.families import first_of_family
from . import firewall, network_managers
from .finding import Finding
from .inputs import Inputs

MIB = 1024 * 1024

_KUBELET = Port("tcp", KUBELET_PORT, "kubelet, from the control plane")
_FEWEST_INODES = 1000
_NODE_ROOM = MIB  # all files of a node's configuration together take less
_KERNELS = "/sys/fs"
_CONTROLLERS = ("cpu", "cpuset", "memory", "pids")
_OF_SERVICES = ("kube-", "nodelocaldns")  # beginnings of interfaces' names
# File systems that the kernel's overlay can't write to, by the names of `stat -f`.
_NO_OVERLAY = frozenset(
    {"overlayfs", "nfs", "ecryptfs", "cifs", "smb", "smb2", "msdos", "aufs", "fuseblk", "ramfs"}
)


def room(config: Config, node: Node) -> dict[str, int]:
    """Return the folders that need room on a new node, each with its bytes."""
    return {
        config.paths.programs: 400 * MIB,
        config.paths.cni_bin: 100 * MIB,
        config.paths.state: 1024 * MIB,
        node.runtime.root: 2048 * MIB,
        node.kubelet.root: 256 * MIB,
        "/etc": 16 * MIB,
    }


def mounts(config: Config, node: Node) -> tuple[str, ...]:
    """Return the folders whose mounts matter: those with programs, and those that pods share."""
    return (*_executed(config), _KERNELS, node.kubelet.root)


def _executed(config: Config) -> tuple[str, ...]:
    return (config.paths.programs, config.paths.cni_bin)


def findings(inputs: Inputs) -> Iterator[Finding]:
    """Yield what of the host's environment would break a node or its pods."""
    yield from _tools(inputs)
    yield from _init(inputs)
    yield from _read_only(inputs)
    yield from _mounts(inputs)
    yield from _space(inputs)
    yield from _overlay(inputs)
    yield from _controllers(inputs)
    yield from _resolver(inputs)
    yield from _networks(inputs)
    yield from _mtu(inputs)
    yield from _conntrack(inputs)
    yield from _cni_files(inputs)
    yield from network_managers.findings(inputs)
    yield from _firewall(inputs)
    yield from _proxies(inputs)


def _tools(inputs: Inputs) -> Iterator[Finding]:
    if lacking := inputs.facts.lacking:
        yield Finding(
            "error",
            f"it has no {', '.join(sorted(lacking))}, needed there",
            f"install the packages {host_tools.packages(lacking)}",
        )
    unseen = {"ip": "addresses", "ss": "ports"}
    missing = [tool for tool in unseen if tool not in inputs.facts.tools]
    if missing:
        what = " and ".join(unseen[tool] for tool in missing)
        yield Finding(
            "warning",
            f"it has no {', '.join(missing)}, so its {what} could not be checked",
            "install the package iproute2 (iproute) on it",
        )


def _read_only(inputs: Inputs) -> Iterator[Finding]:
    if folders := sorted(inputs.facts.readonly):
        yield Finding(
            "error",
            f"its file system is read-only at {', '.join(folders)}",
            "mount it writable (`chattr -i`, where `lsattr -d` shows an i), or set other folders:"
            " those of `paths`, kubelet.root, runtime.root",
        )


def _init(inputs: Inputs) -> Iterator[Finding]:
    if not inputs.facts.booted:
        yield Finding(
            "error",
            "systemd is there, but is not its init: no unit can be started",
            "boot it with systemd (in WSL: `systemd=true` under `[boot]` in /etc/wsl.conf)",
        )
    if not inputs.facts.kmsg:
        yield Finding(
            "error",
            "it has no /dev/kmsg, which the kubelet reads",
            "give it that device, or at each boot a link to /dev/console (tmpfiles.d)",
        )


def _mounts(inputs: Inputs) -> Iterator[Finding]:
    config, found = inputs.config, inputs.facts.mounts
    for path in _executed(config):
        if path in found and "noexec" in found[path].options:
            yield Finding(
                "error",
                f"{path} is on a file system that is mounted noexec: no program there starts",
                "mount it without noexec, or give it a file system of its own",
            )
    shared = (_KERNELS, inputs.node.kubelet.root)
    private = [path for path in shared if path in found and not found[path].shared]
    if private:
        # A pod network mounts below /sys/fs; volumes' drivers, below the kubelet's folder.
        yield Finding(
            "error" if _KERNELS in private and network(config).runs_on_nodes else "warning",
            f"mounts below {', '.join(private)} are private: pods that share them do not start",
            "run `mount --make-rshared /` there, at each boot before the kubelet",
        )


def _space(inputs: Inputs) -> Iterator[Finding]:
    places = {
        path: (needed, space)
        for path, needed in room(inputs.config, inputs.node).items()
        if (space := inputs.facts.space.get(path)) is not None
    }
    if inputs.joined:
        # What more a running node needs, its kubelet watches: it evicts pods where it lacks.
        full = [path for path, (_, space) in places.items() if space.free < _NODE_ROOM]
        if full:
            yield Finding(
                "error",
                f"its disk is full: less than 1 MiB is free at {', '.join(full)}",
                "make room there: no file can be changed, and the kubelet evicts pods",
            )
        return
    for path, (needed, space) in places.items():
        if space.free < needed:
            yield Finding(
                "error",
                f"{path} has {space.free // MIB} MiB free, {needed // MIB} MiB are needed",
                f"make room on the file system of {path}",
            )
        if space.inodes is not None and space.inodes < _FEWEST_INODES:
            yield Finding(
                "error",
                f"the file system of {path} has {space.inodes} free inodes",
                "remove files there, or make a file system with more inodes",
            )


def _overlay(inputs: Inputs) -> Iterator[Finding]:
    runtime = inputs.node.runtime
    space = inputs.facts.space.get(runtime.root)
    if space and space.kind in _NO_OVERLAY and "storage-driver" not in runtime.daemon:
        yield Finding(
            "error",
            f"{runtime.root} is on {space.kind}, on which overlay can't keep containers' files",
            "mount another file system there (ext4, xfs), or set runtime.root to a folder on one",
        )


def _controllers(inputs: Inputs) -> Iterator[Finding]:
    present = inputs.facts.controllers
    missing = [name for name in _CONTROLLERS if name not in present] if present else []
    if missing:
        yield Finding(
            "error",
            f"its kernel runs without the cgroup controllers {', '.join(missing)}",
            "boot it with cgroup_enable=memory and without cgroup_disable on the kernel's command"
            " line",
        )


def _resolver(inputs: Inputs) -> Iterator[Finding]:
    facts = inputs.facts
    if facts.systemd_resolved or "resolvConf" in inputs.node.kubelet.config:
        return
    fix = "name the site's DNS servers there, or in a file that kubelet.config.resolvConf names"
    if facts.resolv_conf is None:
        why = (
            f"leads to {facts.resolv_link}, which is not there"
            if facts.resolv_link
            else ("is missing")
        )
        yield Finding("error", f"/etc/resolv.conf {why}: no pod can start", fix)
        return
    servers = name_servers(facts.resolv_conf)
    if servers and on_loopback(servers):
        text = f"/etc/resolv.conf names {', '.join(servers)} alone, which pods can't reach"
        yield Finding("warning", text, fix)


def _networks(inputs: Inputs) -> Iterator[Finding]:
    cluster = inputs.config.cluster
    pods = network(inputs.config)
    ranges = [("service_cidr", ip_network(cidr)) for cidr in cluster.service_cidrs]
    # Interfaces of a pod network that is not fabnode's have names that are unknown here.
    if pods.runs_on_nodes or not inputs.joined:
        ranges += [("pod_cidr", ip_network(cidr)) for cidr in cluster.pod_cidrs]
    fix = "give the cluster addresses that no network of a host uses, or take that network away"
    of_cluster = (*_OF_SERVICES, *pods.interfaces)
    seen: set[str] = set()
    for found in inputs.facts.networks:
        if found.interface == "*" or found.interface.startswith(of_cluster):
            continue
        for key, cidr in ranges:
            if not _meets(found, cidr, joined=inputs.joined):
                continue
            where = f"{found.network} on {found.interface}"
            if where not in seen:
                seen.add(where)
                yield Finding("error", f"its network {where} lies in {key} {cidr}", fix)


def _meets(found: HostNetwork, cidr: IPv4Network | IPv6Network, *, joined: bool) -> bool:
    """
    Say whether a network of the host takes addresses of the cluster's.

    A wider route than the cluster's network loses against those of pods. Of a node that has joined,
    routes may be those of its pod network.
    """
    if found.address:
        return found.address in cidr
    if joined or not isinstance(found.network, IPv4Network) or not isinstance(cidr, IPv4Network):
        return False  # routes of IPv6 are not asked for
    return found.network.subnet_of(cidr)


def _mtu(inputs: Inputs) -> Iterator[Finding]:
    needed, facts = network(inputs.config).nic_mtu, inputs.facts
    own = next((n.interface for n in facts.networks if str(n.address) == inputs.node.ip), "")
    has = facts.mtus.get(own)
    if needed and has and has < needed:
        yield Finding(
            "error",
            f"its interface {own} has MTU {has}, but packets of pods take up to {needed} bytes",
            f"lower {network(inputs.config).setting}.mtu by {needed - has}, or raise the MTU of the"
            " interface",
        )


def _conntrack(inputs: Inputs) -> Iterator[Finding]:
    """
    Find what kube-proxy would fail at when it starts, and again and again.

    It reads both files, and writes to them where their numbers are below what it wants (kubernetes
    pkg/proxy/conntrack/sysctls.go): one that runs has them high enough. Where one is missing, the
    step proxy has it leave the limits alone, unless the configuration sets them.
    """
    facts, proxy = inputs.facts, inputs.node.kube_proxy
    given = proxy.config.get("conntrack")
    most = given.get("maxPerCore") if isinstance(given, Mapping) else None
    if not proxy.enabled or most == 0:
        return
    fix = "set kube_proxy: {config: {conntrack: {maxPerCore: 0}}}, and the limits on its machine"
    if path := inputs.conntrack_of_machine:
        if most is None and inputs.version.minor in matrix().kube_proxy.config_file:
            yield Finding(
                "warning",
                f"it has no {path}, as in a container: kube-proxy leaves the limits of connection"
                " tracking as they are (conntrack.maxPerCore: 0)",
                "set nf_conntrack_max on its machine",
            )
        else:
            yield Finding("error", f"it has no {path}, without which kube-proxy ends", fix)
        return
    for path, state in facts.conntrack.items():
        if state == "readonly" and not facts.unit(PROXY_SERVICE).running:
            text = f"kube-proxy can't write to {path}, and ends where the number there is too small"
            yield Finding("warning", text, fix)


def _cni_files(inputs: Inputs) -> Iterator[Finding]:
    """Find what runtimes take in the stead of the pod network's file: the first by its name."""
    pods = network(inputs.config)
    if not pods.runs_on_nodes:
        return
    conf = inputs.config.paths.cni_conf
    first = sorted(
        name
        for path in inputs.facts.config_files
        for folder, _, name in (path.rpartition("/"),)
        if folder == conf and name < pods.conf_name
    )
    if first:
        yield Finding(
            "warning",
            f"{conf}/{first[0]} comes before {pods.conf_name}: the runtime takes that"
            f" for the pods' network instead of {pods.name}",
            f"remove it, unless it hands pods on to {pods.name}, as Multus does",
        )


def _firewall(inputs: Inputs) -> Iterator[Finding]:
    ports = (_KUBELET, *network(inputs.config).ports)
    for gate in firewall.closed(inputs.facts.firewall, ports):
        yield Finding(
            "warning",
            f"its firewall ({gate.place}) drops what no rule admits, and seems not to admit "
            f"{', '.join(map(str, gate.missing))}",
            "admit them in that firewall's own configuration (ufw, firewalld, nftables)",
        )
    pods = network(inputs.config).interfaces
    # Rules of IPv4 are judged, where there is such.
    cidr = first_of_family(inputs.config.cluster.pod_cidrs, 4) or inputs.config.cluster.pod_cidr
    for place in firewall.unforwarded(inputs.facts.firewall, pods):
        yield Finding(
            "warning",
            f"its firewall ({place}) drops what the host forwards, and seems not to admit packets"
            " to pods",
            f"admit what is forwarded from and to {cidr} in that firewall's own configuration"
            f" (firewalld: `firewall-cmd --permanent --zone=trusted --add-source={cidr}`)",
        )


def _proxies(inputs: Inputs) -> Iterator[Finding]:
    proxies = {k: v for k, v in inputs.facts.proxies.items() if k.lower() != "no_proxy" and v}
    if proxies:
        named = ", ".join(f"{name}={value}" for name, value in sorted(proxies.items()))
        yield Finding(
            "warning",
            f"systemd gives its services a proxy: {named}; {layout.CONTAINERD} pulls images by it,"
            " the kubelet and kube-proxy go without",
            "see that the proxy reaches the registries, or name these in NO_PROXY",
        )
