"""
What a cluster says of itself, for a first configuration: read only, and with whatever rights.

What an account may not read is no failure here but a setting that stays open, with the reason.
"""

from __future__ import annotations

import ipaddress
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import yaml

from ..config.file_checks import NotACertificateError, check_ca, read_ca
from ..config.starter import ExistingNode, Fact, Findings, Known, Missing, Network, local
from ..kube.client import Api, ApiError
from ..kube.kubeconfig import load
from ..kube.server_side_apply import MANAGER
from ..kube.server_version import NoReleaseError, server_release
from ..util import pem
from ..util.errors import InputError
from ..util.yaml_io import parse
from . import chosen_networks

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from ..kube.client import Object
    from ..kube.kubeconfig import Credentials

CA_FILE = "cluster-ca.pem"
"""What the CA out of a kubeconfig is called, beside the configuration."""

_PATIENCE = 15.0  # seconds that an apiserver has to answer
_FORBIDDEN, _ABSENT = 403, 404
_SERVICE_RANGES = tuple(
    f"/apis/networking.k8s.io/{version}/servicecidrs" for version in ("v1", "v1beta1")
)
_POOLS = ("/apis/crd.projectcalico.org/v1/ippools", "/apis/projectcalico.org/v3/ippools")
_KUBERNETES = "/api/v1/namespaces/default/services/kubernetes"
# kubespray calls it coredns, RKE2 after its chart.
_DNS = ("kube-dns", "coredns", "rke2-coredns-rke2-coredns")
_SERVICES = "/api/v1/services"
# kubeadm, and what goes by it, runs the control plane as static Pods with this label.
_CONTROL_PLANE = (
    "/api/v1/namespaces/kube-system/pods"
    "?labelSelector=component%20in%20(kube-apiserver,kube-controller-manager)"
)
_SLICES = tuple(
    f"/apis/discovery.k8s.io/{version}/namespaces/default/endpointslices/kubernetes"
    for version in ("v1", "v1beta1")
)
_ENDPOINTS = "/api/v1/namespaces/default/endpoints/kubernetes"
_SEVERAL = "docs/several-apiservers.md"
_KUBEADM = "/api/v1/namespaces/kube-system/configmaps/kubeadm-config"
# The beginnings of names of DaemonSets that are a cluster's pod network.
_NETWORKS = (
    *("antrea-agent", "aws-node", "azure-cni", "canal", "cilium", "kindnet", "kube-flannel"),
    *("kube-ovn-cni", "kube-router", "ovnkube-node", "weave-net"),
)
_COMMON_PREFIX = 16
_WIDEST_PREFIX = 8
_MOST_NAMED = 5
# What tools set where nobody chose a network: by its first address, its length.
_USUAL_RANGES = {"10.96.0.0": 12, "10.233.0.0": 18}


@dataclass(frozen=True, slots=True)
class _Denied:
    """What an account may not read."""

    what: str

    def __str__(self) -> str:
        return f"this account may not read {self.what} (403)"


@dataclass(frozen=True, slots=True)
class Discovered:
    """
    What a cluster has said.

    :param ca_pem: content of CA_FILE; empty where the CA is a file of its own, or not known.
    """

    findings: Findings
    ca_pem: str = ""


def discover(kubeconfig: Path, context: str, folder: Path, hosts: Sequence[str] = ()) -> Discovered:
    """
    Ask the cluster of a kubeconfig.

    :param context: the one that is meant; empty: the current one.
    :param folder: where the configuration will lie. :param hosts: addresses of those named.
    :raises InputError: another context is current, which is the one that runs use.
    :raises KubeconfigError: it can't be used.
    :raises ApiError: the API rejects a request for another reason than a lack of rights.
    :raises ApiAwayError: it does not answer.
    """
    credentials = load(kubeconfig)
    if context and context != credentials.context:
        raise InputError(
            f"--context {context}: the current context of {kubeconfig} is {credentials.context},"
            " and it is the current one that fabnode uses",
            f"`kubectl config view --flatten --minify --context {shlex.quote(context)}` prints a"
            " kubeconfig of that context alone: name its file with --kubeconfig",
        )
    ca, ca_pem = _ca(credentials, folder)
    api = Api(credentials, patience=_PATIENCE)
    found = explore(api, credentials, kubeconfig=local(kubeconfig, folder), ca=ca, hosts=hosts)
    return Discovered(found, ca_pem)


