"""Upgrades of nodes in use: what is kept, what is drained, what goes back, and what goes on."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from fabnode.artifacts import store
from fabnode.cli.commands import upgrade as upgrade_view
from fabnode.cni.protocol import Turn
from fabnode.deploy import (
    dead_kubelet,
    draining,
    host_changes,
    node_proof,
    relay,
    status_runs,
    upgrading,
)
from fabnode.deploy import run as run_module
from fabnode.deploy.dead_kubelet import PodsMayRunError
from fabnode.deploy.errors import PreflightError
from fabnode.deploy.network_upgrade import NetworkProspect, NetworkUpgrade
from fabnode.deploy.node_drainer import DrainBlockedError
from fabnode.deploy.node_planner import NodePlan
from fabnode.deploy.node_proof import NotWellError
from fabnode.deploy.upgrading import StuckError, Upgrade, UpgradeRefusedError, WentBackError
from fabnode.deploy.wave_runner import TooManyDownError
from fabnode.journal.summary import rows
from fabnode.node.facts import Facts, PathFact
from fabnode.node.machine_ids import MachineIds
from fabnode.node.plan import Change, Plan
from fabnode.node.resources import Absent, Binary, File, Trace, Unit
from fabnode.node.surroundings import Sandbox, Surroundings, Survey, UnitState
from fabnode.releases.version import Release
from fabnode.releases.version_change import Versions, version_change
from fabnode.remote.apply import Applied
from fabnode.ssh.errors import ApplyError, UnreachableError
from fabnode.ssh.exec import Result
from fabnode.steps.checks.check import Check
from fabnode.steps.finding import Finding
from fabnode.util.errors import ClusterError
from fabnode.util.wait import WaitTimeoutError
from tests.upkeep.pods import node, pod

from .nodes_in_use import DEAD, LOOPS, Scene, kubelet, with_binding

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from fabnode.config.configuration import Config, Node
    from fabnode.journal.journal import Journal
    from fabnode.util.fan_out import Outcome

OLD, NEW = Release.parse("1.36.3"), Release.parse("1.37.2")
SET_BACK = ["halted n1", "set kept n1", "forgotten n1"]
BAD = Check("n1", "kube-proxy health", ok=False, detail="nobody answers")


class Upgraded(Scene):
    """
    Nodes that run older releases; what is checked of them afterwards is given.

    :ivar runs: releases by node. :ivar after: what they run once they were deployed to; None: what
        is wanted. :ivar findings: of preflight, by node.
    :ivar timeouts: seconds that what was done on hosts may take, by kind.
    :ivar on_deploy: called with each node that is deployed to; it may fail.
    :ivar on_back: likewise, where one goes back.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, **settings: Any) -> None:
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
        super().__init__(monkeypatch, timeouts={"drain": 3, "ready": 1}, **settings)
        self.tmp_path = tmp_path
        self.wanted = Versions(NEW, "containerd", Release.parse("2.3.4"))
        before = Versions(OLD, "containerd", Release.parse("2.3.4"))
        self.runs = dict.fromkeys(("n1", "n2", "n3"), before)
        self.after: Versions | None = None
        self.timeouts: dict[str, int] = {}
        self.findings: dict[str, tuple[Finding, ...]] = {}
        self.facts = Facts(known=True)
        self.own_names: set[str] = set()
        self.bad: list[list[Check]] = []
        self.did: list[str] = []
        self.more: list[Change] = []  # what else is planned
        self.kept: dict[str, str] = {}  # tags of what hosts keep
        self.seen_within: list[float] = []
        self.network_fails = False
        self.restarts = 0
        self.on_deploy: Callable[[str], None] = lambda _: None
        self.on_back: Callable[[str], None] = lambda _: None
        self.on_forget: Callable[[str], None] = lambda _: None
        self.on_keep: Callable[[str], None] = lambda _: None
        self.on_changes: Callable[[str], None] = lambda _: None
        self.ready: Callable[[str], None] = lambda _: None
        monkeypatch.setattr(node_proof, "_POLL", 0.01)
        monkeypatch.setattr(run_module, "NodeDeployer", self._deployer)
        monkeypatch.setattr(store, "load", lambda _: SimpleNamespace(by_arch={}))
        checks = lambda *_: self.bad.pop(0) if self.bad else []  # noqa: E731
        monkeypatch.setattr(node_proof, "verify_node", checks)
        monkeypatch.setattr(node_proof, "verify_cluster", lambda *_, **__: [])
        wait_ready = "fabnode.deploy.node_registry.Nodes.wait_ready"
        self.since: list[float] = []

        def waited(_: object, name: str, since: float, *__: object) -> None:
            self.since.append(since)
            self.ready(name)

        monkeypatch.setattr(wait_ready, waited)
        monkeypatch.setattr(host_changes, "carry_out", self._carry_out)
        self.kubelets = dict.fromkeys(self.runs, kubelet())
        self.surveys: list[Survey] = []
        monkeypatch.setattr(run_module, "Host", lambda node, _: _Host(self, node))
        monkeypatch.setattr(dead_kubelet, "survey", lambda *_, **__: self.surveys.pop(0))
        original, get = self.api.find, self.api.get

        def empty(path: str, **query: str) -> Any:
            of_runs = ("/secrets", "/certificatesigningrequests", "bindings", "roles")
            return {"items": []} if path.endswith(of_runs) else get(path, **query)

        monkeypatch.setattr(self.api, "get", empty)

        def find(path: str) -> Any:
            found = original(path)
            if found and path.startswith("/api/v1/nodes/"):
                runs = self.runs[path.rpartition("/")[2]]
                found["status"]["nodeInfo"] = {
                    "kubeletVersion": f"v{runs.kubelet}",
                    "containerRuntimeVersion": f"{runs.runtime}://{runs.runtime_release}",
                    "machineID": "m1",
                }
            return found

        monkeypatch.setattr(self.api, "find", find)

    def upgrade(self, *names: str, **wanted: Any) -> dict[str, Outcome[Any]]:
        self.did.clear()
        run = self.run(*names)
        upgrading.upgrade(run, Upgrade(**wanted))
        return run.outcomes

    def record(self, name: str = "n1") -> dict[str, Any] | None:
        text = self.api.nodes[name]["metadata"].get("annotations", {}).get("fabnode.io/operation")
        return dict(json.loads(text)) if text else None

    def _deployer(self, host: Any, *_: object, **__: object) -> SimpleNamespace:
        name = host.node.name

        def plan(*, upgrades: bool) -> NodePlan:
            assert upgrades
            old = self.runs[name]
            if old == self.wanted:
                return NodePlan(Plan(name), {}, findings=self.findings.get(name, ()))
            source = self.tmp_path / "kubelet"
            changes = (
                Change(Binary("/usr/local/bin/kubelet", source, "0" * 64), "update", "differs"),
                Change(File("/etc/kubernetes/kubelet.yaml", b""), "update", "differs"),
                Change(File("/etc/kubernetes/s.pem", b"", secret=True), "update", "differs"),
                Change(Unit("kubelet.service", reads=()), "restart", "differs"),
            )
            change = version_change(old, self.wanted)
            found = self.findings.get(name, ())
            own = name in self.own_names
            plan = Plan(name, (*changes, *self.more))
            return NodePlan(plan, {}, findings=found, change=change, own_name=own)

        def changes(*, seen_within: float) -> Plan:
            assert seen_within < 120
            self.on_changes(name)
            return plan(upgrades=True).plan

        def deploy(
            *, before_change: Callable[[], None], seen_within: float, upgrades: bool
        ) -> None:
            assert upgrades
            self.seen_within.append(seen_within)
            before_change()
            self.did.append(f"deploy {name}")
            self.on_deploy(name)
            self.runs[name] = self.after or self.wanted

        return _Deployer(
            scene=self,
            host=host,
            node=host.node,
            facts=self.facts,
            plan=plan,
            changes=changes,
            deploy=deploy,
            bring_images=lambda _: self.did.append(f"images {name}"),
            probe=lambda: None,
            overrides=lambda: (),
        )

    def _carry_out(
        self, config: Config, journal: Journal, host: Node, plan: Plan, step: str, text: str
    ) -> Applied:
        assert text
        for change in plan.changes:
            assert isinstance(change.resource, Trace)
            kind = change.resource.kind
            self.did.append(f"{kind} {host.name}")
            self.timeouts[kind] = change.resource.timeout
            if kind == "kept":
                self.on_keep(host.name)
                self.words = change.resource.words
                self.kept[host.name] = self.words[0]
            if kind == "forgotten":
                self.on_forget(host.name)
                self.kept.pop(host.name, None)
            if kind == "set kept":
                assert change.resource.words == (self.kept[host.name],)
                self.on_back(host.name)
                self.runs[host.name] = Versions(OLD, "containerd", Release.parse("2.3.4"))
        back = any(change.name == "what it ran" for change in plan.changes)
        return Applied(plan, (), 0, {"kubelet.service": 1234.0} if back else {})


