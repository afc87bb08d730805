"""`inv rbac.deployer`: an account of its own, so that nobody needs to deploy as system:masters."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from invoke.exceptions import Exit

from .. import calico_files, surface
from ..kube import rights
from ..kube.api import Api
from ..kube.credentials import load
from ..kube.manifests import Manifests
from ..model.yamltext import dump_all
from ..trust.kubeconfig import kubeconfig

if TYPE_CHECKING:
    from pathlib import Path

    from ..model.config import Cluster

_MAX_HOURS = 24 * 365


def make(cluster: Cluster, out: Path, *, hours: int, show: bool) -> None:
    """
    Make or update the account with its roles, and write a kubeconfig for it.

    :param show: only print the objects.
    """
    if not 0 < hours <= _MAX_HOURS:
        raise Exit(f"--hours wants a number from 1 to {_MAX_HOURS}", surface.BAD_INPUT)
    calico = calico_files.objects(cluster, for_names=True)
    objects = rights.objects(rights.needed(calico=calico))
    if show:
        print(dump_all(objects), end="")
        return
    admin = load(cluster.cluster.kubeconfig)
    api = Api(admin, patience=cluster.timeouts.api, on_wait=print)
    manifests = Manifests(api)
    # The roles live in a namespace that has to be there first.
    for group in (objects[:1], objects[1:]):
        changes = manifests.plan(group)
        manifests.apply(changes)
        for change in changes:
            print(f"{change.action:7} {change.title}")
    content = kubeconfig(
        cluster=cluster.cluster.name,
        server=admin.server,
        ca=(admin.ca_pem or "").encode() or cluster.ca_pem,
        user=rights.ACCOUNT,
        credentials={"token": rights.new_credentials(api, seconds=hours * 3600)},
    )
    draft = out.with_name(f".{out.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    draft.replace(out)
    print(f"wrote   {out}: good for {hours} h; name it as cluster.kubeconfig")
