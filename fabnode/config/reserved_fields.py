"""
Fields that `kubelet.config` and `kube_proxy.config` may not carry.

Other fields are copied into the components' own configuration unchanged. Refused are only those
that have a setting of their own, that fabnode relies on, that the release does not know (components
pass over such a field, with a line in their journal at most), or whose value is of another type.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from types import MappingProxyType

from ..releases.matrix import Component, matrix
from ..util.families import Family
from ..util.problems import KeyPath, nearest
from . import field_types

Fields = Mapping[tuple[str, ...], str]

_BOTH: Fields = {
    ("apiVersion",): "it follows from the release",
    ("kind",): "it is always the same",
}
_BY_WEBHOOK = "the API authenticates and authorizes every client of the kubelet"
_AGREES = "it must agree with the runtime's, so fabnode sets both"
_STARTUP_TAINTS = "it is set by kubelet.startup_taints"
_REMOVE = "remove it"
_NO_FIELD = "no release of Kubernetes has such a field"
_COMPARED_SINCE = 17  # the first minor whose types the matrix lists whole
_HIDES = "it hides the source of traffic, so that NetworkPolicies can't match it"

KUBELET: Fields = {
    **_BOTH,
    ("maxPods",): "it is set by kubelet.max_pods",
    ("failSwapOn",): "it is set by kubelet.fail_swap_on",
    ("clusterDNS",): "it is set by cluster.dns_address",
    ("clusterDomain",): "it is set by cluster.dns_domain",
    ("registerWithTaints",): _STARTUP_TAINTS,
    ("address",): "it is the node's address",
    ("authentication", "anonymous"): _BY_WEBHOOK,
    ("authentication", "webhook", "enabled"): _BY_WEBHOOK,
    ("authentication", "x509"): "it is set by cluster.ca",
    ("authorization", "mode"): _BY_WEBHOOK,
    ("readOnlyPort",): "that port serves anyone without authentication",
    ("rotateCertificates",): "nodes renew their certificates",
    ("serverTLSBootstrap",): "serving certificates come from the cluster's CA",
    ("cgroupDriver",): _AGREES,
    ("containerRuntimeEndpoint",): _AGREES,
}
KUBE_PROXY: Fields = {
    **_BOTH,
    ("mode",): "it is set by kube_proxy.mode",
    ("clusterCIDR",): "it is set by cluster.pod_cidr",
    ("hostnameOverride",): "it is the node's name",
    ("clientConnection", "kubeconfig"): "fabnode writes that file",
    ("iptables", "masqueradeAll"): _HIDES,
    ("ipvs", "masqueradeAll"): _HIDES,
    ("nftables", "masqueradeAll"): _HIDES,
}


# ip_forward is what Kubernetes' documentation asks for; the others let kube-proxy's rules and
# the pod network's see bridged traffic.
SYSCTLS: Mapping[str, str] = MappingProxyType(
    {
        "net.ipv4.ip_forward": "1",
        "net.bridge.bridge-nf-call-iptables": "1",
        "net.bridge.bridge-nf-call-ip6tables": "1",
    }
)


IPV6_SYSCTLS: Mapping[str, str] = MappingProxyType({"net.ipv6.conf.all.forwarding": "1"})
"""With it, the kernel takes no more router advertisements, but where accept_ra is 2 (ip-sysctl)."""


def sysctls(families: Collection[Family]) -> Mapping[str, str]:
    """Return the settings of the kernel that are fabnode's where pods have these families."""
    return {**SYSCTLS, **IPV6_SYSCTLS} if 6 in families else SYSCTLS


# kubernetes pkg/kubelet/cm/container_manager_linux.go, setupKernelTunables
PROTECTED_SYSCTLS: Mapping[str, str] = MappingProxyType(
    {
        "vm.overcommit_memory": "1",
        "vm.panic_on_oom": "0",
        "kernel.panic": "10",
        "kernel.panic_on_oops": "1",
        "kernel.keys.root_maxkeys": "1000000",
        "kernel.keys.root_maxbytes": "25000000",
    }
)
"""What a kubelet sets itself, and with `protectKernelDefaults` ends without."""


def protects_kernel(config: Mapping[str, object]) -> bool:
    """Return whether a kubelet's configuration has it leave the kernel's settings alone."""
    return config.get("protectKernelDefaults") is True