class _Host(SimpleNamespace):
    """A host of which nothing but its kubelet can be asked."""

    def __init__(self, scene: Upgraded, node: Node) -> None:
        super().__init__(node=node, name=node.name, close=lambda: None, interrupt=lambda: None)
        self._scene = scene

    def root(self, script: str, **_: object) -> Result:
        if script.startswith("timeout 20 systemctl show"):
            return Result(0, self._scene.kubelets[self.name], b"")
        assert script == "systemctl start --no-block -- kubelet.service"
        self._scene.did.append(f"start {self.name}")
        return Result(0, b"", b"")


class _Deployer(SimpleNamespace):
    """What is done with one node; what its host keeps is looked up then."""

    @property
    def kept(self) -> str:
        return str(self.scene.kept.get(self.node.name, ""))


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Upgraded:
    return Upgraded(monkeypatch, tmp_path)


def test_a_node_is_drained_changed_proved_and_takes_pods_again(scene: Upgraded) -> None:
    scene.api.pods = [pod("a")]
    outcome = scene.upgrade()["n1"]
    assert outcome.ok, outcome.error
    assert scene.did == ["kept n1", "deploy n1", "forgotten n1"]
    assert scene.api.reported == [
        "patch n1: draining, unschedulable True",
        "evict a (policy/v1)",
        "patch n1: changing, unschedulable as it is",
        "patch n1: proving, unschedulable as it is",
        "patch n1: nothing, unschedulable None",
    ]
    assert scene.record() is None


def test_nodes_that_are_upgraded_one_by_one_pass_parts_on_to_those_after_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    did: list[str] = []

    class Relay:
        def __init__(self, _config: object, _journal: object, nodes: Sequence[Node]) -> None:
            self.names = [node.name for node in nodes]

        def __enter__(self) -> Relay:
            did.append(f"begin {self.names}")
            return self

        def __exit__(self, *_: object) -> None:
            did.append("end")

        def leave(self, name: str) -> None:
            did.append(f"leave {name}")

    monkeypatch.setattr(relay, "Relay", Relay)
    scene = Upgraded(monkeypatch, tmp_path, artifacts={"distribution": "relay"})
    scene.runs["n3"] = scene.wanted
    scene.on_deploy = lambda name: did.append(f"deploy {name}")
    assert all(outcome.ok for outcome in scene.upgrade("n1", "n2", "n3").values())
    assert did[did.index("begin ['n1', 'n2']") :] == [
        "begin ['n1', 'n2']",
        *("deploy n1", "leave n1", "deploy n2", "leave n2"),
        "end",
    ]


def test_what_is_kept_is_all_that_is_replaced_and_no_secret(scene: Upgraded) -> None:
    scene.upgrade()
    tag, *words = scene.words
    assert tag
    assert words[:3] == [
        "kubelet.service",
        "/usr/local/bin/kubelet",
        "/etc/kubernetes/kubelet.yaml",
    ]
    assert "=/var/lib/kubelet/cpu_manager_state" in words
    assert not [word for word in words if "s.pem" in word]


def test_what_has_drifted_since_the_plan_is_kept_as_well(scene: Upgraded) -> None:
    """The plan of the run's beginning is hours old at its fiftieth node."""

    def drifts(_: str) -> None:
        path = "/etc/containerd/certs.d/r/hosts.toml"
        scene.more = [Change(Absent(path), "remove", "a file that must not exist")]

    scene.on_changes = drifts
    assert scene.upgrade()["n1"].ok
    assert "/etc/containerd/certs.d/r/hosts.toml" in scene.words


def test_what_can_not_be_looked_at_again_leaves_the_node_as_it_was(scene: Upgraded) -> None:
    def away(name: str) -> None:
        raise UnreachableError(name, "no route to host")

    scene.on_changes = away
    assert isinstance(scene.upgrade()["n1"].error, UnreachableError)
    assert scene.did == []
    assert not scene.api.cordoned()


