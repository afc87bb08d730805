"""Removal of nodes: the order, what is refused before anything is changed, what goes on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from fabnode.cli.commands import removal
from fabnode.deploy import baselines, host_changes, removing, resetting
from fabnode.deploy import run as run_module
from fabnode.deploy.node_drainer import DrainBlockedError
from fabnode.deploy.node_machine import OtherMachineError
from fabnode.deploy.removing import Removal
from fabnode.deploy.resetting import ResetRefusedError
from fabnode.deploy.unended_pods import NotProvenDeadError
from fabnode.node.machine_ids import MachineIds
from fabnode.node.surroundings import UnitState
from fabnode.remote import machine
from fabnode.remote.apply import Applied
from fabnode.upkeep.departures import Permits
from fabnode.util.fan_out import Outcome
from fabnode.util.wait import WaitTimeoutError
from tests.upkeep.pods import pod

from .nodes_in_use import HELD, Scene, local_volume, with_binding
from .test_resetting import BARE, NODE, STOPPED, WEB

if TYPE_CHECKING:
    from pathlib import Path

    from fabnode.node.plan import Plan
    from fabnode.node.surroundings import Survey


class Removed(Scene):
    """
    Nodes whose hosts are surveyed as `seen` says, one survey after the other.

    :ivar did: what was done to the cluster and to the host, in order.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        super().__init__(monkeypatch)
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
        self.seen: list[Survey] = [NODE, STOPPED, BARE]
        self.requests = [
            {"metadata": {"name": "csr-1"}, "spec": {"username": "system:node:n1"}},
            {"metadata": {"name": "csr-2"}, "spec": {"username": "system:node:n2"}},
        ]
        self.did: list[str] = self.api.reported
        monkeypatch.setattr(run_module, "NodeDeployer", self._deployer)
        for name, live in self.api.nodes.items():
            live["metadata"]["labels"] = {"kubernetes.io/hostname": name}
            live["status"]["nodeInfo"] = {"machineID": f"m{name[1:]}", "bootID": f"b{name[1:]}"}
        self.ids: MachineIds | None = None
        monkeypatch.setattr(machine, "read", lambda _: self.ids or self.seen[0].ids)
        monkeypatch.setattr(resetting, "survey", self._survey)
        monkeypatch.setattr(host_changes, "apply", self._apply)
        monkeypatch.setattr(baselines, "find", lambda *_: None)
        get = self.api.get

        def listed(path: str, **query: str) -> Any:
            if path.endswith("/certificatesigningrequests"):
                return {"items": list(self.requests)}
            if path.endswith("/secrets"):
                return {"items": []}
            return get(path, **query)

        monkeypatch.setattr(self.api, "get", listed)
        self._ended = self.api.delete
        monkeypatch.setattr(self.api, "delete", self._delete)
        patch = self.api.patch

        def patched(path: str, body: Any) -> Any:
            if "metadata" not in body:  # cordoned right before it goes
                return {}
            return patch(path, body)

        monkeypatch.setattr(self.api, "patch", patched)

    def plan(self) -> Removal:
        found = removing.plan(self.run(), Permits())["n1"]
        assert found.value, found.error
        return found.value

    def remove(self) -> Outcome[Any]:
        run = self.run()
        found = removing.plan(run, Permits())
        return removing.remove(self.run(), found, Permits())["n1"]

    def _deployer(self, host: Any, *_: object, **__: object) -> Any:
        host.interrupt = host.close = lambda: None
        return type("Deployer", (), {"host": host, "node": host.node})()

    def _survey(self, *_: object, **__: object) -> Survey:
        return self.seen.pop(0) if len(self.seen) > 1 else self.seen[0]

    def _apply(self, _host: Any, plan: Plan, *_: object, **__: object) -> Applied:
        self.did.append(f"host: {', '.join(change.action for change in plan.changes)}")
        return Applied(plan, (), sent=7)

    def _delete(self, path: str, **more: Any) -> None:
        kind, name = path.split("/")[-2:]
        if kind == "pods":
            self._ended(path, **more)
            return
        self.did.append(f"delete {kind} {name}")
        if kind == "nodes":
            del self.api.nodes[name]
        else:
            self.requests = [r for r in self.requests if r["metadata"]["name"] != name]


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Removed:
    return Removed(monkeypatch, tmp_path)


def test_a_node_is_drained_and_stopped_before_its_object_goes_and_its_files_go_last(
    scene: Removed,
) -> None:
    scene.api.pods = [pod("a")]
    outcome = scene.remove()
    assert outcome.ok, outcome.error
    first, *_ = [what for what in scene.did if what.startswith("host")]
    assert scene.did == [
        "patch n1: draining, unschedulable True",
        "evict a (policy/v1)",
        "patch n1: resetting, unschedulable as it is",
        first,
        "delete nodes n1",
        "delete certificatesigningrequests csr-1",
        scene.did[-1],
    ]
    assert "stop" in first
    assert scene.did[-1].startswith("host: ")


