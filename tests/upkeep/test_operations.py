"""Whose a cordon is, what goes on where another run stopped, and what is left as it was."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from fabnode.upkeep import operations
from fabnode.upkeep.operations import Operation, begin_patch, begun, end_patch, is_own_cordon, read
from fabnode.util.own_names import NODE_OPERATION

from .pods import node

DRAIN = Operation("drain", "begun", "me@here", "2026-11-29T12:00:00Z", cordons=True)
CORDON = replace(DRAIN, what="cordon")
MAINTAIN = replace(DRAIN, what="maintain")
EARLIER = replace(DRAIN, by="other@there", since="2026-11-28T08:00:00Z", phase="drained")


def recorded(operation: Operation, **changes: Any) -> dict[str, Any]:
    """Return a Node that is cordoned with this record."""
    given: dict[str, Any] = {"cordoned": True, "manager": "fabnode", **changes}
    return node(record=operation.to_json(), **given)


def patched(live: dict[str, Any], patch: dict[str, Any] | None, manager: str = "fabnode") -> Any:
    """Return a Node as the API makes it of a merge patch."""
    if patch is None:
        return live
    record = patch["metadata"]["annotations"][NODE_OPERATION]
    cordoned = patch.get("spec", {}).get("unschedulable", live["spec"].get("unschedulable"))
    if "spec" not in patch:
        fields = live["metadata"].get("managedFields")
        manager = fields[0]["manager"] if fields else ""
    after = node(cordoned=cordoned, record=record, manager=manager)
    labels = {**(live["metadata"].get("labels") or {}), **(patch["metadata"].get("labels") or {})}
    after["metadata"]["labels"] = {key: value for key, value in labels.items() if value is not None}
    return after


@pytest.mark.parametrize(
    "operation", [DRAIN, replace(MAINTAIN, before=EARLIER, boot="b", kernel="k")]
)
def test_what_is_written_is_read(operation: Operation) -> None:
    assert read(recorded(operation)) == operation


DEEP = replace(MAINTAIN, before=replace(MAINTAIN, before=replace(MAINTAIN, before=EARLIER)))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"what":"dance","phase":"x","by":"","since":"","cordons":true}',
        '{"phase":"x"}',
        json.dumps({"what": ["drain"], "cordons": True}),
        DEEP.to_json(),
        " " * 5000,
    ],
)
def test_what_a_node_may_have_forged_is_no_record(text: str) -> None:
    assert read(node(record=text)) is None
    assert not is_own_cordon(node(record=text, cordoned=True, manager="fabnode"))


def test_control_characters_of_a_record_are_taken_out() -> None:
    found = read(recorded(replace(DRAIN, by="me\x1b[31m@here")))
    assert found
    assert found.by.isprintable()


@pytest.mark.parametrize(
    ("live", "own"),
    [
        (node(), False),
        (node(cordoned=True), False),
        (node(record=DRAIN.to_json()), False),
        (recorded(DRAIN), True),
        (recorded(DRAIN, manager=""), True),  # apiservers before 1.18 tell no managers
        (recorded(DRAIN, manager="kubectl"), False),  # it was lifted, and set again by hand
        (recorded(replace(DRAIN, cordons=False)), False),
        (recorded(replace(MAINTAIN, cordons=False, before=EARLIER)), True),
    ],
)
def test_whose_a_cordon_is(live: dict[str, Any], own: bool) -> None:
    assert is_own_cordon(live) is own


ADMINS = node(cordoned=True, manager="kubectl-cordon")
BEGINNINGS = {
    "an untouched node": (node(), DRAIN, DRAIN),
    "a record without a cordon is over": (node(record=EARLIER.to_json()), DRAIN, DRAIN),
    "an admin's cordon stays theirs": (ADMINS, DRAIN, replace(DRAIN, cordons=False)),
    "a drain that was cut off goes on": (recorded(EARLIER), DRAIN, replace(EARLIER, phase="begun")),
    "and stays without the cordon that it had not set": (
        recorded(replace(EARLIER, cordons=False), manager="kubectl-cordon"),
        DRAIN,
        replace(EARLIER, phase="begun", cordons=False),
    ),
    "one that an admin took over is theirs": (
        recorded(EARLIER, manager="kubectl-cordon"),
        DRAIN,
        replace(DRAIN, cordons=False),
    ),
    "a drain takes over our own cordon": (recorded(CORDON), DRAIN, DRAIN),
    "a cordon leaves a drain as it is": (recorded(EARLIER), CORDON, EARLIER),
    "a maintenance remembers what it began within": (
        recorded(EARLIER),
        MAINTAIN,
        replace(MAINTAIN, cordons=False, before=EARLIER),
    ),
    "and goes on with it": (
        recorded(replace(MAINTAIN, cordons=False, before=EARLIER, phase="rebooting")),
        MAINTAIN,
        replace(MAINTAIN, cordons=False, before=EARLIER),
    ),
}


@pytest.mark.parametrize("case", BEGINNINGS)
def test_how_an_operation_begins(case: str) -> None:
    live, wanted, found = BEGINNINGS[case]
    if case == "and goes on with it":  # the cordon is not that of the maintenance itself
        assert begun(live, wanted).before == EARLIER
        assert begun(live, wanted).cordons is False
        return
    assert replace(begun(live, wanted), excluded=False) == found


@pytest.mark.parametrize("case", BEGINNINGS)
@pytest.mark.parametrize("lifts", ["end", "uncordon"])
def test_no_end_lifts_what_was_not_ours_and_every_end_lifts_what_was(case: str, lifts: str) -> None:
    live, wanted, _ = BEGINNINGS[case]
    operation = begun(live, wanted)
    during = patched(live, begin_patch(live, operation))
    assert during["spec"].get("unschedulable") is True
    assert begin_patch(during, operation) is None, "it is idempotent"
    if lifts == "end":
        after = patched(during, end_patch(during, operation))
        assert bool(after["spec"].get("unschedulable")) is not operation.cordons
        assert read(after) == (None if operation.cordons else operation.before)
        assert end_patch(after, operation) is None
        assert not after["metadata"].get("labels")
    else:
        own = is_own_cordon(during)
        after = patched(during, operations.uncordon_patch(during))
        assert bool(after["spec"].get("unschedulable")) is not own


def test_a_cordon_that_is_not_ours_is_not_written_again() -> None:
    """To write a field is to own it, as far as the apiserver tells."""
    for operation in (replace(DRAIN, cordons=False), DRAIN):
        patch = begin_patch(ADMINS, operation)
        assert patch
        assert "spec" not in patch
    patch = end_patch(recorded(replace(DRAIN, cordons=False)), replace(DRAIN, cordons=False))
    assert patch
    assert "spec" not in patch


def test_each_write_holds_for_the_node_as_it_was_seen() -> None:
    for patch in (
        begin_patch(node(), DRAIN),
        end_patch(recorded(DRAIN), DRAIN),
        operations.uncordon_patch(recorded(DRAIN)),
    ):
        assert patch
        assert patch["metadata"]["resourceVersion"] == "1"


def test_a_record_that_is_left_over_is_taken_away() -> None:
    patch = operations.uncordon_patch(node(record="{"))
    assert patch
    assert patch["metadata"]["annotations"] == {NODE_OPERATION: None}
    assert operations.uncordon_patch(node()) is None
    assert operations.uncordon_patch(ADMINS) is None


def of(what: operations.What, **more: Any) -> Operation:
    return replace(DRAIN, what=what, **more)


def labelled(live: dict[str, Any], labels: dict[str, str]) -> dict[str, Any]:
    return {**live, "metadata": {**live["metadata"], "labels": labels}}


@pytest.mark.parametrize("what", ["drain", "maintain", "upgrade", "remove"])
def test_a_node_that_is_emptied_leaves_load_balancers_until_it_ends(what: operations.What) -> None:
    """kube-proxy's health tells them nothing: that changes where a node is deleted alone."""
    drain = begun(node(), of(what))
    patch = begin_patch(node(), drain)
    assert patch
    assert patch["metadata"]["labels"] == {operations.EXCLUDED: "true"}
    there = node(cordoned=True, record=drain.to_json(), manager="fabnode")
    end = end_patch(there, drain)
    assert end
    assert end["metadata"]["labels"] == {operations.EXCLUDED: None}
    lifted = operations.uncordon_patch(there)
    assert lifted
    assert lifted["metadata"]["labels"] == {operations.EXCLUDED: None}


