"""The approver acts on verdicts: once per request, and once per token."""

from __future__ import annotations

import base64
import threading
from datetime import datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fabnode.kube import csr_approver as approver_module
from fabnode.kube.client import ApiError
from fabnode.kube.csr import REQUESTS
from fabnode.kube.csr_approver import Approver
from fabnode.kube.key_lookup import KeyLookup
from fabnode.pki.certificates import public_bytes
from fabnode.pki.csr_policy import (
    CLIENT,
    SERVING,
    Candidate,
    HostKey,
    IssuedToken,
    SigningRequest,
    Token,
    Verdict,
)

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


def shared(name: str, *, common_name: str = "system:node:n1", approved: bool = False) -> Any:
    """Return a signing request object, made with the token that all hosts share."""
    item = request(name, common_name=common_name, approved=approved)
    item["spec"] |= {"username": "kubelet-bootstrap", "groups": ["system:kubelet-bootstrap"]}
    return item


def key_of(item: dict[str, Any]) -> HostKey:
    """Return what the host tells on which this request's key waits."""
    pem = base64.b64decode(item["spec"]["request"])
    return HostKey(public_bytes(x509.load_pem_x509_csr(pem)))


def approver(
    api: Any, *, dry_run: bool = False, key_lookup: KeyLookup | None = None
) -> tuple[Approver, list[str]]:
    reported: list[str] = []

    def tell(request: SigningRequest, verdict: Verdict) -> None:
        reported.append(f"{request.name}: {verdict.reason}")

    made = Approver(api, dry_run=dry_run, on_verdict=tell, all_tokens=True, key_lookup=key_lookup)
    made.allow(Candidate("n1", "192.0.2.11"))
    return made, reported


def test_a_proved_request_is_approved_once() -> None:
    item = request("csr-1")
    api = Api(item)
    made, reported = approver(api)
    made.consider(item)
    made.consider(item)
    assert api.approved == ["csr-1"]
    assert len(reported) == 1


def test_a_token_is_good_for_one_certificate_in_whatever_order_requests_are_listed() -> None:
    """A second request may bear a name that is listed before the one that was approved."""
    late, first = request("a-late"), request("b-first", approved=True)
    api = Api(late, first)
    made, reported = approver(api)
    for item in api.requests:
        made.consider(item)
    assert api.approved == []
    assert reported == ["a-late: another request with n1's token was approved before"]


def test_what_is_not_proved_is_reported_and_left() -> None:
    item = request("csr-1", common_name="system:node:n2")
    api = Api(item)
    made, reported = approver(api)
    made.consider(item)
    assert api.approved == []
    assert "its subject is" in reported[0]


def test_dry_run_approves_nothing() -> None:
    item = request("csr-1")
    api = Api(item)
    made, reported = approver(api, dry_run=True)
    made.consider(item)
    assert api.approved == []
    assert len(reported) == 1


@pytest.mark.parametrize("status", [404, 409])
def test_a_request_that_changed_meanwhile_is_judged_again(status: int) -> None:
    item = request("csr-1")
    api = Api(item, refuse=status)
    made, reported = approver(api)
    made.consider(item)
    assert reported == []
    api.refuse = 0
    changed = {**item, "metadata": {**item["metadata"], "resourceVersion": "2"}}
    made.consider(changed)
    assert api.approved == ["csr-1"]


def test_a_refusal_for_another_reason_is_passed_on() -> None:
    item = request("csr-1")
    made, _ = approver(Api(item, refuse=403))
    with pytest.raises(ApiError):
        made.consider(item)


def test_a_flood_is_judged_without_asking_the_api_for_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A stranger's token is looked up once; nothing is listed for what is refused anyway."""
    items = [request(f"csr-{i}", common_name="system:node:n2") for i in range(30)]
    for item in items[::2]:
        item["spec"]["username"] = "system:bootstrap:zzzzzz"
    api = Api(*items)
    asked: list[str] = []
    get = api.get

    def noted(path: str, **query: str) -> dict[str, Any]:
        asked.append(path)
        return get(path, **query)

    monkeypatch.setattr(api, "get", noted)
    made, reported = approver(api)
    for item in items:
        made.consider(item)
    assert len(reported) == 30
    assert len(asked) <= 2


