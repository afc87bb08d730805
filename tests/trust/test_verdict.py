"""The verdict on signing requests: what is proved is approved, anything else stays pending."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from fabfile.trust.verdict import CLIENT, SERVING, Candidate, SigningRequest, Token, Verdict, judge
from tests import attacks, forgery

pytestmark = pytest.mark.attack

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
N1, N2 = Candidate("n1", "10.0.0.11"), Candidate("n2", "10.0.0.12")
TOKENS = (Token("aaaaaa", "n1", NOW), Token("bbbbbb", "n2", NOW), Token("cccccc", "stranger", NOW))
KEY = ec.generate_private_key(ec.SECP256R1())

Names = list[x509.GeneralName]


def csr(
    common_name: str = "system:node:n1",
    organizations: tuple[str, ...] = ("system:nodes",),
    *,
    names: Names | None = None,
    more: tuple[x509.NameAttribute[str], ...] = (),
) -> bytes:
    """Return a signed PKCS#10 request, PEM."""
    subject = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, o) for o in organizations]
    subject.append(x509.NameAttribute(NameOID.COMMON_NAME, common_name))
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([*subject, *more]))
    if names is not None:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def dns(*names: str) -> Names:
    return [x509.DNSName(name) for name in names]


def ips(*addresses: str) -> Names:
    return [x509.IPAddress(ip_address(address)) for address in addresses]


def client(**changes: object) -> SigningRequest:
    """Return a first client request of n1 as a kubelet makes it, with changes."""
    request = SigningRequest(
        name="csr-abcde",
        uid="1",
        resource_version="7",
        created=NOW + timedelta(seconds=5),
        username="system:bootstrap:aaaaaa",
        groups=("system:bootstrappers", "system:bootstrappers:fabnode", "system:authenticated"),
        signer=CLIENT,
        usages=("digital signature", "client auth"),
        pem=csr(),
        state="Pending",
    )
    return replace(request, **changes)  # type: ignore[arg-type]  # a test's own keywords


def serving(**changes: object) -> SigningRequest:
    """Return a serving request of n1 as a kubelet makes it, with changes."""
    request = replace(
        client(),
        username="system:node:n1",
        groups=("system:nodes", "system:authenticated"),
        signer=SERVING,
        usages=("digital signature", "server auth"),
        pem=csr(names=dns("n1") + ips("10.0.0.11")),
    )
    return replace(request, **changes)  # type: ignore[arg-type]  # a test's own keywords


def verdict(request: SigningRequest, approved: tuple[SigningRequest, ...] = ()) -> Verdict:
    attacks.tried()
    attacks.judged()
    return judge(request, (N1, N2), TOKENS, approved)


@pytest.mark.parametrize(
    "request_",
    [
        client(),
        client(usages=("key encipherment", "digital signature", "client auth")),
        serving(),
        serving(usages=("key encipherment", "digital signature", "server auth")),
        serving(pem=csr(names=ips("10.0.0.11") + dns("n1"))),
    ],
)
def test_what_a_kubelet_asks_for_is_approved(request_: SigningRequest) -> None:
    """The requests that kubelets of configured nodes really make are approved, for that node."""
    found = verdict(request_)
    assert (found.approve, found.node) == (True, "n1"), found.reason


DN = x509.NameAttribute


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (client(username="system:bootstrap:dddddd"), "holds no token of a configured node"),
        (client(username="kubernetes-admin"), "holds no token of a configured node"),
        (client(username="system:bootstrap:AAAAAA"), "holds no token of a configured node"),
        (client(username="system:bootstrap:cccccc"), "not among the nodes of this run"),
        (client(username="system:bootstrap:bbbbbb"), "not 'O=system:nodes, CN=system:node:n2'"),
        (client(created=NOW - timedelta(seconds=1)), "older than the token"),
        (client(state="Approved"), "Approved already"),
        (client(state="Denied"), "Denied already"),
        (client(pem=csr("system:node:n2")), "its subject is"),
        (client(pem=csr("system:node:n1x")), "its subject is"),
        (client(pem=csr("system:node:N1")), "its subject is"),
        (client(pem=csr("system:node:n1\u0430")), "its subject is"),
        (client(pem=csr("admin", ("system:masters",))), "its subject is"),
        (client(pem=csr(organizations=("system:nodes", "system:masters"))), "its subject is"),
        (client(pem=csr(organizations=())), "its subject is"),
        (client(pem=csr(more=(DN(NameOID.ORGANIZATIONAL_UNIT_NAME, "x"),))), "its subject is"),
        (client(pem=csr(more=(DN(NameOID.COMMON_NAME, "root"),))), "its subject is"),
        (client(pem=csr(names=dns("n1"))), "its names are dns:'n1', not none"),
        (client(usages=("digital signature", "client auth", "server auth")), "its usages are"),
        (client(usages=("digital signature",)), "its usages are"),
        (client(usages=()), "its usages are none"),
        (client(signer="kubernetes.io/kube-apiserver-client"), "is not for kubelets"),
        (client(signer="kubernetes.io/legacy-unknown"), "is not for kubelets"),
        (client(pem=b"rubbish"), "not one PEM block"),
        (client(pem=forgery.armoured(b"rubbish")), "not a readable PKCS#10 request"),
        (client(pem=csr().replace(b"\n", b"\r\n")), "not one PEM block"),
        (client(pem=csr(names=[])), "it asks for the extension 2.5.29.17"),
        (serving(username="system:node:n2"), "its subject is"),
        (serving(username="system:node:n3"), "not among the configured nodes"),
        (serving(username="system:bootstrap:aaaaaa"), "not among the configured nodes"),
        (serving(groups=("system:authenticated",)), "not in the group system:nodes"),
        (serving(pem=csr(names=dns("n1"))), "its names are"),
        (serving(pem=csr(names=dns("n1", "kubernetes") + ips("10.0.0.11"))), "its names are"),
        (serving(pem=csr(names=dns("n1") + ips("10.0.0.12"))), "its names are"),
        (serving(pem=csr(names=dns("N1") + ips("10.0.0.11"))), "its names are"),
        (serving(pem=csr(names=dns("n1", "n1") + ips("10.0.0.11"))), "its names are"),
        (
            serving(pem=csr(names=[*dns("n1"), *ips("10.0.0.11"), x509.RFC822Name("a@b")])),
            "its names are",
        ),
        (serving(pem=csr()), "its names are none"),
        (serving(usages=("digital signature", "client auth")), "its usages are"),
    ],
)
def test_anything_else_stays_pending(request_: SigningRequest, reason: str) -> None:
    """Each deviation is refused, and the reason names it."""
    found = verdict(request_)
    assert not found.approve
    assert reason in found.reason


