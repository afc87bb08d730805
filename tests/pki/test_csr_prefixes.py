"""A request's beginning tells its subject, whatever its key and its signature."""

from __future__ import annotations

import base64

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fabnode.pki.certificates import new_request
from fabnode.pki.csr_prefixes import (
    Beginnings,
    beginning_with,
    request_prefixes,
    second_block_marks,
)

SUBJECTS: dict[str, dict[str, str]] = {
    "none": {},
    "organization": {"organization": "k8s"},
    "all": {
        "country": "CN",
        "state": "HangZhou",
        "locality": "XS",
        "organization": "k8s",
        "organizational_unit": "System",
    },
    "long": {"organization": "o" * 64, "organizational_unit": "u" * 64, "locality": "l" * 64},
}


def encoded(common_name: str, subject: dict[str, str]) -> str:
    return base64.b64encode(new_request(common_name, subject).request_pem).decode()


@pytest.mark.parametrize("subject", SUBJECTS.values(), ids=SUBJECTS)
def test_every_request_of_that_subject_begins_so(subject: dict[str, str]) -> None:
    starts = request_prefixes("system:kube-proxy", subject)
    for _ in range(50):
        assert encoded("system:kube-proxy", subject).startswith(starts)


@pytest.mark.parametrize("subject", SUBJECTS.values(), ids=SUBJECTS)
def test_no_request_of_another_subject_begins_so(subject: dict[str, str]) -> None:
    starts = request_prefixes("system:kube-proxy", subject)
    for name in ("system:kube-proxz", "system:kube-prox", "system:kube-controller-manager"):
        assert not encoded(name, subject).startswith(starts)
    for other in SUBJECTS.values():
        if other != subject:
            assert not encoded("system:kube-proxy", other).startswith(starts)


@pytest.mark.parametrize("shift", range(3))
def test_a_second_block_is_seen_at_every_alignment(shift: int) -> None:
    text = base64.b64encode(b"x" * shift + b"-----BEGIN CERTIFICATE REQUEST-----").decode()
    assert any(one in text for one in second_block_marks())
    assert not any(one in encoded("system:kube-proxy", {})[48:] for one in second_block_marks())


START, LONGEST = "system:kube-proxy:", 46


def begins(found: Beginnings, text: str) -> bool:
    """Do what the admission policy does."""
    (at,) = {len(head) for head in found.heads}
    return text.startswith(found.heads) and text[at:].startswith(found.rests)


@pytest.mark.parametrize("subject", SUBJECTS.values(), ids=SUBJECTS)
def test_a_request_whose_name_goes_on_is_known_by_its_beginning(subject: dict[str, str]) -> None:
    found = beginning_with(START, subject, LONGEST)
    for count in range(1, LONGEST + 1):
        for _ in range(3):
            assert begins(found, encoded(START + "n" * count, subject)), count


@pytest.mark.parametrize("subject", SUBJECTS.values(), ids=SUBJECTS)
def test_no_request_of_another_name_begins_so(subject: dict[str, str]) -> None:
    found = beginning_with(START, subject, LONGEST)
    names = ("kube-proxy", "kube-controller-manager", "node:n1", "kube-pro", "kube-prox", "masters")
    for name in (*(f"system:{each}" for each in names), "admin", "k" * 64):
        for filled in (name, name.ljust(30, "x"), name.ljust(64, "x")):
            assert not begins(found, encoded(filled, subject)), filled
    for other in SUBJECTS.values():
        if other != subject:
            assert not begins(found, encoded(f"{START}n1", other))


@pytest.mark.parametrize("subject", SUBJECTS.values(), ids=SUBJECTS)
def test_the_name_is_the_last_part_of_the_subject(subject: dict[str, str]) -> None:
    """What a beginning leaves free is the end of the name alone: lengths before it are known."""
    found = beginning_with(START, subject, LONGEST)
    for organization in ("system:masters", "system:nodes"):
        request = _request([("CN", f"{START}n1"), ("O", organization)])
        assert not begins(found, request)
        parts = [*subject.items()]
        assert not begins(found, encoded(f"{START}n1", dict(parts, organization=organization)))


def _request(parts: list[tuple[str, str]]) -> str:
    """Return a request whose CN comes first."""
    oids = {"CN": NameOID.COMMON_NAME, "O": NameOID.ORGANIZATION_NAME}
    name = x509.Name([x509.NameAttribute(oids[key], value) for key, value in parts])
    key = ec.generate_private_key(ec.SECP256R1())
    made = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return base64.b64encode(made.public_bytes(serialization.Encoding.PEM)).decode()


def test_the_beginnings_are_few_enough_for_an_expression_of_a_policy() -> None:
    """cel-go parses at most 100,000 characters."""
    found = beginning_with(START, SUBJECTS["long"], LONGEST)
    assert sum(map(len, (*found.heads, *found.rests))) < 40_000
