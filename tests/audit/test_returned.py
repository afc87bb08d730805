"""Nodes that a removal was to keep out: which are named, and what ends them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fabnode.audit.finding import Finding
from fabnode.audit.returned import findings
from fabnode.node.registration import Registration

NODE = Registration("n3", "2026-11-30T08:00:00Z", "192.0.2.3", ready=True, known=True)


def one(node: Registration) -> Finding:
    (found,) = findings([node])
    return found


@pytest.mark.parametrize(
    "node",
    [
        NODE,
        replace(NODE, ready=False),
        replace(NODE, ready=False, locked="the taint fabnode.io/removed", removed="2026-11-29"),
        replace(NODE, known=False, controls=True),
    ],
    ids=["a node", "one that is down", "locked out, and silent", "a control plane's"],
)
def test_what_is_as_it_should_be_is_not_named(node: Registration) -> None:
    assert list(findings([node])) == []


@pytest.mark.parametrize("ready", [True, False])
def test_one_that_was_removed_and_is_a_node_again_is_named(ready: bool) -> None:
    found = one(replace(NODE, ready=ready, removed="2026-11-29"))
    assert (found.check, found.severity, found.subject) == ("removed-node", "high", "n3")
    assert "on 2026-11-29, and is a node of the cluster" in found.text
    assert "since 2026-11-30T08:00:00Z, at 192.0.2.3" in found.seen
    assert found.fix == (
        "`inv remove-node --limit n3` ends it, with its host; where it is to stay:"
        " `inv deploy-nodes --limit n3`"
    )


def test_one_that_is_locked_out_and_ready_is_named_with_who_did_it() -> None:
    found = one(replace(NODE, locked="remove (locking-out) by root@vm", removed="2026-11-29"))
    assert found.severity == "high"
    assert found.seen.startswith("remove (locking-out) by root@vm; ")
    assert found.fix.endswith("`inv uncordon --limit n3`, then `inv deploy-nodes --limit n3`")


@pytest.mark.parametrize("removed", ["", "2026-11-29"])
def test_one_that_the_configuration_does_not_know_is_to_be_known_again_first(removed: str) -> None:
    found = one(replace(NODE, known=False, removed=removed))
    assert found.severity == ("high" if removed else "info")
    assert "switch its host off, or put it into the configuration again" in found.fix
    assert "deploy-nodes" not in found.fix
