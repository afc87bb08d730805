"""Certificates issued for nodes, in this run or an interrupted one: who holds their keys."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING

from ..kube import csr
from ..pki.certificates import (
    belongs,
    openssh_public_bytes,
)
from ..pki.csr_policy import CLIENT, HostKey, node_asked_for

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..config.configuration import Node
    from ..kube.client import Api
    from ..pki.csr_policy import SigningRequest
    from .change_guard import ChangeGuard
    from .cluster_snapshot import ClusterSnapshot
    from .request_judge import RequestJudge


class Holder(Enum):
    """Who holds what was certified for a node: nobody (nothing was), its host alone, others."""

    NOBODY = auto()
    HOST = auto()
    OTHERS = auto()


def holder(issued: Sequence[SigningRequest], certificate: bytes) -> Holder:
    """
    Say who holds what was certified with a node's token.

    :param issued: requests for which a certificate was, or may have been, issued.
    :param certificate: PEM, of the node's host; may be empty.
    """
    if not issued:
        return Holder.NOBODY
    # Of two, one is somebody else's: a token is good for one certificate.
    alone = len(issued) == 1 and belongs(certificate, issued[0].pem)
    return Holder.HOST if alone else Holder.OTHERS


class CertifiedKeys:
    """
    What was certified with the tokens of this run, and of interrupted runs.

    :param guard: what another run may have left is taken over only after it has been obtained.
    :param snapshot: returns the cluster as it was found; it may wait for that.
    """

    def __init__(
        self,
        api: Api,
        judge: RequestJudge,
        guard: ChangeGuard,
        snapshot: Callable[[], ClusterSnapshot],
    ) -> None:
        self._api = api
        self._judge = judge
        self._guard = guard
        self._snapshot = snapshot

    def show_key(self, node: Node, openssh: str) -> None:
        """Learn the public half of the key that waits on a node's host (in OpenSSH's form)."""
        self._judge.approver.show(node.name, HostKey(openssh_public_bytes(openssh)))

    def was_certified(self, node: Node) -> bool:
        """
        Say whether a certificate was issued for a node by a token of this run.

        What was approved and not signed is ended: whoever asked must not get it later, unseen.
        """
        return bool(self._issued(self._judge.approver.approved_for(node.name)))

    def _issued(self, requests: Sequence[SigningRequest]) -> list[SigningRequest]:
        dialect = self._judge.dialect
        ended = [csr.ended_unsigned(self._api, request.name, dialect) for request in requests]
        return [
            request
            for request, gone in zip(requests, ended, strict=True)
            if request.certificate or not gone
        ]

    def holder(self, node: Node, certificate: bytes) -> Holder:
        """
        Say who holds what was certified for a node in this run.

        :param certificate: PEM, read from its host; may be empty.
        """
        requests = self._judge.approver.approved_for(node.name)
        if len(requests) > 1:
            self._judge.log.several(requests, node.name)
        elif holder(requests, certificate) is Holder.HOST:
            return Holder.HOST
        return holder(self._issued(requests), certificate)

    def left_certified(self, node: Node) -> tuple[bytes, ...]:
        """
        Return the requests (PEM) that were signed for a node with tokens that are still there.

        A run revokes a token once it has seen who holds what was certified with it, so these are
        of runs interrupted before; they are taken over only once the guard is obtained.
        """
        left = {token.username for token in self._snapshot().tokens if token.node == node.name}
        if not left:
            return ()
        self._guard.obtain()
        requests = [csr.parse(item) for item in self._judge.items()]
        return tuple(
            request.pem
            for request in requests
            if request.signer == CLIENT
            and request.username in left
            and request.certificate
            and node_asked_for(request) == node.name
        )