def test_a_node_that_is_out_of_them_already_stays_so() -> None:
    out = labelled(node(), {operations.EXCLUDED: ""})
    drain = begun(out, of("upgrade"))
    assert not drain.excluded
    assert "labels" not in (begin_patch(out, drain) or {})["metadata"]
    there = node(cordoned=True, record=drain.to_json(), manager="fabnode")
    assert "labels" not in (end_patch(there, drain) or {})["metadata"]


def test_one_whose_cordon_others_lifted_is_found_and_an_uncordon_lets_it_in_again() -> None:
    """kubectl knows nothing of the label, and no load balancer says why a node gets no requests."""
    drain = begun(node(), of("drain"))
    out = {operations.EXCLUDED: "true"}
    for record in (drain, of("upgrade", before=drain)):
        left = labelled(node(record=record.to_json()), out)
        assert operations.is_left_excluded(left)
        lifted = operations.uncordon_patch(left)
        assert lifted
        assert lifted["metadata"]["labels"] == {operations.EXCLUDED: None}
    during = labelled(node(cordoned=True, record=drain.to_json(), manager="fabnode"), out)
    its_own = labelled(node(), out)
    without = node(record=drain.to_json())
    assert not any(map(operations.is_left_excluded, (during, its_own, without)))


def test_a_cordon_alone_leaves_its_pods_in_them() -> None:
    assert not begun(node(), of("cordon")).excluded


