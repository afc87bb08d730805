"""`inv rbac.deployer`, `inv rbac.approver`: limited service accounts and their kubeconfigs."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING

from invoke.exceptions import Exit

from ...artifacts import cni_manifest
from ...kube import deployer_account, rbac_rules, service_accounts
from ...kube.client import Api
from ...kube.kubeconfig import load
from ...kube.server_side_apply import Manifests
from ...kube.server_version import server_release
from ...pki.kubeconfig import kubeconfig
from ...releases.matrix import matrix
from ...util.atomic_write import atomic_write
from ...util.yaml_io import dump_all
from .. import app

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from ...config.cluster import Cluster
    from ...kube.client import Object
    from ...kube.service_accounts import Account
    from ...releases.version import Release

_MAX_HOURS = 24 * 365


@dataclass(frozen=True, slots=True)
class _Wanted:
    """An account with its objects and a description of what it may do."""

    account: Account
    objects: tuple[Object, ...]
    powers: tuple[str, ...]


def make_deployer(cluster: Cluster, out: Path, *, hours: int, show: bool) -> None:
    """
    Create or update the account that deploys, and write a kubeconfig for it.

    :param show: only print the objects.
    """
    network = cni_manifest.objects(cluster, for_names=True)

    def wanted(server: Release) -> _Wanted:
        return _deployer(cluster, network, server)

    _make(cluster, out, wanted, hours=hours, show=show)


def make_approver(cluster: Cluster, out: Path, *, hours: int, show: bool) -> None:
    """
    Create or update the account of `inv approve-csr --serving-only`, and write its kubeconfig.

    :param show: only print the objects.
    """
    made = _Wanted(
        service_accounts.APPROVER,
        service_accounts.objects(service_accounts.APPROVER, rbac_rules.SERVING_ONLY),
        ("read signing requests, and approve those of nodes for serving certificates",),
    )
    _make(cluster, out, lambda _: made, hours=hours, show=show)


def _deployer(cluster: Cluster, network: Sequence[Object], server: Release) -> _Wanted:
    made = deployer_account.objects(cluster, network, server)
    powers = rbac_rules.powers(
        cluster,
        network=bool(network),
        guarded=deployer_account.guarded(server),
        pod_security=server.minor in matrix().api["pod security"],
    )
    return _Wanted(service_accounts.DEPLOYER, made, powers)


def _make(
    cluster: Cluster,
    out: Path,
    wanted: Callable[[Release], _Wanted],
    *,
    hours: int,
    show: bool,
) -> None:
    """
    Apply an account's objects and write its kubeconfig.

    :param wanted: returns the account's objects for an apiserver of this release.
    """
    if not 0 < hours <= _MAX_HOURS:
        raise Exit(f"--hours must be a number from 1 to {_MAX_HOURS}", app.BAD_INPUT)
    if show:
        app.print_text(dump_all(wanted(cluster.cluster.version).objects), end="")
        return
    with _written(out) as file:  # opened first, so that a bad path changes nothing
        admin = load(cluster.cluster.kubeconfig)
        api = Api(admin, patience=cluster.timeouts.api, on_wait=print)
        made = wanted(server_release(api))
        manifests = Manifests(api)
        # The roles are in a namespace that has to exist first.
        for group in (made.objects[:1], made.objects[1:]):
            changes = manifests.plan(group)
            manifests.apply(changes)
            for change in changes:
                app.print_text(f"{change.action:7} {change.title}")
        token, ends = service_accounts.new_credentials(api, made.account, seconds=hours * 3600)
        content = kubeconfig(
            cluster=cluster.cluster.name,
            server=admin.server,
            ca=admin.ca_pem or cluster.ca_pem,
            user=made.account.name,
            credentials={"token": token},
        )
        file.write(content)
    left = (ends - datetime.now(UTC)).total_seconds() / 3600
    app.print_text(f"wrote   {out}: valid for {left:.0f} h, until {ends:%Y-%m-%d %H:%M} UTC")
    app.print_text("anyone who has this file can:")
    for power in made.powers:
        app.print_text(f"  - {power}")


@contextmanager
def _written(out: Path) -> Iterator[IO[bytes]]:
    with ExitStack() as stack:
        try:
            file = stack.enter_context(atomic_write(out))
        except OSError as error:
            raise Exit(f"--out {out}: {error.strerror}", app.BAD_INPUT) from error
        yield file
