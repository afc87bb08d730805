"""The run of `inv rbac.forget`: rights of kube-proxies whose nodes nobody knows any more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..pki import proxy_names
from ..util import program
from . import proxy_binding, run_rights
from .run import RunContext

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .cluster_session import ClusterSession
    from .run import Run


@dataclass(frozen=True, slots=True)
class Forgotten:
    """
    What became of a name.

    :param done: it has no rights any more. :param text: that, or why not, in a clause.
    """

    name: str
    done: bool
    text: str


def forget(run: Run, names: Sequence[str]) -> tuple[Forgotten, ...]:
    """
    Take back the rights of kube-proxies, by the names of their nodes or their own.

    Those of a node that the configuration or the cluster knows stay: that kube-proxy may run.
    """
    with RunContext(run, installs=False, rights=run_rights.FORGET) as context:
        if any(_wanted(context.session, name) for name in names):
            context.session.guard.obtain()
        # Looked at once more: now nobody else gives a name its rights.
        return tuple(_forget(run, context.session, name) for name in names)


def _own(name: str) -> str:
    return name if name.startswith(proxy_names.OWN) else proxy_names.own(name)


def _wanted(session: ClusterSession, name: str) -> bool:
    return _own(name) in proxy_binding.users(proxy_binding.read(session.api))


def _forget(run: Run, session: ClusterSession, name: str) -> Forgotten:
    own = _own(name)
    known = {proxy_names.own(node.name): node.name for node in run.config.nodes}
    there = {proxy_names.own(node): node for node in session.nodes.current()}
    if not _wanted(session, name):
        return Forgotten(name, True, "it has no rights")
    if own in known:
        remove = program.task(f"remove-node --limit {known[own]}")
        return Forgotten(name, False, f"left: the configuration has that node; `{remove}` ends it")
    if own in there:
        text = (
            f"left: there is a Node object {there[own]}; put it into the configuration again, then"
            f" `{program.task(f'remove-node --limit {there[own]}')}`"
        )
        return Forgotten(name, False, text)
    proxy_binding.unbind(session.api, own.removeprefix(proxy_names.OWN))
    return Forgotten(name, True, f"{own} has no rights any more")
