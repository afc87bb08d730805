"""CertificateSigningRequest objects: parse, approve, deny, create, remove."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from ..pki.certificates import belongs
from ..pki.csr_policy import SHARED_USER, SigningRequest
from ..pki.legacy_signers import APISERVER_CLIENT, implied
from ..releases.matrix import matrix
from ..util.errors import ClusterError
from ..util.wait import Wait
from .bootstrap_tokens import LABEL, NODE_ANNOTATION
from .client import ApiError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..releases.version import Release
    from .client import Api, Object
    from .watch import Watch


_REASON = "Fabnode"
_LONGEST = 200  # characters of what another approver wrote
_MOST_LEFT = 5  # requests for one node's kube-proxy: a run makes one, or two


@dataclass(frozen=True, slots=True)
class Dialect:
    """
    Version of the CSR API in a release.

    :param version: of the API group. :param names_signer: requests name their signer.
    """

    version: Literal["v1", "v1beta1"] = "v1"
    names_signer: bool = True

    @property
    def path(self) -> str:
        """Path of the collection."""
        return f"/apis/certificates.k8s.io/{self.version}/certificatesigningrequests"

    @property
    def kind(self) -> dict[str, str]:
        """`apiVersion` and `kind` of a request."""
        group = f"certificates.k8s.io/{self.version}"
        return {"apiVersion": group, "kind": "CertificateSigningRequest"}

    def served_by(self, server: Release) -> bool:
        """Return whether an apiserver of this release serves it."""
        return server.minor in matrix().api[f"certificates/{self.version}"]


V1 = Dialect()
REQUESTS = V1.path


def dialect(release: Release) -> Dialect:
    """
    Return the CSR API for a cluster with nodes of this release.

    Their own release decides, so that nothing has to be asked first: an apiserver is never older,
    and by the skew policy not so much newer that it would no longer serve what they know.
    """
    api = matrix().api
    if release.minor in api["certificates/v1"]:
        return V1
    return Dialect("v1beta1", release.minor in api["signer names"])


class SigningError(ClusterError):
    """fabnode's own request was not signed as requested."""

    advice = (
        "check that kube-controller-manager runs with --cluster-signing-cert-file and"
        " --cluster-signing-key-file"
    )


def parse(item: Object) -> SigningRequest:
    """Return a CertificateSigningRequest object as a value."""
    spec, status = item["spec"], item.get("status") or {}
    pem, usages = base64.b64decode(spec["request"]), tuple(spec.get("usages") or ())
    return SigningRequest(
        name=item["metadata"]["name"],
        uid=item["metadata"]["uid"],
        resource_version=item["metadata"]["resourceVersion"],
        created=datetime.fromisoformat(item["metadata"]["creationTimestamp"]),
        username=spec.get("username", ""),
        groups=tuple(spec.get("groups") or ()),
        signer=spec.get("signerName") or implied(pem, usages),
        usages=usages,
        pem=pem,
        state=_state(status),
        certificate=base64.b64decode(status.get("certificate") or ""),
        decision=_decision(status),
    )


def approved_by_fabnode(request: SigningRequest) -> bool:
    """Return whether a request was approved by a run of fabnode: by the reason in its condition."""
    return request.decision.startswith(f"{_REASON}Approved:")


def approve(api: Api, item: Object, message: str, dialect: Dialect = V1) -> None:
    """
    Approve exactly this object.

    Its resourceVersion goes along, so that one which has changed since it was judged is refused by
    the API (ApiError 409).
    """
    _decide(api, item, "Approved", message, dialect)


def deny(api: Api, item: Object, message: str, dialect: Dialect = V1) -> None:
    """Deny exactly this object, for good; like `approve`."""
    _decide(api, item, "Denied", message, dialect)


def _decide(api: Api, item: Object, decision: str, message: str, dialect: Dialect) -> None:
    condition = {"type": decision, "reason": f"{_REASON}{decision}", "message": message}
    if dialect.version == "v1":
        condition["status"] = "True"
    status = {**(item.get("status") or {}), "conditions": [condition]}
    name = item["metadata"]["name"]
    api.replace(f"{dialect.path}/{name}/approval", {**item, **dialect.kind, "status": status})