def test_what_another_approver_was_quicker_to_approve_counts() -> None:
    """Two approvers, one token, two requests: the API refuses us one, and we the other."""
    first, second = request("csr-1"), request("csr-2")
    api = Api(first, second, refuse=409)
    made, reported = approver(api)
    made.consider(first)
    api.refuse = 0
    made.consider(second)
    assert api.approved == []
    assert "was approved before" in reported[0]


def test_with_a_shared_token_requests_wait_until_the_host_shows_its_key() -> None:
    own, rogue = shared("csr-own"), shared("csr-rogue")
    api = Api(own, rogue)
    made, reported = approver(api)
    made.hand_out(IssuedToken("n1", datetime.fromisoformat(NOON)))
    made.consider(rogue)
    made.consider(own)
    assert api.approved == reported == []
    made.show("n1", key_of(own))
    assert api.approved == ["csr-own"]
    assert "csr-rogue: its key is not the one that waits on n1's host" in reported
    assert [found.name for found in made.approved_for("n1")] == ["csr-own"]
    late = shared("csr-late")
    made.consider(late)
    assert "was approved before" in reported[-1]


def test_a_host_that_shows_no_key_gets_no_certificate() -> None:
    """Once its joining ended, well or not, what was held for its key is reported."""
    item = shared("csr-1")
    api = Api(item)
    made, reported = approver(api)
    made.hand_out(IssuedToken("n1", datetime.fromisoformat(NOON)))
    made.consider(item)
    made.end("n1")
    assert api.approved == []
    assert reported == ["csr-1: no key waits on n1's host to compare it with"]
    made.consider(shared("csr-2"))
    assert "n1" in reported[-1]


@pytest.mark.parametrize("make", [request, shared])
def test_a_host_is_asked_for_its_key_before_a_first_certificate_is_granted(make: Any) -> None:
    """Whatever token it was asked for with; every request again, for keys come and go."""
    own, other = make("csr-own"), make("csr-other")
    asked: list[str] = []

    def read(node: str) -> HostKey:
        asked.append(node)
        return key_of(own)

    key_lookup = KeyLookup(read)
    api = Api(own, other)
    made, reported = approver(api, key_lookup=key_lookup)
    made.hand_out(IssuedToken("n1", datetime.fromisoformat(NOON)))
    made.consider(other)
    key_lookup.settle()
    assert reported == ["csr-other: its key is not the one that waits on n1's host"]
    made.consider(own)
    key_lookup.settle()
    assert api.approved == ["csr-own"]
    assert asked == ["n1", "n1"]
    made.consider(make("csr-bad", common_name="system:node:n2"))
    key_lookup.settle()
    assert len(asked) == 2, "what is refused anyway asks nobody"


def test_a_host_that_cant_be_asked_leaves_its_requests_pending() -> None:
    key_lookup = KeyLookup(lambda _: HostKey(fault="no route to host"))
    api = Api()
    made, reported = approver(api, key_lookup=key_lookup)
    made.hand_out(IssuedToken("n1", datetime.fromisoformat(NOON)))
    made.consider(shared("csr-1"))
    key_lookup.settle()
    assert api.approved == []
    assert reported == ["csr-1: the key on n1's host can't be read: no route to host"]


def test_one_hosts_nonsense_leaves_everybody_elses_requests_alone() -> None:
    """Whatever reading one host's answer raises, the next host is asked, and approved."""
    own = shared("csr-2", common_name="system:node:n2")

    def read(node: str) -> HostKey:
        if node == "n1":
            raise NotImplementedError("compressed points")
        return key_of(own)

    key_lookup = KeyLookup(read)
    api = Api(own)
    made, reported = approver(api, key_lookup=key_lookup)
    made.allow(Candidate("n2", "192.0.2.12"))
    for node in ("n1", "n2"):
        made.hand_out(IssuedToken(node, datetime.fromisoformat(NOON)))
    made.consider(shared("csr-1"))
    key_lookup.settle()
    made.consider(own)
    key_lookup.settle()
    assert "its answer can't be read (NotImplementedError: compressed points)" in reported[0]
    assert api.approved == ["csr-2"]


