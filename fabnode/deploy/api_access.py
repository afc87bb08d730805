"""How the deployer itself reaches the API: by its kubeconfig, or by any apiserver of several."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..config.apiservers import endpoint
from ..kube.client import Api

if TYPE_CHECKING:
    from ..config.sections import ClusterSettings
    from ..kube.kubeconfig import Credentials


def everywhere(credentials: Credentials, cluster: ClusterSettings) -> Credentials:
    """
    Return credentials for all configured apiservers, where the kubeconfig names one of several.

    One that names something else, a load balancer or a tunnel, goes on going there alone: what is
    behind it is not ours to decide. Others are verified as nodes do it, by CA and name.
    """
    if not cluster.balanced or endpoint(credentials.server) not in cluster.endpoints:
        return credentials
    named = endpoint(credentials.server)
    return replace(
        credentials,
        others=tuple(url for url in cluster.apiservers if endpoint(url) != named),
        tls_server_name=credentials.tls_server_name or cluster.server_name,
    )


def each_alone(credentials: Credentials) -> tuple[Api, ...]:
    """Return a client of each of several apiservers, that waits for none; of one, nothing."""
    if not credentials.others:
        return ()
    servers = (credentials.server, *credentials.others)
    return tuple(Api(replace(credentials, server=s, others=()), patience=0) for s in servers)
