"""The apiservers of a cluster, by its kubeconfig and its Service `kubernetes`. Pure."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

from ..config.apiservers import endpoint
from ..config.starter import Fact, Known, Missing
from ..config.validators import is_address
from ..util.families import family_of, in_url
from .api_answers import field_at, list_of, texts_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from ..kube.client import Object
    from ..kube.kubeconfig import Credentials

_SEVERAL = "docs/several-apiservers.md"
_MOST_NAMED = 5


def apiserver(credentials: Credentials, urls: Sequence[str]) -> Fact:
    """
    Return `cluster.apiserver`.

    :param urls: where the Service `kubernetes` leads.
    """
    server = credentials.server
    host = endpoint(server)[0]
    if host == "localhost" or (is_address(host) and ip_address(host).is_loopback):
        shown = ", ".join(urls[:_MOST_NAMED])
        also = f" The Service kubernetes leads to {shown}." if urls else ""
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
    if len(urls) > 1 and endpoint(server) in map(endpoint, urls):
        why = (
            f"The cluster has {len(urls)} apiservers (the Service kubernetes). Where no load"
            " balancer stands before them, this line in place of the one above has each node go to"
            f" whichever is well; hosts need the package haproxy ({_SEVERAL}):"
        )
        return Known(server, source, instead=list(urls), why_instead=why)
    return Known(server, source)


def urls_of_slice(endpoint_slice: Object) -> list[str]:
    """Return the URLs of the apiservers of an EndpointSlice, without those that are not ready."""
    ready = [
        each
        for each in list_of(endpoint_slice.get("endpoints"))
        if field_at(each, "conditions", "ready") is not False
    ]
    addresses = [address for each in ready for address in texts_of(field_at(each, "addresses"))]
    return _urls([(addresses, endpoint_slice.get("ports"))])


def urls_of_endpoints(endpoints: Object) -> list[str]:
    """Return the URLs of the apiservers of Endpoints, which clusters before slices have."""
    return _urls(
        (
            [str(field_at(each, "ip")) for each in list_of(field_at(subset, "addresses"))],
            field_at(subset, "ports"),
        )
        for subset in list_of(endpoints.get("subsets"))
    )


def _urls(subsets: Iterable[tuple[list[str], Any]]) -> list[str]:
    """Return the URLs of addresses; of the first one's family, as an EndpointSlice has them all."""
    found = [
        (address, number)
        for addresses, ports in subsets
        for address in filter(is_address, addresses)
        for port in list_of(ports)
        if isinstance(number := field_at(port, "port"), int)
    ]
    own = [f"https://{in_url(a)}:{n}" for a, n in found if family_of(a) == family_of(found[0][0])]
    return sorted(dict.fromkeys(own))