def access(kubeconfig: Path, folder: Path) -> tuple[Fact, str, str, str]:
    """
    Return what a kubeconfig alone says, without asking its cluster.

    :param folder: where the configuration will lie.
    :returns: `cluster.ca`, the apiserver, the content of CA_FILE, `cluster.kubeconfig`.
    :raises KubeconfigError: it can't be used.
    """
    credentials = load(kubeconfig)
    ca, ca_pem = _ca(credentials, folder)
    return ca, credentials.server, ca_pem, local(kubeconfig, folder)


def _ca(credentials: Credentials, folder: Path) -> tuple[Fact, str]:
    """Return `cluster.ca`, and what is to be written to CA_FILE."""
    if credentials.ca_pem is None:
        return Missing("the kubeconfig names none; name the CA that signed the apiserver's."), ""
    try:
        if credentials.ca_file:
            read_ca(credentials.ca_file)  # whole: it would be taken as it is, with all it holds
        else:
            check_ca(credentials.ca_pem, "the kubeconfig's CA")
    except NotACertificateError as error:
        return Missing(f"{error.message}."), ""
    if credentials.ca_file:
        return Known(local(credentials.ca_file, folder), "Of the kubeconfig."), ""
    return Known(CA_FILE, "Out of the kubeconfig."), pem.certificates(credentials.ca_pem)


def explore(
    api: Api, credentials: Credentials, *, kubeconfig: str, ca: Fact, hosts: Sequence[str] = ()
) -> Findings:
    """
    Return what the cluster says.

    :param kubeconfig: its path, as the configuration will name it. :param ca: of `cluster.ca`.
    :param hosts: addresses of hosts, which a network that has to be chosen leaves out.
    :raises ApiError: the API rejects a request for another reason than a lack of rights.
    :raises ApiAwayError: it does not answer.
    """
    networking = _kubeadm(api)
    told = {} if isinstance(networking, _Denied) else networking
    flags = _flags(api)
    nodes = _listed(api, "Nodes", "/api/v1/nodes")
    service_cidr = _service_cidr(api, told.get("serviceSubnet"), flags)
    sets = _listed(api, "DaemonSets", "/apis/apps/v1/daemonsets")
    network = _network(sets)
    places = _endpoints(api)
    pod_cidr = _pod_cidr(api, told.get("podSubnet"), flags, nodes)
    if pod_cidr is None:
        unread = [each for each in (networking, flags) if isinstance(each, _Denied)]
        if network.other or network.unseen or unread:
            why = network.unseen or (unread and f"{unread[0]}.") or f"{network.other} has its own."
            pod_cidr = Missing(f"no IPPool of Calico, and no Node, tells it; {why}")
        else:
            known = [credentials.server, *places]
            addresses = [urlsplit(url).hostname or "" for url in known]
            addresses += [*hosts, *_addresses([] if isinstance(nodes, _Denied) else nodes)]
            pod_cidr = chosen_networks.pod_network(service_cidr, addresses)
    found: dict[str, Fact] = {
        "version": _version(api),
        "apiserver": _apiserver(credentials, places),
        "ca": ca,
        "service_cidr": service_cidr,
        "pod_cidr": pod_cidr,
        "dns_address": _dns_address(api, service_cidr),
    }
    domain = told.get("dnsDomain")
    if isinstance(domain, str) and domain:
        found["dns_domain"] = Known(domain, "Of kubeadm's configuration.")
    return Findings(
        kubeconfig=kubeconfig,
        origin=f"the kubeconfig's context {credentials.context}",
        cluster=found,
        network=network,
        nodes=Missing(f"{nodes}.") if isinstance(nodes, _Denied) else tuple(map(_existing, nodes)),
        own_kube_proxy=not isinstance(sets, _Denied)
        and any(_place(each) == ("kube-system", "kube-proxy") for each in sets),
    )


def _asked(api: Api, what: str, *paths: str) -> Object | _Denied | None:
    """Return the first of these that is there; None where none is."""
    denied = None
    for path in paths:
        try:
            return api.get(path)
        except ApiError as error:
            if error.status == _FORBIDDEN:
                denied = _Denied(what)
            elif error.status != _ABSENT:
                raise
    return denied


def _listed(api: Api, what: str, *paths: str) -> list[Object] | _Denied:
    found = _asked(api, what, *paths)
    if isinstance(found, _Denied):
        return found
    items = (found or {}).get("items")
    return [each for each in _list(items) if isinstance(each, dict)]


