"""Resets of hosts: the phases, what is refused, the three lists, and the deployer's copies."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import MagicMock

import pytest

from fabnode.cli import reset_view
from fabnode.deploy import baselines, host_changes, resetting, unfinished
from fabnode.deploy import run as run_module
from fabnode.deploy.reset_scope import beside, observed, resources_of, scope_of
from fabnode.deploy.resetting import NotResetError, ResetRefusedError, ResetResult
from fabnode.deploy.run import Run
from fabnode.journal.journal import Journal
from fabnode.node.facts import PathFact
from fabnode.node.machine_ids import MachineIds
from fabnode.node.surroundings import MountPoint, Sandbox, Surroundings, Survey, UnitState
from fabnode.remote.apply import Applied
from fabnode.steps.order import NODE_STEPS
from tests.support import make_config

from .bindings import Bindings

if TYPE_CHECKING:
    from pathlib import Path

    from fabnode.node.plan import Plan
    from fabnode.util.fan_out import Outcome

UNIT = "/etc/systemd/system/kubelet.service"
FORWARD = "/proc/sys/net/ipv4/ip_forward"
BINARY = "/usr/local/bin/kubelet"
WEB = Sandbox("s1", "shop", "web-1", daemon=False)
CALICO = Sandbox("s2", "kube-system", "calico-node-1", daemon=True)
ADMINS = ("*filter", ":INPUT ACCEPT", "-A INPUT -p tcp -j ACCEPT", "COMMIT")
IDS = MachineIds.of("m1", "b1")
NODE = Survey(
    ids=IDS,
    now=Surroundings(
        machine="m1",
        interfaces={"eth0": "2: eth0: <UP>", "kube-ipvs0": "3: kube-ipvs0: <> dummy "},
        filters={"iptables-nft": ADMINS},
        settings={FORWARD: "1"},
        units={"kubelet.service": UnitState("loaded", "active", "enabled")},
        paths={UNIT: PathFact("file"), BINARY: PathFact("file")},
    ),
    before=Surroundings(
        machine="m1",
        interfaces={"eth0": ""},
        settings={FORWARD: "0"},
        asked=frozenset({UNIT, BINARY}),
    ),
    own=("/var/lib/fabnode/baseline", UNIT),
    sandboxes=(CALICO,),
)
STOPPED = replace(
    NODE,
    now=replace(NODE.now, units={"kubelet.service": UnitState("loaded", "inactive", "disabled")}),
    sandboxes=None,
)
BARE = Survey(
    ids=IDS,
    now=Surroundings(
        machine="m1",
        interfaces={"eth0": "2: eth0: <UP>"},
        filters={"iptables-nft": ADMINS},
        settings={FORWARD: "0"},
    ),
)


@dataclass
class Scene:
    """One host in memory, that is surveyed as these say one after the other."""

    seen: list[Survey] = field(default_factory=lambda: [NODE, STOPPED, BARE])
    done: list[list[str]] = field(default_factory=list)
    pods: tuple[str, ...] = ()

    def run(self) -> Run:
        config = make_config()
        return Run(config, config.nodes[:1], Journal(None, []), {}, max_parallel=1)

    def survey(self, *_: object, **__: object) -> Survey:
        return self.seen.pop(0) if len(self.seen) > 1 else self.seen[0]

    def apply(self, _host: Any, plan: Plan, *_: object, **__: object) -> Applied:
        self.done.append([f"{change.action} {change.kind}" for change in plan.changes])
        return Applied(plan, (), sent=7)

    def reset(self) -> Outcome[ResetResult]:
        run = self.run()
        found = resetting.plan(run, self.pods)
        (outcome,) = resetting.carry_out(run, found, self.pods).values()
        return outcome


class Host(SimpleNamespace):
    """A host of which only the name is asked."""

    def __enter__(self) -> Host:
        return self

    def __exit__(self, *_: object) -> None:
        pass


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Scene:
    made = Scene()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(run_module, "Access", MagicMock())
    monkeypatch.setattr(run_module, "Host", lambda node, _: Host(node=node, name=node.name))
    monkeypatch.setattr(resetting, "survey", made.survey)
    monkeypatch.setattr(host_changes, "apply", made.apply)
    return made


def test_what_runs_ends_first_and_the_host_is_surveyed_again_before_the_rest(
    scene: Scene,
) -> None:
    found = scene.reset()
    assert found.ok
    first, rest = scene.done
    assert first == ["create begun", "stop service", "remove sandboxes"]
    assert "stop service" not in rest
    assert rest[-1] == "remove records"
    assert found.value
    assert [thing.split(":")[0] for thing in found.value.gone] == [
        "service kubelet.service",
        "sandboxes kube-system/calico-node-1",
        "interface kube-ipvs0",
        f"file {BINARY}",
        f"file {UNIT}",
    ]
    assert found.value.restored == (f"setting {FORWARD}: 1 → 0",)
    assert found.value.others["interfaces"] == ("eth0",)
    assert found.value.others["iptables-nft filter"] == ADMINS[1:3]
    assert found.value.changed == ()


def test_a_plan_changes_nothing(scene: Scene) -> None:
    resetting.plan(scene.run())
    assert scene.done == []


def test_a_second_reset_finds_nothing(scene: Scene) -> None:
    scene.seen = [BARE]
    found = scene.reset()
    assert found.value
    assert (found.value.gone, found.value.restored) == ((), ())
    assert scene.done == []


def test_pods_of_others_refuse_it_before_anything_is_done(scene: Scene) -> None:
    scene.seen[0] = replace(NODE, sandboxes=(WEB, CALICO))
    found = scene.reset()
    assert isinstance(found.error, ResetRefusedError)
    assert found.error.message == "pods run there: shop/web-1"
    assert "--pods shop/web-1" in found.error.advice
    assert scene.done == []
    scene.pods = ("shop/*",)
    scene.seen = [replace(NODE, sandboxes=(WEB, CALICO)), STOPPED, BARE]
    assert scene.reset().ok


def test_a_mount_that_is_still_there_ends_it_before_any_file_goes(scene: Scene) -> None:
    mount = MountPoint("tmpfs", "/", "/var/lib/kubelet/pods/1/x")
    scene.seen[1] = replace(STOPPED, now=replace(STOPPED.now, mounts=(mount,)))
    found = scene.reset()
    assert isinstance(found.error, NotResetError)
    assert found.error.message == "still there: mounts below /var/lib/kubelet"
    assert len(scene.done) == 1


def test_what_is_still_there_at_the_end_is_a_failure(scene: Scene) -> None:
    scene.seen[2] = replace(BARE, now=replace(BARE.now, paths={BINARY: PathFact("file")}))
    found = scene.reset()
    assert isinstance(found.error, NotResetError)
    assert found.error.message == f"still there: file {BINARY}"


def test_what_of_others_came_or_went_meanwhile_is_reported(scene: Scene) -> None:
    changed = (*ADMINS[:2], "-A INPUT -p udp -j ACCEPT", "COMMIT")
    scene.seen[2] = replace(BARE, now=replace(BARE.now, filters={"iptables-nft": changed}))
    found = scene.reset()
    assert found.value
    assert found.value.changed == (
        "- iptables-nft filter: -A INPUT -p tcp -j ACCEPT",
        "+ iptables-nft filter: -A INPUT -p udp -j ACCEPT",
    )


def test_a_host_that_lost_its_record_is_gone_by_the_copy_of_this_machine(scene: Scene) -> None:
    baselines.store("n1", ["machine\tm1", f"setting\t{FORWARD}:0"])
    scene.seen = [replace(NODE, before=None), STOPPED, BARE]
    (found,) = resetting.plan(scene.run()).values()
    assert found.value
    assert found.value.copied
    assert [c.name for c in found.value.reset.rest if c.kind == "setting"] == [FORWARD]


# --- copies of records -------------------------------------------------------------------------


def test_a_copy_of_another_machine_of_that_name_is_not_taken(scene: Scene) -> None:
    path = baselines.store("n1", ["machine\tm1"])
    assert path.stat().st_mode & 0o777 == 0o600
    assert baselines.find("n1", "m1")
    assert baselines.find("n1", "m2") is None
    assert baselines.find("n1", "") is None
    assert baselines.find("n2", "m1") is None


def test_the_newest_copy_counts_and_none_is_overwritten(scene: Scene) -> None:
    paths = [baselines.store("n1", ["machine\tm1", f"swap\t/dev/{n}"]) for n in "ab"]
    assert len(set(paths)) == 2
    found = baselines.find("n1", "m1")
    assert found
    assert found.swaps == ("/dev/b",)
    paths[1].write_text("nonsense")
    found = baselines.find("n1", "m1")
    assert found
    assert found.swaps == ("/dev/a",)


# --- the scope ---------------------------------------------------------------------------------


def test_the_scope_follows_from_the_steps() -> None:
    config = make_config()
    node = config.nodes[0]
    scope = scope_of(config, node, resources_of(config, node, NODE_STEPS))
    assert {
        BINARY,
        UNIT,
        "/etc/sysctl.d/99-fabnode.conf",
        "/etc/kubernetes/kubelet.kubeconfig",
        "/etc/cni/net.d/10-calico.conflist",
        "/opt/cni/bin/calico-ipam",
    } <= set(scope.files)
    assert {"/etc/kubernetes", "/etc/kubernetes/pki", "/opt/cni"} <= set(scope.folders)
    assert {"/var/lib/kubelet", "/var/lib/containerd", "/run/calico"} <= set(scope.trees)
    assert FORWARD in scope.settings
    everything = {*scope.files, *scope.folders, *scope.trees}
    assert not everything & {"/", "/etc", "/usr/local/bin", "/var/lib", "/opt", "/run", "/var/log"}
    assert not any(path.startswith("/etc/docker") for path in everything)
    assert set(observed(scope).paths) == everything
    assert "/usr/local/bin/.kubelet.fabnode-previous" in beside(scope).files


# --- what is shown -----------------------------------------------------------------------------


def test_a_plan_and_a_result_as_they_are_shown(scene: Scene) -> None:
    run = scene.run()
    found = resetting.plan(run)
    shown = list(reset_view.plan_lines(found))
    assert shown[0] == "n1:"
    assert "  stop service kubelet.service: it is active, enabled" in shown
    assert "    interfaces: eth0" in shown
    assert reset_view.plan_document(found)["nodes"][0]["others"]["interfaces"] == ["eth0"]
    done = resetting.carry_out(run, found)
    shown = list(reset_view.result_lines(done))
    assert "  gone:" in shown
    assert f"    setting {FORWARD}: 1 → 0" in shown
    assert "  not fabnode's, untouched:" in shown
    document = reset_view.result_document(done)["nodes"][0]
    assert document["put_back"] == [f"setting {FORWARD}: 1 → 0"]
    assert document["changed_meanwhile"] == []


class Cluster:
    """An apiserver that has Node objects, and the binding of kube-proxies."""

    def __init__(self, *nodes: str, names: Bindings) -> None:
        self._nodes = nodes
        self._names = names

    def get(self, path: str, **_query: str) -> dict[str, Any]:
        assert path == "/api/v1/nodes"
        return {"items": [{"metadata": {"name": name}} for name in self._nodes]}

    def find(self, path: str) -> dict[str, Any] | None:
        return self._names.find(path)


@pytest.mark.parametrize(
    ("nodes", "bound", "left"),
    [
        (("n1", "n2"), ("n1", "n2"), ("its Node object", "its kube-proxy's rights")),
        ((), ("n1",), ("its kube-proxy's rights",)),
        (("n1",), ("n2",), ("its Node object",)),
    ],
)
def test_what_the_cluster_keeps_of_a_node_is_reported(
    scene: Scene,
    monkeypatch: pytest.MonkeyPatch,
    nodes: tuple[str, ...],
    bound: tuple[str, ...],
    left: tuple[str, ...],
) -> None:
    cluster = Cluster(*nodes, names=Bindings(*bound))
    monkeypatch.setattr(resetting, "load", lambda _: None)
    monkeypatch.setattr(resetting, "Api", lambda *_, **__: cluster)
    found = resetting.in_cluster(scene.run())
    assert found == {"n1": left}
    (shown,) = reset_view.cluster_lines(found)
    assert shown == (
        f"n1: the cluster keeps {' and '.join(left)}: `inv remove-node --limit n1` takes them"
    )


def test_a_cluster_that_has_nothing_of_it_or_can_not_be_asked_is_none_of_a_resets_business(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert resetting.in_cluster(scene.run()) == {}, "it has no kubeconfig"
    cluster = Cluster("n2", names=Bindings("n2"))
    monkeypatch.setattr(resetting, "load", lambda _: None)
    monkeypatch.setattr(resetting, "Api", lambda *_, **__: cluster)
    assert resetting.in_cluster(scene.run()) == {}


# --- what is unfinished ---------------------------------------------------------------------------


def test_a_reset_stands_with_the_deployer_and_on_the_host_until_it_is_done(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply = scene.apply

    def killed(host: Any, plan: Plan, *more: object, **options: object) -> Applied:
        if len(scene.done) == 1:
            raise KeyboardInterrupt
        return apply(host, plan, *more, **options)

    monkeypatch.setattr(host_changes, "apply", killed)
    assert not scene.reset().ok
    assert scene.done[0][0] == "create begun"
    text = unfinished.find(scene.run().config, "n1")
    assert text.startswith("reset by ")
    assert unfinished.in_flight("n1", text) == (f"unfinished: {text}: inv reset --limit n1 goes on")
    monkeypatch.setattr(host_changes, "apply", apply)
    scene.seen = [replace(STOPPED, begun=text), BARE]
    assert scene.reset().ok
    assert unfinished.find(scene.run().config, "n1") == ""


def test_a_plan_says_what_it_goes_on_with(scene: Scene) -> None:
    scene.seen = [replace(STOPPED, begun="reset by a@b since 2026-11-30 08:00:00 UTC")]
    lines = list(reset_view.plan_lines(resetting.plan(scene.run())))
    assert lines[1] == "  goes on: reset by a@b since 2026-11-30 08:00:00 UTC"


def test_what_ended_before_it_could_be_reported_is_forgotten_by_the_next_plan(scene: Scene) -> None:
    unfinished.begin(scene.run().config, "n1", "reset by a@b since 2026-11-30 08:00:00 UTC")
    scene.seen = [BARE]
    resetting.plan(scene.run())
    assert unfinished.find(scene.run().config, "n1") == ""
