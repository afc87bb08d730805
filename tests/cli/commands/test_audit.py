"""Exit codes of `inv audit`: what could not be seen is no soundness."""

from __future__ import annotations

from contextlib import nullcontext
from json import loads
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from invoke.exceptions import Exit

from fabnode.audit.finding import Finding, Severity
from fabnode.cli import app, exits
from fabnode.cli.commands import audit
from fabnode.cli.options import Options
from fabnode.deploy import hardening
from fabnode.deploy.hardening import Audit
from fabnode.node.plan import Plan
from fabnode.ssh.errors import ConnectionLostError
from fabnode.util.fan_out import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping


def outcome(*severities: Severity) -> Outcome[Audit]:
    found = (
        Finding("unseen", each, "host", f"not examined: {each}", "", "") for each in severities
    )
    return Outcome(Audit(tuple(found), Plan("n1", ())))


ENDS: dict[str, tuple[dict[str, Outcome[Audit]], int]] = {
    "nothing is wrong": ({"n1": outcome()}, 0),
    "what others have no hand in was not seen": ({"n1": outcome("info")}, 0),
    "a limit was reached": ({"n1": outcome("info", "medium"), "n2": outcome()}, exits.WOULD_CHANGE),
    "something is wrong": ({"n1": outcome("low")}, exits.WOULD_CHANGE),
    "a host could not be examined": (
        {"n1": outcome("medium"), "n2": Outcome(error=ConnectionLostError("n2", "gone"))},
        exits.FAILED,
    ),
    "a host was passed over": ({"n1": outcome(), "n2": Outcome(skipped="stopped")}, exits.FAILED),
}


@pytest.mark.parametrize("json", [False, True], ids=["table", "json"])
@pytest.mark.parametrize(("found", "expected"), ENDS.values(), ids=ENDS)
def test_what_was_not_seen_is_no_success(
    found: Mapping[str, Outcome[Audit]],
    expected: int,
    json: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = SimpleNamespace(journal=SimpleNamespace(detach_sinks=lambda: None))
    monkeypatch.setattr(app, "run_of", lambda _: nullcontext(run))
    monkeypatch.setattr(hardening, "audit", lambda _: found)
    monkeypatch.setattr(hardening, "back_again", lambda _: ())
    code = 0
    try:
        audit.audit(Options(json=json))
    except Exit as ended:
        code = ended.code
    assert code == expected


@pytest.mark.parametrize("json", [False, True], ids=["table", "json"])
@pytest.mark.parametrize(("severity", "expected"), [("info", 0), ("high", exits.WOULD_CHANGE)])
def test_a_node_that_is_back_is_shown_and_counts(
    severity: Severity,
    expected: int,
    json: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = SimpleNamespace(journal=SimpleNamespace(detach_sinks=lambda: None))
    back = Finding("removed-node", severity, "n3", "it is back", "by the API", "remove it")
    monkeypatch.setattr(app, "run_of", lambda _: nullcontext(run))
    monkeypatch.setattr(hardening, "audit", lambda _: {"n1": outcome()})
    monkeypatch.setattr(hardening, "back_again", lambda _: (back,))
    code = 0
    try:
        audit.audit(Options(json=json))
    except Exit as ended:
        code = ended.code
    assert code == expected
    shown = capsys.readouterr().out
    if json:
        (found,) = loads(shown)["cluster"]
        assert (found["subject"], found["fix"]) == ("n3", "remove it")
    else:
        assert f"{severity:9} cluster: n3 [removed-node]" in shown
        assert "fix by hand: remove it" in shown
