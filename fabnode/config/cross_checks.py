"""
Checks of settings against each other, across sections and nodes.

Each check is a generator of violations: (path of the key at fault, what is wrong, what to do).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING

from ..releases import compatibility
from ..util import program, sysctl_aliases
from ..util.families import Family, family_of, first_of_family, split_values
from ..util.problems import KeyPath, nearest
from . import apiservers, reserved_fields
from .registry_servers import has_password, server
from .validators import is_address, is_scoped

if TYPE_CHECKING:
    from .configuration import Node
    from .schema import NodeEntry
    from .sections import (
        ArtifactSettings,
        BootstrapSettings,
        CalicoSettings,
        ClusterSettings,
        ExtensionSettings,
        ImageSettings,
        KubeProxySettings,
        RuntimeSettings,
    )

Violation = tuple[KeyPath, str, str]
Violations = Iterator[Violation]

_OF_KUBERNETES = range(10240, 10260)
"""In it are the ports of kubelets, kube-proxies and the control plane, as they are by default."""

_CALICO_BLOCKS: Mapping[Family, int] = {4: 26, 6: 122}
"""Calico allocates addresses in blocks of /26 and /122; a smaller pool holds none."""

_NODELOCAL = {4: "169.254.0.0/16", 6: "fe80::/10"}


def networks(cluster: ClusterSettings) -> Violations:
    """
    Check that pods, Services and the apiserver have separate addresses.

    DNS has a Service's address, or that of a cache on every node, which is link-local.
    """
    for pods in map(ipaddress.ip_network, cluster.pod_cidrs):
        for services in map(ipaddress.ip_network, cluster.service_cidrs):
            if services.overlaps(pods):
                message = f"{pods} overlaps service_cidr {services}"
                hint = "choose a network for pods that nothing else uses"
                yield ("cluster", "pod_cidr"), message, hint
    for address in cluster.dns_addresses:
        yield from _dns(cluster, address)
    yield from apiservers.violations(cluster.apiservers, cluster.version)
    for index, (host, _) in enumerate(cluster.endpoints):
        path: KeyPath = ("cluster", "apiserver")
        yield from _inside(cluster, host, (*path, index) if cluster.balanced else path)


def _dns(cluster: ClusterSettings, address: str) -> Violations:
    path: KeyPath = ("cluster", "dns_address")
    dns = ipaddress.ip_address(address)
    cidr = first_of_family(cluster.service_cidrs, family_of(address))
    if dns.is_link_local or not cidr:
        return  # where Services have no such addresses, `address_families.py` says so
    services = ipaddress.ip_network(cidr)
    if dns not in services:
        hint = (
            "use the address of the Service kube-dns, or a link-local one"
            f" ({_NODELOCAL[family_of(address)]}), as of NodeLocal DNSCache"
        )
        yield path, f"{dns} is outside service_cidr {services}", hint
    elif dns == services.network_address + 1:
        message = f"{dns} is the address of the Service 'kubernetes'"
        hint = "use the address of the Service kube-dns, often the second of the network"
        yield path, message, hint
    elif dns in (services.network_address, services.broadcast_address):
        yield path, f"{dns} is not a usable address of {services}", ""


def addresses(cluster: ClusterSettings, nodes: Mapping[int, NodeEntry]) -> Violations:
    """Check that nodes have addresses outside the networks of pods and Services."""
    for index, node in nodes.items():
        yield from _inside(cluster, node.address, ("nodes", index, "address"))
        if node.ip:
            for address in split_values(node.ip):
                yield from _inside(cluster, address, ("nodes", index, "ip"))
        elif not is_address(node.address):
            what = "has an interface in it" if is_scoped(node.address) else "is a host name"
            needed = "an IPv4 address" if cluster.families == (4,) else "an address of its own"
            message = f"'{node.address}' {what}, but the kubelet needs {needed}"
            yield ("nodes", index, "address"), message, "add the address as `ip`"


def _inside(cluster: ClusterSettings, address: str, path: KeyPath) -> Violations:
    if is_address(address):
        for name, cidrs in (
            ("service_cidr", cluster.service_cidrs),
            ("pod_cidr", cluster.pod_cidrs),
        ):
            for cidr in cidrs:
                if ipaddress.ip_address(address) in ipaddress.ip_network(cidr):
                    yield path, f"{address} is inside {name} {cidr}", "the two must not overlap"


def names(nodes: Mapping[int, NodeEntry], groups: Collection[str]) -> Violations:
    """Check that names and addresses are unique, and groups defined."""
    by_name: dict[str, NodeEntry] = {}
    by_address: dict[str, NodeEntry] = {}
    for index, node in nodes.items():
        path: KeyPath = ("nodes", index)
        if node.name in by_name:
            yield (*path, "name"), f"two nodes are called '{node.name}'", ""
        ips = split_values(node.ip or "")
        given_by = (("address", node.address), *(("ip", one) for one in ips))
        for key, given in given_by:
            address = given.lower().rstrip(".")
            if (other := by_address.get(address)) and other.name != node.name:
                yield (*path, key), f"'{given}' is also the address of '{other.name}'", ""
            if address:
                by_address.setdefault(address, node)
        if node.name in groups:
            message = f"'{node.name}' is also the name of a group"
            yield (*path, "name"), message, "rename one of the two"
        for position, group in enumerate(node.groups):
            if group not in groups:
                hint = nearest(group, groups) or "define it under groups"
                yield (*path, "groups", position), f"no group is called '{group}'", hint
        by_name.setdefault(node.name, node)


def releases(cluster: ClusterSettings) -> Violations:
    """Check that fabnode knows the Kubernetes release."""
    if misfit := compatibility.kubernetes(cluster.version):
        yield ("cluster", "version"), misfit.why, misfit.nearest


def artifacts(settings: ArtifactSettings) -> Violations:
    """Check that hosts have a URL to pull from, or a port of their own for the relay."""
    if settings.distribution == "relay" and settings.relay_port in _OF_KUBERNETES:
        message = f"{settings.relay_port} is among the ports of Kubernetes' own programs"
        yield ("artifacts", "relay_port"), message, "choose another port, such as 10280"
    if settings.distribution == "pull" and settings.url is None:
        hint = (
            f"set it to the URL of what `{program.task('binaries.publish')}` made, or use"
            " `distribution: push`"
        )
        yield ("artifacts", "distribution"), "pull needs artifacts.url", hint


def registries(
    settings: ImageSettings, cluster: ClusterSettings, nodes: Collection[Node]
) -> Violations:
    """Check that runtimes support configured registries, and that passwords go over TLS only."""
    minor = cluster.version.minor
    known = settings.registries and not compatibility.kubernetes(cluster.version)
    for node in nodes if known else ():
        version = node.runtime.version
        if node.runtime.name != "containerd" or (
            version and compatibility.containerd(minor, version)
        ):
            continue
        if not compatibility.containerd_data(version, minor).hosts_dir:
            message = f"containerd {version or ''} of {node.name} does not read hosts.toml"
            yield ("images", "registries"), message, "use containerd 1.5 or newer"
    for name, registry in settings.registries.items():
        path: KeyPath = ("images", "registries", name)
        if (registry.username is None) != (registry.password is None):
            key = "password" if registry.username is None else "username"
            yield (*path, key), "needs both username and password, or neither", ""
        for index, url in enumerate(registry.mirrors):
            if url.startswith("http:") and has_password(settings.registries, server(url)):
                message = f"the password would be sent to {url} in clear text"
                yield (*path, "mirrors", index), message, "use https"


def calico(cluster: ClusterSettings, settings: CalicoSettings) -> Violations:
    """Check Calico against the Kubernetes release, and its settings against each other."""
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
        hint = "set it to the sha256 of the file, so that no other file is applied"
        yield ("calico", "manifest"), "a URL needs calico.manifest_sha256", hint
    if settings.datastore == "etcd" and settings.etcd is None:
        hint = "set endpoints, ca, cert and key"
        yield ("calico", "datastore"), "etcd needs calico.etcd", hint
    elif settings.datastore != "etcd" and settings.etcd:
        hint = "set calico.datastore: etcd, or remove calico.etcd"
        yield ("calico", "etcd"), f"is not used with datastore {settings.datastore}", hint
    if settings.mtu and settings.components == "controllers":
        message = "is not used with `components: controllers`"
        yield ("calico", "mtu"), message, "set it where calico-node is configured"
    if settings.backend == "vxlan" and settings.encapsulation == "Never":
        message = "with Never, pods of different nodes can't reach each other"
        yield ("calico", "encapsulation"), message, "use Always or CrossSubnet with backend vxlan"
    for cidr in cluster.pod_cidrs:
        block = _CALICO_BLOCKS[family_of(cidr)]
        if ipaddress.ip_network(cidr).prefixlen > block:
            message = f"{cidr} is smaller than the blocks that Calico allocates"
            yield ("cluster", "pod_cidr"), message, f"use /{block} or larger"


def bootstrap(settings: BootstrapSettings) -> Violations:
    """Check that a shared token is configured if, and only if, the mode uses it."""
    if settings.mode == "token-file" and settings.token is None:
        hint = "set it to where the token is found: {file: PATH}, {env: NAME} or {prompt: true}"
        yield ("bootstrap", "mode"), "token-file needs bootstrap.token", hint
    if settings.mode == "token" and settings.token is not None:
        message = "is not used with mode token, which issues a token for each node"
        yield ("bootstrap", "token"), message, "remove it, or use `mode: token-file`"


def extensions(settings: ExtensionSettings) -> Violations:
    """Check each hook by itself; whether its step exists, `deploy/site_steps.py` checks."""
    for index, hook in enumerate(settings.hooks):
        path: KeyPath = ("extensions", "hooks", index)
        if (hook.before is None) == (hook.after is None):
            yield path, "needs one of before and after", ""
        program = hook.run[0]
        if hook.where == "host":
            if hook.when == "always":
                message = "is possible with `where: deployer` only"
                hint = "an unchanged host gets no commands; leave `when` out"
                yield (*path, "when"), message, hint
            if "/" in program and not program.startswith("/"):
                hint = "an own step can bring the file there"
                yield (*path, "run"), "must begin with an absolute path or a bare name", hint
            if "=" in program:
                yield (*path, "run"), "must begin with the name of a program", ""


def _handlers(runtime: RuntimeSettings) -> Violations:
    if runtime.name == "docker" and runtime.handlers:
        hint = "docker's stand in `runtime.daemon: {runtimes: …}`"
        yield ("runtime", "handlers"), "applies to containerd only", hint
    if "runc" in runtime.handlers:
        hint = "choose another name, and make it `default_handler` where it should take its place"
        yield ("runtime", "handlers", "runc"), "is fabnode's own", hint
    known = {"runc", *runtime.handlers}
    if runtime.name != "docker" and runtime.default_handler not in known:
        message = f"no handler is called '{runtime.default_handler}'"
        hint = nearest(runtime.default_handler, known) or "define it under runtime.handlers"
        yield ("runtime", "default_handler"), message, hint


def _kube_proxy(proxy: KubeProxySettings, minor: int) -> Violations:
    if misfit := compatibility.proxy_mode(minor, proxy.mode):
        yield ("kube_proxy", "mode"), misfit.why, misfit.nearest
    if proxy.signing == "local" and proxy.ca_key is None:
        hint = "set it to the CA's key, or use `signing: csr`"
        yield ("kube_proxy", "signing"), "local needs kube_proxy.ca_key", hint
    for path, message, hint in reserved_fields.kube_proxy_flags(proxy.extra_args, minor):
        yield ("kube_proxy", "extra_args", *path), message, hint
    for path, message, hint in reserved_fields.kube_proxy(proxy.config, minor):
        yield ("kube_proxy", "config", *path), message, hint


def _startup_taints(node: Node) -> Violations:
    kept = {(taint.key, taint.effect) for taint in node.taints}
    seen: set[tuple[str, str]] = set()
    for index, taint in enumerate(node.startup_taints):
        path: KeyPath = ("kubelet", "startup_taints", index)
        at = taint.key, taint.effect
        if at in kept:
            hint = "each deployment would set it again: remove it from one of the two"
            yield path, f"{taint.key}:{taint.effect} is among the node's taints as well", hint
        elif at in seen:
            yield path, f"{taint.key}:{taint.effect} is given twice", "remove one of them"
        seen.add(at)


def node_settings(cluster: ClusterSettings, node: Node) -> Violations:
    """
    Check one node's runtime, kubelet and kube-proxy against each other and the release.

    Paths begin with the section: the caller knows whether it was set for all or for this node.
    """
    proxy, runtime, minor = node.kube_proxy, node.runtime, cluster.version.minor
    if compatibility.kubernetes(cluster.version):
        return  # `releases` reports that
    if misfit := compatibility.runtime(minor, runtime.name):
        yield ("runtime", "name"), misfit.why, misfit.nearest
    elif runtime.version and runtime.name == "docker":
        hint = "remove it: docker comes with the host's own packages"
        yield ("runtime", "version"), "applies to containerd only", hint
    elif runtime.daemon and runtime.name != "docker":
        yield ("runtime", "daemon"), "applies to docker only", "remove it"
    elif "exec-opts" in runtime.daemon:
        hint = "remove it: its cgroup driver must match the kubelet's"
        yield ("runtime", "daemon", "exec-opts"), "is set by fabnode", hint
    elif runtime.version and (misfit := compatibility.containerd(minor, runtime.version)):
        yield ("runtime", "version"), misfit.why, misfit.nearest
    yield from _handlers(runtime)
    yield from _startup_taints(node)
    for key in node.host.sysctls.keys() & reserved_fields.sysctls(cluster.families).keys():
        yield ("host", "sysctls", key), "is set by fabnode", "remove it"
    for key in node.host.sysctls.keys() & sysctl_aliases.ALIASES.keys():
        same = sysctl_aliases.ALIASES[key]
        yield ("host", "sysctls", key), f"is {same}, which is set by fabnode", "remove it"
    if reserved_fields.protects_kernel(node.kubelet.config):
        for key, value in reserved_fields.PROTECTED_SYSCTLS.items():
            if node.host.sysctls.get(key, value) != value:
                message = f"must be {value}: kubelet.config.protectKernelDefaults"
                yield ("host", "sysctls", key), message, "remove it"
    for path, message, hint in reserved_fields.kubelet(node.kubelet.config, minor):
        yield ("kubelet", "config", *path), message, hint
    for path, message, hint in reserved_fields.kubelet_flags(node.kubelet.extra_args, minor):
        yield ("kubelet", "extra_args", *path), message, hint
    if proxy.enabled:
        yield from _kube_proxy(proxy, minor)