def test_a_host_that_keeps_a_set_is_in_flight_whoever_lifts_its_cordon(scene: Upgraded) -> None:
    scene.on_deploy = killed
    scene.upgrade()
    assert _in_flight(scene).startswith("upgrade (")
    draining.uncordon(scene.run())
    found = _in_flight(scene)
    assert found.startswith("unfinished: upgrade (its host keeps what ran before) by ")
    assert found.endswith(" UTC: inv upgrade --limit n1 goes on")
    scene.on_deploy = lambda _: None
    assert scene.upgrade()["n1"].ok
    assert _in_flight(scene) == ""


def _in_flight(scene: Upgraded) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(status_runs, "_asked", lambda *_: {})
        (found,) = status_runs.status(scene.run("n1")).nodes
    return found.operation


def test_dockers_containers_are_not_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """They are the host's own daemon's, of which `ctr` knows nothing."""
    scene = Upgraded(monkeypatch, tmp_path, runtime={"name": "docker"})
    release = Release.parse("28.0.1")
    scene.runs = dict.fromkeys(scene.runs, Versions(NEW, "docker", release))
    scene.wanted = Versions(Release.parse("1.36.3"), "docker", release)
    seen = upgrading.plan(scene.run(), Upgrade()).nodes["n1"].value
    assert seen
    assert "are docker's, which run on meanwhile" in "; ".join(seen.effects)
    scene.on_deploy = fails
    assert isinstance(scene.upgrade()["n1"].error, WentBackError)
    assert "pods n1" not in scene.did
    assert scene.did.count("halted n1") == 2
    assert scene.did[-3:] == SET_BACK


def test_a_patch_of_the_kubelet_drains_nothing(scene: Upgraded) -> None:
    scene.runs["n1"] = Versions(Release.parse("1.37.1"), "containerd", Release.parse("2.3.4"))
    scene.api.pods = [pod("a")]
    assert scene.upgrade()["n1"].ok
    assert not [what for what in scene.api.reported if what.startswith("evict")]
    assert "deploy n1" in scene.did


def test_a_plan_says_how_many_pods_leave_endpoints_while_an_older_kubelet_starts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    scene = Upgraded(monkeypatch, tmp_path, cluster={"version": "1.34.2"})
    scene.wanted = Versions(Release.parse("1.34.2"), "containerd", Release.parse("2.3.4"))
    scene.runs["n1"] = replace(scene.wanted, kubelet=Release.parse("1.34.1"))
    probed = pod("b")
    probed["spec"]["containers"] = [{"readinessProbe": {"periodSeconds": 5}}]
    scene.api.pods = [pod("a"), probed]
    found = upgrading.plan(scene.run(), Upgrade()).nodes["n1"].value
    assert found
    text = "1 pod would leave its Services' endpoints until probed again, 5 s at most"
    assert found.effects == (text,)


def test_a_plan_counts_what_starts_again(scene: Upgraded) -> None:
    scene.runs["n1"] = Versions(Release.parse("1.30.14"), "containerd", Release.parse("2.3.4"))
    own = pod("agent", controller=("apps/v1", "DaemonSet"))
    own["spec"]["containers"] = [{"name": "a"}, {"name": "b"}]
    scene.api.owners["/apis/apps/v1/namespaces/shop/daemonsets/web"] = {"metadata": {"uid": "o"}}
    scene.api.pods = [own, pod("a")]
    found = upgrading.plan(scene.run(), Upgrade()).nodes["n1"].value
    assert found
    assert "containers restart (2 containers of the node's own pods)" in found.effects


def test_many_programs_of_a_folder_are_a_number(tmp_path: Path) -> None:
    def binaries(folder: str, *names: str) -> list[Change]:
        found = [Binary(f"{folder}/{name}", tmp_path, "0" * 64) for name in names]
        return [Change(each, "update", "differs") for each in found]

    plugins = binaries("/opt/cni/bin", *(f"plugin{number}" for number in range(18)))
    plan = Plan("n1", (*binaries("/usr/local/bin", "runc", "kube-proxy"), *plugins))
    (text,) = upgrading.Prospect(NodePlan(plan, {})).texts
    programs = "runc, kube-proxy, 18 programs in /opt/cni/bin"
    assert text == f"no release; 20 changes in all ({programs})"


def test_a_change_of_runtime_ends_the_nodes_own_pods(scene: Upgraded) -> None:
    scene.runs["n1"] = Versions(NEW, "containerd", Release.parse("1.7.33"))
    assert scene.upgrade()["n1"].ok
    assert scene.did == ["kept n1", "halted n1", "pods n1", "deploy n1", "forgotten n1"]


def test_pods_that_end_get_their_time(scene: Upgraded) -> None:
    scene.runs["n1"] = Versions(NEW, "containerd", Release.parse("1.7.33"))
    scene.upgrade()
    assert scene.timeouts == {"kept": 150, "halted": 150, "pods": 600, "forgotten": 150}


