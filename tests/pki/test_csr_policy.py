"""The verdict on signing requests: what is proved is approved, anything else stays pending."""

from __future__ import annotations

import base64
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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
    judge,
)
from tests import attacks, forgery

pytestmark = pytest.mark.attack

# Machines that run tests may be busy: a slow example is no fault.
_LIMITS = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
N1, N2 = Candidate("n1", "10.0.0.11"), Candidate("n2", "10.0.0.12")
TOKENS = (Token("aaaaaa", "n1", NOW), Token("bbbbbb", "n2", NOW), Token("cccccc", "stranger", NOW))
KEY = ec.generate_private_key(ec.SECP256R1())

OTHER_KEY = ec.generate_private_key(ec.SECP256R1())
HANDOUTS = (IssuedToken("n1", NOW), IssuedToken("stranger", NOW))

Names = list[x509.GeneralName]


def csr(
    common_name: str = "system:node:n1",
    organizations: tuple[str, ...] = ("system:nodes",),
    *,
    names: Names | None = None,
    more: tuple[x509.NameAttribute[str], ...] = (),
    key: ec.EllipticCurvePrivateKey = KEY,
) -> bytes:
    """Return a signed PKCS#10 request, PEM."""
    subject = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, o) for o in organizations]
    subject.append(x509.NameAttribute(NameOID.COMMON_NAME, common_name))
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([*subject, *more]))
    if names is not None:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


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


def shared(**changes: object) -> SigningRequest:
    """Return a first client request of n1, made with the token that all hosts share."""
    user, groups = "kubelet-bootstrap", ("system:kubelet-bootstrap", "system:authenticated")
    request = replace(client(), username=user, groups=groups)
    return replace(request, **changes)  # type: ignore[arg-type]  # a test's own keywords


def on_host(key: ec.EllipticCurvePrivateKey = KEY) -> HostKey:
    """Return what a host tells on which this key waits."""
    return HostKey(public_bytes(x509.load_pem_x509_csr(csr(key=key))))


def shared_verdict(
    request: SigningRequest,
    approved: tuple[SigningRequest, ...] = (),
    keys: dict[str, HostKey] | None = None,
) -> Verdict:
    attacks.tried()
    attacks.judged()
    keys = {"n1": on_host(), "n2": on_host(OTHER_KEY)} if keys is None else keys
    return judge(request, (N1, N2), TOKENS, approved, issued_tokens=HANDOUTS, keys=keys)


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
        (client(username="system:bootstrap:dddddd"), "has no token issued to a configured node"),
        (client(username="kubernetes-admin"), "has no token issued to a configured node"),
        (client(username="system:bootstrap:AAAAAA"), "has no token issued to a configured node"),
        (client(username="system:bootstrap:cccccc"), "which is not a node of this run"),
        (client(username="system:bootstrap:bbbbbb"), "not 'O=system:nodes, CN=system:node:n2'"),
        (client(created=NOW - timedelta(seconds=1)), "older than its token"),
        (client(state="Approved"), "already Approved"),
        (client(state="Denied"), "already Denied"),
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
        (
            client(signer="kubernetes.io/kube-apiserver-client"),
            "does not issue kubelets' certificates",
        ),
        (client(signer="kubernetes.io/legacy-unknown"), "does not issue kubelets' certificates"),
        (client(pem=b"rubbish"), "not exactly one PEM block"),
        (client(pem=forgery.armoured(b"rubbish")), "not a readable PKCS#10 request"),
        (client(pem=csr().replace(b"\n", b"\r\n")), "not exactly one PEM block"),
        (client(pem=csr(names=[])), "it asks for the extension 2.5.29.17"),
        (serving(username="system:node:n2"), "its subject is"),
        (serving(username="system:node:n3"), "not a configured node"),
        (serving(username="system:bootstrap:aaaaaa"), "not a configured node"),
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


def test_a_giant_costs_nothing_to_refuse() -> None:
    """A flood of such must not hold up who joins meanwhile."""
    giant = forgery.attribute(forgery.EXTENSIONS, [f"n{i}" for i in range(60_000)])
    request = serving(pem=forgery.request("system:node:n1", giant))
    began = time.monotonic()
    for _ in range(300):
        assert "longer than a kubelet's request" in verdict(request).reason
    assert time.monotonic() - began < 2


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
    """A request that was altered after signing is invalid."""
    good = x509.load_pem_x509_csr(csr()).public_bytes(serialization.Encoding.DER)
    altered = good.replace(b"system:node:n1", b"system:node:n2")
    pem = x509.load_der_x509_csr(altered).public_bytes(serialization.Encoding.PEM)
    request = client(pem=pem, username="system:bootstrap:bbbbbb")
    assert "signature is invalid" in verdict(request).reason


