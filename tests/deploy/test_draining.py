"""Drains, from the look before the cordon to the last pod; whose cordons stay, what goes on."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pytest

from fabnode.deploy import cordon_plans, draining
from fabnode.deploy.cordons import ForeignCordonError, NotANodeError
from fabnode.deploy.errors import MissingRightsError
from fabnode.deploy.node_drainer import DrainBlockedError, StillThereError
from fabnode.kube.client import ApiError
from fabnode.upkeep.departures import Permits
from fabnode.upkeep.operations import Operation
from fabnode.util.own_names import NODE_OPERATION
from fabnode.util.wait import WaitTimeoutError
from tests.upkeep.pods import budget_object, node, pod

from .nodes_in_use import HELD, TAKEN, Scene, with_binding

if TYPE_CHECKING:
    from fabnode.util.fan_out import Outcome

NO_ONE_ALLOWED = budget_object(status={"disruptionsAllowed": 0, "desiredHealthy": 3})
NONE_NOW = budget_object(status={"disruptionsAllowed": 0, "currentHealthy": 2})
ADMINS = node("n1", cordoned=True, manager="kubectl-cordon")
NOBODYS = pod("lonely", controller=None)
OF_DAEMONSET = pod("agent", controller=("apps/v1", "DaemonSet"))


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    made = Scene(monkeypatch)
    made.api.owners["/apis/apps/v1/namespaces/shop/daemonsets/web"] = {"metadata": {"uid": "o"}}
    return made


def drained(scene: Scene, *names: str, permits: Permits | None = None) -> dict[str, Outcome[Any]]:
    run = scene.run(*names)
    draining.drain(run, permits or Permits())
    return run.outcomes


def test_a_node_is_cordoned_and_its_pods_are_evicted_but_its_own(scene: Scene) -> None:
    scene.api.pods = [pod("a"), pod("b"), OF_DAEMONSET]
    outcome = drained(scene)["n1"]
    assert outcome.ok, outcome.error
    assert scene.api.reported == [
        "patch n1: begun, unschedulable True",
        "evict a (policy/v1)",
        "evict b (policy/v1)",
        "patch n1: drained, unschedulable as it is",
    ]
    assert [p["metadata"]["name"] for p in scene.api.pods] == ["agent"]
    assert scene.api.tries == ["a", "b"]
    assert any("inv uncordon --limit n1 takes that back" in text for text in scene.texts("info"))


def test_a_dry_run_changes_nothing_and_says_all(scene: Scene) -> None:
    scene.api.pods = [pod("a"), NOBODYS, OF_DAEMONSET]
    found = draining.preview(scene.run(), Permits())["n1"].value
    assert found
    assert [(d.pod, d.fate) for d in found.departures] == [
        ("shop/lonely", "blocked"),
        ("shop/a", "goes"),
        ("shop/agent", "stays"),
    ]
    assert scene.api.reported == []


@pytest.mark.parametrize(
    ("version", "tries", "evictions"),
    [
        ("v1.37.2", ["a"], "policy/v1"),
        ("v1.26.1", [], "policy/v1"),  # its dry run leaves a mark
        ("v1.21.0", ["a"], "policy/v1beta1"),
        ("v1.14.3", [], "policy/v1beta1"),  # its dry run would evict
    ],
)
def test_each_release_is_asked_as_it_understands(
    scene: Scene, version: str, tries: list[str], evictions: str
) -> None:
    scene.api.version = version
    scene.api.pods = [pod("a")]
    draining.preview(scene.run(), Permits())
    assert (scene.api.tries, scene.api.reported) == (tries, [])
    assert drained(scene)["n1"].ok
    assert f"evict a ({evictions})" in scene.api.reported


def test_a_pod_that_would_not_go_leaves_its_node_as_it_is(scene: Scene) -> None:
    """The cordon itself may be what makes a budget unmeetable: the look comes first."""
    scene.api.pods = [pod("a"), NOBODYS]
    error = drained(scene)["n1"].error
    assert isinstance(error, DrainBlockedError)
    assert "so it was not cordoned: shop/lonely (no controller replaces it)" in error.message
    assert "what frees it: a controller, or --force shop/lonely" in error.detail
    assert scene.api.reported == []


def test_what_the_api_refuses_beforehand_blocks_as_well(scene: Scene) -> None:
    scene.api.pods = [pod("a")]
    scene.api.answers["a"] = [(403, {"message": "admission webhook keep.example.org: no"})]
    error = drained(scene)["n1"].error
    assert isinstance(error, DrainBlockedError)
    assert "keep.example.org: no" in error.message
    assert scene.api.reported == []


def test_what_is_named_goes(scene: Scene) -> None:
    scene.api.pods = [NOBODYS.copy(), pod("a")]
    scene.api.budgets = [NO_ONE_ALLOWED]
    permits = Permits(
        forced=frozenset({"shop/lonely"}), past_budget=frozenset({"shop/a", "shop/lonely"})
    )
    assert drained(scene, permits=permits)["n1"].ok
    assert sorted(scene.api.reported[1:3]) == ["delete a", "delete lonely"]
    assert scene.api.tries == [], "nobody asks about what is not asked"


def test_all_nodes_are_cordoned_before_the_first_pod_leaves(scene: Scene) -> None:
    scene.api.pods = [pod("a"), pod("b", labels={"app": "x"})]
    scene.api.pods[1]["spec"]["nodeName"] = "n2"
    outcomes = drained(scene, "n1", "n2")
    assert all(outcome.ok for outcome in outcomes.values())
    first = [what.split(":")[0] for what in scene.api.reported[:2]]
    assert sorted(first) == ["patch n1", "patch n2"]


def test_one_that_is_blocked_stops_no_other(scene: Scene) -> None:
    lonely = pod("lonely", controller=None)
    scene.api.pods = [lonely, pod("b")]
    scene.api.pods[1]["spec"]["nodeName"] = "n2"
    outcomes = drained(scene, "n1", "n2")
    assert not outcomes["n1"].ok
    assert outcomes["n2"].ok
    assert (scene.api.cordoned("n1"), scene.api.cordoned("n2")) == (False, True)


def test_a_budget_that_holds_is_asked_again_until_it_lets_go(scene: Scene) -> None:
    scene.api.pods = [pod("a")]
    scene.api.budgets = [NONE_NOW]
    scene.api.answers["a"] = [HELD, HELD, TAKEN]
    assert drained(scene)["n1"].ok
    assert scene.api.reported.count("evict a (policy/v1)") == 1


def test_a_budget_that_never_lets_go_is_named_at_the_deadline(scene: Scene) -> None:
    waiting = pod("b", ready=False, phase="Pending")
    waiting["spec"]["nodeName"] = ""
    waiting["status"]["conditions"] = [
        {"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available"}
    ]
    scene.api.pods = [pod("a"), waiting]
    scene.api.budgets = [NONE_NOW]
    scene.api.answers["a"] = [HELD]
    error = drained(scene)["n1"].error
    assert isinstance(error, WaitTimeoutError)
    assert "1 pod left: shop/a (the budget shop/web needs 2 of 3 healthy" in error.message
    assert "shop/b can't be scheduled: 0/3 nodes are available" in error.message
    assert "inv drain --limit n1 goes on from here" in error.advice
    assert error.detail.startswith("shop/a: waits")
    assert scene.api.cordoned()
    assert any("cordoned by fabnode now: n1" in text for text in scene.texts("info"))


def test_a_pod_that_does_not_stop_is_named_at_the_deadline(scene: Scene) -> None:
    scene.api.pods = [pod("a", finalizers=["example.org/keep"])]
    scene.api.lasts = 10_000
    error = drained(scene)["n1"].error
    assert isinstance(error, WaitTimeoutError)
    assert "kept by example.org/keep" in error.message


def test_one_that_comes_later_is_seen(scene: Scene) -> None:
    """A pod that tolerates the cordon: kubectl lists once, and never sees it."""
    scene.api.pods = [pod("a")]

    def late(what: str) -> None:
        if what.startswith("evict a"):
            scene.api.pods.append(pod("late"))

    scene.api.on_change = late
    assert drained(scene)["n1"].ok
    assert "evict late (policy/v1)" in scene.api.reported


def test_one_that_comes_later_and_does_not_go_ends_it_once_others_have_gone(scene: Scene) -> None:
    scene.api.pods = [pod("a"), pod("b")]
    scene.api.on_change = lambda what: (
        scene.api.pods.append(pod("lonely", controller=None))
        if what.startswith("evict a")
        else None
    )
    error = drained(scene)["n1"].error
    assert isinstance(error, StillThereError)
    assert "1 pod did not go: shop/lonely" in error.message
    assert "evict b (policy/v1)" in scene.api.reported
    assert "inv uncordon --limit n1 takes the cordon back" in error.advice


def test_a_busy_apiserver_is_no_budget(scene: Scene) -> None:
    scene.api.pods = [pod("a")]
    scene.api.answers["a"] = [(429, {"message": "too many requests"}), (503, {}), TAKEN]
    assert drained(scene)["n1"].ok
    said = "waiting for its pods to go: 1 pod left: shop/a (the API defers it: HTTP 503)"
    assert said in scene.texts("progress")


@pytest.mark.parametrize("when", ["patch n1: begun", "evict a", "evict b", "patch n1: drained"])
def test_a_drain_that_was_cut_off_goes_on(scene: Scene, when: str) -> None:
    scene.api.pods = [pod("a"), pod("b")]

    def cut(what: str) -> None:
        if what.startswith(when):
            raise KeyboardInterrupt

    scene.api.on_change = cut
    assert not drained(scene)["n1"].ok
    scene.api.on_change = lambda _: None
    began = [what for what in scene.api.reported if "True" in what]
    assert drained(scene)["n1"].ok
    assert scene.api.pods == []
    cordons = [what for what in scene.api.reported if "unschedulable True" in what]
    assert len(cordons) == 1, "it is cordoned once"
    evictions = [what for what in scene.api.reported if what.startswith("evict")]
    assert sorted(evictions) == ["evict a (policy/v1)", "evict b (policy/v1)"], "and nothing twice"
    if began:
        assert any("goes on: drain" in event.text for event in scene.journal.events)


def test_a_drained_node_is_drained_again_by_nothing(scene: Scene) -> None:
    drained(scene)
    before = list(scene.api.reported)
    assert drained(scene)["n1"].ok
    again = scene.api.reported[len(before) :]
    assert [what for what in again if "evict" in what or "True" in what] == []


def test_a_cordon_of_an_admin_is_left_by_all_of_these(scene: Scene) -> None:
    scene.api.nodes["n1"] = ADMINS
    scene.api.pods = [pod("a")]
    draining.cordon(scene.run())
    assert drained(scene)["n1"].ok
    assert scene.api.pods == []
    run = scene.run()
    draining.uncordon(run)
    error = run.outcomes["n1"].error
    assert isinstance(error, ForeignCordonError)
    assert "cordoned by somebody else (the field was written by kubectl-cordon)" in error.message
    assert scene.api.cordoned()
    assert not [what for what in scene.api.reported if "True" in what or "None" in what]


def test_our_own_cordon_is_lifted_with_its_record(scene: Scene) -> None:
    draining.cordon(scene.run())
    assert scene.api.cordoned()
    run = scene.run()
    draining.uncordon(run)
    assert run.outcomes["n1"].ok
    assert not scene.api.cordoned()
    assert scene.api.nodes["n1"]["metadata"]["annotations"] == {"fabnode.io/operation": None}
    assert any(text.startswith("ended: cordon (begun) by ") for text in scene.texts("changed"))
    draining.uncordon(run := scene.run())
    assert run.outcomes["n1"].ok
    assert scene.texts("changed") == []


def test_one_that_is_not_ours_keeps_no_other_cordoned(scene: Scene) -> None:
    """Whatever the batches of drains are: nodes before and after it are freed, or cordoned."""
    draining.cordon(scene.run("n1", "n2", "n3"))
    scene.api.nodes["n1"] = deepcopy(ADMINS)
    draining.uncordon(run := scene.run("n1", "n2", "n3"))
    assert [outcome.ok for outcome in run.outcomes.values()] == [False, True, True]
    assert [name for name in run.outcomes if scene.api.cordoned(name)] == ["n1"]
    del scene.api.nodes["n1"]
    draining.cordon(scene.run("n1", "n2", "n3"))
    assert scene.api.cordoned("n2")


def test_a_kubelet_that_writes_meanwhile_loses_nobody_anything(scene: Scene) -> None:
    original, writes = scene.api.patch, list[str]()

    def patch(path: str, body: dict[str, Any]) -> dict[str, Any]:
        if not writes:
            writes.append(path)
            scene.api.nodes["n1"]["metadata"]["resourceVersion"] = "7"
        return original(path, body)

    scene.api.patch = patch  # type: ignore[method-assign]
    draining.cordon(scene.run())
    assert scene.api.cordoned()


def test_a_node_that_is_none_is_named(scene: Scene) -> None:
    del scene.api.nodes["n1"]
    error = drained(scene)["n1"].error
    assert isinstance(error, NotANodeError)
    assert "inv deploy-nodes --limit n1 makes it one" in error.advice


def test_missing_rights_are_named_with_the_account_that_has_them(scene: Scene) -> None:
    scene.api.refused = {"patch nodes"}
    error = drained(scene)["n1"].error
    assert isinstance(error, MissingRightsError)
    assert "no right to patch nodes" in error.message
    assert "inv rbac.deployer --with-drain" in error.advice


def test_a_preview_that_is_refused_names_all_that_a_drain_needs(scene: Scene) -> None:
    scene.api.refused = {"list pods", "create pods"}

    original = scene.api.get

    def get(path: str, **query: str) -> dict[str, Any]:
        if path.endswith("/pods"):
            raise ApiError(403, "Forbidden", "pods is forbidden")
        return original(path, **query)

    scene.api.get = get  # type: ignore[method-assign]
    error = draining.preview(scene.run(), Permits())["n1"].error
    assert isinstance(error, MissingRightsError)
    assert "create pods/eviction" in error.message
    assert "inv rbac.deployer --with-drain" in error.advice


def test_a_cordon_takes_no_right_to_evict(scene: Scene) -> None:
    scene.api.refused = {"list pods", "create pods", "list poddisruptionbudgets"}
    draining.cordon(scene.run())
    assert scene.api.cordoned()
    draining.uncordon(scene.run())
    assert not scene.api.cordoned()
    assert isinstance(drained(scene)["n1"].error, MissingRightsError)


def test_the_right_to_delete_is_asked_for_where_it_is_used(scene: Scene) -> None:
    scene.api.refused = {"delete pods"}
    assert drained(scene)["n1"].ok
    scene.api.nodes["n1"] = node("n1")
    error = drained(scene, permits=Permits(past_budget=frozenset({"shop/a"})))["n1"].error
    assert isinstance(error, MissingRightsError)


def test_events_that_may_not_be_read_leave_less_to_say(scene: Scene) -> None:
    scene.api.pods = [pod("a"), pod("b", ready=False)]
    scene.api.budgets = [NONE_NOW]
    scene.api.answers["a"] = scene.api.answers["b"] = [HELD]
    original = scene.api.get

    def get(path: str, **query: str) -> dict[str, Any]:
        if path.endswith("/events"):
            raise ApiError(403, "Forbidden", "no")
        return original(path, **query)

    scene.api.get = get  # type: ignore[method-assign]
    assert isinstance(drained(scene)["n1"].error, WaitTimeoutError)


def test_the_status_tells_whose_and_since_when(scene: Scene) -> None:
    scene.api.nodes["n2"] = node("n2", cordoned=True, manager="kubectl-cordon")
    del scene.api.nodes["n3"]
    scene.api.pods = [pod("a")]
    drained(scene)
    found, _ = draining.status(scene.run("n1", "n2", "n3"))
    assert found.run == ""
    one, two, three = found.nodes
    assert one.cordon.startswith("ours: drain (drained) by ")
    assert (two.cordon, two.operation) == ("somebody else's, written by kubectl-cordon", "")
    assert three.operation == "no Node object"


def test_the_status_names_nodes_that_the_configuration_does_not_know(scene: Scene) -> None:
    """One that was removed and is back is a node again, until it is removed with its host."""
    back = node("n7")
    back["metadata"]["creationTimestamp"] = "2026-11-29T12:00:00Z"
    back["status"]["addresses"] = [{"type": "InternalIP", "address": "192.0.2.7"}]
    scene.api.nodes["n7"] = back
    found, _ = draining.status(scene.run("n1"))
    assert found.unknown == ("n7: a node since 2026-11-29T12:00:00Z, at 192.0.2.7, Ready",)


def test_the_status_names_rights_of_nodes_that_are_gone(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node that nobody removed, and the configuration knows no more, leaves its kube-proxy's."""
    scene.api.nodes["n7"] = node("n7")
    del scene.api.nodes["n3"]
    with_binding(scene, monkeypatch, "n1", "n3", "n7", "n8")
    found, _ = draining.status(scene.run("n1"))
    assert found.proxies == ("system:kube-proxy:n8",), "n3 is configured, n7 is a node"
    (unknown,) = found.unknown
    assert unknown.startswith("n7: ")
    assert unknown.endswith(", its kube-proxy has rights")