def test_a_runtime_that_is_not_what_its_configuration_says_goes_back(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Among the artifacts there was another release."""
    scene = Upgraded(monkeypatch, tmp_path, runtime={"version": "2.4.2"})
    scene.wanted = Versions(NEW, "containerd", Release.parse("2.4.2"))
    scene.after = Versions(NEW, "containerd", Release.parse("2.3.5"))
    error = scene.upgrade()["n1"].error
    assert isinstance(error, WentBackError)
    assert "its runtime reports containerd 2.3.5" in f"{error.message} {error.detail}"


def test_a_plan_changes_nothing(scene: Upgraded) -> None:
    scene.api.pods = [pod("a")]
    found = upgrading.plan(scene.run(), Upgrade()).nodes["n1"].value
    assert found
    assert found.texts == (
        "kubelet 1.36.3 → 1.37.2",
        "4 changes in all (kubelet), restarting kubelet",
    )
    assert found.drain
    assert (scene.api.reported, scene.did) == ([], [])


def test_a_plan_shows_what_it_would_bind(scene: Upgraded, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kube-proxy that gets a certificate in its node's own name is given that name's rights."""
    scene.own_names = {"n1", "n2", "n3"}
    scene.runs["n3"] = scene.wanted  # nothing is done there
    bindings = with_binding(scene, monkeypatch, "n2")
    found = upgrading.plan(scene.run("n1", "n2", "n3"), Upgrade())
    (change,) = found.objects
    assert change.title == "ClusterRoleBinding fabnode:kube-proxies"
    assert change.fields == ("subjects + system:kube-proxy:n1",)
    assert bindings.bound == ["n2"]


def test_a_plan_binds_nothing_for_a_node_that_is_refused(
    scene: Upgraded, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.own_names = {"n1", "n2"}
    scene.findings["n1"] = (Finding("error", "it has no conntrack", "install it"),)
    scene.runs["n2"] = Versions(NEW, "containerd", Release.parse("1.7.33"))
    scene.wanted = Versions(NEW, "containerd", Release.parse("2.4.2"))
    with_binding(scene, monkeypatch)
    assert upgrading.plan(scene.run("n1", "n2"), Upgrade()).objects == ()


def test_what_is_right_is_left_alone(scene: Upgraded) -> None:
    scene.runs["n1"] = scene.wanted
    assert scene.upgrade("n1", "n2")["n1"].ok
    assert not [what for what in (*scene.did, *scene.api.reported) if "n1" in what]
    assert "deploy n2" in scene.did


@pytest.mark.parametrize("step", ["deploy", "checks", "Ready"])
def test_a_node_that_fails_goes_back_and_ends_the_run(scene: Upgraded, step: str) -> None:
    def fail(name: str) -> None:
        if name == "n2" and step == "deploy":
            error = ApplyError(name, "kubelet does not stay up", "", action="start", detail="flag")
            scene.journal.fail(name, "kubelet", error)  # as the step that applies does
            raise error

    def not_ready(name: str) -> None:
        # Once, with what is new.
        if name == "n2" and step == "Ready" and scene.runs[name] == scene.wanted:
            raise WaitTimeoutError("Ready", 1, "container runtime is down")

    scene.on_deploy, scene.ready = fail, not_ready
    if step == "checks":
        scene.bad = [[], *[[BAD]] * 1000]
    outcomes = scene.upgrade("n1", "n2", "n3")
    assert outcomes["n1"].ok
    assert isinstance(outcomes["n2"].error, WentBackError)
    assert "it runs what it ran before, and takes pods again" in outcomes["n2"].error.message
    shown = {row.node: row.cause for row in rows(scene.journal.events, outcomes, outcomes)}
    assert shown["n2"] == outcomes["n2"].error.message, "whatever had failed first"
    assert outcomes["n3"].skipped
    assert [n for n in ("n1", "n2", "n3") if scene.api.cordoned(n)] == []
    assert scene.runs["n2"].kubelet == OLD
    assert "set kept n2" in scene.did
    assert not [what for what in scene.did if "n3" in what]
    assert scene.record("n2") is None


def test_a_host_that_is_dead_stays_cordoned_and_is_named(scene: Upgraded) -> None:
    def fail(name: str) -> None:
        raise UnreachableError(name, "no route to host")

    scene.on_deploy = scene.on_back = fail
    error = scene.upgrade()["n1"].error
    assert isinstance(error, StuckError)
    assert "what it ran before could not be restored: no route to host" in error.message
    assert "inv upgrade --limit n1 goes on from here" in error.advice
    assert scene.api.cordoned()
    assert scene.record() is not None


def test_a_node_of_which_nothing_could_be_kept_is_as_it_was(scene: Upgraded) -> None:
    def busy(name: str) -> None:
        raise ApplyError(name, "another run of fabnode is changing it", "", action="", detail="")

    scene.on_keep = busy
    error = scene.upgrade()["n1"].error
    assert isinstance(error, ApplyError)
    assert scene.did == ["kept n1"]
    assert not scene.api.cordoned()
    assert scene.record() is None


def test_a_node_that_is_not_well_with_what_it_ran_either_is_named(scene: Upgraded) -> None:
    scene.bad = [[BAD]] * 1000

    def not_ready(name: str) -> None:
        if scene.runs[name] != scene.wanted:
            raise WaitTimeoutError("Ready", 1, "container runtime is down")

    scene.ready = not_ready
    error = scene.upgrade()["n1"].error
    assert isinstance(error, StuckError)
    assert "it went back to what it ran before, but that is unhealthy too" in error.message
    assert scene.api.cordoned()


def test_what_others_did_to_the_cordon_meanwhile_is_said(scene: Upgraded) -> None:
    scene.api.nodes["n1"] = node("n1", cordoned=True, manager="kubectl-cordon")

    def lifts(_: str) -> None:
        del scene.api.nodes["n1"]["spec"]["unschedulable"]

    scene.on_deploy = lifts
    assert scene.upgrade()["n1"].ok
    assert not scene.api.cordoned(), "that cordon was fabnode's: nobody else would lift it"

    def takes(name: str) -> None:
        scene.api.nodes[name] = node(name, cordoned=True, manager="kubectl-cordon")

    scene.on_deploy = takes
    assert scene.upgrade("n2")["n2"].ok
    assert scene.api.cordoned("n2")
    assert "it was cordoned by somebody else meanwhile, and stays so" in scene.texts("done")


def test_an_administrators_cordon_stays(scene: Upgraded) -> None:
    scene.api.nodes["n1"]["spec"]["unschedulable"] = True
    assert scene.upgrade()["n1"].ok
    assert scene.api.cordoned()
    assert scene.record() is None


def test_a_pod_that_would_not_go_leaves_its_node_as_it_is(scene: Upgraded) -> None:
    scene.api.pods = [pod("lonely", controller=None)]
    outcomes = scene.upgrade("n1", "n2")
    assert isinstance(outcomes["n1"].error, DrainBlockedError)
    assert outcomes["n2"].ok
    assert not [what for what in (*scene.did, *scene.api.reported) if "n1" in what]


def test_a_way_that_is_not_supported_is_refused(scene: Upgraded) -> None:
    scene.wanted = Versions(NEW, "containerd", Release.parse("2.4.2"))
    scene.runs["n1"] = Versions(NEW, "containerd", Release.parse("1.7.33"))
    error = scene.upgrade()["n1"].error
    assert isinstance(error, UpgradeRefusedError)
    assert "configure runtime.version: 2.3.4" in error.advice
    assert (scene.did, scene.api.reported) == ([], [])


def test_what_preflight_finds_forbids_it(scene: Upgraded) -> None:
    scene.findings["n1"] = (Finding("error", "it has no conntrack", "install it"),)
    assert isinstance(scene.upgrade()["n1"].error, PreflightError)
    assert (scene.did, scene.api.reported) == ([], [])


@pytest.mark.parametrize("phase", ["draining", "changing", "proving", "nothing"])
def test_a_cut_off_upgrade_goes_on(scene: Upgraded, phase: str) -> None:
    scene.api.pods = [pod("a")]

    def cut(what: str) -> None:
        if what.startswith(f"patch n1: {phase}"):
            raise KeyboardInterrupt

    scene.api.on_change = cut
    assert not scene.upgrade()["n1"].ok
    scene.api.on_change = lambda _: None
    assert scene.upgrade()["n1"].ok
    assert scene.runs["n1"] == scene.wanted
    assert not scene.api.cordoned()
    assert scene.record() is None


def test_a_resumed_upgrade_keeps_the_first_set(scene: Upgraded) -> None:
    def killed(_: str) -> None:
        raise KeyboardInterrupt

    scene.on_deploy = killed
    scene.upgrade()
    first = scene.words[0]
    scene.on_deploy = lambda _: None
    assert scene.upgrade()["n1"].ok
    assert scene.words[0] == first, "by its tag the host knows that it has that set"


PATCHED = Versions(Release.parse("1.37.1"), "containerd", Release.parse("2.3.4"))


def fails(name: str) -> None:
    raise ApplyError(name, "kubelet does not stay up", "", action="start", detail="")


def killed(_: str) -> None:
    raise KeyboardInterrupt


def test_a_patch_that_was_cut_off_goes_back_under_its_pods(scene: Upgraded) -> None:
    """It has drained nothing, and asked no budget."""
    scene.runs["n1"], scene.api.pods = PATCHED, [pod("a")]
    scene.on_deploy = killed
    scene.upgrade()
    assert scene.record()
    scene.on_deploy = fails
    assert isinstance(scene.upgrade()["n1"].error, WentBackError)
    assert scene.did == ["kept n1", "deploy n1", "set kept n1", "forgotten n1"]
    assert not [what for what in scene.api.reported if what.startswith("evict")]


def test_state_files_of_a_kubelet_are_not_put_back_under_pods(scene: Upgraded) -> None:
    scene.runs["n1"] = PATCHED
    scene.upgrade()
    assert not [word for word in scene.words if word.startswith("=")]


def test_before_state_files_are_put_back_the_kubelet_is_stopped(scene: Upgraded) -> None:
    scene.on_deploy = fails
    scene.upgrade()
    assert scene.did == ["kept n1", "deploy n1", *SET_BACK]


def test_a_plan_says_what_the_way_back_is(scene: Upgraded) -> None:
    minor = upgrading.plan(scene.run(), Upgrade()).nodes["n1"].value
    scene.runs["n1"] = PATCHED
    patch = upgrading.plan(scene.run(), Upgrade()).nodes["n1"].value
    assert minor
    assert patch
    assert "without pods, with the kubelet's state files of before" in minor.way_back
    assert "under its pods, with the kubelet's state files as they are then" in patch.way_back


def test_a_change_that_was_cut_off_when_all_was_there_is_drained_again(scene: Upgraded) -> None:
    """By its plan alone nothing is left to drain for, and meanwhile a pod came."""

    def proving(what: str) -> None:
        if what.startswith("patch n1: proving"):
            raise KeyboardInterrupt

    scene.api.on_change = proving
    scene.upgrade()
    scene.api.on_change, scene.api.pods = lambda _: None, [pod("late")]
    scene.bad = [[BAD]] * 1000
    assert isinstance(scene.upgrade()["n1"].error, WentBackError)
    assert "evict late (policy/v1)" in scene.api.reported
    assert scene.did == ["kept n1", "deploy n1", *SET_BACK]


def test_by_the_record_of_an_older_fabnode_all_pods_leave_before_the_way_back(
    scene: Upgraded,
) -> None:
    scene.runs["n1"], scene.api.pods = PATCHED, [pod("a")]
    scene.on_deploy = killed
    scene.upgrade()
    record = scene.record()
    assert record
    older = {key: value for key, value in record.items() if key not in {"drained", "ends_pods"}}
    scene.api.nodes["n1"]["metadata"]["annotations"]["fabnode.io/operation"] = json.dumps(older)
    scene.on_deploy = fails
    assert isinstance(scene.upgrade()["n1"].error, WentBackError)
    assert "evict a (policy/v1)" in scene.api.reported
    assert scene.did[-4:] == ["halted n1", "pods n1", "set kept n1", "forgotten n1"]


def test_an_uncordon_names_an_upgrade_within_which_something_else_began(scene: Upgraded) -> None:
    scene.on_deploy = killed
    scene.upgrade()
    with draining.cordons_alone(scene.run()) as using:
        using.cordon("n1", "maintain", "draining")
    draining.uncordon(scene.run())
    assert any("its upgrade is not done" in text for text in scene.texts("warning"))


@pytest.mark.parametrize("by", ["kubectl", "fabnode"])
def test_what_ran_before_is_gone_on_with_after_an_uncordon(scene: Upgraded, by: str) -> None:
    """Whoever lifts the cordon: pods came, so they leave before anything else is done."""
    scene.on_deploy = killed
    scene.upgrade()
    if by == "fabnode":
        draining.uncordon(scene.run())
        assert any("its upgrade is not done" in text for text in scene.texts("warning"))
    else:
        del scene.api.nodes["n1"]["spec"]["unschedulable"]
    scene.api.pods = [pod("a")]
    scene.on_deploy = fails
    assert isinstance(scene.upgrade()["n1"].error, WentBackError)
    assert "evict a (policy/v1)" in scene.api.reported
    assert scene.did[-4:] == ["halted n1", "pods n1", "set kept n1", "forgotten n1"]


def test_an_older_minor_starts_without_the_state_of_the_newer_one(scene: Upgraded) -> None:
    """Its kubelet may not read that, and would not start; the way back has it still."""
    scene.wanted = Versions(Release.parse("1.35.1"), "containerd", Release.parse("2.3.4"))
    prospect = upgrading.plan(scene.run(), Upgrade()).nodes["n1"].value
    assert prospect
    assert "starts without the state files of the newer one" in "; ".join(prospect.effects)
    scene.on_deploy = fails
    scene.upgrade()
    count = scene.did.count("file n1")
    assert count > 5
    ended = ["halted n1", "pods n1"]
    back = ["deploy n1", *ended, "set kept n1", "forgotten n1"]
    assert scene.did == ["kept n1", *ended, *["file n1"] * count, *back]
    assert "=/var/lib/kubelet/cpu_manager_state" in scene.words


@pytest.mark.parametrize("kept", [False, True])
def test_what_cannot_be_kept_is_refused_before_pods_leave(scene: Upgraded, *, kept: bool) -> None:
    """Unless a set is there already, which this may be in."""
    path = "/etc/kubernetes/kubelet.yaml"
    scene.facts = Facts(known=True, paths={path: PathFact("file", 0o664)})
    if kept:
        scene.kept["n1"] = "1.36.3 2026-01-01T00:00:00Z"
    error = scene.upgrade()["n1"].error
    if kept:
        assert error is None
        return
    assert isinstance(error, PreflightError)
    assert f"others than root may change {path}" in str(error)
    assert f"install -m 644 {path} {path}.new" in error.advice
    assert scene.did == []
    assert "unschedulable" not in scene.api.nodes["n1"]["spec"]
    (seen,) = upgrading.plan(scene.run(), Upgrade()).nodes.values()
    assert seen.value
    assert [f.level for f in seen.value.planned.findings] == ["error"]


def test_another_runtime_is_no_upgrade(scene: Upgraded) -> None:
    scene.runs["n1"] = Versions(NEW, "docker", Release.parse("28.0.1"))
    error = scene.upgrade()["n1"].error
    assert isinstance(error, UpgradeRefusedError)
    assert "containers of the node's own pods would run on" in error.message
    assert "inv remove-node" in error.advice
    assert (scene.did, scene.api.reported) == ([], [])


def test_one_that_went_back_is_not_said_to_be_cordoned(scene: Upgraded) -> None:
    scene.bad = [[BAD]] * 1000
    error = scene.upgrade()["n1"].error
    assert isinstance(error, WentBackError)
    assert error.advice == "inv upgrade --limit n1 tries again"


def test_one_that_went_back_and_is_well_is_not_stuck_with_what_was_kept(scene: Upgraded) -> None:
    def lost(name: str) -> None:
        raise UnreachableError(name, "no route to host")

    scene.on_deploy, scene.on_forget = fails, lost
    assert isinstance(scene.upgrade()["n1"].error, WentBackError)
    assert not scene.api.cordoned()
    (warning,) = [text for text in scene.texts("warning") if "kept of before" in text]
    assert "no route to host" in warning


def test_what_the_failing_kubelet_said_is_no_proof_of_the_one_of_before(scene: Upgraded) -> None:
    scene.on_deploy = fails
    scene.upgrade()
    assert scene.since == [1234.0], "when its host says that it started again"


@pytest.mark.parametrize("ready_before", [True, False])
def test_a_node_that_went_back_takes_pods_once_its_own_are_as_before(
    scene: Upgraded, *, ready_before: bool
) -> None:
    agent = pod("agent", controller=("apps/v1", "DaemonSet"), ready=ready_before)
    scene.api.owners["/apis/apps/v1/namespaces/shop/daemonsets/web"] = {"metadata": {"uid": "o"}}
    scene.api.pods = [agent]

    def breaks(name: str) -> None:
        agent["status"]["conditions"] = [{"type": "Ready", "status": "False"}]
        fails(name)

    scene.on_deploy = breaks
    error = scene.upgrade()["n1"].error
    assert isinstance(error, StuckError if ready_before else WentBackError)
    assert scene.api.cordoned() is ready_before
    if ready_before:
        assert "shop/agent is not Ready" in error.message


def test_one_that_runs_what_it_ran_and_stays_cordoned_says_so(scene: Upgraded) -> None:
    def away(what: str) -> None:
        if what == "patch n1: nothing, unschedulable None":
            raise UnreachableError("n1", "the apiserver is away")

    scene.on_deploy, scene.api.on_change = fails, away
    error = scene.upgrade()["n1"].error
    assert isinstance(error, StuckError)
    assert error.message.startswith("it runs what it ran before, but takes no pods: the apiserver")
    assert "unhealthy" not in error.message


def test_where_all_is_new_but_nobody_proved_it_that_is_done(scene: Upgraded) -> None:
    scene.runs["n1"], scene.kept["n1"] = scene.wanted, "2026-11-29T10:00:00Z a@b"
    found = upgrading.plan(scene.run(), Upgrade()).nodes["n1"].value
    assert found
    assert "its host keeps what ran before) by a@b since 2026-11-29 10:00:00" in found.goes_on
    assert scene.upgrade()["n1"].ok
    assert scene.did == ["kept n1", "deploy n1", "forgotten n1"]
    assert scene.kept == {}
    assert not scene.api.cordoned()


def test_a_node_that_is_not_well_names_what(scene: Upgraded) -> None:
    scene.bad = [[BAD]] * 1000
    error = scene.upgrade()["n1"].error
    assert isinstance(error, WentBackError)
    assert "kube-proxy health: nobody answers" in error.message
    assert isinstance(error.__cause__, NotWellError)


def test_a_node_that_is_down_already_counts(scene: Upgraded) -> None:
    scene.api.nodes["n3"]["status"]["conditions"][0]["status"] = "Unknown"
    outcomes = scene.upgrade("n1", "n2")
    for name in ("n1", "n2"):
        error = outcomes[name].error
        assert isinstance(error, TooManyDownError)
        assert "n3 is unhealthy, and at most 1 node may be unavailable" in error.message
        assert "inv upgrade --batch 2" in error.advice
    assert (scene.did, scene.api.reported) == ([], [])


def test_a_node_that_is_down_is_taken_before_others(scene: Upgraded) -> None:
    ready = scene.api.nodes["n2"]["status"]["conditions"][0]
    ready["status"] = "False"

    def mended(name: str) -> None:
        if name == "n2":
            ready["status"] = "True"

    scene.on_deploy = mended
    assert all(outcome.ok for outcome in scene.upgrade("n1", "n2").values())
    assert [what for what in scene.did if what.startswith("deploy")] == ["deploy n2", "deploy n1"]


def test_the_first_is_taken_alone_whatever_the_batch(scene: Upgraded) -> None:
    away: list[set[str]] = []
    scene.on_deploy = lambda _: away.append(
        {name for name in ("n1", "n2", "n3") if scene.api.cordoned(name)}
    )
    run = scene.run("n1", "n2", "n3", batch=3)
    upgrading.upgrade(run, Upgrade())
    assert away[0] == {"n1"}
    assert all(outcome.ok for outcome in run.outcomes.values())


def test_two_that_fail_for_one_reason_end_the_run(scene: Upgraded) -> None:
    finding = Finding("error", "it has no conntrack", "install it")
    scene.findings |= {"n1": (finding,), "n2": (finding,)}
    outcomes = scene.upgrade("n1", "n2", "n3")
    assert outcomes["n3"].skipped.startswith("n1 and n2 failed with the same cause")
    assert (scene.did, scene.api.reported) == ([], [])


def test_what_was_found_of_a_node_is_not_looked_at_again(scene: Upgraded) -> None:
    scene.upgrade()
    assert scene.seen_within[0] > 0


def test_after_its_pods_were_ended_a_node_is_looked_at_again(scene: Upgraded) -> None:
    scene.runs["n1"] = Versions(NEW, "containerd", Release.parse("1.7.33"))
    scene.upgrade()
    assert scene.seen_within == [0.0]


@pytest.fixture
def soaking(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Upgraded:
    """Return nodes that have to stay well for a second; `restarts` makes one's own pod restart."""
    scene = Upgraded(monkeypatch, tmp_path, maintenance={"retry": 1, "soak": 1})
    own = pod("calico-node-1", controller=("apps/v1", "DaemonSet"))
    own["status"]["containerStatuses"] = [{"restartCount": 4}]
    scene.api.owners["/apis/apps/v1/namespaces/shop/daemonsets/web"] = {"metadata": {"uid": "o"}}
    scene.api.pods = [own]
    found = scene.api.get

    def get(path: str, **query: str) -> Any:
        trial = "patch n1: soaking, unschedulable None" in scene.api.reported
        if path == "/api/v1/pods" and trial and scene.runs["n1"] == scene.wanted:
            own["status"]["containerStatuses"][0]["restartCount"] += scene.restarts
        return found(path, **query)

    monkeypatch.setattr(scene.api, "get", get)
    return scene


def arriving(scene: Upgraded, *names: str) -> None:
    """Have pods come to the node once it takes some."""

    def arrive(what: str) -> None:
        if what == "patch n1: soaking, unschedulable None":
            scene.api.pods += [pod(name) for name in names]

    scene.api.on_change = arrive


def test_a_node_that_does_not_stay_well_is_emptied_and_goes_back(soaking: Upgraded) -> None:
    soaking.restarts = 1
    arriving(soaking, "a")
    outcomes = soaking.upgrade("n1", "n2")
    error = outcomes["n1"].error
    assert isinstance(error, WentBackError)
    assert "shop/calico-node-1 has started again" in error.message
    assert outcomes["n2"].skipped
    assert soaking.did == ["kept n1", "deploy n1", *SET_BACK]
    trial = soaking.api.reported.index("patch n1: soaking, unschedulable None")
    assert soaking.api.reported[trial + 1 :] == [
        "patch n1: draining, unschedulable True",
        "evict a (policy/v1)",
        "patch n1: nothing, unschedulable None",
    ]
    assert soaking.record() is None


STOPPED = Survey(
    now=Surroundings(machine="m1", units={"kubelet.service": UnitState("loaded", "inactive")}),
    ids=MachineIds("m1"),
)
WEB = Sandbox("s1", "shop", "a", daemon=False)
ENDED = ["halted n1", "containers n1", "pods n1", "start n1"]


@pytest.fixture
def dying(soaking: Upgraded) -> Upgraded:
    """Return nodes of which the kubelet of n1 dies on trial, once a pod has come."""
    ready = soaking.api.nodes["n1"]["status"]["conditions"][0]
    arriving(soaking, "a")
    arrive = soaking.api.on_change

    def dies(what: str) -> None:
        arrive(what)
        if "soaking" in what:
            soaking.kubelets["n1"], soaking.api.dead = LOOPS, {"n1"}
            ready["status"] = "Unknown"

    def lives(_: str) -> None:
        soaking.kubelets["n1"], soaking.api.dead = kubelet(), set()
        ready["status"] = "True"

    soaking.api.on_change, soaking.on_back = dies, lives
    soaking.surveys = [replace(STOPPED, sandboxes=(WEB,)), STOPPED]
    return soaking


def test_a_node_whose_kubelet_dies_on_trial_goes_back(dying: Upgraded) -> None:
    error = dying.upgrade("n1", "n2")["n1"].error
    assert isinstance(error, WentBackError)
    assert "and takes pods again: it is unhealthy" in error.message
    assert dying.did == ["kept n1", "deploy n1", *ENDED, *SET_BACK]
    trial = dying.api.reported.index("patch n1: soaking, unschedulable None")
    assert dying.api.reported[trial + 1 :] == [
        "patch n1: draining, unschedulable True",
        "evict a (policy/v1)",
        "delete a at once",
        "patch n1: nothing, unschedulable None",
    ]
    assert dying.record() is None
    assert dying.runs["n1"].kubelet == OLD


def test_it_stays_as_it_is_while_pods_of_it_may_run(dying: Upgraded) -> None:
    dying.surveys[1] = replace(STOPPED, shims=1)
    error = dying.upgrade()["n1"].error
    assert isinstance(error, StuckError)
    assert error.message.startswith(
        "it could not be emptied to go back, and runs what is new: its kubelet ends no pods, and"
        " they may run on: 1 container run there, of which containerd says nothing"
    )
    assert "set kept n1" not in dying.did
    assert not [what for what in dying.api.reported if "at once" in what]
    assert dying.did[-1] == "start n1", "what was stopped for this"


def test_the_next_run_gets_on_with_a_node_whose_kubelet_died(dying: Upgraded) -> None:
    dying.surveys[1] = replace(STOPPED, shims=1)
    dying.upgrade()
    dying.surveys = [STOPPED, STOPPED]  # somebody has ended what was there
    dying.bad = [[BAD]] * 1000
    error = dying.upgrade()["n1"].error
    assert isinstance(error, WentBackError)
    ended = ["halted n1", "pods n1", "start n1"]  # containerd tells of no sandbox any more
    assert dying.did == [*ended, "kept n1", "deploy n1", *SET_BACK]
    assert "delete a at once" in dying.api.reported


def test_a_node_whose_kubelet_is_dead_is_upgraded(scene: Upgraded) -> None:
    scene.api.pods, scene.api.dead = [pod("a")], {"n1"}
    scene.kubelets["n1"], scene.surveys = DEAD, [replace(STOPPED, sandboxes=(WEB,)), STOPPED]
    ready = scene.api.nodes["n1"]["status"]["conditions"][0]
    ready["status"] = "Unknown"
    scene.on_deploy = lambda _: ready.update(status="True")
    found = upgrading.plan(scene.run(), Upgrade()).nodes["n1"]
    assert (
        "its kubelet does not run (failed): pods that are evicted are ended by the runtime, and go"
        " once that is proved"
    ) in upgrade_view._lines(found)
    assert scene.upgrade()["n1"].ok
    assert scene.did == [*ENDED[:-1], "kept n1", "deploy n1", "forgotten n1"]
    assert "delete a at once" in scene.api.reported


def test_docker_of_a_dead_kubelet_is_nobodys_to_stop(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    scene = Upgraded(monkeypatch, tmp_path, runtime={"name": "docker"})
    scene.wanted = replace(scene.wanted, runtime="docker")
    scene.runs["n1"] = replace(scene.runs["n1"], runtime="docker")
    scene.api.pods, scene.api.dead = [pod("a")], {"n1"}
    scene.kubelets["n1"], scene.surveys = DEAD, [STOPPED, replace(STOPPED, processes=3)]
    error = scene.upgrade()["n1"].error
    assert isinstance(error, PodsMayRunError)
    assert scene.did == ["halted n1"]
    assert [p["metadata"]["name"] for p in scene.api.pods] == ["a"]


def test_a_patch_that_does_not_stay_well_goes_back_under_its_pods(soaking: Upgraded) -> None:
    soaking.runs["n1"], soaking.restarts = PATCHED, 1
    soaking.api.pods.append(pod("a"))
    assert isinstance(soaking.upgrade()["n1"].error, WentBackError)
    assert soaking.did == ["kept n1", "deploy n1", "set kept n1", "forgotten n1"]
    trial = soaking.api.reported.index("patch n1: soaking, unschedulable None")
    assert soaking.api.reported[trial + 1 :] == [
        "patch n1: changing, unschedulable True",
        "patch n1: nothing, unschedulable None",
    ]


def test_a_node_on_trial_that_cannot_be_emptied_stays_as_it_is(soaking: Upgraded) -> None:
    def arrives(what: str) -> None:
        if what == "patch n1: soaking, unschedulable None":
            soaking.api.pods.append(pod("lonely", controller=None))

    soaking.restarts, soaking.api.on_change = 1, arrives
    error = soaking.upgrade("n1")["n1"].error
    assert isinstance(error, StuckError)
    assert "could not be emptied to go back, and runs what is new" in error.message
    assert soaking.api.cordoned()
    assert "set kept n1" not in soaking.did


def test_a_node_on_trial_that_cannot_be_cordoned_is_not_said_to_be(soaking: Upgraded) -> None:
    def refuses(what: str) -> None:
        if what == "patch n1: draining, unschedulable True" and soaking.runs["n1"].kubelet == NEW:
            raise ClusterError("the API is away")

    soaking.restarts, soaking.api.on_change = 1, refuses
    error = soaking.upgrade("n1")["n1"].error
    assert isinstance(error, StuckError)
    assert not soaking.api.cordoned()
    assert error.advice == (
        "it takes pods: inv upgrade --limit n1 goes on from here, inv drain --limit n1 empties it"
    )


def test_a_node_that_stays_well_is_through(soaking: Upgraded) -> None:
    assert soaking.upgrade()["n1"].ok
    assert "healthy for 1 s" in soaking.texts("done")
    assert soaking.did == ["kept n1", "deploy n1", "forgotten n1"]
    assert not soaking.api.cordoned()
    assert soaking.record() is None


@pytest.mark.parametrize("lasts", [True, False])
def test_a_trial_that_was_cut_off_goes_on(soaking: Upgraded, *, lasts: bool) -> None:
    def cut(_: object, __: float) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(node_proof.NodeProof, "soak", cut)
        assert not soaking.upgrade()["n1"].ok
    record = soaking.record()
    assert record
    assert record["phase"] == "soaking"
    assert not soaking.api.cordoned()
    soaking.restarts = 0 if lasts else 1
    assert soaking.upgrade()["n1"].ok is lasts
    assert soaking.did == (["forgotten n1"] if lasts else SET_BACK)
    assert soaking.record() is None


def rolls(monkeypatch: pytest.MonkeyPatch, scene: Upgraded, *, last: bool = False) -> None:
    """Have the pod network change too; that is done on the scene's list."""
    found = NetworkProspect("net is rolled", pods=("n1",), turn=Turn(last))

    def upgrade(_: object, wanted: NetworkProspect, with_images: list[str]) -> None:
        assert wanted is found
        scene.did.append(f"roll, images on {', '.join(with_images)}")
        if scene.network_fails:
            raise ClusterError("it is not well", "look")

    monkeypatch.setattr(NetworkUpgrade, "prospect", lambda _: found)
    monkeypatch.setattr(NetworkUpgrade, "upgrade", upgrade)


@pytest.mark.parametrize("last", [False, True])
def test_the_pod_network_is_rolled_before_or_after_all_nodes(
    scene: Upgraded, monkeypatch: pytest.MonkeyPatch, last: bool
) -> None:
    rolls(monkeypatch, scene, last=last)
    assert all(outcome.ok for outcome in scene.upgrade("n1", "n2").values())
    order = [what for what in scene.did if what.startswith(("roll", "deploy"))]
    roll = "roll, images on n1, n2"
    nodes = ["deploy n1", "deploy n2"]
    assert order == ([*nodes, roll] if last else [roll, *nodes])
    assert scene.did.index("images n1") < scene.did.index(roll)


def test_where_the_network_fails_no_node_is_taken(
    scene: Upgraded, monkeypatch: pytest.MonkeyPatch
) -> None:
    rolls(monkeypatch, scene)
    scene.network_fails = True
    assert scene.upgrade("n1")["n1"].skipped == "the pod network was not upgraded"
    assert not [what for what in scene.did if what.startswith("deploy")]
    assert scene.api.reported == []


def test_where_two_nodes_fail_for_one_reason_the_network_is_left_alone(
    scene: Upgraded, monkeypatch: pytest.MonkeyPatch
) -> None:
    rolls(monkeypatch, scene)
    finding = Finding("error", "it has no conntrack", "install it")
    scene.findings |= {"n1": (finding,), "n2": (finding,)}
    scene.upgrade("n1", "n2", "n3")
    assert scene.did == []