def kubelet(config: Mapping[str, object], minor: int) -> Iterator[tuple[KeyPath, str, str]]:
    """Yield what can't be set with Kubernetes 1.`minor`, each as (path, message, hint)."""
    return _refused(config, minor, KUBELET, matrix().kubelet)


def kube_proxy(config: Mapping[str, object], minor: int) -> Iterator[tuple[KeyPath, str, str]]:
    """Yield what can't be set with Kubernetes 1.`minor`, each as (path, message, hint)."""
    return _refused(config, minor, KUBE_PROXY, matrix().kube_proxy)


def _refused(
    config: Mapping[str, object], minor: int, reserved: Fields, component: Component
) -> Iterator[tuple[KeyPath, str, str]]:
    named = []
    for found in _refused_names(config, minor, reserved, component):
        named.append(found[0])
        yield found
    for found in field_types.misfits(config, component.types):
        if not any(found[0][: len(path)] == path for path in named):
            yield found


def _refused_names(
    config: Mapping[str, object], minor: int, reserved: Fields, component: Component
) -> Iterator[tuple[KeyPath, str, str]]:
    if config and minor not in component.config_file:
        yield (), f"Kubernetes 1.{minor} does not read a configuration file", _REMOVE
        return
    for path, why in reserved.items():
        if field_types.value_at(config, path) is not field_types.UNSET:
            yield path, f"can't be set here: {why}", _REMOVE
    sometimes = {**component.settings, **component.fields}
    for field, known in sometimes.items():
        if field in config and minor not in known:
            yield (field,), f"Kubernetes 1.{minor} does not know this field", _REMOVE
    if minor < _COMPARED_SINCE:
        return
    # What belongs to a field is a setting of its own here: `authorization.mode`.
    names = {path[0] for path in reserved} | {name.split(".")[0] for name in sometimes}
    for field in config.keys() - names - component.always:
        near = nearest(field, names | component.always)
        yield (field,), _NO_FIELD, near or _REMOVE
    for parent, known_parts in component.parts.items():
        path = tuple(parent.split("."))
        given = field_types.value_at(config, path)
        for field in given.keys() - known_parts if isinstance(given, dict) else ():
            yield (*path, field), _NO_FIELD, nearest(field, known_parts) or _REMOVE


_ITS_END = "it would do that, and end"
KUBELET_FLAGS: Mapping[str, str] = MappingProxyType(
    {
        "config-dir": "what is there would win over kubelet.config",
        "node-labels": "it is set by labels",
        "register-with-taints": _STARTUP_TAINTS,
        "register-node": "a node registers itself",
        "runonce": _ITS_END,
        "version": _ITS_END,
        "help": _ITS_END,
    }
)
KUBE_PROXY_FLAGS: Mapping[str, str] = MappingProxyType(
    {
        "master": "its kubeconfig names the apiserver",
        "kubeconfig": "its certificate comes from fabnode",
        **dict.fromkeys(("cleanup", "init-only", "write-config-to", "version", "help"), _ITS_END),
    }
)
_FREE = "v"  # fabnode's own is a default


def kubelet_flags(flags: Iterable[str], minor: int) -> Iterator[tuple[KeyPath, str, str]]:
    """Yield the flags that can't be given, each as (path, message, hint)."""
    return _refused_flags(flags, minor, KUBELET_FLAGS, matrix().kubelet, "kubelet.config")


def kube_proxy_flags(flags: Iterable[str], minor: int) -> Iterator[tuple[KeyPath, str, str]]:
    """Yield the flags that can't be given, each as (path, message, hint)."""
    return _refused_flags(flags, minor, KUBE_PROXY_FLAGS, matrix().kube_proxy, "kube_proxy.config")


def _refused_flags(
    flags: Iterable[str], minor: int, reserved: Mapping[str, str], component: Component, file: str
) -> Iterator[tuple[KeyPath, str, str]]:
    own = {name.lstrip("-") for name in component.flags}
    fields = {
        setting.flag.lstrip("-"): path
        for path, setting in component.settings.items()
        if setting.flag
    }
    for flag in flags:
        if flag in reserved:
            yield (flag,), f"can't be set here: {reserved[flag]}", _REMOVE
        elif flag in own - {_FREE}:
            yield (flag,), "is set by fabnode", _REMOVE
        elif path := fields.get(flag):
            hint = f"remove it; what may be changed of it is {path} in {file}"
            yield (flag,), "is set by fabnode", hint if minor in component.config_file else _REMOVE
