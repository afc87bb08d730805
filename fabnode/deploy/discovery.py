"""
What a cluster reports of itself for a first configuration: read only, with whatever rights.

What an account may not read is no failure here but a setting that stays open, with the reason.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ..config.file_checks import NotACertificateError, check_ca, read_ca
from ..config.starter import Fact, Findings, Known, Missing, local, service_families
from ..kube.client import Api, ApiError
from ..kube.kubeconfig import load
from ..kube.server_version import NoReleaseError, server_release
from ..util import pem
from ..util.errors import InputError
from . import chosen_networks, found_apiservers, found_networks, found_nodes, found_pod_network
from .api_answers import Denied, full_name, list_of
from .control_plane_settings import control_plane_settings

if TYPE_CHECKING:
    from collections.abc import Sequence
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
_KUBEADM = "/api/v1/namespaces/kube-system/configmaps/kubeadm-config"


@dataclass(frozen=True, slots=True)
class Discovered:
    """
    What a cluster has reported.

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
    Return what a kubeconfig alone has, without asking its cluster.

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
    Return what the cluster reports.

    :param kubeconfig: its path, as the configuration will name it. :param ca: of `cluster.ca`.
    :param hosts: addresses of hosts, which a network that has to be chosen leaves out.
    :raises ApiError: the API rejects a request for another reason than a lack of rights.
    :raises ApiAwayError: it does not answer.
    """
    configured = control_plane_settings(
        _first(api, "kubeadm's configuration", _KUBEADM),
        _items(api, "Pods of the control plane", _CONTROL_PLANE),
    )
    nodes = _items(api, "Nodes", "/api/v1/nodes")
    ranges = _items(api, "ServiceCIDRs", *_SERVICE_RANGES)
    service_cidr: Fact = found_networks.service_cidr(
        ranges, configured
    ) or found_networks.guessed_service_cidr(
        _first(api, "the Service kubernetes", _KUBERNETES),
        ranges,
        _items(api, "Services", _SERVICES),
        nodes,
    )
    sets = _items(api, "DaemonSets", "/apis/apps/v1/daemonsets")
    network = found_pod_network.pod_network(sets)
    urls = _apiservers(api)
    pools = _items(api, "Calico's IPPools", *_POOLS)
    pods = found_networks.pod_cidr(pools, configured, nodes, service_families(service_cidr))
    if pods is None:
        denied = configured.denied[:1]
        if network.other or network.unseen or denied:
            why = network.unseen or (denied and f"{denied[0]}.") or f"{network.other} has its own."
            pods = Missing(f"no IPPool of Calico, and no Node, tells it; {why}")
        else:
            addresses = [urlsplit(url).hostname or "" for url in (credentials.server, *urls)]
            addresses += [
                *hosts,
                *found_nodes.addresses([] if isinstance(nodes, Denied) else nodes),
            ]
            pods = chosen_networks.pod_network(service_cidr, addresses)
    found: dict[str, Fact] = {
        "version": _version(api),
        "apiserver": found_apiservers.apiserver(credentials, urls),
        "ca": ca,
        "service_cidr": service_cidr,
        "pod_cidr": pods,
        "dns_address": _dns_address(api, service_cidr),
    }
    domain = configured.networking.get("dnsDomain")
    if isinstance(domain, str) and domain:
        found["dns_domain"] = Known(domain, "Of kubeadm's configuration.")
    return Findings(
        kubeconfig=kubeconfig,
        origin=f"the kubeconfig's context {credentials.context}",
        cluster=found,
        network=network,
        nodes=Missing(f"{nodes}.")
        if isinstance(nodes, Denied)
        else tuple(map(found_nodes.existing_node, nodes)),
        own_kube_proxy=not isinstance(sets, Denied)
        and any(full_name(each) == ("kube-system", "kube-proxy") for each in sets),
    )


def _first(api: Api, what: str, *paths: str) -> Object | Denied | None:
    """Return the first of these that is there; None where none is."""
    denied = None
    for path in paths:
        try:
            return api.get(path)
        except ApiError as error:
            if error.status == _FORBIDDEN:
                denied = Denied(what)
            elif error.status != _ABSENT:
                raise
    return denied


def _items(api: Api, what: str, *paths: str) -> list[Object] | Denied:
    """Return the objects of the first of these lists that is there; none where no list is."""
    found = _first(api, what, *paths)
    if isinstance(found, Denied):
        return found
    return [each for each in list_of((found or {}).get("items")) if isinstance(each, dict)]


def _version(api: Api) -> Fact:
    try:
        return Known(str(server_release(api)), "What the apiserver runs.")
    except NoReleaseError:
        return Missing("the apiserver's /version names no release such as 1.36.3.")
    except ApiError as error:
        if error.status != _FORBIDDEN:
            raise
        return Missing(f"{Denied('/version')}.")


def _apiservers(api: Api) -> list[str]:
    """Return the URLs of the apiservers that the Service `kubernetes` leads to."""
    found = _first(api, "EndpointSlices", *_SLICES)
    if isinstance(found, dict):
        return found_apiservers.urls_of_slice(found)
    found = _first(api, "Endpoints", _ENDPOINTS)
    return found_apiservers.urls_of_endpoints(found) if isinstance(found, dict) else []


def _dns_address(api: Api, service_cidr: Fact) -> Fact:
    for name in _DNS:
        what = f"the Service kube-system/{name}"
        service = _first(api, what, f"/api/v1/namespaces/kube-system/services/{name}")
        if isinstance(service, Denied):
            return Missing(f"{service}.")
        if service is not None:
            return found_networks.dns_address(what, service)
    services = _items(api, "Services", _SERVICES)
    taken = {
        address: "the Service " + "/".join(full_name(each))
        for each in ([] if isinstance(services, Denied) else services)
        for address in found_networks.cluster_addresses(each)
    }
    return chosen_networks.dns_address(service_cidr, taken)
