"""How a host gets to several apiservers: one will do, and those that fail are named."""

from __future__ import annotations

import pytest

from fabnode.deploy.api_seen import ApiSeen, api_seen
from fabnode.ssh.port_checks import TlsResult

GOOD = TlsResult(reachable=True, trusted=True)
DEAD = TlsResult(reachable=False, trusted=None, reason="connection refused")
WRONG = TlsResult(reachable=True, trusted=False, reason="hostname mismatch")
HANGS = TlsResult(reachable=True, trusted=None, reason="no answer in time")
UNKNOWN = TlsResult(None, None, "not checked: sshd there forbids forwarding")


@pytest.mark.parametrize("one", [GOOD, DEAD, WRONG, HANGS, UNKNOWN])
def test_one_apiserver_is_as_it_is_seen(one: TlsResult) -> None:
    assert api_seen({"a": one}) == ApiSeen(one.reachable, one.trusted, one.reason)


@pytest.mark.parametrize(
    ("results", "seen"),
    [
        ((GOOD, GOOD), ApiSeen(True, True)),
        ((DEAD, GOOD), ApiSeen(True, True, others=("a: connection refused",))),
        (
            (WRONG, GOOD, HANGS),
            ApiSeen(True, True, others=("a: hostname mismatch", "c: no answer in time")),
        ),
        ((DEAD, DEAD), ApiSeen(False, None, "a: connection refused; b: connection refused")),
        ((DEAD, WRONG), ApiSeen(True, False, "a: connection refused; b: hostname mismatch")),
        ((DEAD, HANGS), ApiSeen(True, None, "a: connection refused; b: no answer in time")),
        ((UNKNOWN, UNKNOWN), ApiSeen(None, None, UNKNOWN.reason)),
    ],
)
def test_of_several_the_best_counts(results: tuple[TlsResult, ...], seen: ApiSeen) -> None:
    assert api_seen(dict(zip("abc", results, strict=False))) == seen
