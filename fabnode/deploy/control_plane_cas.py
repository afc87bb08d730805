"""CAs that the control plane trusts and presents, read while a cluster's CA changes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ..kube.tls_peer import presented
from ..pki.certificates import problem
from ..util.families import in_url

if TYPE_CHECKING:
    from ..config.configuration import Config
    from ..kube.client import Api

_APISERVER_CLIENTS = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication"
_ROOT_CA = "/api/v1/namespaces/kube-system/configmaps/kube-root-ca.crt"


class TrustedAuthorities:
    """The CAs that the control plane trusts, and those that it gives to pods."""

    def __init__(self, config: Config, api: Api) -> None:
        self._config = config
        self._api = api

    def client(self) -> bytes:
        """Return the CAs whose clients the apiserver accepts, as it publishes them."""
        return self._bundle(_APISERVER_CLIENTS, "client-ca-file") or b""

    def pod(self) -> bytes | None:
        """Return the CAs that pods are given to know the apiserver by; None before 1.20."""
        return self._bundle(_ROOT_CA, "ca.crt")

    def server_fault(self, authority: bytes) -> str | None:
        """Return why a client of this CA alone can't verify the apiserver's certificate."""
        cluster = self._config.cluster
        for host, port in cluster.endpoints:
            where = f"{in_url(host)}:{port}: " if cluster.balanced else ""
            try:
                fault = problem(presented(host, port), authority, datetime.now(UTC))
            except OSError as error:
                return f"{in_url(host)}:{port} can't be reached: {error}"
            if fault:
                return f"{where}{fault.text}"
        return None

    def _bundle(self, path: str, key: str) -> bytes | None:
        found = self._api.find(path)
        return None if found is None else str(found.get("data", {}).get(key, "")).encode()