def test_an_account_that_may_not_read_the_binding_is_told_of_none(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_binding(scene, monkeypatch, "n8").refused.add("get")
    assert draining.status(scene.run("n1"))[0].proxies == ()


# --- what a removal that was cut off has left -----------------------------------------------------

REMOVED, DEAD = "fabnode.io/removed", "node.kubernetes.io/out-of-service"


def locked_out(scene: Scene, *, ours: bool, cordoned: bool = True) -> None:
    """Have n1 be as an offline removal leaves it that was cut off before its Node object went."""
    live = scene.api.nodes["n1"]
    own = True if ours else None
    record = Operation("remove", "locking-out", "a@b", "2026-11-30", True, out_of_service=own)
    live["metadata"]["annotations"] = {NODE_OPERATION: record.to_json()}
    taints = [(REMOVED, "NoSchedule"), (REMOVED, "NoExecute"), (DEAD, "NoExecute"), ("gpu", "None")]
    live["spec"]["taints"] = [{"key": key, "effect": effect} for key, effect in taints]
    if cordoned:
        live["spec"]["unschedulable"] = True


@pytest.mark.parametrize("cordoned", [True, False])  # `kubectl uncordon` takes no taint
def test_an_uncordon_takes_what_a_removal_that_was_cut_off_has_set(
    scene: Scene, cordoned: bool
) -> None:
    locked_out(scene, ours=True, cordoned=cordoned)
    (planned,) = cordon_plans.plan_uncordon(scene.run()).values()
    assert planned.value
    assert f"the taints {REMOVED} and {DEAD}" in planned.value.text
    draining.uncordon(scene.run())
    assert [t["key"] for t in scene.api.nodes["n1"]["spec"]["taints"]] == ["gpu"]
    assert any(f"the taints {REMOVED} and {DEAD}" in text for text in scene.texts("changed"))
    assert scene.texts("warning") == []


def test_an_uncordon_leaves_the_taint_of_others_and_says_so(scene: Scene) -> None:
    locked_out(scene, ours=False)
    (planned,) = cordon_plans.plan_uncordon(scene.run()).values()
    assert planned.value
    assert planned.value.text.startswith("is uncordoned; ends: remove (locking-out) by a@b")
    assert f"the taint {DEAD} stays" in planned.value.text
    run = scene.run()
    draining.uncordon(run)
    assert [t["key"] for t in scene.api.nodes["n1"]["spec"]["taints"]] == [DEAD, "gpu"]
    (warned,) = [event for event in run.journal.events if "stays" in event.text]
    assert f"the taint {DEAD} stays" in warned.text
    assert f"kubectl taint node n1 {DEAD}-" in str(warned.data)
