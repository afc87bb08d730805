"""The list of certificates: each fault is reported, and nothing that is good is called bad."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st

from fabnode.pki.certificates import new_request, sign_client
from fabnode.pki.inventory import CertificateRow, authorities, row
from fabnode.remote.key_pairs import parse
from tests.support import authority, pem

CA = pem(authority()[0])
OTHER_CA = pem(authority("another-ca")[0])
NOW = datetime.now(UTC)


def issued(days: int = 365) -> tuple[str, str]:
    """Return a certificate and the public half of its key, in OpenSSH's form."""
    request = new_request("system:node:n1", {"organization": "system:nodes"})
    ca_key = authority()[1].private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    certificate = sign_client(request.request_pem, CA, ca_key, days=days).decode()
    key = serialization.load_pem_private_key(request.key_pem, None)
    public = key.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    return certificate, public.decode()


PEM, KEY = issued()
OTHER_PEM, OTHER_KEY = issued()


def judged(text: str = PEM, key: str = KEY, mode: int = 0o600, ca: bytes = CA) -> CertificateRow:
    return row("n1", "x", "/x", text, ca_pem=ca, now=NOW, mode=mode, public_key=key)


def test_a_good_one_has_no_faults() -> None:
    found = judged()
    assert found.faults == ()
    assert found.subject == "CN=system:node:n1,O=system:nodes"
    assert not found.near(30)
    assert found.near(366)


@pytest.mark.parametrize(
    ("found", "fault"),
    [
        (judged(key=OTHER_KEY), "its key is a different one"),
        (judged(key=""), "its key can't be read"),
        (judged(mode=0o640), "others can access its file (mode 0640)"),
        (judged(mode=0o604), "others can access its file (mode 0604)"),
        (judged(ca=PEM.encode()), "signed by another CA"),
        (judged(text="rubbish"), "not a readable certificate"),
    ],
)
def test_each_fault_is_reported(found: CertificateRow, fault: str) -> None:
    assert len(found.faults) == 1
    assert fault in found.faults[0]


def test_an_expired_one_is_near_its_end_and_wrong() -> None:
    later = NOW + timedelta(days=400)
    found = row("n1", "x", "/x", PEM, ca_pem=CA, now=later)
    assert found.near(0)
    assert found.faults[0].startswith("expired on")


def test_what_a_node_prints_is_read() -> None:
    lines = "\n".join(f"pem {line}" for line in PEM.splitlines())
    found = parse(f"path 600 /a\n{lines}\nkey {KEY}\npath 644 /b\n", ["/a", "/b", "/c"])
    assert found["/a"].mode == 0o600
    assert found["/a"].certificates == PEM.strip()
    assert found["/a"].public_key == KEY
    assert (found["/b"].mode, found["/b"].certificates, found["/b"].public_key) == (0o644, "", "")
    assert "/c" not in found


@given(st.text())
def test_whatever_a_node_prints_is_read_or_refused(output: str) -> None:
    try:
        found = parse(output, ["/a"])
    except (ValueError, KeyError):
        return
    assert set(found) <= {"/a"}


def test_each_ca_has_a_row_and_what_signed_it_does_not_matter() -> None:
    other = pem(authority("new-ca")[0])
    (one,) = authorities("ca.pem", CA, NOW)
    assert (one.where, one.name, one.path, one.faults) == ("cluster", "CA", "ca.pem", ())
    assert [r.name for r in authorities("ca.pem", other + CA, NOW)] == ["CA 1 of 2", "CA 2 of 2"]
    (ended,) = authorities("ca.pem", CA, NOW + timedelta(days=366))
    assert "expired" in ended.faults[0]


def test_a_ca_signed_by_another_is_judged_by_its_age_all_the_same() -> None:
    (good,) = authorities("ca.pem", PEM.encode(), NOW)
    (ended,) = authorities("ca.pem", PEM.encode(), NOW + timedelta(days=400))
    assert good.faults == ()
    assert [fault.split(" on ")[0] for fault in ended.faults] == ["expired"]


def test_a_foreign_one_that_has_expired_has_both_faults() -> None:
    found = row("n1", "x", "/x", PEM, ca_pem=OTHER_CA, now=NOW + timedelta(days=400))
    assert [fault[:10] for fault in found.faults] == ["signed by ", "expired on"]


def test_mode_and_end_are_shown() -> None:
    found = judged()
    assert found.mode == "0600"
    assert datetime.fromisoformat(found.ends) > NOW + timedelta(days=363)
