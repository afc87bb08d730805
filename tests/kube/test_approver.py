"""The approver acts on verdicts: once per request, and once per token."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fabfile.kube.api import ApiError
from fabfile.kube.approver import Approver
from fabfile.kube.signing import REQUESTS
from fabfile.trust.verdict import CLIENT, Candidate, SigningRequest, Verdict

NOON = "2026-11-23T12:00:00Z"


class Api:
    """An apiserver that holds one token of n1's, and requests."""

    def __init__(self, *requests: dict[str, Any], refuse: int = 0) -> None:
        self.requests = list(requests)
        self.approved: list[str] = []
        self.refuse = refuse

    def get(self, path: str, **_: str) -> dict[str, Any]:
        if path == REQUESTS:
            return {"items": self.requests}
        metadata = {"annotations": {"fabnode.io/node": "n1"}, "creationTimestamp": NOON}
        data = {"token-id": base64.b64encode(b"aaaaaa").decode()}
        kind = "bootstrap.kubernetes.io/token"
        return {"items": [{"type": kind, "metadata": metadata, "data": data}]}

    def replace(self, path: str, body: dict[str, Any]) -> None:
        if self.refuse:
            raise ApiError(self.refuse, "Conflict", "it has changed")
        self.approved.append(path.split("/")[-2])


def request(name: str, *, common_name: str = "system:node:n1", approved: bool = False) -> Any:
    """Return a signing request object, made with n1's token."""
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:nodes"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )
    key = ec.generate_private_key(ec.SECP256R1())
    made = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    pem = made.public_bytes(serialization.Encoding.PEM)
    return {
        "metadata": {"name": name, "uid": name, "resourceVersion": "1", "creationTimestamp": NOON},
        "spec": {
            "username": "system:bootstrap:aaaaaa",
            "signerName": CLIENT,
            "usages": ["digital signature", "client auth"],
            "request": base64.b64encode(pem).decode(),
        },
        "status": {"conditions": [{"type": "Approved", "status": "True"}]} if approved else {},
    }


def approver(api: Any, *, dry_run: bool = False) -> tuple[Approver, list[str]]:
    told: list[str] = []

    def tell(request: SigningRequest, verdict: Verdict) -> None:
        told.append(f"{request.name}: {verdict.reason}")

    made = Approver(api, dry_run=dry_run, on_verdict=tell, all_tokens=True)
    made.allow(Candidate("n1", "192.0.2.11"))
    return made, told


def test_a_proved_request_is_approved_once() -> None:
    item = request("csr-1")
    api = Api(item)
    made, told = approver(api)
    made.consider(item)
    made.consider(item)
    assert api.approved == ["csr-1"]
    assert len(told) == 1


def test_a_token_is_good_for_one_certificate_in_whatever_order_requests_are_listed() -> None:
    """A second request may bear a name that is listed before the one that was approved."""
    late, first = request("a-late"), request("b-first", approved=True)
    api = Api(late, first)
    made, told = approver(api)
    for item in api.requests:
        made.consider(item)
    assert api.approved == []
    assert told == ["a-late: another request with n1's token was approved before"]


def test_what_is_not_proved_is_told_and_left() -> None:
    item = request("csr-1", common_name="system:node:n2")
    api = Api(item)
    made, told = approver(api)
    made.consider(item)
    assert api.approved == []
    assert "its subject is" in told[0]


def test_dry_run_approves_nothing() -> None:
    item = request("csr-1")
    api = Api(item)
    made, told = approver(api, dry_run=True)
    made.consider(item)
    assert api.approved == []
    assert len(told) == 1


@pytest.mark.parametrize("status", [404, 409])
def test_a_request_that_changed_meanwhile_is_judged_anew(status: int) -> None:
    item = request("csr-1")
    api = Api(item, refuse=status)
    made, told = approver(api)
    made.consider(item)
    assert told == []
    api.refuse = 0
    changed = {**item, "metadata": {**item["metadata"], "resourceVersion": "2"}}
    made.consider(changed)
    assert api.approved == ["csr-1"]


def test_a_refusal_for_another_reason_is_passed_on() -> None:
    item = request("csr-1")
    made, _ = approver(Api(item, refuse=403))
    with pytest.raises(ApiError):
        made.consider(item)


def test_a_flood_is_judged_without_asking_the_api_for_each() -> None:
    """A stranger's token is looked up once; nothing is listed for what is refused anyway."""
    items = [request(f"csr-{i}", common_name="system:node:n2") for i in range(30)]
    for item in items[::2]:
        item["spec"]["username"] = "system:bootstrap:zzzzzz"
    api = Api(*items)
    asked: list[str] = []
    get = api.get
    api.get = lambda path, **query: (asked.append(path), get(path, **query))[1]  # type: ignore[method-assign]
    made, told = approver(api)
    for item in items:
        made.consider(item)
    assert len(told) == 30
    assert len(asked) <= 2


def test_what_another_approver_was_quicker_to_approve_counts() -> None:
    """Two approvers, one token, two requests: the API refuses us one, and we the other."""
    first, second = request("csr-1"), request("csr-2")
    api = Api(first, second, refuse=409)
    made, told = approver(api)
    made.consider(first)
    api.refuse = 0
    made.consider(second)
    assert api.approved == []
    assert "was approved before" in told[0]
