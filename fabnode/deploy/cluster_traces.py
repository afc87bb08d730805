"""Objects a cluster holds for a node (Node, Lease, requests, tokens …), and their removal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..kube import bootstrap_tokens, csr, node_status
from ..kube.client import permitted
from ..pki import proxy_names
from ..util.words import counted
from . import deployer_account, proxy_binding, removed_policy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..kube.client import Object
    from ..pki.csr_policy import SigningRequest, Token
    from .cluster_session import ClusterSession


class ClusterTraces:
    """The objects of one node, and the removal of each that exists."""

    def __init__(self, session: ClusterSession, name: str) -> None:
        self._session = session
        self._api = session.api
        self._dialect = session.judge.dialect
        self._name = name
        self._unseen: dict[str, None] = {}

    @property
    def unseen(self) -> tuple[str, ...]:
        """What this account had no right to read, a line each: it may exist."""
        return tuple(self._unseen)

    def requests(self) -> tuple[str, ...]:
        """Return the names of the node's signing requests."""
        return csr.requested_by(self._api, f"system:node:{self._name}", self._dialect)

    def issued(self) -> Iterator[SigningRequest]:
        """Yield those of its requests that were signed, for what is known of its certificates."""
        for item in self._api.get(self._dialect.path)["items"]:
            if item["spec"].get("username") == f"system:node:{self._name}":
                request = csr.parse(item)
                if request.certificate:
                    yield request

    def tokens(self) -> tuple[Token, ...]:
        """Return the bootstrap tokens made for the node; see `unseen`."""
        if self._session.config.bootstrap.mode != "token":
            return ()
        found = permitted(lambda: bootstrap_tokens.existing(self._api))
        if found is None:
            self._unseen[
                "bootstrap tokens made for it may exist, with which it joins again (an hour at"
                " most): this account has no right to list Secrets in kube-system"
            ] = None
        return tuple(token for token in found or () if token.node == self._name)

    def addresses(self) -> str:
        """Return what the pod network holds for it, as text; empty: nothing, or not known."""
        return self._session.network.held(self._name)

    def binds_proxy(self) -> bool:
        """Return whether its kube-proxy has rights in its own name; see `unseen`."""
        return proxy_names.own(self._name) in proxy_binding.users(self._binding())

    def lock_out(self) -> tuple[str, ...]:
        """Remove what would let its host join again; return what that was."""
        gone = []
        unbound = self._unbound()  # first: from then on no other request comes
        if requests := self.requests():
            for name in requests:
                csr.withdraw(self._api, name, self._dialect)
            gone.append(counted(len(requests), "signing request"))
        if tokens := self.tokens():
            for token in tokens:
                bootstrap_tokens.delete(self._api, token)
            gone.append(counted(len(tokens), "bootstrap token"))
        if unbound:
            gone.append("its kube-proxy's rights")
        return tuple(gone)

    def _unbound(self) -> bool:
        """Revoke its kube-proxy's rights; return whether that was done, False without the right."""
        binding = self._binding()
        bound = proxy_names.own(self._name) in proxy_binding.users(binding)
        if not bound and self._name not in proxy_binding.removed(binding):
            return False
        if deployer_account.guarded(self._session.snapshot.version):
            removed_policy.bring(self._api)
        return bound and bool(permitted(lambda: proxy_binding.unbind(self._api, self._name)))

    def is_refused(self) -> bool:
        """Return whether the apiserver refuses its kubelet a certificate and a Node object."""
        if not deployer_account.guarded(self._session.snapshot.version):
            return False
        removed = proxy_binding.removed(self._binding())
        return self._name in removed and removed_policy.in_force(self._api)

    def _binding(self) -> Object | None:
        found = permitted(lambda: (proxy_binding.read(self._api),))
        if found is None:
            self._unseen[
                "its kube-proxy may have rights in a name of its own, until they are revoked: this"
                f" account has no right to read the {proxy_binding.TITLE}"
            ] = None
        return found[0] if found else None

    def remove(self) -> tuple[str, ...]:
        """Remove all of it, its pods having ended; return what was there."""
        gone = []
        if self._api.find(f"{node_status.NODES}/{self._name}"):
            self._session.nodes.remove(self._name)
            gone.append("Node object")
        if self._lease_gone():
            gone.append("Lease")
        gone += self.lock_out()
        if released := self._session.network.release(self._name):
            gone.append(released)
        return tuple(gone)

    def _lease_gone(self) -> bool:
        """Delete its Lease; without the right to, Kubernetes collects it once its Node is gone."""
        path = node_status.lease_path(self._name)

        def delete() -> bool:
            if self._api.find(path) is None:
                return False
            self._api.delete(path)
            return True

        return bool(permitted(delete))
