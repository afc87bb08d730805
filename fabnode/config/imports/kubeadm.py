"""
kubeadm's configuration (v1alpha1 to v1beta4) as our settings.

Files for `kubeadm init --config`, and what `kubectl -n kube-system get cm kubeadm-config -o yaml`
prints, where the configuration is a text within YAML.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...util.problems import ConfigError, Problem
from .. import reserved_fields
from ..starter import Network
from ..validators import is_ipv6
from . import forms, tree, yaml_values
from .facts import Facts, Ledger, Taken
from .survey import Reasons, Rule, UnfitError
from .values import Kind, Value, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .facts import Open

TOOL = "kubeadm"
_GROUP = "kubeadm.k8s.io/"
_MAIN = {"ClusterConfiguration", "MasterConfiguration"}
_KINDS = {
    *_MAIN,
    *("InitConfiguration", "JoinConfiguration", "NodeConfiguration"),
    *("KubeletConfiguration", "KubeProxyConfiguration", "ClusterStatus"),
}
_TEXTS = ("ClusterConfiguration", "MasterConfiguration", "ClusterStatus", "kubelet", "config.conf")
_SERVICES = "10.96.0.0/12"  # cmd/kubeadm/app/apis/kubeadm/v1beta4/defaults.go
_DNS_NUMBER = 10  # constants.GetDNSIP
_PORT = "6443"
_OWN = {"apiVersion", "kind", "clusterDNS"}  # of a kubelet's configuration: not for kubelet.config

RULES: Mapping[str, Rule] = {
    "clusterName": Rule("cluster.name", forms.text),
    "kubernetesVersion": Rule("cluster.version", forms.release),
    "networking.serviceSubnet": Rule("cluster.service_cidr", forms.networks),
    "networking.podSubnet": Rule("cluster.pod_cidr", forms.networks),
    "networking.dnsDomain": Rule("cluster.dns_domain", forms.domain),
}
KUBELET_RULES: Mapping[str, Rule] = {
    "maxPods": Rule("kubelet.max_pods", forms.number),
    "failSwapOn": Rule("kubelet.fail_swap_on", forms.flag),
}
PROXY_RULES: Mapping[str, Rule] = {"mode": Rule("kube_proxy.mode", forms.text)}

_CONTROL = "the control plane's: fabnode makes workers, and changes no control plane"
REASONS: Reasons = (
    (r".*\.(apiVersion|kind)|apiVersion|kind", "what the document is"),
    (
        r"ClusterConfiguration\.(imageRepository|useHyperKubeImage|dns.*|networkPlugin)",
        "images.registry, runtime.sandbox_image; the cluster's DNS is its own",
    ),
    (
        r"(Init|Join|Node)Configuration\.nodeRegistration.*",
        "a node's own: nodes[] has labels, taints and kubelet settings of each",
    ),
    (
        r"(Join|Node)Configuration\..*",
        "fabnode joins nodes by tokens of its own, one for each (docs/trust.md)",
    ),
    (r"(Cluster|Init|Master)Configuration.*|ClusterStatus.*", _CONTROL),
    (r"(ConfigMap|List).*", "what the object is"),
)


def matches(documents: Sequence[Value]) -> bool:
    """Say whether one of these is kubeadm's, or an object that holds it."""
    return any(_of_kubeadm(each) or _holds(each) for each in documents)


def _of_kubeadm(found: Value) -> bool:
    return text_of(found.at("apiVersion")).startswith(_GROUP)


def _holds(found: Value) -> bool:
    data = found.at("data")
    return data is not None and any(data.at(name) for name in _TEXTS[:2])