def test_a_flood_of_requests_is_no_flood_of_questions() -> None:
    """While a host is being asked, all who want to know share the next answer."""
    go, asked = threading.Event(), []

    def read(node: str) -> HostKey:
        asked.append(node)
        go.wait(30)
        return HostKey(fault="busy")

    key_lookup = KeyLookup(read)
    api = Api()
    made, reported = approver(api, key_lookup=key_lookup)
    made.hand_out(IssuedToken("n1", datetime.fromisoformat(NOON)))
    for number in range(200):
        made.consider(shared(f"csr-{number}"))
    go.set()
    key_lookup.settle()
    assert len(reported) == 200
    assert len(asked) == 2


def test_what_goes_wrong_while_asking_is_passed_on() -> None:
    item = shared("csr-1")
    key_lookup = KeyLookup(lambda _: key_of(item))
    made, _ = approver(Api(item, refuse=403), key_lookup=key_lookup)
    made.hand_out(IssuedToken("n1", datetime.fromisoformat(NOON)))
    made.consider(item)
    with pytest.raises(ApiError):
        key_lookup.settle()


AUTO = {"type": "Approved", "reason": "AutoApproved", "message": "Auto approving kubelet client"}
OURS = {"type": "Approved", "reason": "FabnodeApproved", "message": "asked for by n1 itself"}


def approved(item: Any, condition: dict[str, str]) -> Any:
    return {**item, "status": {"conditions": [condition]}}


def serving(name: str) -> Any:
    """Return n1's request for a serving certificate, for a name that is not its own."""
    item = request(name)
    item["spec"] |= {
        "username": "system:node:n1",
        "groups": ["system:nodes"],
        "signerName": SERVING,
        "usages": ["digital signature", "server auth"],
    }
    return item


@pytest.mark.parametrize(
    ("item", "reported"),
    [
        (approved(request("csr-1"), AUTO), ["csr-1 AutoApproved: Auto approving kubelet client"]),
        (
            approved(request("csr-1", common_name="system:node:n2"), AUTO),
            ["csr-1 AutoApproved: Auto approving kubelet client"],
        ),
        (approved(request("csr-1"), OURS), []),
        (approved(serving("csr-1"), AUTO), ["csr-1 AutoApproved: Auto approving kubelet client"]),
        (approved(serving("csr-1"), OURS), []),
        (request("csr-1"), []),
    ],
    ids=["own name", "other name", "ours", "serving", "our serving", "pending"],
)
def test_what_somebody_else_approved_is_reported_once(item: Any, reported: list[str]) -> None:
    foreign: list[str] = []
    made = Approver(
        Api(item),  # type: ignore[arg-type]
        dry_run=True,
        on_verdict=lambda *_: None,
        on_foreign=lambda request, _: foreign.append(f"{request.name} {request.decision}"),
    )
    made.allow(Candidate("n1", "192.0.2.11"))
    made.trust(Token("aaaaaa", "n1", datetime.fromisoformat(NOON)))
    made.consider(item)
    made.consider(item)
    assert foreign == reported


def test_every_request_approved_with_a_token_is_known() -> None:
    """Also one that the watch has not shown yet: two certificates are one too many."""
    first, second = request("csr-1"), approved(request("csr-2"), AUTO)
    api = Api(first)
    made, _ = approver(api)
    made.consider(first)
    api.requests = [approved(first, OURS), second]
    assert {found.name for found in made.approved_for("n1")} == {"csr-1", "csr-2"}


def test_only_serving_certificates_are_judged_where_that_is_all() -> None:
    reported: list[str] = []
    made = Approver(
        Api(),  # type: ignore[arg-type]
        dry_run=True,
        serving_only=True,
        on_verdict=lambda request, _: reported.append(request.name),
    )
    made.allow(Candidate("n1", "192.0.2.11"))
    for item in (request("client"), shared("shared"), serving("serving")):
        made.consider(item)
    assert reported == ["serving"]


def test_memory_is_bounded_however_many_requests_come() -> None:
    reported: list[str] = []
    made = Approver(
        Api(),  # type: ignore[arg-type]
        dry_run=True,
        serving_only=True,
        on_verdict=lambda request, _: reported.append(request.name),
    )
    item = serving("csr")
    for number in range(approver_module._REMEMBERED + 50):
        made.consider({**item, "metadata": {**item["metadata"], "uid": str(number)}})
    assert len(made._judged) == approver_module._REMEMBERED