def _at(found: Any, *keys: str) -> Any:
    """Return what lies at this path of an object, None where nothing does."""
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found


def _list(found: Any) -> list[Any]:
    return found if isinstance(found, list) else []


def _texts(found: Any) -> list[str]:
    return [each for each in _list(found) if isinstance(each, str)]


def _place(found: Object) -> tuple[str, str]:
    about = found.get("metadata")
    return str(_at(about, "namespace") or ""), str(_at(about, "name") or "")


_BOTH = ", which has a network of IPv6 as well: docs/ipv6.md says how nodes get both"


def _ipv4(texts: Iterable[str]) -> list[str]:
    """Return which of these are IPv4 networks or addresses."""
    return [text for text in texts if ":" not in text and _network_of(text)]


def _network_of(text: str) -> ipaddress.IPv4Network | None:
    try:
        return ipaddress.IPv4Network(text, strict=False)
    except ValueError:
        return None


def _version(api: Api) -> Fact:
    try:
        return Known(str(server_release(api)), "What the apiserver runs.")
    except NoReleaseError:
        return Missing("the apiserver's /version names no release such as 1.36.3.")
    except ApiError as error:
        if error.status != _FORBIDDEN:
            raise
        return Missing(f"{_Denied('/version')}.")


def _apiserver(credentials: Credentials, places: Sequence[str]) -> Fact:
    server = credentials.server
    host = urlsplit(server).hostname or ""
    if host == "localhost" or host.startswith("127.") or host == "::1":
        shown = ", ".join(places[:_MOST_NAMED])
        also = f" The Service kubernetes leads to {shown}." if places else ""
        return Missing(f"the kubeconfig has {server}, which on a node is that node itself.{also}")
    if name := credentials.tls_server_name:
        return Known(
            server,
            f"of the kubeconfig, which expects a certificate for {name}; nodes expect one for what"
            " stands here.",
            doubtful=True,
        )
    if credentials.proxy:
        return Known(
            server, "of the kubeconfig, which has a proxy on the way; nodes have none.", True
        )
    source = "Of the kubeconfig; nodes have to reach it too."
    if len(places) > 1 and server.rstrip("/") in places:
        why = (
            f"The cluster has {len(places)} apiservers (the Service kubernetes). Where no load"
            " balancer stands before them, this line in place of the one above has each node go to"
            f" whichever is well; hosts need the package haproxy ({_SEVERAL}):"
        )
        return Known(server, source, instead=list(places), why_instead=why)
    return Known(server, source)


def _endpoints(api: Api) -> list[str]:
    """Return the URLs of the apiservers that the Service `kubernetes` leads to."""
    found = _asked(api, "EndpointSlices", *_SLICES)
    if isinstance(found, dict):
        ready = [
            each
            for each in _list(found.get("endpoints"))
            if _at(each, "conditions", "ready") is not False
        ]
        subsets = [([a for e in ready for a in _texts(_at(e, "addresses"))], found.get("ports"))]
    else:
        found = _asked(api, "Endpoints", _ENDPOINTS)
        subsets = [
            ([str(_at(each, "ip")) for each in _list(_at(s, "addresses"))], _at(s, "ports"))
            for s in _list(None if isinstance(found, _Denied) else _at(found, "subsets"))
        ]
    urls = [
        f"https://{address}:{number}"
        for addresses, ports in subsets
        for address in _ipv4(addresses)
        for port in _list(ports)
        if isinstance(number := _at(port, "port"), int)
    ]
    return sorted(dict.fromkeys(urls))


def _flags(api: Api) -> dict[str, tuple[str, str]] | _Denied:
    """Return the flags of a control plane that runs as Pods: value and Pod, by name."""
    pods = _listed(api, "Pods of the control plane", _CONTROL_PLANE)
    if isinstance(pods, _Denied):
        return pods
    return {
        name.removeprefix("--"): (value, "/".join(_place(pod)))
        for pod in pods
        for each in _list(_at(pod, "spec", "containers"))
        for word in (*_texts(_at(each, "command")), *_texts(_at(each, "args")))
        for name, _, value in (word.partition("="),)
        if name.startswith("--")
    }


