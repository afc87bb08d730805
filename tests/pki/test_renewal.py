"""Which certificates are made again: what was asked for, and nothing twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from fabnode.pki.certificates import ProblemKind, issued_by, problem, problems, read, split
from fabnode.pki.renewal import BACKDATED, CLIENT, KEEP, KINDS, SERVING, Renewal
from tests.support import authority, certificate, pem

NOW = datetime.now(UTC)
PEM = certificate("system:node:n1", days=100)
OLD, NEW = pem(authority()[0]), pem(authority("new-ca")[0])
ENDED = authority("ended-ca", days=1)


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (KEEP, None),
        (Renewal((SERVING,)), None),
        (Renewal((CLIENT,)), "it was issued on "),
        (Renewal(KINDS, issued_before=NOW - timedelta(minutes=1)), None),
        (Renewal(KINDS, issued_before=NOW + timedelta(minutes=1)), "it was issued on "),
        (Renewal(KINDS, ends_before=NOW + timedelta(days=99)), None),
        (Renewal(KINDS, ends_before=NOW + timedelta(days=101)), "it ends on "),
        (Renewal(KINDS, authority=OLD), None),
        (Renewal(KINDS, authority=NEW), "signed by CN=test-ca, not by the new CA"),
        (Renewal(KINDS, issued_before=NOW - timedelta(hours=1), authority=NEW), None),
    ],
)
def test_every_condition_must_be_met(asked: Renewal, why: str | None) -> None:
    found = asked.reason(CLIENT, PEM)
    assert (found is None) if why is None else why in (found or "")


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (KEEP, ""),
        (Renewal((SERVING,)), ""),
        (Renewal((CLIENT,)), ""),
        (
            Renewal(KINDS, issued_before=NOW - timedelta(hours=1)),
            "issued 8 minutes ago; `--issued-before now` renews it",
        ),
        (Renewal(KINDS, ends_before=NOW + timedelta(days=99)), "; without `--due` it is renewed"),
        (Renewal(KINDS, authority=OLD), "the new CA has signed it"),
        (Renewal(KINDS, authority=NEW), ""),
    ],
)
def test_what_is_kept_has_its_reason(asked: Renewal, why: str) -> None:
    later = read(PEM).not_before + BACKDATED + timedelta(minutes=8)
    assert asked.reason_to_keep(CLIENT, PEM, later).endswith(why)
    assert bool(asked.reason_to_keep(CLIENT, PEM, later)) == bool(why)
    assert "can be read" in Renewal(KINDS).reason_to_keep(CLIENT, "", later)


@pytest.mark.parametrize("text", ["", "rubbish", "-----BEGIN CERTIFICATE-----"])
def test_what_is_no_certificate_is_not_renewed(text: str) -> None:
    assert Renewal(KINDS).reason(CLIENT, text) is None
    assert not issued_by(text, OLD)


def test_a_bundle_holds_what_either_ca_signed() -> None:
    for bundle in (OLD + NEW, NEW + OLD):
        assert problem(PEM, bundle, NOW) is None
        assert issued_by(PEM, bundle)
    assert not issued_by(PEM, NEW)
    assert [p.kind for p in problems(PEM, NEW, NOW)] == [ProblemKind.FOREIGN_CA]
    assert split(NEW + OLD + NEW) == (NEW, OLD)


def test_a_ca_that_has_ended_holds_nothing() -> None:
    by_ended = certificate("system:node:n1", by=ENDED)
    later = read(pem(ENDED[0])).not_after - timedelta(minutes=1)
    assert problem(by_ended, NEW + pem(ENDED[0]), later) is None
    after = read(pem(ENDED[0])).not_after
    assert problem(by_ended, NEW + pem(ENDED[0]), after)