def facts(documents: Sequence[Value], file: str) -> Facts:
    """
    Return what kubeadm's configuration says.

    :raises ConfigError: none of the documents is a ClusterConfiguration, or one is no YAML.
    """
    parts = list(_parts(documents, file))
    kinds = dict.fromkeys(kind for kind, _ in parts)
    if not _MAIN & kinds.keys():
        hint = "`kubectl -n kube-system get cm kubeadm-config -o yaml` prints one"
        raise ConfigError([Problem(file, 1, "", "holds no ClusterConfiguration", hint)])
    ledger = Ledger()
    for kind, part in parts:
        for found in _of_part(kind, part, ledger):
            tree.note(ledger, found)
    _cluster(parts, ledger)
    for kind, part in parts:
        tree.finish(part, kind, REASONS, ledger)
    return Facts(
        tool=TOOL,
        sources=(file,),
        taken=tuple(ledger.taken),
        open=tuple(ledger.open),
        without=tuple(ledger.without),
        machines=(),
        network=Network(unseen="kubeadm's configuration does not say."),
        own_kube_proxy=not _skips_proxy(parts),
        ca="/etc/kubernetes/pki/ca.crt of a control-plane host",
        kubeconfig="/etc/kubernetes/admin.conf of a control-plane host",
    )


def _parts(documents: Sequence[Value], file: str) -> Iterator[tuple[str, Value]]:
    """Yield documents by kind, those within objects as well."""
    for document in documents:
        kind = text_of(document.at("kind"))
        if kind == "List":
            items = document.at("items")
            yield from _parts(items.items if items else [], file)
        elif kind == "ConfigMap" or _holds(document):
            data = document.at("data")
            for name, text in (data.keys if data else {}).items():
                if name in _TEXTS and isinstance(text.data, str):
                    # A block begins in the line after its key.
                    line = text.place.line + (1 if "\n" in text.data else 0)
                    for inner in yaml_values.read(text.data, file, first_line=line):
                        if name in _MAIN and not inner.at("kind"):
                            yield name, inner  # kubeadm's own dry run leaves it out
                        else:
                            yield from _parts([inner], file)
        elif kind in _KINDS:
            yield kind, document


def _of_part(kind: str, part: Value, ledger: Ledger) -> Iterator[Taken | Open]:
    if kind in _MAIN:
        yield from tree.made(part, RULES, ledger)
    elif kind == "KubeletConfiguration":
        yield from tree.made(part, KUBELET_RULES, ledger)
        yield from _fields(part, "kubelet", reserved_fields.KUBELET, ledger)
    elif kind == "KubeProxyConfiguration":
        yield from tree.made(part, PROXY_RULES, ledger)
        yield from _fields(part, "kube_proxy", reserved_fields.KUBE_PROXY, ledger)


def _fields(
    part: Value, section: str, reserved: Mapping[tuple[str, ...], str], ledger: Ledger
) -> Iterator[Taken | Open]:
    """Yield the fields that `kubelet.config` or `kube_proxy.config` takes as they are."""
    for name, value in part.keys.items():
        if ledger.seen(value) or value.empty or _zero(value):
            ledger.drop(f"{text_of(part.at('kind'))}.{name}", value, "it says nothing")
            continue
        why = reserved.get((name,))
        inside = [path for path in reserved if len(path) > 1 and path[0] == name]
        if name in _OWN or (inside and not isinstance(value.data, dict)):
            continue
        if why:
            ledger.drop(f"{section}.{name}", value, why)
            continue
        ledger.use(value)
        left = _without(value, inside)
        if left:
            yield tree.one(value, Rule(f"{section}.config.{name}", lambda _, x=left: x), name)  # type: ignore[misc]


def _zero(value: Value) -> bool:
    """Say whether it is what kubeadm's own output writes for a duration that nobody has set."""
    return text_of(value) == "0s"


def _without(value: Value, reserved: Sequence[tuple[str, ...]]) -> Any:
    plain = _set(value.plain())
    for path in reserved:
        at = plain
        for key in path[1:-1]:
            at = at.get(key, {}) if isinstance(at, dict) else {}
        if isinstance(at, dict):
            at.pop(path[-1], None)
    return _set(plain)