def _of_flag(flags: dict[str, tuple[str, str]] | _Denied, name: str) -> Known | None:
    value, pod = ("", "") if isinstance(flags, _Denied) else flags.get(name, ("", ""))
    found, both = _ipv4(value.split(",")), ":" in value
    source = f"Of --{name} of the Pod {pod}{_BOTH * both}."
    return Known(found[0], source, doubtful=both) if found else None


def _addresses(nodes: list[Object]) -> list[str]:
    return [
        str(_at(each, "address"))
        for node in nodes
        for each in _list(_at(node, "status", "addresses"))
    ]


def _kubeadm(api: Api) -> dict[str, Any] | _Denied:
    """Return what kubeadm was told of networks; empty where it did not make the cluster."""
    found = _asked(api, "kubeadm's configuration", _KUBEADM)
    if isinstance(found, _Denied):
        return found
    text = _at(found, "data", "ClusterConfiguration")
    try:
        networking = _at(parse(text), "networking") if isinstance(text, str) else None
    except yaml.YAMLError:
        return {}
    return networking if isinstance(networking, dict) else {}


def _of_kubeadm(value: Any) -> Known | None:
    found = _ipv4(str(value).split(",")) if isinstance(value, str) else []
    both = isinstance(value, str) and ":" in value
    source = f"Of kubeadm's configuration{_BOTH * both}."
    return Known(found[0], source, doubtful=both) if found else None


def _service_cidr(api: Api, of_kubeadm: Any, flags: dict[str, tuple[str, str]] | _Denied) -> Fact:
    ranges = _listed(api, "ServiceCIDRs", *_SERVICE_RANGES)
    if not isinstance(ranges, _Denied):
        first = [each for each in ranges if _place(each)[1] == "kubernetes"]
        cidrs = [_texts(_at(each, "spec", "cidrs")) for each in first]
        if found := _ipv4(cidr for each in cidrs for cidr in each):
            both = any(":" in cidr for each in cidrs for cidr in each)
            return Known(found[0], f"Of the ServiceCIDR kubernetes{_BOTH * both}.", doubtful=both)
    if known := _of_kubeadm(of_kubeadm) or _of_flag(flags, "service-cluster-ip-range"):
        return known
    return _guessed_range(api, f"{ranges}; " if isinstance(ranges, _Denied) else "")


def _guessed_range(api: Api, before: str) -> Fact:
    """Return the range of which the Service `kubernetes` has the first address, as far as known."""
    service = _asked(api, "the Service kubernetes", _KUBERNETES)
    if isinstance(service, _Denied):
        return Missing(f"{before}{service}.")
    address = _at(service, "spec", "clusterIP")
    if not (isinstance(address, str) and _ipv4([address])):
        return Missing(
            f"{before}the Service kubernetes has no IPv4 address; for one of IPv6 see docs/ipv6.md."
        )
    start = ipaddress.IPv4Address(int(ipaddress.IPv4Address(address)) - 1)
    # A network begins where as many of the last bits are 0 as it has bits for hosts.
    longest = [n for n in range(_COMMON_PREFIX, 29) if _begins(start, n)]
    length = _USUAL_RANGES.get(str(start)) or next(iter(longest), None)
    if length is None:
        return Missing(
            f"{before}the Service kubernetes has {address}, which begins no usual network."
        )
    source = (
        f"{before}guessed, for the Service kubernetes has its first address, {address}: only the"
        " apiserver's --service-cluster-ip-range tells its length."
    )
    return Known(f"{start}/{length}", source, doubtful=True)


def _begins(start: ipaddress.IPv4Address, length: int) -> bool:
    return int(start) % (1 << (32 - length)) == 0


def _pod_cidr(
    api: Api,
    of_kubeadm: Any,
    flags: dict[str, tuple[str, str]] | _Denied,
    nodes: list[Object] | _Denied,
) -> Fact | None:
    """Return the pods' network; None where all could be read, and nothing has one yet."""
    pools = _listed(api, "Calico's IPPools", *_POOLS)
    if not isinstance(pools, _Denied):
        cidrs = _ipv4(str(_at(pool, "spec", "cidr")) for pool in pools if _for_pods(pool))
        if len(cidrs) == 1:
            return Known(cidrs[0], "Of Calico's only IPPool.")
        if cidrs:
            named = ", ".join(cidrs[:_MOST_NAMED])
            return Missing(f"Calico has several IPPools ({named}); name the one of new nodes.")
    if known := _of_kubeadm(of_kubeadm) or _of_flag(flags, "cluster-cidr"):
        return known
    given = [] if isinstance(nodes, _Denied) else [_at(node, "spec", "podCIDR") for node in nodes]
    if not isinstance(pools, _Denied) and not isinstance(nodes, _Denied) and not any(given):
        return None
    before = f"{pools}; " if isinstance(pools, _Denied) else "there are no IPPools of Calico; "
    if isinstance(nodes, _Denied):
        return Missing(f"{before}{nodes}.")
    return _of_nodes(nodes, before)


