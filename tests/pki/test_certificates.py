"""Certificates: what is good, what is not and why, and signing with a CA key that is given."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from fabnode.pki.certificates import (
    BadCertificateError,
    CertificateFile,
    ProblemKind,
    belongs,
    new_request,
    problem,
    problems,
    read,
    sign_client,
)
from tests.support import authority, pem
from tests.util import test_tls as tls

CA = pem(authority()[0])


def now() -> datetime:
    """Return the time of the test: certificates are valid from the moment they are signed."""
    return datetime.now(UTC)


def key_pem(
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey,
) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


KUBEADMS = b"""
-----BEGIN CERTIFICATE-----
MIIBbDCCARKgAwIBAgIBADAKBggqhkjOPQQDAjAVMRMwEQYDVQQDDAprdWJlcm5l
dGVzMB4XDTI2MTEyOTA4NDQ0NloXDTM2MTEyNjA4NDQ0NlowFTETMBEGA1UEAwwK
a3ViZXJuZXRlczBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABNcJe9a9JuoPIdPI
pqe0lXPsfJj1AdHZ+iWmBiVXiCMXPAJUA3wmg5Kew/i1axERle/naYC/rJs0oOHU
x3PpujSjUzBRMB0GA1UdDgQWBBSQVo65ZlfQNo5rS6O7eqt2B5IL+jAfBgNVHSME
GDAWgBSQVo65ZlfQNo5rS6O7eqt2B5IL+jAPBgNVHRMBAf8EBTADAQH/MAoGCCqG
SM49BAMCA0gAMEUCIDKsnpce+ZkzWR57p6retHrUTmesSTp4/fkG7+MMcmktAiEA
nR1vyEHalCTNEahT1WN50DY2O9LjX8XvS1oEc7xW1rY=
-----END CERTIFICATE-----
"""
"""A CA with the serial number 0, as kubeadm made them for years."""


def signed(days: int = 365) -> tuple[bytes, bytes]:
    """Return a request and the certificate signed for it."""
    request = new_request("system:kube-proxy", {"organization": "k8s", "country": "CN"})
    return request.request_pem, sign_client(
        request.request_pem, CA, key_pem(authority()[1]), days=days
    )


def test_a_ca_of_kubeadm_is_read_without_a_word_on_the_screen() -> None:
    code = "import sys; from fabnode.pki.certificates import read; read(sys.stdin.buffer.read())"
    done = subprocess.run(
        [sys.executable, "-c", code], input=KUBEADMS, capture_output=True, check=True
    )
    assert done.stderr == b""


def test_a_locally_signed_certificate_says_what_was_asked_and_holds() -> None:
    request, certificate = signed()
    found = read(certificate)
    assert found.common_name == "system:kube-proxy"
    assert found.organizations == ("k8s",)
    assert problem(certificate, CA, now()) is None
    assert belongs(certificate, request)
    assert 363 < found.days_left(now()) <= 365


def test_no_certificate_outlives_its_ca() -> None:
    _, certificate = signed(days=3650)
    assert read(certificate).not_after == read(CA).not_after


UNREADABLE, FOREIGN = ProblemKind.UNREADABLE, ProblemKind.FOREIGN_CA
EARLY, EXPIRED = ProblemKind.NOT_YET_VALID, ProblemKind.EXPIRED
OTHER_CA = pem(authority("other-ca")[0])


@pytest.mark.parametrize(
    ("text", "ca", "days", "kinds", "first"),
    [
        ("rubbish", CA, 0, (UNREADABLE,), "not a readable certificate"),
        ("", CA, 0, (UNREADABLE,), "not a readable certificate"),
        (signed()[1], CA, 0, (), ""),
        (signed()[1], CA, -1, (EARLY,), "not valid before"),
        (signed(days=3)[1], CA, 4, (EXPIRED,), "expired on"),
        (signed()[1], CA, 400, (EXPIRED, ProblemKind.CA_EXPIRED), "expired on"),
        (signed()[1], OTHER_CA, 0, (FOREIGN,), "signed by another CA (CN=test-ca)"),
        (signed()[1], OTHER_CA, 400, (FOREIGN, EXPIRED), "signed by another CA"),
        (signed()[1], OTHER_CA, -1, (FOREIGN, EARLY), "signed by another CA"),
    ],
)
def test_every_problem_is_found_whose_it_is_first(
    text: str | bytes, ca: bytes, days: int, kinds: tuple[ProblemKind, ...], first: str
) -> None:
    moment = now() + timedelta(days=days)
    assert tuple(p.kind for p in problems(text, ca, moment)) == kinds
    assert str(problem(text, ca, moment) or "").startswith(first)
    assert (problem(text, ca, moment) is None) == (not kinds)


def test_a_bundle_of_cas_will_do() -> None:
    _, certificate = signed()
    assert problem(certificate, certificate + CA, now()) is None


def test_another_keys_certificate_does_not_belong() -> None:
    request, _ = signed()
    _, other = signed()
    assert not belongs(other, request)
    assert not belongs(b"rubbish", request)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (key_pem(ec.generate_private_key(ec.SECP256R1())), "does not belong"),
        (key_pem(ed25519.Ed25519PrivateKey.generate()), "does not belong"),
        (b"rubbish", "can't be read"),
    ],
)
def test_a_wrong_ca_key_is_refused(key: bytes, message: str) -> None:
    request = new_request("x", {}).request_pem
    with pytest.raises(BadCertificateError, match=message):
        sign_client(request, CA, key)


def named(*values: str) -> str:
    """Return a certificate, PEM, whose subject has these organizations."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, value) for value in values])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).serial_number(1)
    builder = builder.public_key(key.public_key()).not_valid_before(now() - timedelta(days=1))
    return pem(builder.not_valid_after(now()).sign(key, hashes.SHA256())).decode()