def test_a_node_named_by_its_address_has_no_dns_name() -> None:
    """Kubelets put an IP node name among the IP addresses."""
    node = Candidate("10.0.0.11", "10.0.0.11")
    request = serving(
        username="system:node:10.0.0.11", pem=csr("system:node:10.0.0.11", names=ips("10.0.0.11"))
    )
    assert judge(request, (node,), ()).approve


@pytest.mark.parametrize(
    ("asked", "approved"),
    [
        (("10.0.0.11", "2001:db8::11"), True),
        (("2001:db8::11", "10.0.0.11"), True),
        (("10.0.0.11",), False),
        (("2001:db8::11",), False),
        (("10.0.0.11", "2001:db8::12"), False),
        (("10.0.0.11", "2001:db8::11", "2001:db8::12"), False),
        (("10.0.0.11", "::ffff:10.0.0.11", "2001:db8::11"), False),
    ],
)
def test_a_node_of_two_families_is_certified_for_both_its_addresses(
    asked: tuple[str, ...], approved: bool
) -> None:
    node = Candidate("n1", "10.0.0.11", "2001:db8::11")
    request = serving(pem=csr(names=[*dns("n1"), *ips(*asked)]))
    found = judge(request, (node,), ())
    assert found.approve is approved, found.reason


def test_with_a_shared_token_the_key_on_the_host_decides() -> None:
    """The request of the host whose key waits there is approved, for the node that it names."""
    found = shared_verdict(shared())
    assert (found.approve, found.node) == (True, "n1"), found.reason
    assert "the key that waits on its host" in found.reason


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (shared(state="Approved"), "already Approved"),
        (shared(groups=("system:authenticated",)), "not in the group system:kubelet-bootstrap"),
        (shared(username="kubelet-Bootstrap"), "has no token issued to a configured node"),
        (shared(pem=csr("system:node:n3")), "names no node of this run"),
        (shared(pem=csr("system:node:stranger")), "names no node of this run"),
        (shared(pem=csr("n1")), "names no node of this run"),
        (shared(pem=csr("system:node:N1")), "names no node of this run"),
        (shared(pem=csr("system:node:")), "names no node of this run"),
        (shared(pem=csr(more=(DN(NameOID.COMMON_NAME, "root"),))), "names no node of this run"),
        (shared(pem=b"rubbish"), "names no node of this run"),
        (shared(pem=csr("system:node:n2", key=OTHER_KEY)), "n2"),
        (shared(created=NOW - timedelta(seconds=1)), "older than the issue of the shared token"),
        (shared(usages=("digital signature", "client auth", "server auth")), "its usages are"),
        (shared(pem=csr(organizations=("system:masters",))), "its subject is"),
        (shared(pem=csr(organizations=("system:nodes", "system:masters"))), "its subject is"),
        (shared(pem=csr(names=dns("n1"))), "its names are dns:'n1', not none"),
        (shared(pem=csr(key=OTHER_KEY)), "its key is not the one that waits on n1's host"),
        (
            shared(signer=SERVING, usages=("digital signature", "server auth")),
            "is not a configured node",
        ),
        (
            shared(signer="kubernetes.io/kube-apiserver-client"),
            "does not issue kubelets' certificates",
        ),
    ],
)
def test_anything_else_with_a_shared_token_stays_pending(
    request_: SigningRequest, reason: str
) -> None:
    """All that is asked of a host with a token of its own, and the key besides."""
    found = shared_verdict(request_)
    assert not found.approve
    assert not found.asks
    assert reason in found.reason


def test_a_shared_token_needs_a_key_to_compare_with() -> None:
    """Nobody has looked yet; it has none; the host could not be asked: three ways of no."""
    unknown = shared_verdict(shared(), keys={})
    assert (unknown.approve, unknown.asks) == (False, True)
    none = shared_verdict(shared(), keys={"n1": HostKey()})
    assert "no key waits on n1's host" in none.reason
    away = shared_verdict(shared(), keys={"n1": HostKey(fault="no route to host")})
    assert "can't be read: no route to host" in away.reason
    assert not any(found.approve or found.asks for found in (none, away))
    bad = shared_verdict(shared(usages=()), keys={})
    assert not bad.asks, "what is refused anyway asks nobody"


