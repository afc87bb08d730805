"""Signing requests: read, approve the very object that was judged, ask for one's own."""

from __future__ import annotations

import base64
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from ..trust.certificates import belongs
from ..trust.verdict import SigningRequest
from .tokens import LABEL, NODE_ANNOTATION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .api import Api, Object
    from .watch import Watch

REQUESTS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
APISERVER_CLIENT = "kubernetes.io/kube-apiserver-client"


class SigningError(Exception):
    """A request of our own that was not signed as asked."""

    advice = "see that kube-controller-manager runs with --cluster-signing-cert-file and -key-file"


def parse(item: Object) -> SigningRequest:
    """Return a CertificateSigningRequest object as a value."""
    spec, status = item["spec"], item.get("status") or {}
    return SigningRequest(
        name=item["metadata"]["name"],
        uid=item["metadata"]["uid"],
        resource_version=item["metadata"]["resourceVersion"],
        created=datetime.fromisoformat(item["metadata"]["creationTimestamp"]),
        username=spec.get("username", ""),
        groups=tuple(spec.get("groups") or ()),
        signer=spec.get("signerName", ""),
        usages=tuple(spec.get("usages") or ()),
        pem=base64.b64decode(spec["request"]),
        state=_state(status),
        certificate=base64.b64decode(status.get("certificate") or ""),
    )


def approve(api: Api, item: Object, message: str) -> None:
    """
    Approve exactly this object.

    Its resourceVersion goes along, so that one which has changed since it was judged is refused by
    the API (ApiError 409).
    """
    _decide(api, item, "Approved", message)


def deny(api: Api, item: Object, message: str) -> None:
    """Deny exactly this object, for good; like `approve`."""
    _decide(api, item, "Denied", message)


def _decide(api: Api, item: Object, decision: str, message: str) -> None:
    condition = {
        "type": decision,
        "status": "True",
        "reason": f"Fabnode{decision}",
        "message": message,
    }
    status = {**(item.get("status") or {}), "conditions": [condition]}
    kind = {"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest"}
    name = item["metadata"]["name"]
    api.replace(f"{REQUESTS}/{name}/approval", {**item, **kind, "status": status})


def issue_client(api: Api, watch: Watch, request_pem: bytes, *, node: str, timeout: float) -> bytes:
    """
    Have a certificate issued for a node's kube-proxy, which the deployer asked for; return PEM.

    The certificate that comes back must be for the key that was asked for. The request object is
    removed afterwards. Raises SigningError, or TimeoutError when nobody signs.
    """
    made = api.create(
        REQUESTS,
        {
            "apiVersion": "certificates.k8s.io/v1",
            "kind": "CertificateSigningRequest",
            "metadata": {
                "generateName": f"fabnode-kube-proxy-{node}-",
                "labels": {LABEL: "fabnode"},
                "annotations": {NODE_ANNOTATION: node},
            },
            "spec": {
                "request": base64.b64encode(request_pem).decode(),
                "signerName": APISERVER_CLIENT,
                "usages": ["digital signature", "client auth"],
            },
        },
    )
    name = made["metadata"]["name"]
    try:
        if parse(made).pem != request_pem:
            raise SigningError(f"{name}: the API holds another request than the one sent")
        approve(api, made, f"fabnode's own request, for the kube-proxy of {node}")

        def finished(objects: Mapping[str, Object]) -> SigningRequest | None:
            found = parse(objects[name]) if name in objects else None
            return found if found and (found.certificate or found.state == "Failed") else None

        done = watch.until(finished, timeout=timeout)
    finally:
        withdraw(api, name)
    if not done.certificate:
        raise SigningError(f"{name}: the signer reported a failure")
    if not belongs(done.certificate, request_pem):
        raise SigningError(f"{name}: the certificate is for another key than the one asked for")
    return done.certificate


def own_requests(api: Api) -> tuple[tuple[str, str], ...]:
    """Return name and node of every request of fabnode's own: a run that was killed leaves some."""
    found = api.get(REQUESTS, labelSelector=f"{LABEL}=fabnode")["items"]
    return tuple(
        (item["metadata"]["name"], item["metadata"]["annotations"][NODE_ANNOTATION])
        for item in found
        if NODE_ANNOTATION in (item["metadata"].get("annotations") or {})
    )


def withdraw(api: Api, name: str) -> None:
    """Remove a request; gone already is as good."""
    api.delete(f"{REQUESTS}/{name}")


def _state(status: Object) -> Literal["Pending", "Approved", "Denied", "Failed"]:
    kinds = {condition["type"] for condition in status.get("conditions") or ()}
    if "Denied" in kinds:
        return "Denied"
    if "Failed" in kinds:
        return "Failed"
    if "Approved" in kinds or status.get("certificate"):
        return "Approved"
    return "Pending"