def _for_pods(pool: Object) -> bool:
    uses = _texts(_at(pool, "spec", "allowedUses"))
    disabled = bool(_at(pool, "spec", "disabled"))
    return not disabled and (not uses or "Workload" in uses)


def _of_nodes(nodes: list[Object], before: str) -> Fact:
    """Return the network that all nodes' own networks of pods lie in, as far as they tell it."""
    texts = _ipv4(str(_at(node, "spec", "podCIDR") or "") for node in nodes)
    parts = [part for part in map(_network_of, texts) if part]
    if not parts:
        return Missing(f"{before}no Node has a podCIDR.")
    whole = parts[0]
    while not all(part.subnet_of(whole) for part in parts):
        whole = whole.supernet()
    if whole.prefixlen < _WIDEST_PREFIX:
        return Missing(f"{before}the podCIDRs of Nodes lie too far apart.")
    if whole.prefixlen > _COMMON_PREFIX:
        whole = whole.supernet(new_prefix=_COMMON_PREFIX)
    source = (
        f"{before}guessed: the podCIDRs of all Nodes lie in it; only the controller manager's"
        " --cluster-cidr tells its length."
    )
    return Known(str(whole), source, doubtful=True)


def _dns_address(api: Api, service_cidr: Fact) -> Fact:
    for name in _DNS:
        what = f"the Service kube-system/{name}"
        service = _asked(api, what, f"/api/v1/namespaces/kube-system/services/{name}")
        if isinstance(service, _Denied):
            return Missing(f"{service}.")
        if service is None:
            continue
        addresses = [_at(service, "spec", "clusterIP"), *_texts(_at(service, "spec", "clusterIPs"))]
        found = _ipv4(filter(None, map(str, addresses)))
        if not found:
            return Missing(f"{what} has no IPv4 address.")
        return Known(found[0], f"Of {what}.")
    services = _listed(api, "Services", _SERVICES)
    taken = {
        str(_at(each, "spec", "clusterIP")): "the Service " + "/".join(_place(each))
        for each in ([] if isinstance(services, _Denied) else services)
    }
    return chosen_networks.dns_address(service_cidr, taken)


def _network(sets: list[Object] | _Denied) -> Network:
    if isinstance(sets, _Denied):
        return Network(unseen=f"{sets}.")
    for each in sets:
        namespace, name = _place(each)
        if name == "calico-node":
            release = _calico_release(each)
            if namespace == "kube-system" and release and _is_ours(each):
                return Network(calico=release)
            return Network(other=f"Calico {release} by the DaemonSet {namespace}/{name}")
        if name.startswith(_NETWORKS):
            return Network(other=f"the DaemonSet {namespace}/{name}")
    return Network()


def _is_ours(found: Object) -> bool:
    fields = _at(found, "metadata", "managedFields")
    return any(_at(each, "manager") == MANAGER for each in _list(fields))


def _calico_release(found: Object) -> str:
    """Return the tag of calico-node's image, as 3.32.1; empty where it has none."""
    containers = _at(found, "spec", "template", "spec", "containers")
    for each in _list(containers):
        if _at(each, "name") == "calico-node":
            image = str(_at(each, "image") or "").partition("@")[0].rpartition("/")[2]
            return image.rpartition(":")[2].removeprefix("v") if ":" in image else ""
    return ""


def _existing(found: Object) -> ExistingNode:
    labels = _at(found, "metadata", "labels")
    taints = _at(found, "spec", "taints")
    return ExistingNode(
        _place(found)[1],
        {str(k): str(v) for k, v in labels.items()} if isinstance(labels, dict) else {},
        tuple(_taint(each) for each in _list(taints)),
    )


def _taint(found: Any) -> str:
    key, value, effect = (str(_at(found, part) or "") for part in ("key", "value", "effect"))
    return f"{key}={value}:{effect}" if value else f"{key}:{effect}"