@pytest.mark.parametrize("title", forgery.two_faced("n1", "n2", ["n1"]))
def test_what_go_would_read_differently_is_refused(title: str) -> None:
    """Each of these was approved once, and signed for another name than the one judged."""
    names = ("n1", "10.0.0.11")
    pem = forgery.two_faced("n1", "n2", names)[title]
    assert not verdict(serving(pem=pem)).approve
    plain = forgery.request("system:node:n1", forgery.attribute(forgery.EXTENSIONS, names))
    assert verdict(serving(pem=plain)).approve, "the forger's tools make good requests, too"


def test_reasons_stay_short_whatever_is_asked_for() -> None:
    name = "system:node:" + "n" * 60_000
    long = forgery.request(name, subject_der=forgery.subject(name))
    many = forgery.attribute(forgery.EXTENSIONS, [f"n{i}" for i in range(5000)])
    for pem in (long, forgery.request("system:node:n1", many)):
        assert len(verdict(client(pem=pem)).reason) < 400


def test_a_token_is_good_for_one_certificate() -> None:
    """A second request with the same token is refused once the first was approved."""
    first = client(state="Approved")
    second = client(uid="2", name="csr-again")
    assert "was approved before" in verdict(second, (first,)).reason


def test_a_broken_signature_is_refused() -> None:
    """A request that was altered after signing does not hold."""
    good = x509.load_pem_x509_csr(csr()).public_bytes(serialization.Encoding.DER)
    altered = good.replace(b"system:node:n1", b"system:node:n2")
    pem = x509.load_der_x509_csr(altered).public_bytes(serialization.Encoding.PEM)
    request = client(pem=pem, username="system:bootstrap:bbbbbb")
    assert "signature does not hold" in verdict(request).reason


def test_a_node_named_by_its_address_has_no_dns_name() -> None:
    """Kubelets put an IP node name among the IP addresses."""
    node = Candidate("10.0.0.11", "10.0.0.11")
    request = serving(
        username="system:node:10.0.0.11", pem=csr("system:node:10.0.0.11", names=ips("10.0.0.11"))
    )
    assert judge(request, (node,), ()).approve


@given(pem=st.binary(max_size=400), username=st.text(), signer=st.sampled_from([CLIENT, SERVING]))
def test_no_input_makes_the_judge_fall_over(pem: bytes, username: str, signer: str) -> None:
    """Whatever stands in a request, there is a verdict, and it is no."""
    header = b"-----BEGIN CERTIFICATE REQUEST-----\n"
    for data in (pem, header + pem):
        assert not verdict(client(pem=data, username=username, signer=signer)).approve


@given(where=st.integers(min_value=0), flip=st.integers(min_value=1, max_value=255))
def test_no_altered_request_is_approved(where: int, flip: int) -> None:
    """Flipping any byte of a good request's DER never leaves it approved for another content."""
    good = x509.load_pem_x509_csr(csr()).public_bytes(serialization.Encoding.DER)
    at = where % len(good)
    der = good[:at] + bytes([good[at] ^ flip]) + good[at + 1 :]
    pem = (
        b"-----BEGIN CERTIFICATE REQUEST-----\n"
        + base64.encodebytes(der)
        + b"-----END CERTIFICATE REQUEST-----\n"
    )
    assert not verdict(client(pem=pem)).approve