def test_a_name_is_shown_on_one_line_of_a_bounded_length() -> None:
    """Anybody makes a certificate, and chooses what is in its name."""
    certificate = read(named("x\ncritical  n1: /etc/shadow", "\u2028\u202e\x1b[2J"))
    for shown in (certificate.subject, certificate.issuer):
        assert shown.isprintable()
        assert "x\\0Acritical" in shown
        assert "\\E2\\80\\AE" in shown
    assert certificate.organizations[0].startswith("x\ncritical"), "what is compared stays"
    assert len(read(named(*["y" * 60] * 100)).subject) < 500
    assert "\n" not in str(problem(named("a\nb"), CA, now()))


def test_a_key_shows_in_no_repr() -> None:
    assert "PRIVATE" not in repr(new_request("x", {}))


def test_intermediates_behind_a_certificate_lead_to_its_ca() -> None:
    """As kubelet and apiserver show them: the root alone is trusted."""
    root, second = pem(tls.ROOT[0]), pem(tls.INTERMEDIATE[0])
    leaf = pem(tls.SERVER[0])
    assert problem(leaf + second, root, tls.NOW) is None
    assert problem(CertificateFile.of((leaf + second).decode()), root, tls.NOW) is None
    assert problem(leaf, second, tls.NOW) is None
    alone = problem(leaf, root, tls.NOW)
    assert alone
    assert alone.kind is FOREIGN
    late = problem(leaf + second, root, tls.NOW + timedelta(days=2))
    assert late
    assert late.kind is FOREIGN  # the intermediate has ended as well


def test_what_follows_a_certificate_and_is_no_ca_of_it_leads_nowhere() -> None:
    root = pem(tls.ROOT[0])
    leaf = pem(tls.SERVER[0])
    for other in (leaf, pem(authority("other")[0]), b"-----BEGIN CERTIFICATE-----\nAAAA\n"):
        found = problem(leaf + other * 9, root, tls.NOW)
        assert found
        assert found.kind is FOREIGN
