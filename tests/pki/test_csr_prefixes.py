"""A request's beginning tells its subject, whatever its key and its signature."""

from __future__ import annotations

import base64

import pytest

from fabnode.pki.certificates import new_request
from fabnode.pki.csr_prefixes import request_prefixes, second_block_marks

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
