"""
What settings must be together, across sections and nodes.

Each rule is a generator of findings: (path of the key to blame, what is wrong, what to do).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING

from ..releases import compatibility
from ..util.problems import KeyPath, nearest
from . import reserved_fields
from .image_names import has_password, server
from .validators import is_address

if TYPE_CHECKING:
    from .cluster import Node
    from .schema import NodeEntry
    from .sections import (
        ArtifactSettings,
        BootstrapSettings,
        CalicoSettings,
        ClusterSettings,
        ImageSettings,
    )

Finding = tuple[KeyPath, str, str]
Findings = Iterator[Finding]

_CALICO_BLOCK = 26
"""Calico hands out addresses in blocks of /26; a smaller pool holds none."""


def networks(cluster: ClusterSettings) -> Findings:
    """Pods, Services and the apiserver have addresses of their own; DNS is a Service."""
    services = ipaddress.IPv4Network(cluster.service_cidr)
    pods = ipaddress.IPv4Network(cluster.pod_cidr)
    if services.overlaps(pods):
        message = f"{pods} overlaps service_cidr {services}"
        yield ("cluster", "pod_cidr"), message, "give pods a network of their own"
    dns = ipaddress.IPv4Address(cluster.dns_address)
    if dns not in services:
        yield ("cluster", "dns_address"), f"{dns} is outside service_cidr {services}", ""
    elif dns == services.network_address + 1:
        message = f"{dns} is the address of the Service kubernetes"
        yield ("cluster", "dns_address"), message, "use what kube-dns has, often the second"
    elif dns in (services.network_address, services.broadcast_address):
        yield ("cluster", "dns_address"), f"{dns} is no usable address of {services}", ""
    yield from _inside(cluster, cluster.apiserver_host, ("cluster", "apiserver"))


def addresses(cluster: ClusterSettings, nodes: Mapping[int, NodeEntry]) -> Findings:
    """Nodes have addresses outside the networks of pods and Services."""
    for index, node in nodes.items():
        yield from _inside(cluster, node.address, ("nodes", index, "address"))
        if node.ip:
            yield from _inside(cluster, node.ip, ("nodes", index, "ip"))
        elif not is_address(node.address):
            message = f"'{node.address}' is a host name, and the kubelet needs an IPv4 address"
            yield ("nodes", index, "address"), message, "give that as `ip` beside it"


def _inside(cluster: ClusterSettings, address: str, path: KeyPath) -> Findings:
    if is_address(address):
        for name in ("service_cidr", "pod_cidr"):
            network = getattr(cluster, name)
            if ipaddress.IPv4Address(address) in ipaddress.IPv4Network(network):
                yield path, f"{address} is inside {name} {network}", "the two must not meet"


def names(nodes: Mapping[int, NodeEntry], groups: Collection[str]) -> Findings:
    """Names and addresses are unique, and groups are known."""
    by_name: dict[str, NodeEntry] = {}
    by_address: dict[str, NodeEntry] = {}
    for index, node in nodes.items():
        path: KeyPath = ("nodes", index)
        if node.name in by_name:
            yield (*path, "name"), f"two nodes are called '{node.name}'", ""
        for key, given in (("address", node.address), ("ip", node.ip)):
            address = (given or "").lower().rstrip(".")
            if (other := by_address.get(address)) and other.name != node.name:
                yield (*path, key), f"'{given}' is the address of '{other.name}' as well", ""
            if address:
                by_address.setdefault(address, node)
        if node.name in groups:
            message = f"'{node.name}' is a group as well"
            yield (*path, "name"), message, "a name must mean one of the two"
        for position, group in enumerate(node.groups):
            if group not in groups:
                hint = nearest(group, groups) or "define it under groups"
                yield (*path, "groups", position), f"no group is called '{group}'", hint
        by_name.setdefault(node.name, node)


def releases(cluster: ClusterSettings) -> Findings:
    """The Kubernetes release is one that fabnode knows."""
    if misfit := compatibility.kubernetes(cluster.version):
        yield ("cluster", "version"), misfit.why, misfit.nearest


def artifacts(settings: ArtifactSettings) -> Findings:
    """What hosts are to fetch, they know from where."""
    if settings.distribution == "pull" and settings.url is None:
        hint = "give the URL of what `inv binaries.publish` made, or use `distribution: push`"
        yield ("artifacts", "distribution"), "pull needs artifacts.url", hint


def registries(
    settings: ImageSettings, cluster: ClusterSettings, nodes: Collection[Node]
) -> Findings:
    """Runtimes can be told of registries; who asks one never shows a password to everybody."""
    minor = cluster.version.minor
    known = settings.registries and not compatibility.kubernetes(cluster.version)
    for node in nodes if known else ():
        version = node.runtime.version
        if node.runtime.name != "containerd" or (
            version and compatibility.containerd(minor, version)
        ):
            continue
        if not compatibility.containerd_line(version, minor).hosts_dir:
            message = f"containerd {version or ''} of {node.name} reads no hosts.toml"
            yield ("images", "registries"), message, "use containerd 1.5 or newer"
    for name, registry in settings.registries.items():
        path: KeyPath = ("images", "registries", name)
        if (registry.username is None) != (registry.password is None):
            key = "password" if registry.username is None else "username"
            yield (*path, key), "needs username and password, or neither", ""
        for index, url in enumerate(registry.mirrors):
            if url.startswith("http:") and has_password(settings.registries, server(url)):
                message = f"{url} would get a password in plain text"
                yield (*path, "mirrors", index), message, "use https"


def calico(cluster: ClusterSettings, settings: CalicoSettings) -> Findings:
    """Calico fits the Kubernetes release, and its settings fit each other."""
    if not settings.enabled:
        return
    misfit = compatibility.calico(
        settings.version,
        cluster.version.minor,
        datastore=settings.datastore,
        allow_untested=settings.allow_untested,
    )
    if misfit and not compatibility.kubernetes(cluster.version):
        yield ("calico", "version"), misfit.why, misfit.nearest
    if isinstance(settings.manifest, str) and not settings.manifest_sha256:
        hint = "give the sha256 of the file, so that nothing else is applied"
        yield ("calico", "manifest"), "a URL needs calico.manifest_sha256", hint
    if settings.datastore == "etcd" and settings.etcd is None:
        hint = "give endpoints, ca, cert and key"
        yield ("calico", "datastore"), "etcd needs calico.etcd", hint
    elif settings.datastore != "etcd" and settings.etcd:
        hint = "set calico.datastore: etcd, or take calico.etcd out"
        yield ("calico", "etcd"), f"is of no use with datastore {settings.datastore}", hint
    if settings.backend == "vxlan" and settings.encapsulation == "Never":
        message = "Never leaves pods of different nodes without a way to each other"
        yield ("calico", "encapsulation"), message, "with backend vxlan use Always or CrossSubnet"
    if ipaddress.IPv4Network(cluster.pod_cidr).prefixlen > _CALICO_BLOCK:
        message = f"{cluster.pod_cidr} is smaller than the blocks Calico hands out"
        yield ("cluster", "pod_cidr"), message, f"use /{_CALICO_BLOCK} or larger"


def bootstrap(settings: BootstrapSettings) -> Findings:
    """A shared token is named where it is used, and nowhere else."""
    if settings.mode == "token-file" and settings.token is None:
        hint = "say where the token is found: {file: PATH}, {env: NAME} or {prompt: true}"
        yield ("bootstrap", "mode"), "token-file needs bootstrap.token", hint
    if settings.mode == "token" and settings.token is not None:
        message = "is not used with mode token, which makes a token for each node"
        yield ("bootstrap", "token"), message, "take it out, or use `mode: token-file`"


def node_settings(cluster: ClusterSettings, node: Node) -> Findings:
    """
    One node's runtime, kubelet and kube-proxy fit each other and the release.

    Paths begin with the section: the caller knows whether it was said for all or for this node.
    """
    proxy, runtime, minor = node.kube_proxy, node.runtime, cluster.version.minor
    if compatibility.kubernetes(cluster.version):
        return  # that was said
    if misfit := compatibility.runtime(minor, runtime.name):
        yield ("runtime", "name"), misfit.why, misfit.nearest
    elif runtime.version and runtime.name == "docker":
        hint = "take it out: docker comes with the host's own packages"
        yield ("runtime", "version"), "is containerd's alone", hint
    elif runtime.daemon and runtime.name != "docker":
        yield ("runtime", "daemon"), "is docker's alone", "take it out"
    elif "exec-opts" in runtime.daemon:
        hint = "take it out: the cgroup driver in it must be the kubelet's"
        yield ("runtime", "daemon", "exec-opts"), "is fabnode's to set", hint
    elif runtime.version and (misfit := compatibility.containerd(minor, runtime.version)):
        yield ("runtime", "version"), misfit.why, misfit.nearest
    if misfit := compatibility.proxy_mode(minor, proxy.mode):
        yield ("kube_proxy", "mode"), misfit.why, misfit.nearest
    if proxy.signing == "local" and proxy.ca_key is None:
        hint = "give the CA's key, or use `signing: csr`"
        yield ("kube_proxy", "signing"), "local needs kube_proxy.ca_key", hint
    for path, message in reserved_fields.kubelet(node.kubelet.config, minor):
        yield ("kubelet", "config", *path), message, "take it out"
    for path, message in reserved_fields.kube_proxy(proxy.config, minor):
        yield ("kube_proxy", "config", *path), message, "take it out"
