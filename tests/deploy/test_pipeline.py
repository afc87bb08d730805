"""What a deployment decides: which steps run, what waits for what, what is left out."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import MagicMock

import pytest

from fabnode.cni.protocol import Diagnosis
from fabnode.deploy import cni_rollout, node_registry, pipeline
from fabnode.deploy import run as run_module
from fabnode.deploy.node_planner import NodePlan
from fabnode.deploy.run import Run, RunContext
from fabnode.journal.events import Event
from fabnode.journal.journal import Journal
from fabnode.kube.client import ApiError
from fabnode.kube.server_side_apply import ObjectChange
from fabnode.node import layout
from fabnode.node.facts import Named
from fabnode.node.plan import ConflictError, Plan
from fabnode.steps.checks.check import Check
from fabnode.steps.finding import Finding
from fabnode.steps.order import STEPS, with_required
from fabnode.util.errors import InputError
from fabnode.util.fan_out import Outcome
from fabnode.util.wait import WaitTimeoutError
from tests.step_order import assert_order
from tests.support import make_config

from .test_never_quiet import Everything, Points

if TYPE_CHECKING:
    from collections.abc import Callable

    from fabnode.deploy.cluster_session import ClusterSession


class Watched(Everything):
    """Two nodes whose checks of the cluster are recorded: of which nodes, and with a network."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> None:
        nodes = [{"name": f"n{number}", "address": f"192.0.2.{number}"} for number in (1, 2)]
        settings = {"calico": {"enabled": False}, "nodes": nodes, **settings}
        super().__init__(monkeypatch, Points(), make_config(**settings))
        self.checked: list[tuple[list[str], bool]] = []
        self.left = False
        monkeypatch.setattr(pipeline, "verify_cluster", self._verify_cluster)
        monkeypatch.setattr(pipeline, "network_probe_left", lambda _: self.left)

    def _verify_cluster(
        self, _: ClusterSession, names: list[str], live: object, *, network: bool, **__: object
    ) -> list[Check]:
        self.checked.append((names, network))
        return []

    def deploy(self, *only: str) -> tuple[Run, list[Check]]:
        run = self.run()
        if only:
            steps = with_required(only)
            run = Run(
                config=run.config,
                nodes=run.nodes,
                journal=run.journal,
                passwords={},
                max_parallel=2,
                only=steps,
            )
        self.checked.clear()
        for host in self.hosts.values():
            host.reported.clear()
        return run, pipeline.deploy(run)


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Watched:
    return Watched(monkeypatch)


def changed_steps(run: Run, node: str = "n1") -> list[str]:
    events = [e for e in run.journal.events if e.node == node and "changes" in e.data]
    return list(dict.fromkeys(event.step for event in events))


def test_a_whole_deployment_follows_the_order_of_the_steps(scene: Watched) -> None:
    run, checks = scene.deploy()
    assert_order(run.journal.events, ["n1", "n2"])
    assert all(check.ok for check in checks)


@pytest.mark.parametrize("step", ["prepare", "kubelet", "proxy", "ready"])
def test_a_journal_in_another_order_is_noticed(scene: Watched, step: str) -> None:
    run, _ = scene.deploy()
    events = list(run.journal.events)
    mine = [e for e in events if e.node == "n1" and e.step == step]
    others = [event for event in events if event not in mine]
    for moved in ([*mine, *others], [*others, *mine]):
        with pytest.raises(AssertionError):
            assert_order(moved, ["n1", "n2"])


def test_a_step_that_is_not_in_the_order_is_noticed(scene: Watched) -> None:
    run, _ = scene.deploy()
    odd = Event(at=0.0, node="n1", step="odd", state="done")
    with pytest.raises(AssertionError):
        assert_order([*run.journal.events, odd], ["n1", "n2"])


@pytest.mark.parametrize(
    ("only", "changed"),
    [
        (["prepare"], ["prepare"]),
        (["proxy"], ["proxy-cert", "proxy"]),
        (["kubelet"], ["bootstrap-kubeconfig", "kubelet"]),
    ],
)
def test_steps_alone_change_theirs_and_prove_nothing_of_the_cluster(
    scene: Watched, only: list[str], changed: list[str]
) -> None:
    run, checks = scene.deploy(*only)
    assert changed_steps(run) == changed
    assert checks == []
    assert scene.checked == []


