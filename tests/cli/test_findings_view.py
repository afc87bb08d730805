"""Findings as people and programs read them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fabnode.audit.finding import Finding, RestrictMode
from fabnode.cli.findings_view import (
    HEADS,
    document,
    good_lines,
    left_lines,
    paragraphs,
    plan_lines,
    summary_rows,
)
from fabnode.deploy.hardening import Audit
from fabnode.node.plan import Change, Plan
from fabnode.node.resources import ExistingSecret
from fabnode.util.fan_out import Outcome

MENDED = Finding(
    "open-secret",
    "high",
    "/k\x1b[2J",
    "a secret",
    "mode 0644",
    "chmod 600 /k",
    (RestrictMode("/k"),),
)
LEFT = Finding(
    "hidden-swap", "medium", "kubelet", "it swaps", "", "swapoff", by_hand="pods may end"
)
PLAN = Plan("n1", (Change(ExistingSecret("/k", 0o600), "mode", "mode 0644 → 0600"),))
FOUND = {
    "n1": Outcome(Audit((MENDED, LEFT), PLAN)),
    "n2": Outcome(Audit((), Plan("n2"))),
    "n3": Outcome(error=RuntimeError("no route")),
    "n4": Outcome(skipped="an earlier batch failed"),
}


def test_paragraphs_hold_fault_evidence_and_fix() -> None:
    found = list(paragraphs(FOUND, width=60))
    assert len(found) == 4
    assert found[0].splitlines() == [
        "high      n1: /k [open-secret]",
        "          a secret",
        "          seen: mode 0644",
        "          fix: inv harden, or: chmod 600 /k",
    ]
    assert "fix by hand: swapoff (pods may end)" in found[1]
    assert "no route" in found[2]
    assert "an earlier batch failed" in found[3]


def test_paragraphs_are_not_wrapped_in_pipes_and_files() -> None:
    text = "a private key of CN=system:node:node-1,O=system:nodes lies here " * 5
    finding = replace(MENDED, text=text.strip())
    (found,) = paragraphs({"n1": Outcome(Audit((finding,), PLAN))}, width=None)
    assert found.splitlines()[1].strip() == text.strip()


def test_what_others_wrote_begins_no_line_of_its_own() -> None:
    forged = "CN=x\ncritical  n9: /etc/shadow [ca-key]"
    finding = replace(LEFT, subject=forged, text=forged, seen=forged, fix=forged, by_hand=forged)
    plan = Plan("n1", (Change(ExistingSecret("/k", 0o600), "mode", forged),))
    shown = [*paragraphs({"n1": Outcome(Audit((finding,), plan))}, width=None)]
    shown += [*left_lines((finding,)), *plan_lines(Audit((), plan))]
    lines = "\n".join(shown).splitlines()
    assert len(lines) == 4 + 3 + 1
    assert not any(line.startswith("critical") for line in lines)


def test_the_table_counts() -> None:
    table = dict(zip(HEADS, summary_rows(FOUND)[0], strict=True))
    assert table["NODE"] == "n1"
    assert (table["HIGH"], table["MEDIUM"], table["CRITICAL"]) == ("1", "1", "")
    assert table["HARDEN FIXES"] == "1"
    assert all(len(line) == len(HEADS) for line in summary_rows(FOUND))
    assert summary_rows(FOUND)[2][1] == "failed"


def test_silence_is_not_taken_for_soundness() -> None:
    unseen = replace(LEFT, check="unseen", severity="info")
    found = {
        **FOUND,
        "n5": Outcome(Audit((unseen, unseen), Plan("n5"))),
        "n6": Outcome(Audit((unseen, LEFT), Plan("n6"))),
        "n7": Outcome(Audit((replace(LEFT, severity="info"),), Plan("n7"))),
    }
    assert list(good_lines(found)) == [
        "nothing is wrong on n2, n7",
        "nothing is wrong in what was examined on n5; 2 things not examined: see info above",
    ]


def test_the_document() -> None:
    n1, n2, n3, _ = document(FOUND, plans=True)["nodes"]
    assert [f["harden"] for f in n1["findings"]] == [True, False]
    assert n1["findings"][0]["subject"] == "/k"
    assert n1["plan"][0]["action"] == "mode"
    assert n2["findings"] == []
    assert n3 == {"node": "n3", "error": "no route"}


def test_the_plan() -> None:
    assert list(plan_lines(Audit((), PLAN))) == ["    mode       /k: mode 0644 → 0600"]


def test_what_a_plan_leaves_is_listed_with_how_it_was_seen_and_why() -> None:
    reported = "\n".join(left_lines((MENDED, replace(LEFT, seen="swap on /dev/x\x1b[2J"))))
    assert "/k" not in reported
    for text in ("kubelet: it swaps", "seen: swap on /dev/x", "swapoff", "(pods may end)"):
        assert text in reported
    assert "\x1b" not in reported


@pytest.mark.parametrize("blank", [" ", "\u3000", "\xa0"])
def test_blanks_in_a_name_reach_to_no_edge_of_a_terminal(blank: str) -> None:
    subject = f"/home/m/{blank * 52}critical  n2: /etc/shadow [ca-key]"
    finding = replace(LEFT, subject=subject)
    (shown,) = paragraphs({"n2": Outcome(Audit((finding,), PLAN))}, width=80)
    head, *rest = shown.splitlines()
    assert all(line.startswith(" " * 10) for line in rest)
    assert blank * 2 not in head.partition("/home")[2]
    by_hand, *_ = left_lines([finding])
    assert blank * 2 not in by_hand.partition("/home")[2]


def test_a_long_name_begins_no_line_of_its_own() -> None:
    finding = replace(LEFT, subject=f"/home/m/{'x' * 63}critical n2: /etc/shadow [ca-key]")
    (shown,) = paragraphs({"n2": Outcome(Audit((finding,), PLAN))}, width=80)
    assert all(line.startswith(" " * 10) for line in shown.splitlines()[1:])
    assert max(map(len, shown.splitlines())) <= 80