def test_a_plan_changes_nothing(scene: Removed) -> None:
    scene.api.pods = [pod("a")]
    found = scene.plan()
    assert (found.registered, found.requests) == (True, ("csr-1",))
    assert found.drain
    assert [d.pod for d in found.drain.departures] == ["shop/a"]
    assert scene.did == []


def test_a_pod_that_would_not_go_leaves_all_as_it_is(scene: Removed) -> None:
    scene.api.pods = [pod("lonely", controller=None)]
    assert isinstance(scene.remove().error, DrainBlockedError)
    assert scene.did == []


def test_a_host_that_must_not_be_reset_leaves_all_as_it_is(scene: Removed) -> None:
    scene.seen = [replace(NODE, namespaces={"moby": (2, 3)})]
    assert isinstance(scene.remove().error, ResetRefusedError)
    assert scene.did == []


@pytest.mark.parametrize("cut", ["delete nodes", "delete certificate"])
def test_a_cut_off_removal_goes_on(
    scene: Removed, monkeypatch: pytest.MonkeyPatch, cut: str
) -> None:
    delete = scene._delete

    def killed(path: str, **more: Any) -> None:
        if f"delete {path.split('/')[-2]}".startswith(cut):
            raise KeyboardInterrupt
        delete(path, **more)

    monkeypatch.setattr(scene.api, "delete", killed)
    assert not scene.remove().ok
    monkeypatch.setattr(scene.api, "delete", delete)
    scene.seen = [STOPPED, BARE]
    outcome = scene.remove()
    assert outcome.ok, outcome.error
    assert "n1" not in scene.api.nodes
    assert [each["metadata"]["name"] for each in scene.requests] == ["csr-2"]


def test_a_second_removal_finds_nothing(scene: Removed) -> None:
    assert scene.remove().ok
    scene.seen = [BARE]
    assert scene.plan().empty


def test_the_rights_of_its_kube_proxy_go_with_it(
    scene: Removed, monkeypatch: pytest.MonkeyPatch
) -> None:
    bindings = with_binding(scene, monkeypatch, "n1", "n2")
    assert scene.plan().proxy
    assert bindings.bound == ["n1", "n2"]
    scene.seen = [NODE, STOPPED, BARE]
    outcome = scene.remove()
    assert outcome.ok, outcome.error
    assert bindings.bound == ["n2"]


def test_rights_that_a_cut_off_removal_left_go_with_the_next(
    scene: Removed, monkeypatch: pytest.MonkeyPatch
) -> None:
    bindings = with_binding(scene, monkeypatch, "n1")
    del scene.api.nodes["n1"]
    scene.requests, scene.seen = [], [BARE]
    assert not scene.plan().empty
    assert scene.remove().ok
    assert bindings.bound == []
    assert scene.plan().empty


# --- a kubelet that ends no pod -------------------------------------------------------------------

DEAD = replace(
    NODE,
    now=replace(NODE.now, units={"kubelet.service": UnitState("loaded", "failed", "enabled")}),
    sandboxes=(*(NODE.sandboxes or ()), WEB),
)


def dead(scene: Removed, *seen: Survey) -> None:
    """Have its kubelet be dead: pods that were evicted stay where they are."""
    scene.api.lasts = 10**6
    scene.api.pods = [pod("a")]
    scene.seen = list(seen or (DEAD, STOPPED, STOPPED, BARE))


def test_pods_of_a_dead_kubelet_end_by_the_runtime_and_then_go(scene: Removed) -> None:
    dead(scene)
    outcome = scene.remove()
    assert outcome.ok, outcome.error
    host = [what for what in scene.did if what.startswith("host")]
    assert scene.did == [
        "patch n1: draining, unschedulable True",
        "evict a (policy/v1)",
        "patch n1: resetting, unschedulable as it is",
        host[0],
        "delete a at once",
        "delete nodes n1",
        "delete certificatesigningrequests csr-1",
        host[1],
    ]
    assert host[0] == "host: create, stop, stop, remove"  # record, kubelet, containers, sandboxes
    assert any("removed: shop/a" in event.text for event in scene.journal.events)


