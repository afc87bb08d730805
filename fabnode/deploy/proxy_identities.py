"""
Names by which kube-proxies are certified: of their own, once these have rights.

A name of a node's own has the rights alone that are bound to it here, so that they can be taken
from that node. Where they can't be bound, as by an account that an older fabnode made, the name
that all kube-proxies share serves as it always did.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from ..kube.client import ApiError, permitted
from ..pki import proxy_names
from ..steps import rbac
from ..upkeep import operations
from ..util import program
from ..util.wait import Wait
from . import proxy_binding, proxy_rights, removed_policy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..config.configuration import Node
    from ..journal.journal import Journal
    from ..kube.client import Api, Object
    from ..kube.server_side_apply import ObjectChange, Way
    from .change_guard import ChangeGuard
    from .cluster_snapshot import ClusterSnapshot

_BOUND, _POLL = 5.0, 0.2  # seconds until an authorizer has what was bound, and between polls


class ProxyIdentities:
    """
    The names of a run's kube-proxies. Safe to share between threads.

    The binding is read when a node needs it first, and written for all nodes that wait together.
    """

    def __init__(
        self,
        api: Api,
        journal: Journal,
        guard: ChangeGuard,
        snapshot: Callable[[], ClusterSnapshot],
        *,
        way: Way,
    ) -> None:
        self._api = api
        self._journal = journal
        self._guard = guard
        self._snapshot = snapshot
        self._way = way
        self._queue = threading.Lock()
        self._waiting: set[str] = set()
        self._lock = threading.Lock()
        self._bound: frozenset[str] | None = None
        self._removed: frozenset[str] = frozenset()
        self._refusal = ""

    def name_for(self, node: Node) -> str:
        """Return the common name of a new certificate: one that has its rights by now."""
        name = proxy_names.own(node.name)
        return name if self._bind(name, requests=node.kube_proxy.requested) else proxy_names.SHARED

    def lost(self, node: Node) -> bool:
        """
        Return whether a certificate in this node's own name lacks its rights, and is to have them.

        A node that was locked out has none, and gets none before that is taken back.
        """
        with self._lock:
            bound = permitted(self._known)
            if bound is None or self._refusal:  # we may not read it, or it is nothing of ours
                return False
        return proxy_names.own(node.name) not in bound and not self._locked_out(node)

    def restore(self, node: Node) -> bool:
        """Bind a node's own name again; return whether that is done."""
        return self._bind(proxy_names.own(node.name), requests=False)

    def readmit(self, node: Node) -> None:
        """
        Have a node let in again that a removal has recorded, before it joins.

        The apiserver refuses such a node its Node object where `removed_policy.py` is in force.
        """
        with self._lock:
            if permitted(self._known) is None or node.name not in self._removed:
                return
            if self._locked_out(node):
                return
            try:
                proxy_binding.readmit(self._api, node.name)
            except ApiError as error:
                if not error.is_forbidden:
                    raise
                again = program.task("rbac.deployer")
                self._journal.warn(
                    f"{node.name} was removed before, and this account may not write the"
                    f" {proxy_binding.TITLE}, which says so: it can't join where the"
                    f" ValidatingAdmissionPolicy {removed_policy.NAME} is in force; `{again}` as"
                    " administrator makes an account that may"
                )

    def planned(self, nodes: Iterable[Node]) -> ObjectChange | None:
        """Return what the binding would get for these nodes. Changes nothing."""
        wanted = [node for node in nodes if not self._locked_out(node)]
        names = [proxy_names.own(node.name) for node in wanted]
        if not names:
            return None
        requests = any(node.kube_proxy.requested for node in wanted)
        try:
            live = proxy_binding.read(self._api)
            change = proxy_binding.change(live, names)
            if change is None or self._is_foreign(live) or not self._admitted(requests=requests):
                return None
            if self._way != "compare":  # which has no dry run
                proxy_binding.bind(self._api, names, way=self._way, dry_run=True)
        except ApiError as error:
            self._refused(error)
            return None
        return change

    def _locked_out(self, node: Node) -> bool:
        live = self._snapshot().nodes.get(node.name)
        taints = ((live or {}).get("spec") or {}).get("taints") or ()
        return any(taint.get("key") == operations.REMOVED for taint in taints)

    def _known(self) -> frozenset[str]:
        """Return the names that are bound, by one request in a run; the lock is held."""
        if self._bound is None:
            live = proxy_binding.read(self._api)
            self._is_foreign(live)
            self._bound = proxy_binding.users(live)
            self._removed = frozenset(proxy_binding.removed(live))
        return self._bound

    def _is_foreign(self, live: Object | None) -> bool:
        if why := proxy_binding.foreign(live):
            self._refuse(why)
        return bool(why)

    def _bind(self, name: str, *, requests: bool) -> bool:
        """
        Have a name bound, with those that others wait for; return whether it is.

        :param requests: a certificate in that name is asked for at the API.
        """
        with self._queue:
            self._waiting.add(name)
        with self._lock:
            if self._refusal or not self._admitted(requests=requests):
                return False
            try:
                if name in self._known():
                    return True
                if self._refusal:
                    return False
                with self._queue:
                    names, self._waiting = self._waiting, set()
                made = proxy_binding.bind(self._api, names, way=self._way)
                self._bound = proxy_binding.users(made)
                self._await_rights(name)
            except ApiError as error:
                self._refused(error)
            return not self._refusal

    def _admitted(self, *, requests: bool) -> bool:
        if requests and not self._guard.admits_own_names():
            self._refuse("the policy on its account does not admit others")
            return False
        return True

    def _await_rights(self, name: str) -> None:
        """Wait until the authorizer knows what was bound: a certificate is to work at once."""
        wait = Wait("the rights of a kube-proxy", _BOUND, _POLL)
        while lacks := proxy_rights.lacking(self._api, name):
            if wait.over:
                self._refuse(f"{lacks}, although the {proxy_binding.TITLE} binds it")
                return
            wait.pause()

    def _refused(self, error: ApiError) -> None:
        if not error.is_forbidden:
            raise error
        self._refuse(f"this account may not bind {rbac.PROXY_ROLE}: {error.message}")

    def _refuse(self, why: str) -> None:
        """Have this run's certificates issued in the name that all share, and say so once."""
        if not self._refusal:
            again = program.task("rbac.deployer")
            self._journal.warn(
                f"kube-proxies get certificates in the one name {proxy_names.SHARED}, which can't"
                f" be taken back from one node: {why}; `{again}` as administrator makes an account"
                " that can give each a name of its own"
            )
        self._refusal = self._refusal or why
