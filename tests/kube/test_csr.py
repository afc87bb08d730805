"""The CSR API in the words of each release, and requests that name no signer."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fabnode.kube import csr as signing
from fabnode.kube.bootstrap_tokens import NODE_ANNOTATION
from fabnode.kube.client import ApiError
from fabnode.pki.certificates import new_request
from fabnode.pki.csr_policy import CLIENT, MOST_BYTES, SERVING
from fabnode.pki.legacy_signers import APISERVER_CLIENT, UNKNOWN, implied
from fabnode.releases.matrix import matrix
from fabnode.releases.version import Release
from tests.kube.test_csr_approver import request
from tests.support import authority, pem

MINORS = range(matrix().kubernetes.since, matrix().kubernetes.until or 0)
CLIENT_USAGES = ("digital signature", "key encipherment", "client auth")
SERVER_USAGES = ("digital signature", "key encipherment", "server auth")


def made(organization: str, common_name: str) -> bytes:
    return new_request(common_name, {"organization": organization}).request_pem


class Api:
    """An apiserver that takes down what it is sent, and signs what is approved."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, dict[str, Any]]] = []
        self.requests: dict[str, Any] = {}

    def create(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        self.sent.append(("create", path, body))
        name = body["metadata"]["generateName"] + "x"
        metadata = {
            "name": name,
            "uid": "1",
            "resourceVersion": "1",
            "creationTimestamp": "2026-11-23T12:00:00Z",
        }
        self.requests[name] = {**body, "metadata": metadata}
        made: dict[str, Any] = self.requests[name]
        return made

    def replace(self, path: str, body: dict[str, Any]) -> None:
        self.sent.append(("replace", path, body))
        ca, key = authority()
        csr = x509.load_pem_x509_csr(base64.b64decode(body["spec"]["request"]))
        certificate = (
            x509.CertificateBuilder()
            .subject_name(csr.subject)
            .issuer_name(ca.subject)
            .public_key(csr.public_key())
            .serial_number(1)
            .not_valid_before(ca.not_valid_before_utc)
            .not_valid_after(ca.not_valid_after_utc)
            .sign(key, hashes.SHA256())
        )
        signed = base64.b64encode(pem(certificate)).decode()
        body["status"]["certificate"] = signed
        self.requests[body["metadata"]["name"]] = body

    def delete(self, path: str) -> None:
        self.sent.append(("delete", path, {}))

    def until(self, found: Any, wait: Any) -> Any:
        return found(self.requests)


def issued(release: Release) -> list[tuple[str, str, dict[str, Any]]]:
    api: Any = Api()
    request = made("k8s", "system:kube-proxy")
    dialect = signing.dialect(release)
    signing.issue_client(api, api, request, node="n1", timeout=1.0, dialect=dialect)
    sent: list[tuple[str, str, dict[str, Any]]] = api.sent
    return sent


@pytest.mark.parametrize("minor", MINORS)
def test_a_certificate_is_asked_for_in_the_words_of_the_release(minor: int) -> None:
    version = "v1" if minor >= 19 else "v1beta1"
    (_, created, body), (_, approved, decision), (_, deleted, _) = issued(Release(1, minor, 0))
    root = f"/apis/certificates.k8s.io/{version}/certificatesigningrequests"
    assert created == root
    assert approved == f"{root}/fabnode-kube-proxy-n1-x/approval"
    assert deleted == f"{root}/fabnode-kube-proxy-n1-x"
    assert body["apiVersion"] == decision["apiVersion"] == f"certificates.k8s.io/{version}"
    assert ("signerName" in body["spec"]) is (minor >= 18)
    (condition,) = decision["status"]["conditions"]
    assert ("status" in condition) is (version == "v1")
    assert "expirationSeconds" not in body["spec"]


class OtherSigner(Api):
    """Signs, or stores, something else than what it is sent."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        self.fault = fault

    def create(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        if self.fault == "stores":
            other = base64.b64encode(made("k8s", "system:kube-proxy")).decode()
            body = {**body, "spec": {**body["spec"], "request": other}}
        return super().create(path, body)

    def replace(self, path: str, body: dict[str, Any]) -> None:
        if self.fault == "fails":
            failed = {"type": "Failed", "status": "True", "reason": "SignerValidationFailure"}
            body["status"]["conditions"] = [*body["status"]["conditions"], failed]
            self.requests[body["metadata"]["name"]] = body
            return
        other = base64.b64encode(made("k8s", "system:kube-proxy")).decode()
        super().replace(path, {**body, "spec": {**body["spec"], "request": other}})
        self.requests[body["metadata"]["name"]]["spec"] = body["spec"]


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ("stores", "the API stored another request than the one sent"),
        ("fails", "the signer reported a failure"),
        ("signs", "the certificate is for another key than the request's"),
    ],
)
def test_a_signer_that_does_not_sign_what_it_was_asked_for_is_reported(
    fault: str, text: str
) -> None:
    api: Any = OtherSigner(fault)
    request = made("k8s", "system:kube-proxy")
    with pytest.raises(signing.SigningError, match=text):
        signing.issue_client(api, api, request, node="n1", timeout=1.0)
    assert [kind for kind, *_ in api.sent][-1] == "delete"


@pytest.mark.parametrize("minor", MINORS)
def test_every_apiserver_that_may_serve_a_node_speaks_its_dialect(minor: int) -> None:
    """The skew policy lets apiservers be newer, not so new that they would not understand."""
    dialect = signing.dialect(Release(1, minor, 0))
    newest = minor + (3 if minor >= 25 else 2)
    for server in range(minor, newest + 1):
        assert dialect.served_by(Release(1, server, 0)), server


def test_an_apiserver_that_does_not_fit_is_known() -> None:
    assert not signing.dialect(Release(1, 18, 0)).served_by(Release(1, 22, 0))
    assert not signing.dialect(Release(1, 19, 0)).served_by(Release(1, 18, 0))


@pytest.mark.parametrize(
    ("pem_bytes", "usages", "signer"),
    [
        (made("system:nodes", "system:node:n1"), CLIENT_USAGES, CLIENT),
        (made("system:nodes", "system:node:n1"), SERVER_USAGES, SERVING),
        (made("k8s", "system:kube-proxy"), CLIENT_USAGES[::2], APISERVER_CLIENT),
        (made("system:masters", "admin"), CLIENT_USAGES, APISERVER_CLIENT),
        (made("k8s", "system:node:n1"), SERVER_USAGES, UNKNOWN),
        (made("system:nodes", "system:node:n1"), (*CLIENT_USAGES, "server auth"), UNKNOWN),
        (made("system:nodes", "system:node:n1"), ("cert sign",), UNKNOWN),
        (b"rubbish", CLIENT_USAGES, UNKNOWN),
        (made("system:nodes", "system:node:n1") + b"\n" * MOST_BYTES, CLIENT_USAGES, UNKNOWN),
    ],
)
def test_a_request_without_a_signer_is_taken_for_what_it_asks(
    pem_bytes: bytes, usages: tuple[str, ...], signer: str
) -> None:
    assert implied(pem_bytes, usages) == signer


def test_a_second_organization_makes_it_no_nodes_request() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    names = [
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:nodes"),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:masters"),
        x509.NameAttribute(NameOID.COMMON_NAME, "system:node:n1"),
    ]
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(names))
    sent = csr.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    assert implied(sent, CLIENT_USAGES) == APISERVER_CLIENT


def test_the_signer_that_a_request_names_is_the_one_that_counts() -> None:
    item: dict[str, Any] = {
        "metadata": {
            "name": "csr-1",
            "uid": "1",
            "resourceVersion": "1",
            "creationTimestamp": "2026-11-23T12:00:00Z",
        },
        "spec": {
            "request": base64.b64encode(made("system:nodes", "system:node:n1")).decode(),
            "usages": list(CLIENT_USAGES),
            "signerName": "example.org/other",
        },
    }
    assert signing.parse(item).signer == "example.org/other"
    del item["spec"]["signerName"]
    assert signing.parse(item).signer == CLIENT


class Signer(Api):
    """An apiserver on which a request is signed while somebody removes it, or is not."""

    def __init__(self, *, signs: bool) -> None:
        super().__init__()
        made_one = self.create("", {"metadata": {"generateName": "csr-"}, "spec": {"request": ""}})
        self.item: dict[str, Any] | None = made_one
        self._signs = signs

    def find(self, path: str) -> dict[str, Any] | None:
        return self.item

    def delete(self, path: str, *, version: str = "") -> None:
        if self._signs and self.item and "status" not in self.item:
            self.item = {**self.item, "status": {"certificate": "eA=="}}
            raise ApiError(409, "Conflict", "it has been modified")
        assert version == "1"
        self.item = None


def test_what_was_approved_is_ended_unless_it_was_signed() -> None:
    """In the very moment, too: then somebody has a certificate, and that must not be missed."""
    unsigned: Any = Signer(signs=False)
    assert signing.ended_unsigned(unsigned, "csr-x")
    assert unsigned.item is None
    assert signing.ended_unsigned(unsigned, "csr-x")
    signed: Any = Signer(signs=True)
    assert not signing.ended_unsigned(signed, "csr-x")
    assert signed.item is not None


def test_of_requests_that_look_like_ours_few_are_ours() -> None:
    """The label and the annotation anybody may put there; a node's own request is not ours."""

    def item(number: int, username: str) -> Any:
        found = request(f"fabnode-kube-proxy-n1-{number}")
        found["metadata"]["annotations"] = {NODE_ANNOTATION: "n1"}
        found["spec"] |= {"username": username, "signerName": APISERVER_CLIENT}
        return found

    strangers = ("system:node:n2", "system:bootstrap:aaaaaa", "kubelet-bootstrap")
    items = [item(n, username) for n, username in enumerate(strangers)]
    items += [item(n, "admin") for n in range(10, 30)]

    class Labelled:
        def get(self, *_: Any, **__: Any) -> Any:
            return {"items": items}

    found = signing.own_requests(Labelled())  # type: ignore[arg-type]
    assert found == tuple((f"fabnode-kube-proxy-n1-{n}", "n1") for n in range(10, 15))
