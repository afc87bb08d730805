"""
Signers of requests that name none, as before Kubernetes 1.18.

Before 1.18 a request names no signer, and every approved request is signed. The signer is derived
as later releases derive it for such requests (kubernetes
`pkg/apis/certificates/v1beta1/defaults.go`). The policy checks subject, usages and names all the
same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.x509.oid import NameOID

from .csr_policy import CLIENT, MOST_BYTES, SERVING

if TYPE_CHECKING:
    from collections.abc import Collection

APISERVER_CLIENT = "kubernetes.io/kube-apiserver-client"
UNKNOWN = "kubernetes.io/legacy-unknown"


def implied(pem: bytes, usages: Collection[str]) -> str:
    """Return the signer that a request without one implies."""
    if len(pem) > MOST_BYTES:
        return UNKNOWN
    try:
        subject = x509.load_pem_x509_csr(pem).subject
        organizations = [a.value for a in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
    except Exception:  # an attacker's bytes: however parsing fails, it is for nobody
        return UNKNOWN
    of_node = organizations == ["system:nodes"]
    if "server auth" in usages:
        return SERVING if of_node and "client auth" not in usages else UNKNOWN
    if "client auth" in usages:
        return CLIENT if of_node else APISERVER_CLIENT
    return UNKNOWN
