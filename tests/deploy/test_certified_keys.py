"""Who holds what was certified: an alarm only where a certificate went to another key."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from fabnode.deploy.certified_keys import CertifiedKeys, Holder, holder
from fabnode.kube import csr
from fabnode.pki.certificates import new_request, sign_client
from fabnode.pki.csr_policy import CLIENT, SigningRequest
from tests.support import authority, make_config, pem, private_pem

if TYPE_CHECKING:
    from fabnode.deploy.change_guard import ChangeGuard
    from fabnode.deploy.request_judge import RequestJudge
    from fabnode.kube.client import Api

CA, KEY = authority()


def issued(name: str) -> tuple[SigningRequest, bytes]:
    """Return an approved request, and the certificate issued for it."""
    made = new_request("system:node:n1", {"organization": "system:nodes"})
    signed = sign_client(made.request_pem, pem(CA), private_pem(KEY))
    request = SigningRequest(
        name=name,
        uid=name,
        resource_version="1",
        created=datetime.now(UTC),
        username="system:bootstrap:aaaaaa",
        groups=(),
        signer=CLIENT,
        usages=(),
        pem=made.request_pem,
        state="Approved",
        certificate=signed,
    )
    return request, signed


MINE, HELD = issued("mine")
THEIRS = issued("theirs")[0]
OLD = issued("old")[1]
UNSIGNED = replace(MINE, certificate=b"")


@pytest.mark.parametrize(
    ("requests", "on_host", "expected"),
    [
        ([], HELD, Holder.NOBODY),
        ([], b"", Holder.NOBODY),
        ([], OLD, Holder.NOBODY),  # it rotated by credentials that it had before
        ([MINE], HELD, Holder.HOST),
        ([MINE], b"", Holder.OTHERS),
        ([MINE], b"rubbish", Holder.OTHERS),
        ([MINE], OLD, Holder.OTHERS),
        ([THEIRS], HELD, Holder.OTHERS),
        ([MINE, THEIRS], HELD, Holder.OTHERS),
    ],
)
def test_the_alarm_is_for_what_was_issued_to_another_key(
    requests: list[SigningRequest], on_host: bytes, expected: Holder
) -> None:
    assert holder(requests, on_host) is expected


@pytest.mark.parametrize(
    ("approved", "signed_meanwhile", "on_host", "expected", "ended"),
    [
        ([UNSIGNED], False, b"", Holder.NOBODY, True),
        ([UNSIGNED], False, OLD, Holder.NOBODY, True),
        ([UNSIGNED], True, OLD, Holder.OTHERS, True),
        ([UNSIGNED], False, HELD, Holder.HOST, False),
        ([MINE], True, HELD, Holder.HOST, False),
        ([MINE], True, OLD, Holder.OTHERS, True),
        ([], False, OLD, Holder.NOBODY, False),
    ],
)
def test_what_is_approved_and_not_signed_is_ended_before_anybody_is_accused(
    monkeypatch: pytest.MonkeyPatch,
    approved: list[SigningRequest],
    signed_meanwhile: bool,
    on_host: bytes,
    expected: Holder,
    ended: bool,
) -> None:
    asked: list[str] = []

    def ended_unsigned(_: object, name: str, __: object) -> bool:
        asked.append(name)
        return not signed_meanwhile

    monkeypatch.setattr(csr, "ended_unsigned", ended_unsigned)
    approver = SimpleNamespace(approved_for=lambda _: tuple(approved))
    keys = CertifiedKeys(
        cast("Api", None),
        cast("RequestJudge", SimpleNamespace(approver=approver, dialect=csr.V1)),
        cast("ChangeGuard", None),
        lambda: pytest.fail("the cluster as it was found does not matter"),
    )
    assert keys.holder(make_config().nodes[0], on_host) is expected
    assert bool(asked) == ended
