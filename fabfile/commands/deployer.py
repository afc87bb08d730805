"""`inv rbac.deployer`: an account of its own, so that nobody needs to deploy as system:masters."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from invoke.exceptions import Exit

from .. import calico_files, surface
from ..kube import rights
from ..kube.api import Api
from ..kube.credentials import load
from ..kube.manifests import Manifests
from ..model.yamltext import dump_all
from ..trust.kubeconfig import kubeconfig

if TYPE_CHECKING:
    from collections.abc import Iterator
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
    with _replacing(out) as file:  # first of all, so that a bad path changes nothing
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
        file.write(content)
    print(f"wrote   {out}: good for {hours} h; name it as cluster.kubeconfig")


@contextmanager
def _replacing(out: Path) -> Iterator[IO[bytes]]:
    """Yield a file for its owner only, which becomes `out` when all went well."""
    draft = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        if out.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        draft.unlink(missing_ok=True)
        file = os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
    except OSError as error:
        raise Exit(f"--out {out}: {error.strerror}", surface.BAD_INPUT) from error
    try:
        with file:
            yield file
        draft.replace(out)
    finally:
        draft.unlink(missing_ok=True)