def test_a_node_gets_one_certificate_with_a_shared_token() -> None:
    """However its first request was made; those from before the handing over don't count."""
    for first in (shared(state="Approved"), client(state="Approved")):
        again = shared(uid="2", name="csr-again")
        assert "was approved before" in shared_verdict(again, (first,)).reason
        earlier = replace(first, created=NOW - timedelta(minutes=5))
        assert shared_verdict(again, (earlier,)).approve
        other = replace(first, pem=csr("system:node:n2"))
        assert shared_verdict(again, (other,)).approve


def test_with_an_own_token_a_key_that_waits_is_compared_too() -> None:
    def found(key: HostKey) -> Verdict:
        return judge(client(), (N1, N2), TOKENS, keys={"n1": key})

    assert found(HostKey()).approve, "kubelets that rotate keep their key in memory"
    assert found(on_host()).approve
    assert "the key that waits on its host" in found(on_host()).reason
    assert "its key is not the one" in found(on_host(OTHER_KEY)).reason
    assert "can't be read: it is off" in found(HostKey(fault="it is off")).reason


@_LIMITS
@given(
    pem=st.binary(max_size=400),
    username=st.text() | st.just("kubelet-bootstrap"),
    signer=st.sampled_from([CLIENT, SERVING]),
)
def test_no_input_makes_the_judge_fall_over(pem: bytes, username: str, signer: str) -> None:
    """Whatever stands in a request, there is a verdict, and it is no."""
    header = b"-----BEGIN CERTIFICATE REQUEST-----\n"
    for data in (pem, header + pem):
        request = shared(pem=data, username=username, signer=signer)
        assert not verdict(request).approve
        assert not shared_verdict(request).approve


@_LIMITS
@given(
    name=st.sampled_from(["n1", "n2", "stranger", "n3"]),
    key=st.sampled_from([KEY, OTHER_KEY]),
    waiting=st.sampled_from([KEY, OTHER_KEY, None]),
    age=st.integers(min_value=-5, max_value=5),
    group=st.sampled_from(["system:kubelet-bootstrap", "system:bootstrappers", "system:masters"]),
    handed=st.sets(st.sampled_from(["n1", "n2", "stranger"])),
)
def test_a_shared_token_is_good_for_nothing_but_the_key_on_the_host(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    waiting: ec.EllipticCurvePrivateKey | None,
    age: int,
    group: str,
    handed: set[str],
) -> None:
    """Approved exactly when every line of the policy holds, by other means than the code's."""
    request = shared(
        pem=csr(f"system:node:{name}", key=key),
        created=NOW + timedelta(seconds=age),
        groups=(group,),
    )
    keys = {name: on_host(waiting) if waiting else HostKey()}
    issued_tokens = tuple(IssuedToken(node, NOW) for node in sorted(handed))
    found = judge(request, (N1, N2), TOKENS, issued_tokens=issued_tokens, keys=keys)
    good = name in {"n1", "n2"} & handed and key is waiting and age >= 0
    assert found.approve == (good and group == "system:kubelet-bootstrap"), found.reason


@_LIMITS
@given(where=st.integers(min_value=0), flip=st.integers(min_value=1, max_value=255))
def test_no_altered_request_is_approved(where: int, flip: int) -> None:
    """Flipping any byte of a good request's DER never leaves it approved for another content."""
    request = x509.load_pem_x509_csr(csr())
    good, signed = request.public_bytes(serialization.Encoding.DER), request.tbs_certrequest_bytes
    at = where % len(good)
    der = good[:at] + bytes([good[at] ^ flip]) + good[at + 1 :]
    pem = (
        b"-----BEGIN CERTIFICATE REQUEST-----\n"
        + base64.encodebytes(der)
        + b"-----END CERTIFICATE REQUEST-----\n"
    )
    for found in (verdict(client(pem=pem)), shared_verdict(shared(pem=pem))):
        # All that a certificate is made from is signed. Not so how many bits of the signature are
        # padding: a flip there leaves the very content that was approved before.
        if found.approve:
            assert x509.load_pem_x509_csr(pem).tbs_certrequest_bytes == signed