def test_all_node_steps_named_one_by_one_are_the_whole(scene: Watched) -> None:
    names = [step.name for step in STEPS if step.desired]
    run, _ = scene.deploy(*names)
    assert run.whole
    assert scene.checked


def test_rights_are_bound_where_the_kubelet_is_among_the_steps(
    scene: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    original = scene._api

    def bindings() -> tuple[()]:
        asked.append("bindings")
        return ()

    def api() -> SimpleNamespace:
        made = original()
        made.admission.bindings = bindings
        return made

    monkeypatch.setattr(scene, "_api", api)
    scene.deploy("proxy")
    assert asked == []
    scene.deploy("kubelet")
    assert asked == ["bindings"]


@pytest.mark.parametrize("what", ["roles", "calico objects"])
def test_no_host_changes_before_rights_and_manifest_are_there(
    scene: Watched, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """The API takes its time; until it has answered no host has been sent a change."""
    changed_meanwhile: list[bool] = []
    plain = scene._of_cluster

    def slow(asked: str) -> None:
        if asked == what:
            threading.Event().wait(0.3)
            reported = [text for host in scene.hosts.values() for text in host.reported]
            changed_meanwhile.append(any(text.startswith("host: change") for text in reported))
        plain(asked)

    monkeypatch.setattr(scene, "_of_cluster", slow)
    run, _ = scene.deploy()
    assert changed_meanwhile
    assert not any(changed_meanwhile)
    assert all(outcome.ok for outcome in run.outcomes.values())


@pytest.mark.parametrize("what", ["roles", "calico objects"])
def test_where_a_part_of_the_cluster_fails_no_host_changes_and_nothing_is_checked(
    scene: Watched, what: str
) -> None:
    scene.cluster_error = (what, ApiError(500, "InternalError", "it says no"))
    run, checks = scene.deploy()
    assert checks == []
    assert scene.checked == []
    assert not any(outcome.ok for outcome in run.outcomes.values())
    for host in scene.hosts.values():
        assert not [text for text in host.reported if text.startswith("host: change")]


def test_bad_input_in_a_part_of_the_cluster_ends_the_run(scene: Watched) -> None:
    scene.cluster_error = ("calico objects", InputError("no such manifest"))
    with pytest.raises(InputError, match="no such manifest"):
        scene.deploy()


def test_the_network_is_tried_after_a_change_and_not_after_none(scene: Watched) -> None:
    scene.deploy()
    assert scene.checked == [(["n1", "n2"], True)]
    scene.deploy()
    assert scene.checked == [(["n1", "n2"], False)]


def test_one_changed_node_is_reason_enough_to_try_it_on_all(scene: Watched) -> None:
    scene.deploy()
    scene.hosts["n2"].lose(layout.KUBELET_CONFIG)
    scene.deploy()
    assert scene.checked == [(["n1", "n2"], True)]


def test_a_network_probe_that_was_cut_off_is_made_up_for(scene: Watched) -> None:
    scene.deploy()
    scene.left = True
    scene.deploy()
    assert scene.checked == [(["n1", "n2"], True)]


def fails(monkeypatch: pytest.MonkeyPatch, scene: Watched, *names: str) -> None:
    for name in names:
        host = scene.hosts[name]

        def change(*_: object, **__: object) -> None:
            raise ConflictError("something is in the way")

        monkeypatch.setattr(host, "change", change)


def test_a_node_that_failed_is_not_checked_and_the_others_are(
    scene: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails(monkeypatch, scene, "n1")
    run, checks = scene.deploy()
    assert scene.checked == [(["n2"], True)]
    assert {check.node for check in checks} == {"n2"}
    assert not run.outcomes["n1"].ok
    assert run.outcomes["n2"].ok


def test_nothing_is_changed_where_a_drop_in_names_a_program_of_others(scene: Watched) -> None:
    drop_in, host = f"{layout.PROXY_UNIT}.d/root.conf", scene.hosts["n1"]
    host.facts = replace(
        host.facts,
        config_files={drop_in: ("[Service]", "ExecStartPost=/home/m/rec")},
        of_others=(Named("/home/m/rec", drop_in, runs=True),),
    )
    run, _ = scene.deploy()
    assert f"{drop_in} names /home/m/rec, a program that root runs" in str(run.outcomes["n1"].error)
    assert not [text for text in host.reported if text.startswith("host: change")]
    assert run.outcomes["n2"].ok


def test_where_no_node_is_left_nothing_is_checked(
    scene: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails(monkeypatch, scene, "n1", "n2")
    assert scene.deploy()[1] == []
    assert scene.checked == []


@pytest.mark.parametrize("name", ["Calico", ""])
def test_the_pod_network_is_waited_for_where_fabnode_installs_one(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    scene = Watched(monkeypatch)
    waited: list[list[str]] = []
    renewed: list[list[str]] = []

    def renew_pods(nodes: list[str], before: object) -> tuple[str, ...]:
        renewed.append(nodes)
        return ("calico-node-x",)

    def wait_ready(names: list[str], _: object) -> None:
        waited.append(names)

    network = SimpleNamespace(name=name, wait_ready=wait_ready, renew_pods=renew_pods)
    nodes = SimpleNamespace(current=lambda: {"n1": "live n1", "n9": "live n9"})
    session: Any = SimpleNamespace(
        network=network, nodes=nodes, guard=SimpleNamespace(obtain=lambda: None)
    )
    pipeline.wait_for_network(scene.run(), session, ["n1"])
    assert waited == ([["n1"]] if name else [])
    assert renewed == ([["live n1"]] if name else [])


def test_a_node_without_a_single_check_is_not_proved(
    scene: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: dict[str, Callable[[], list[Check]]] = {
        "n1": list,
        "n2": lambda: [Check("n2", "well", ok=True, detail="")],
    }
    monkeypatch.setattr(pipeline, "verify_node", lambda host, *_: answers[host.name]())
    _, checks = scene.deploy()
    bad = [check for check in checks if not check.ok]
    assert [(check.node, check.name) for check in bad] == [("n1", "reachable")]


def test_the_wait_for_the_pod_network_reports_each_new_state(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    states = ["calico-node is not ready on n1 (Pending)"] * 3 + ["… (Init:CrashLoopBackOff)", None]
    cni = SimpleNamespace(name="Calico", timeout=300.0, not_ready=lambda *_: states.pop(0))
    monkeypatch.setattr(cni_rollout, "network", lambda _: cni)
    journal = Journal()
    cluster: Any = object()
    with journal.step(None, "calico") as log:
        cni_rollout.PodNetwork(make_config(), cluster, journal).wait_ready(["n1"], log.waiting)
    shown = [event for event in journal.events if event.state == "progress"]
    assert [event.text.rpartition("(")[2] for event in shown] == [
        "Pending)",
        "Init:CrashLoopBackOff)",
    ]
    assert shown[0].text.startswith("waiting for Calico: calico-node")
    assert [event.data["limit"] for event in shown] == [300, 300]


@pytest.mark.parametrize("stuck", [True, False])
def test_the_wait_for_a_pod_network_that_only_fails_to_start_ends_early(
    monkeypatch: pytest.MonkeyPatch, stuck: bool
) -> None:
    monkeypatch.setattr(cni_rollout, "_POLL", 0.01)
    monkeypatch.setattr(cni_rollout, "_STUCK_CHECK", 0.02)
    monkeypatch.setattr(cni_rollout, "_PATIENCE", 0.2)
    cni = SimpleNamespace(
        name="Calico",
        timeout=1.0,
        not_ready=lambda *_: "not ready on n1",
        is_stuck=lambda *_: stuck,
        diagnosis=lambda *_: Diagnosis("n1: ErrImagePull", "kubectl logs"),
    )
    monkeypatch.setattr(cni_rollout, "network", lambda _: cni)
    cluster: Any = object()
    waited = "0.2" if stuck else "1"
    with pytest.raises(WaitTimeoutError, match=f"waited {waited} s for Calico: n1: ErrImagePull"):
        cni_rollout.PodNetwork(make_config(), cluster, Journal()).wait_ready(["n1"])


def test_the_wait_for_ready_reports_the_kubelets_own_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(node_registry, "_POLL", 0.01)
    node = {"metadata": {"name": "n1"}, "status": {"conditions": []}}
    condition = {
        "type": "Ready",
        "status": "False",
        "message": "no CNI",
        "reason": "KubeletNotReady",
    }
    node["status"] = {"conditions": [condition]}
    nodes = node_registry.Nodes(make_config(), MagicMock(), MagicMock())
    nodes._watch._objects, nodes._watch._listed = {"n1": node}, True
    journal = Journal()
    seen: list[str] = []

    def meanwhile() -> None:
        if seen:
            raise InterruptedError
        seen.append("once")

    with suppress(InterruptedError), journal.step("n1", "ready") as log:
        nodes.wait_ready("n1", 0, meanwhile, log.waiting)
    (shown,) = [event.text for event in journal.events if event.state == "progress"]
    assert shown.startswith("waiting for Ready: ")
    assert "no CNI" in shown


@pytest.mark.parametrize(
    ("message", "advised"),
    [
        (
            "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady",
            "verify --limit n1 --no-network says why its pod network does not start",
        ),
        ("PLEG is not healthy", "logs"),
    ],
)
def test_a_node_that_lacks_only_its_network_is_looked_up_where_the_cause_stands(
    monkeypatch: pytest.MonkeyPatch, message: str, advised: str
) -> None:
    monkeypatch.setattr(node_registry, "_POLL", 0.01)
    condition = {"type": "Ready", "status": "False", "message": message}
    node = {"metadata": {"name": "n1"}, "status": {"conditions": [condition]}}
    nodes = node_registry.Nodes(make_config(timeouts={"ready": 1}), MagicMock(), MagicMock())
    nodes._watch._objects, nodes._watch._listed = {"n1": node}, True
    with pytest.raises(WaitTimeoutError, match="for Ready: ") as raised:
        nodes.wait_ready("n1", 0, lambda: None)
    assert message in str(raised.value)
    assert raised.value.advice.endswith(advised)


def test_a_plan_shows_what_is_bound_to_the_names_of_kube_proxies(
    scene: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []
    original = scene._api

    def planned(nodes: Any) -> ObjectChange:
        asked.append([node.name for node in nodes])
        metadata = {"name": "fabnode:kube-proxies"}
        return ObjectChange({"kind": "ClusterRoleBinding", "metadata": metadata}, "", "create")

    def api() -> SimpleNamespace:
        made = original()
        made.proxy_identities.planned = planned
        return made

    monkeypatch.setattr(scene, "_api", api)
    shown = pipeline.plan(scene.run())
    assert asked == [["n1", "n2"]]
    assert [change.title for change in shown.objects] == ["ClusterRoleBinding fabnode:kube-proxies"]


def test_a_node_that_would_not_be_changed_is_bound_nothing() -> None:
    forbidden = Outcome(
        NodePlan(Plan("n1"), {}, findings=(Finding("error", "it is hot", "wait"),), own_name=True)
    )
    session: Any = SimpleNamespace(proxy_identities=None)
    assert pipeline.plan_proxy_names(session, {"n1": forbidden}) == ()


@pytest.mark.parametrize(("kept", "open_after"), [(0, 0), (1, 1), (5, 2)])
def test_connections_beyond_those_kept_are_closed_as_work_ends(
    scene: Watched, monkeypatch: pytest.MonkeyPatch, kept: int, open_after: int
) -> None:
    """A thousand hosts are not a thousand connections; what comes next opens them again."""
    closed: list[str] = []
    for host in scene.hosts.values():
        monkeypatch.setattr(host, "close", lambda name=host.name: closed.append(name))
    monkeypatch.setattr(run_module, "_KEPT_OPEN", kept)
    with RunContext(scene.run()) as context:
        context.each(lambda deployer: deployer.probe())
        assert len(scene.hosts) - len(closed) == open_after
        context.each(lambda deployer: deployer.probe(), last=True)
        assert set(closed) == set(scene.hosts)


def test_a_plan_leaves_no_connection_open(scene: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[str] = []
    for host in scene.hosts.values():
        monkeypatch.setattr(host, "close", lambda name=host.name: closed.append(name))
    seen: list[set[str]] = []

    def named(*_: object) -> tuple[()]:
        seen.append(set(closed))
        return ()

    monkeypatch.setattr(pipeline, "plan_proxy_names", named)
    pipeline.plan(scene.run())
    assert seen == [set(scene.hosts)]
