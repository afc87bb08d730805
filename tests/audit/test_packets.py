"""Which duplicate rules may go, and which are left."""

from __future__ import annotations

import pytest

from fabnode.audit.finding import DeduplicateRules, Finding

from .support import judged, only, sound

ACCEPT = "-A INPUT -s 10.0.0.0/8 -p tcp -m tcp --dport 4194 -j ACCEPT"
DROP = "-A INPUT -p tcp -m tcp --dport 4194 -j DROP"


def filtered(*rules: str) -> list[Finding]:
    return judged(sound(rules={"filter": rules, "nat": ()}))


def test_rules_once_are_fine() -> None:
    assert filtered(ACCEPT, DROP) == []


def test_duplicates_are_counted_and_thinned() -> None:
    found = only(filtered(ACCEPT, DROP, ACCEPT, DROP, ACCEPT, DROP))
    assert found.text.startswith("4 rules")
    assert found.repairs == (DeduplicateRules("filter", (ACCEPT, DROP)),)


@pytest.mark.parametrize(
    "rule",
    [
        "-A INPUT -m limit --limit 5/min -j ACCEPT",
        "-A INPUT -m recent --set --name x --rsource -j DROP",
        "-A INPUT -m statistic --mode random --probability 0.5 -j DROP",
        "-A INPUT -j LOG --log-prefix x",
        "-A FORWARD -j MYCHAIN",
        "-A INPUT -p tcp -j MARK --set-xmark 0x1/0x1",
        "-A INPUT -m quota --quota 100 -j ACCEPT",
    ],
)
def test_rules_whose_copies_may_have_an_effect_are_left(rule: str) -> None:
    found = only(filtered(rule, rule))
    assert found.repairs == ()
    assert found.by_hand


@pytest.mark.parametrize(
    "rule",
    [
        '-A INPUT -m comment --comment "cali:x" -j ACCEPT',
        "-A INPUT -j cali-INPUT",
        "-A FORWARD -j KUBE-FORWARD",
    ],
)
def test_others_rules_are_others_business(rule: str) -> None:
    assert filtered(rule, rule) == []