RUNNING = {
    "its kubelet runs again": (
        replace(STOPPED, now=NODE.now),
        "its pods were not declared dead: kubelet.service is active there",
    ),
    "containerd holds one": (
        replace(STOPPED, sandboxes=(WEB,)),
        "its pods were not declared dead: containerd holds shop/web-1",
    ),
    "of another runtime": (
        replace(STOPPED, processes=2),
        "its pods were not declared dead: processes run in cgroups of pods there (2)",
    ),
    "containerd is away": (
        replace(STOPPED, shims=1),
        "its pods were not declared dead: 1 container run there, of which containerd says nothing",
    ),
    "it can't be told": (
        replace(STOPPED, now=replace(STOPPED.now, cut=frozenset({"processes"}))),
        "its pods were not declared dead: the host did not show all of it (processes)",
    ),
}


@pytest.mark.parametrize(("seen", "why"), RUNNING.values(), ids=RUNNING)
def test_pods_of_which_anything_may_run_are_not_declared_dead(
    scene: Removed, seen: Survey, why: str
) -> None:
    dead(scene, DEAD, STOPPED, seen)
    error = scene.remove().error
    assert isinstance(error, NotProvenDeadError)
    assert str(error) == why
    assert [p["metadata"]["name"] for p in scene.api.pods] == ["a"]
    assert "n1" in scene.api.nodes
    dead(scene, STOPPED, STOPPED, BARE)
    assert scene.remove().ok, "it goes on"
    assert "n1" not in scene.api.nodes


def test_a_budget_holds_pods_of_a_dead_kubelet_too(scene: Removed) -> None:
    dead(scene)
    scene.api.answers["a"] = [HELD]
    error = scene.remove().error
    assert isinstance(error, WaitTimeoutError)
    assert "shop/a" in str(error)
    assert not [what for what in scene.did if what.startswith(("host", "delete"))]


def test_a_host_that_was_reset_before_is_removed(scene: Removed) -> None:
    """Its kubelet has gone, and left pods in the cluster that nobody ends."""
    dead(scene, BARE)
    outcome = scene.remove()
    assert outcome.ok, outcome.error
    assert [what for what in scene.did if what.startswith("delete")] == [
        "delete a at once",
        "delete nodes n1",
        "delete certificatesigningrequests csr-1",
    ]


def test_a_kubelet_that_reports_nothing_ends_no_pod_either(scene: Removed) -> None:
    dead(scene, NODE, STOPPED, STOPPED, BARE)
    scene.api.nodes["n1"]["status"]["conditions"][0]["status"] = "Unknown"
    assert scene.plan().no_kubelet == "its kubelet runs, and reports nothing to the cluster"
    dead(scene, NODE, STOPPED, STOPPED, BARE)
    assert scene.remove().ok
    assert "delete a at once" in scene.did


def test_a_plan_says_that_a_dead_kubelet_ends_no_pod(
    scene: Removed, capsys: pytest.CaptureFixture[str]
) -> None:
    dead(scene)
    found = scene.plan()
    removal._print({"n1": Outcome(found)})
    shown = capsys.readouterr().out
    assert (
        "n1: its kubelet does not run (failed), so its pods are evicted, then ended by the runtime,"
        " and removed from the cluster once none of their processes is left\n"
        "n1: cordoned, stopped; then its Node object and 1 signing request, and what is on its"
        " host, go\n"
    ) in shown
    assert scene.did == []


def test_only_a_dead_kubelet_takes_the_right_to_delete_pods(scene: Removed) -> None:
    scene.api.refused = {"delete pods"}
    dead(scene)
    assert not scene.remove().ok
    assert not [what for what in scene.did if what.startswith(("evict", "host", "delete"))]
    scene.api.pods, scene.api.lasts, scene.seen = [], 1, [NODE, STOPPED, BARE]
    assert scene.remove().ok


# --- a host that is not the node's machine --------------------------------------------------------

ELSEWHERE = MachineIds.of("m9", "b9")


def at(ids: MachineIds, *seen: Survey) -> list[Survey]:
    """Return what is seen, on a machine of these ids."""
    return [replace(each, ids=ids) for each in seen]


def silent(scene: Removed) -> None:
    """Have the cluster hear nothing of its kubelet."""
    scene.api.nodes["n1"]["status"]["conditions"][0]["status"] = "Unknown"


OTHERS = {
    "bare, its own is silent": (ELSEWHERE, (BARE,), True),
    "a node without a kubelet that runs": (ELSEWHERE, (DEAD, STOPPED, STOPPED, BARE), True),
    "the node reports from elsewhere": (ELSEWHERE, (NODE, STOPPED, BARE), False),
    "another node's": (MachineIds.of("m2", "b2"), (NODE, STOPPED, BARE), False),
    "a clone": (MachineIds.of("m1", "b9"), (NODE, STOPPED, BARE), False),
}


