"""Certificates of kube-proxies: requested from the cluster's signer, or signed here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..kube import csr
from ..pki.certificates import (
    issued_by,
    new_request,
    read,
    sign_client,
)
from ..steps import proxy_cert

if TYPE_CHECKING:
    from ..config.configuration import Config, Node
    from ..kube.client import Api
    from .change_guard import ChangeGuard
    from .proxy_identities import ProxyIdentities
    from .request_judge import RequestJudge

_SIGNING_TIMEOUT = 30.0


class ProxyCertificates:
    """Has certificates for kube-proxies issued, in the way that the configuration names."""

    def __init__(
        self,
        config: Config,
        api: Api,
        judge: RequestJudge,
        guard: ChangeGuard,
        identities: ProxyIdentities,
    ) -> None:
        self._config = config
        self._api = api
        self._judge = judge
        self._guard = guard
        self._identities = identities

    def issue(self, node: Node) -> bytes:
        """
        Return a new certificate for a node's kube-proxy, with its key (PEM).

        It is in the node's own name, which has its rights by then, or in the one that all share.
        """
        settings = node.kube_proxy
        asked = new_request(self._identities.name_for(node), proxy_cert.subject(node))
        if settings.signing == "local" and settings.ca_key:
            key = settings.ca_key.read_bytes()
            certificate = sign_client(asked.request_pem, self._config.ca_pem, key)
        else:
            self._judge.begin()
            certificate = csr.issue_client(
                self._api,
                self._judge.requests,
                asked.request_pem,
                node=node.name,
                timeout=_SIGNING_TIMEOUT,
                dialect=self._judge.dialect,
            )
        return certificate + asked.key_pem

    def try_signing(self, node: Node, authority: bytes) -> str | None:
        """
        Have a certificate for a kube-proxy issued and throw it away, with its key.

        Return who signed it where that was not this CA, else None.
        """
        self._guard.obtain()
        pem = self.issue(node)
        return None if issued_by(pem, authority) else read(pem).issuer