def _set(data: Any) -> Any:
    """Return data without what nobody has set: nulls, empty texts, zero durations."""
    if isinstance(data, dict):
        kept = {key: _set(each) for key, each in data.items()}
        return {key: each for key, each in kept.items() if each not in (None, "", "0s", {}, [])}
    return data


def _cluster(parts: Sequence[tuple[str, Value]], ledger: Ledger) -> None:
    if not ledger.has("cluster.service_cidr"):
        ledger.assume("cluster.service_cidr", _SERVICES, TOOL)
    for key, name in (("version", "kubernetesVersion"), ("pod_cidr", "networking.podSubnet")):
        if not ledger.has(f"cluster.{key}"):
            ledger.leave_open(f"cluster.{key}", f"{name} is not there")
    _dns(parts, ledger)
    _apiserver(parts, ledger)


def _dns(parts: Sequence[tuple[str, Value]], ledger: Ledger) -> None:
    for kind, part in parts:
        servers = part.at("clusterDNS") if kind == "KubeletConfiguration" else None
        if servers and servers.items:
            ledger.use(servers)
            rule = Rule("cluster.dns_address", forms.addresses)
            tree.note(ledger, tree.one(servers, rule, "clusterDNS"))
            return
    services = next((str(t.value) for t in ledger.taken if t.key == "cluster.service_cidr"), "")
    try:
        ledger.assume("cluster.dns_address", forms.nth_address(services, _DNS_NUMBER), TOOL)
    except UnfitError:
        why = "networking.serviceSubnet is not known, which it lies in"
        ledger.leave_open("cluster.dns_address", why)


def _apiserver(parts: Sequence[tuple[str, Value]], ledger: Ledger) -> None:
    key = "cluster.apiserver"
    for path in (("controlPlaneEndpoint",), ("api", "controlPlaneEndpoint")):
        for _, part in parts:
            value = part.at(*path)
            if value and not value.empty:
                if value.odd is not Kind.PLAIN:
                    ledger.leave_open(key, "controlPlaneEndpoint is not evaluated", value)
                    return
                url = _endpoint(text_of(value).removeprefix("https://"))
                ledger.take(key, url, value, "controlPlaneEndpoint")
                return
    doubt = "the first of the control plane, which nodes would depend on."
    for path in (("localAPIEndpoint",), ("api",)):
        for _, part in parts:
            value = part.at(*path, "advertiseAddress")
            if value and not value.empty and value.odd is Kind.PLAIN:
                port = text_of(part.at(*path, "bindPort")) or _PORT
                url = forms.url(text_of(value), port)
                ledger.take(key, url, value, "advertiseAddress", doubt)
                return
    for _, part in parts:
        endpoints = part.at("apiEndpoints")
        for each in endpoints.keys.values() if endpoints else ():
            address = each.at("advertiseAddress")
            if address and text_of(address):
                port = text_of(each.at("bindPort")) or _PORT
                url = forms.url(text_of(address), port)
                ledger.take(key, url, address, "advertiseAddress", doubt)
                return
    ledger.leave_open(key, "controlPlaneEndpoint is not there; name what the nodes reach")


def _endpoint(text: str) -> str:
    """Return the URL of a `controlPlaneEndpoint`: a host, or a host and a port."""
    if is_ipv6(text) or (":" not in text) or text.endswith("]"):
        return forms.url(text, _PORT) if not text.endswith("]") else f"https://{text}:{_PORT}"
    return f"https://{text}"


def _skips_proxy(parts: Sequence[tuple[str, Value]]) -> bool:
    for _, part in parts:
        skipped = part.at("skipPhases")
        if skipped and any(text_of(each) == "addon/kube-proxy" for each in skipped.items):
            return True
        disabled = part.at("proxy", "disabled")
        if disabled and text_of(disabled) == "true":
            return True
    return False