def issue_client(
    api: Api,
    watch: Watch,
    request_pem: bytes,
    *,
    node: str,
    timeout: float,
    dialect: Dialect = V1,
) -> bytes:
    """
    Have a certificate issued for a node's kube-proxy, which the deployer asked for; return PEM.

    The certificate that comes back must be for the key that was asked for. The request object is
    removed afterwards. Raises SigningError, or WaitTimeoutError when nobody signs.
    """
    signer = {"signerName": APISERVER_CLIENT} if dialect.names_signer else {}
    made = api.create(
        dialect.path,
        {
            **dialect.kind,
            "metadata": {
                "generateName": f"fabnode-kube-proxy-{node}-",
                "labels": {LABEL: "fabnode"},
                "annotations": {NODE_ANNOTATION: node},
            },
            "spec": {
                "request": base64.b64encode(request_pem).decode(),
                **signer,
                "usages": ["digital signature", "client auth"],
            },
        },
    )
    name = made["metadata"]["name"]
    try:
        if parse(made).pem != request_pem:
            raise SigningError(f"{name}: the API stored another request than the one sent")
        approve(api, made, f"fabnode's own request, for the kube-proxy of {node}", dialect)

        def finished(objects: Mapping[str, Object]) -> SigningRequest | None:
            found = parse(objects[name]) if name in objects else None
            return found if found and (found.certificate or found.state == "Failed") else None

        done = watch.until(finished, Wait("a signed certificate", timeout))
    finally:
        withdraw(api, name, dialect)
    if not done.certificate:
        raise SigningError(f"{name}: the signer reported a failure")
    if not belongs(done.certificate, request_pem):
        raise SigningError(f"{name}: the certificate is for another key than the request's")
    return done.certificate


def own_requests(api: Api, dialect: Dialect = V1) -> tuple[tuple[str, str], ...]:
    """
    Return name and node of every request of fabnode's own: a run that was killed leaves some.

    Whoever asks for a certificate may label the request as he likes: those of nodes and of joining
    hosts are not ours, and such requests are few for each node.
    """
    found = api.get(dialect.path, labelSelector=f"{LABEL}=fabnode")["items"]
    own: dict[str, list[str]] = {}
    for item in found:
        node = (item["metadata"].get("annotations") or {}).get(NODE_ANNOTATION)
        if node and is_own(parse(item)) and len(own.setdefault(node, [])) < _MOST_LEFT:
            own[node].append(item["metadata"]["name"])
    return tuple((name, node) for node, names in own.items() for name in names)


def is_own(request: SigningRequest) -> bool:
    """
    Return whether a request has the form of a deployer's for a kube-proxy.

    A node's or a joining host's is none, however it is called.
    """
    stranger = request.username == SHARED_USER or request.username.startswith(
        ("system:node:", "system:bootstrap:", "system:anonymous")
    )
    named = request.name.startswith("fabnode-kube-proxy-")
    return request.signer == APISERVER_CLIENT and named and not stranger


def requested_by(api: Api, user: str, dialect: Dialect = V1) -> tuple[str, ...]:
    """Return the names of the requests of one user."""
    items = api.get(dialect.path)["items"]
    return tuple(item["metadata"]["name"] for item in items if item["spec"].get("username") == user)


def withdraw(api: Api, name: str, dialect: Dialect = V1) -> None:
    """Remove a request, if it still exists."""
    api.delete(f"{dialect.path}/{name}")


def ended_unsigned(api: Api, name: str, dialect: Dialect = V1) -> bool:
    """Remove a request unless it is signed meanwhile; return whether it ended unsigned."""
    path = f"{dialect.path}/{name}"
    while item := api.find(path):
        if parse(item).certificate:
            return False
        try:
            api.delete(path, version=item["metadata"]["resourceVersion"])
        except ApiError as error:
            if not error.is_conflict:
                raise
    return True


def _decision(status: Object) -> str:
    """Return reason and message of an approval, as far as a line holds them."""
    for condition in status.get("conditions") or ():
        if condition["type"] == "Approved":
            text = f"{condition.get('reason', '')}: {condition.get('message', '')}"
            return "".join(c for c in text if c.isprintable())[:_LONGEST]
    return ""


def _state(status: Object) -> Literal["Pending", "Approved", "Denied", "Failed"]:
    kinds = {condition["type"] for condition in status.get("conditions") or ()}
    if "Denied" in kinds:
        return "Denied"
    if "Failed" in kinds:
        return "Failed"
    if "Approved" in kinds or status.get("certificate"):
        return "Approved"
    return "Pending"