@pytest.mark.parametrize(("ids", "seen", "unheard"), OTHERS.values(), ids=OTHERS)
def test_a_host_that_is_another_machine_leaves_all_as_it_is(
    scene: Removed, ids: MachineIds, seen: tuple[Survey, ...], unheard: bool
) -> None:
    """Its own machine's pods may write: what is seen elsewhere says nothing of them."""
    dead(scene, *at(ids, *seen))
    if unheard:
        silent(scene)
    error = scene.remove().error
    assert isinstance(error, OtherMachineError)
    assert "remove-node --offline --host-is-off --limit n1" in error.advice
    assert scene.did == []
    assert [p["metadata"]["name"] for p in scene.api.pods] == ["a"]


def test_where_its_machine_is_not_known_its_pods_are_not_declared_dead(scene: Removed) -> None:
    dead(scene)
    del scene.api.nodes["n1"]["status"]["nodeInfo"]
    error = scene.remove().error
    assert isinstance(error, OtherMachineError)
    assert error.message.endswith("the Node has no machine-id")
    assert scene.did == []
    dead(scene)
    scene.api.pods = []
    assert scene.remove().ok, "without pods nothing is declared dead"


def test_a_live_kubelet_ends_its_pods_whatever_its_machine_is_called(scene: Removed) -> None:
    for live in scene.api.nodes.values():
        live["status"]["nodeInfo"] = {"machineID": "", "bootID": ""}
    scene.api.pods = [pod("a")]
    assert scene.remove().ok
    assert "delete a at once" not in scene.did


def test_a_machine_that_came_to_the_address_since_the_plan_is_seen_before_the_first_change(
    scene: Removed,
) -> None:
    dead(scene)
    found = removing.plan(scene.run(), Permits())
    scene.ids = ELSEWHERE
    error = removing.remove(scene.run(), found, Permits())["n1"].error
    assert isinstance(error, OtherMachineError)
    assert scene.did == []


def test_another_machine_than_when_it_was_planned_is_seen_where_no_node_tells_of_it(
    scene: Removed,
) -> None:
    """Its Node object has gone, as in a removal that was cut off: only the plan knows its ids."""
    del scene.api.nodes["n1"]
    found = removing.plan(scene.run(), Permits())
    scene.ids = ELSEWHERE
    error = removing.remove(scene.run(), found, Permits())["n1"].error
    assert isinstance(error, OtherMachineError)
    assert "another machine answers at its address than when this was planned" in error.message
    assert scene.did == []


def test_a_host_that_has_rebooted_since_it_was_planned_is_the_same(scene: Removed) -> None:
    del scene.api.nodes["n1"]
    found = removing.plan(scene.run(), Permits())
    scene.ids = MachineIds.of("m1", "b9")
    outcome = removing.remove(scene.run(), found, Permits())["n1"]
    assert outcome.ok, outcome.error


def test_a_machine_that_came_to_the_address_during_the_removal_declares_nothing_dead(
    scene: Removed,
) -> None:
    dead(scene, DEAD, STOPPED, *at(ELSEWHERE, STOPPED, BARE))
    error = scene.remove().error
    assert isinstance(error, NotProvenDeadError)
    assert "the Node has the machine-id m1, the host m9" in error.message
    assert "--host-is-off" in error.advice
    assert [p["metadata"]["name"] for p in scene.api.pods] == ["a"]
    assert "n1" in scene.api.nodes


def test_a_host_that_has_rebooted_is_the_same(scene: Removed) -> None:
    dead(scene, *at(MachineIds.of("m1", "b7"), DEAD, STOPPED, STOPPED, BARE))
    silent(scene)
    outcome = scene.remove()
    assert outcome.ok, outcome.error
    assert "delete a at once" in scene.did


def test_two_nodes_whose_addresses_lead_to_one_machine_are_not_both_removed(
    scene: Removed,
) -> None:
    """One of them has no Node object: its host would be reset with the other's pods."""
    del scene.api.nodes["n1"]
    scene.seen = at(MachineIds.of("m2", "b2"), NODE, STOPPED, BARE)
    error = scene.remove().error
    assert isinstance(error, OtherMachineError)
    assert "that host is the machine of the node n2" in error.message
    assert scene.did == []


# --- data that stays ------------------------------------------------------------------------------


def test_volumes_of_a_node_that_was_drained_before_are_named(
    scene: Removed, capsys: pytest.CaptureFixture[str]
) -> None:
    scene.api.volumes = [local_volume("n1"), local_volume("n2")]
    found = scene.plan()
    assert found.volumes == ("pv-n1 (claim shop/data)",)
    removal._print({"n1": Outcome(found)})
    assert (
        "n1: no other node can have 1 volume of it, nor pods with them start elsewhere; a reset"
        " leaves their data: pv-n1 (claim shop/data)\n"
    ) in capsys.readouterr().out
    assert removal._document({"n1": Outcome(found)})["nodes"][0]["volumes"] == [*found.volumes]