def test_a_drain_under_somebody_elses_cordon_does_not_take_it_out_for_good() -> None:
    foreign = node(cordoned=True, manager="kubectl")
    assert not begun(foreign, of("drain")).excluded
    assert begun(foreign, of("upgrade")).excluded


def test_what_is_told_of_it_is_read_again() -> None:
    inner = of("drain", excluded=True)
    whole = of("upgrade", before=inner)
    assert read(node(record=whole.to_json())) == whole
    assert '"excluded"' not in of("upgrade").to_json()


def test_taints_of_a_key_are_all_that_a_node_bears_of_it() -> None:
    live = node()
    live["spec"]["taints"] = [
        {"key": "k", "effect": "NoSchedule"},
        {"key": "gpu", "effect": "NoSchedule"},
    ]
    patch = operations.taint_patch(live, "k", ["NoSchedule", "NoExecute"])
    assert patch
    assert [(t["key"], t["effect"]) for t in patch["spec"]["taints"]] == [
        ("gpu", "NoSchedule"),
        ("k", "NoSchedule"),
        ("k", "NoExecute"),
    ]
    live["spec"] = patch["spec"]
    assert operations.taint_patch(live, "k", ["NoSchedule", "NoExecute"]) is None


def test_an_uncordon_lets_in_again_what_was_locked_out() -> None:
    live = recorded(of("remove"))
    live["spec"]["taints"] = [
        {"key": operations.REMOVED, "effect": "NoExecute"},
        {"key": "gpu", "effect": "NoSchedule"},
    ]
    patch = operations.uncordon_patch(live)
    assert patch
    assert patch["spec"]["taints"] == [{"key": "gpu", "effect": "NoSchedule"}]


def test_an_operation_is_over_where_others_have_lifted_its_cordon() -> None:
    record = replace(MAINTAIN, phase="rebooting").to_json()
    ours = node(cordoned=True, record=record, manager="fabnode")
    theirs = node(cordoned=True, record=record, manager="kubectl-cordon")
    found = operations.interrupted(ours, "maintain")
    assert found
    assert found.cordons
    assert operations.interrupted(theirs, "maintain") is None
    always = replace(MAINTAIN, phase="rebooting", cordons=False).to_json()
    under = node(cordoned=True, record=always, manager="kubectl-cordon")
    assert operations.interrupted(under, "maintain"), "it began under their cordon"
    assert operations.interrupted(ours, "upgrade") is None
    assert operations.interrupted(node(record=record), "maintain") is None


UPGRADE = replace(DRAIN, what="upgrade")


def test_three_operations_of_which_each_began_within_another_are_known_again() -> None:
    """Such as a maintenance of a node whose upgrade was cut off, within a drain by hand."""
    drained = recorded(EARLIER)
    upgrading = begun(drained, UPGRADE)
    during = patched(drained, begin_patch(drained, upgrading))
    maintaining = begun(during, MAINTAIN)
    within = patched(during, begin_patch(during, maintaining))
    assert operations.interrupted(within, "maintain") == maintaining
    assert is_own_cordon(within)
    after = patched(within, end_patch(within, maintaining))
    assert operations.interrupted(after, "upgrade") == upgrading


def test_an_operation_that_begins_anew_is_recorded_once() -> None:
    live = node()
    for wanted in (UPGRADE, MAINTAIN, UPGRADE, MAINTAIN, UPGRADE):
        live = patched(live, begin_patch(live, begun(live, wanted)))
    found = read(live)
    assert found
    assert [each.what for each in found.chain] == ["upgrade", "maintain"]
    live = patched(live, end_patch(live, found))
    found = read(live)
    assert found
    assert (found.what, found.cordons) == ("maintain", True)
    live = patched(live, end_patch(live, found))
    assert not live["spec"].get("unschedulable")
    assert not live["metadata"]["labels"]


@pytest.mark.parametrize("manager", ["fabnode", "kubectl-cordon", ""])
@pytest.mark.parametrize("what", ["cordon", "drain", "maintain", "upgrade"])
def test_what_comes_after_one_that_was_cut_off_lets_load_balancers_have_the_node_again(
    what: operations.What, manager: str
) -> None:
    """Whose label it is stands in the record alone, which the next operation replaces."""
    drain = begun(node(), of("upgrade"))
    there = node(cordoned=bool(manager), record=drain.to_json(), manager=manager)
    there = labelled(there, {operations.EXCLUDED: "true"})
    live = patched(there, begin_patch(there, begun(there, of(what))), manager or "fabnode")
    assert live["metadata"]["labels"] == {operations.EXCLUDED: "true"}
    lifted = node(record=live["metadata"]["annotations"][NODE_OPERATION])  # by whoever did that
    assert operations.is_left_excluded(labelled(lifted, {operations.EXCLUDED: "true"}))
    patch = operations.uncordon_patch(live if manager != "kubectl-cordon" else lifted)
    assert patch
    assert patch["metadata"]["labels"] == {operations.EXCLUDED: None}
