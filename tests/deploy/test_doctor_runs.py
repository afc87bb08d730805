"""What the doctor does about causes, what it leaves alone, and when a node counts as fixed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from fabnode.deploy import approval, doctor_runs, pipeline
from fabnode.deploy import run as run_module
from fabnode.deploy.diagnosis import Diagnoses
from fabnode.deploy.doctor_runs import FixError, NotCuredError, cure, diagnose, shared
from fabnode.doctor.cause import Act, Approve, Cause, Deploy, Fix, RestartPod, UnitAct
from fabnode.ssh.exec import Result

from .nodes_in_use import Scene

if TYPE_CHECKING:
    from fabnode.config.configuration import Node
    from fabnode.deploy.run import Run
    from fabnode.util.fan_out import Outcome

RESTART = UnitAct("restart", "kubelet.service")
COMMAND = "systemctl restart kubelet.service"


def cause(key: str, *acts: Act) -> Cause:
    return Cause(key, f"{key} is wrong", "its evidence", Fix(f"mend {key}", acts))


class Ward(Scene):
    """
    Three nodes, and what each look at them finds, in order; the last one again and again.

    :ivar done: what was done on hosts, and which nodes were deployed to or approved.
    """

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, **diagnoses: list[tuple[Cause, ...]]
    ) -> None:
        super().__init__(monkeypatch, timeouts={"ready": 1})
        self.done: list[str] = []
        self.refuses = ""

        def judged(_: object, planner: Any) -> tuple[tuple[Cause, ...], bool, tuple[str, ...]]:
            found = diagnoses.get(planner.node.name, [()])
            now = found.pop(0) if len(found) > 1 else found[0]
            return tuple(each for each in now if each is not TOO_EARLY), TOO_EARLY not in now, ()

        def deploy(run: Run) -> None:
            self.done.append(f"deploy {','.join(n.name for n in run.nodes)}")

        def approve(run: Run, **how: bool) -> None:
            assert how == {"watch": False, "dry_run": False, "serving_only": True}
            self.done.append(f"approve {','.join(n.name for n in run.nodes)}")

        monkeypatch.setattr(Diagnoses, "judged", judged)
        monkeypatch.setattr(pipeline, "deploy", deploy)
        monkeypatch.setattr(approval, "approve", approve)
        monkeypatch.setattr(doctor_runs, "_POLL", 0.01)
        monkeypatch.setattr(run_module, "Host", lambda node, _: self._host(node))

    def _host(self, node: Node) -> SimpleNamespace:
        def root(script: str) -> Result:
            self.done.append(f"{node.name}: {script}")
            return Result(1, b"", self.refuses.encode()) if self.refuses else Result(0, b"", b"")

        nothing = {"close": lambda: None, "interrupt": lambda: None}
        return SimpleNamespace(node=node, name=node.name, root=root, **nothing)

    def cured(self, *names: str) -> tuple[dict[str, Outcome[Any]], Run]:
        run = self.run(*names)
        return cure(run, diagnose(run)), run


TOO_EARLY = cause("kubelet-silent")  # stands for a service that has just been started


def errors(run: Run) -> dict[str, str]:
    return {name: str(outcome.error) for name, outcome in run.outcomes.items() if outcome.error}


def test_a_look_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    ward = Ward(monkeypatch, n1=[(cause("kubelet-down", RESTART),)])
    found = diagnose(ward.run("n1", "n2"))
    assert [c.key for c in found["n1"].value.causes] == ["kubelet-down"]  # type: ignore[union-attr]
    assert found["n2"].value is not None
    assert found["n2"].value.causes == ()
    assert (ward.done, ward.api.reported) == ([], [])


def test_what_has_just_been_started_is_looked_at_until_it_can_be_judged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ward = Ward(monkeypatch, n1=[(TOO_EARLY,), (TOO_EARLY,), (cause("kubelet-silent"),)])
    found = diagnose(ward.run("n1", "n2"))
    assert [c.key for c in found["n1"].value.causes] == ["kubelet-silent"]  # type: ignore[union-attr]


def test_what_is_safe_is_done_and_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    ill = (cause("kubelet-down", RESTART), cause("not-reporting"))
    ward = Ward(monkeypatch, n1=[ill, ill, ()])
    _, run = ward.cured("n1", "n2")
    assert ward.done == [f"n1: {COMMAND}"]
    assert errors(run) == {}
    assert COMMAND in ward.texts("changed")
    assert all(outcome.ok for outcome in run.outcomes.values())


def test_a_service_that_has_just_been_started_is_not_well_yet(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ill = (cause("kubelet-down", RESTART),)
    ward = Ward(monkeypatch, n1=[ill, (TOO_EARLY,), (TOO_EARLY,), (cause("kubelet-unreached"),)])
    _, run = ward.cured()
    assert errors(run) == {"n1": "it is still unhealthy: kubelet-unreached is wrong"}


def test_a_node_that_is_still_not_well_fails_with_its_cause(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ward = Ward(monkeypatch, n1=[(cause("kubelet-down", RESTART),)])
    _, run = ward.cured()
    assert ward.done == [f"n1: {COMMAND}"], "the same is not done again and again"
    assert isinstance(run.outcomes["n1"].error, NotCuredError)
    assert errors(run) == {"n1": "it is still unhealthy: kubelet-down is wrong"}
    assert isinstance(run.outcomes["n1"].error, NotCuredError)
    assert run.outcomes["n1"].error.advice == "mend kubelet-down"
    assert not run.outcomes["n1"].ok


def test_what_only_a_person_can_mend_is_left_to_one(monkeypatch: pytest.MonkeyPatch) -> None:
    ill = (cause("disk-full"), cause("kubelet-crashes", Deploy()))
    ward = Ward(monkeypatch, n1=[ill])
    _, run = ward.cured()
    assert ward.done == [], "what the full disk explains is not deployed to"
    assert isinstance(run.outcomes["n1"].error, NotCuredError)


def test_what_a_fix_brings_to_light_is_fixed_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    first = (cause("runtime-down", UnitAct("restart", "containerd.service")),)
    second = (cause("kubelet-down", RESTART),)
    ward = Ward(monkeypatch, n1=[first, second, second, ()])
    _, run = ward.cured()
    assert ward.done == ["n1: systemctl restart containerd.service", f"n1: {COMMAND}"]
    assert errors(run) == {}


def test_what_comes_of_a_fix_for_a_moment_is_waited_out(monkeypatch: pytest.MonkeyPatch) -> None:
    ill = (cause("network-config", RESTART),)
    ward = Ward(monkeypatch, n1=[ill, (cause("pods-fail"),), ()])
    _, run = ward.cured()
    assert errors(run) == {}


def test_deployments_and_approvals_are_of_those_nodes_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    masked = cause("kubelet-masked", UnitAct("unmask", "kubelet.service"), Deploy())
    ward = Ward(
        monkeypatch, n1=[(masked,), ()], n2=[(cause("serving-waits", Approve()),), ()], n3=[()]
    )
    _, run = ward.cured("n1", "n2", "n3")
    assert ward.done == ["n1: systemctl unmask kubelet.service", "deploy n1", "approve n2"]
    assert errors(run) == {}


def test_what_nodes_share_is_mended_on_none_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    ill = [(cause("api-unreached"), cause("cordoned"))]
    ward = Ward(monkeypatch, n1=list(ill), n2=list(ill), n3=[(cause("kubelet-down", RESTART),), ()])
    run = ward.run("n1", "n2", "n3")
    found = diagnose(run)
    assert [(each.cause.key, each.nodes) for each in shared(found)] == [
        ("api-unreached", ("n1", "n2"))
    ]
    cure(run, found)
    assert ward.done == [f"n3: {COMMAND}"]
    assert set(errors(run)) == {"n1", "n2"}


def test_a_command_that_fails_is_that_nodes_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    ward = Ward(monkeypatch, n1=[(cause("kubelet-down", RESTART),)])
    ward.refuses = "Unit is masked."
    _, run = ward.cured()
    assert isinstance(run.outcomes["n1"].error, FixError)
    assert f"`{COMMAND}` failed there: Unit is masked." in str(run.outcomes["n1"].error)


def test_the_networks_pod_starts_again_if_it_is_still_that_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pods = [
        {
            "metadata": {"namespace": "kube-system", "name": name, "uid": name},
            "spec": {"nodeName": "n1"},
        }
        for name in ("calico-node-a", "calico-node-b")
    ]
    renews = (
        RestartPod("kube-system/calico-node-a", "calico-node-a"),
        RestartPod("kube-system/calico-node-gone", "gone"),
    )
    ward = Ward(monkeypatch, n1=[(cause("network-config", *renews),), ()])
    ward.api.pods = pods
    _, run = ward.cured()
    assert ward.api.reported == ["delete calico-node-a"]
    assert errors(run) == {}


def test_the_pod_that_replaces_a_restarted_one_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It has another name, and what the first one lacked is not there at once."""

    def lacking(pod: str) -> tuple[Cause, ...]:
        return (cause("network-config", RestartPod(f"kube-system/{pod}", pod)),)

    first, second = lacking("calico-node-a"), lacking("calico-node-b")
    ward = Ward(monkeypatch, n1=[first, second, second, ()])
    ward.api.pods = [
        {
            "metadata": {"namespace": "kube-system", "name": name, "uid": name},
            "spec": {"nodeName": "n1"},
        }
        for name in ("calico-node-a", "calico-node-b")
    ]
    _, run = ward.cured("n1")
    assert ward.api.reported == ["delete calico-node-a"]
    assert errors(run) == {}
