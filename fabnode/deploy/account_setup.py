"""Limited service accounts: their objects, and how they come into a cluster with credentials."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..artifacts import cni_manifest
from ..kube import service_accounts
from ..kube.client import Api
from ..kube.kubeconfig import load
from ..kube.server_side_apply import Manifests
from ..kube.server_version import server_release
from ..pki.kubeconfig import kubeconfig
from ..releases.matrix import matrix
from . import deployer_account, run_rights
from .api_access import each_alone, everywhere

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from typing import IO

    from ..config.configuration import Config
    from ..kube.client import Object
    from ..kube.server_side_apply import ObjectChange
    from ..kube.service_accounts import Account
    from ..releases.version import Release


@dataclass(frozen=True, slots=True)
class DesiredAccount:
    """
    An account as it is to be.

    :param powers: what its holder may do, a line each, worst first.
    """

    account: Account
    objects: tuple[Object, ...]
    powers: tuple[str, ...]


def deployer(config: Config, server: Release, *, drains: bool = False) -> DesiredAccount:
    """
    Return the account that deploys this configuration to an apiserver of this release.

    :param drains: it may drain nodes as well.
    """
    network = cni_manifest.objects(config, for_names=True)
    powers = run_rights.powers(
        config,
        network=bool(network),
        guarded=deployer_account.guarded(server),
        pod_security=server.minor in matrix().api["pod security"],
        drains=drains,
    )
    objects = deployer_account.objects(config, network, server, drains=drains)
    return DesiredAccount(service_accounts.DEPLOYER, objects, powers)


def approver(_config: Config, _server: Release) -> DesiredAccount:
    """Return the account of `inv approve-csr --serving-only`."""
    return DesiredAccount(
        service_accounts.APPROVER,
        service_accounts.objects(service_accounts.APPROVER, run_rights.SERVING_ONLY),
        (
            "with the credentials of one node as well, get a serving certificate for any name, the"
            " apiserver's too: the signer compares no names",
            "read signing requests, and approve those of nodes for serving certificates",
        ),
    )


def set_up(
    config: Config,
    desired: Callable[[Config, Release], DesiredAccount],
    file: IO[bytes],
    *,
    hours: int,
    on_change: Callable[[ObjectChange], None],
) -> tuple[DesiredAccount, datetime]:
    """
    Apply an account's objects and write a kubeconfig for it.

    :param desired: `deployer` or `approver`. :param on_change: gets each object as it was applied.
    :returns: the account, and when its credentials end.
    :raises ClusterError: the apiserver refuses, or does not answer.
    """
    admin = everywhere(load(config.cluster.kubeconfig), config.cluster)
    api = Api(admin, patience=config.timeouts.api, on_wait=print)
    each = each_alone(admin) if config.cluster.balanced else ()
    made = desired(config, server_release(api, each, print))
    manifests = Manifests(api)
    # The roles are in a namespace that has to exist first.
    for group in (made.objects[:1], made.objects[1:]):
        changes = manifests.plan(group)
        manifests.apply(changes)
        for change in changes:
            on_change(change)
    token, ends = service_accounts.new_credentials(api, made.account, seconds=hours * 3600)
    content = kubeconfig(
        cluster=config.cluster.name,
        server=admin.server,
        server_name=admin.tls_server_name or "",
        ca=admin.ca_pem or config.ca_pem,
        user=made.account.name,
        credentials={"token": token},
    )
    file.write(content)
    return made, ends
