"""Maintenance of nodes: what is proved before a cordon is lifted, and what goes on after a cut."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from fabnode.cli import drain_view
from fabnode.deploy import dead_kubelet, draining, host_changes, maintenance, node_proof
from fabnode.deploy import run as run_module
from fabnode.deploy.cordons import Cordons
from fabnode.deploy.dead_kubelet import PodsMayRunError
from fabnode.deploy.maintenance import (
    KernelTooOldError,
    Maintenance,
    MaintenanceCommandError,
    NotItsHostError,
    RebootError,
)
from fabnode.deploy.node_drainer import DrainBlockedError, StillThereError
from fabnode.deploy.node_proof import NotWellError
from fabnode.doctor.cause import Cause, Fix
from fabnode.kube.client import ApiError
from fabnode.node.machine_ids import MachineIds
from fabnode.node.surroundings import Sandbox, Surroundings, Survey, UnitState
from fabnode.ssh.errors import ChangedHostKeyError, ConnectionLostError, UnreachableError
from fabnode.ssh.exec import Result
from fabnode.steps.checks.check import Check
from fabnode.upkeep.departures import Permits
from fabnode.util.wait import WaitTimeoutError
from tests.upkeep.pods import node, pod

from .nodes_in_use import DEAD, HELD, LOOPS, Scene, kubelet

if TYPE_CHECKING:
    from collections.abc import Callable

    from fabnode.config.configuration import Node
    from fabnode.upkeep.operations import Operation
    from fabnode.util.fan_out import Outcome

BOOTS = [f"b0000000-0000-0000-0000-{number:012}" for number in range(10)]
MACHINE = "0123456789abcdef" * 2
OLD, NEW = "6.1.0-20-amd64", "6.1.0-25-amd64"


class Host:
    """
    A host that boots.

    :ivar down: looks that get no answer after a reboot. :ivar said: what it was told, in order.
    :ivar refuses: what it says to a reboot. :ivar comes_back: False: it stays down.
    """

    def __init__(self, node: Node) -> None:
        self.node = node
        self.name = node.name
        self.boot = 0
        self.running, self.installed, self.due = OLD, OLD, ""
        self.down, self.left, self.comes_back, self.reboots = 2, 0, True, True
        self.refuses = ""
        self.kubelet = kubelet()
        self.now = 1_800_000_000
        self.command = Result(0, b"", b"")
        self.said: list[str] = []
        self.on_said: Callable[[str], None] = lambda _: None
        self.other_key = False
        self.machines = [MACHINE]  # by boot, the last one for all that follow
        self.hardware = ""

    @property
    def machine(self) -> str:
        return self.machines[min(self.boot, len(self.machines) - 1)]

    def root(self, script: str, **_: Any) -> Result:
        if self.left and self.comes_back:
            self.left -= 1
            if not self.left and self.reboots:
                self.boot, self.running = self.boot + 1, self.installed
        if self.left:
            if self.other_key:
                raise ChangedHostKeyError(self.name, "another key")
            raise UnreachableError(self.name, "no route to host")
        if script.startswith("timeout 20 systemctl show"):
            return Result(0, self.kubelet, b"")
        if script.startswith("exec sh -s"):
            due = f"due {self.due}\n" if self.due else ""
            text = (
                f"boot {BOOTS[self.boot]}\nbooted 1\nrunning {self.running}\n"
                f"installed {self.installed}\nnow {self.now}\n"
                f"machine {self.machine}\n{due}"
                f"ids\t{self.machine}\t{BOOTS[self.boot]}\t{self.hardware}\n"
            )
            return Result(0, text.encode(), b"")
        self.said.append(script)
        self.on_said(script)
        if script == "systemctl --no-block reboot":
            if self.refuses:
                return Result(1, b"", self.refuses.encode())
            self.left = self.down
            raise ConnectionLostError(self.name, "the connection broke")
        return self.command

    def close(self) -> None:
        """Nothing is open."""

    def interrupt(self) -> None:
        """Nothing is open."""


class Maintained(Scene):
    """Nodes whose hosts boot; what is checked of them afterwards is given."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> None:
        timeouts = {"drain": 3, "reboot": 1, "ready": 1}
        super().__init__(monkeypatch, timeouts=timeouts, **settings)
        self.hosts = {each.name: Host(each) for each in self.config.nodes}
        self.bad: list[list[Check]] = []
        self.network: list[Check] = []
        self.reported: dict[str, str] = {}  # boots, by node, where those are not their hosts'
        self.machine, self.hardware = MACHINE, ""
        self.beats: dict[str, int] = {}  # when kubelets wrote their Leases last
        monkeypatch.setattr(run_module, "Host", lambda node, _: self.hosts[node.name])
        monkeypatch.setattr(maintenance, "_POLL", 0.01)
        monkeypatch.setattr(node_proof, "_POLL", 0.01)
        monkeypatch.setattr(run_module, "NodeDeployer", self._deployer)
        monkeypatch.setattr(
            node_proof, "verify_node", lambda *_: self.bad.pop(0) if self.bad else []
        )
        monkeypatch.setattr(node_proof, "verify_cluster", lambda *_, **__: self.network)
        nodes = "fabnode.deploy.node_registry.Nodes.wait_ready"
        monkeypatch.setattr(nodes, lambda *_: {})
        original = self.api.find

        def find(path: str) -> Any:
            name = path.rpartition("/")[2]
            if "/leases/" in path:
                self.beats[name] = beat = self.beats.get(name, self.hosts[name].now - 5) + 5
                return {"spec": {"renewTime": datetime.fromtimestamp(beat, UTC).isoformat()}}
            found = original(path)
            if found and path.startswith("/api/v1/nodes/"):
                boot = self.reported.get(name, BOOTS[self.hosts[name].boot])
                ids = {"bootID": boot, "machineID": self.machine, "systemUUID": self.hardware}
                found["status"]["nodeInfo"] = ids
            return found

        monkeypatch.setattr(self.api, "find", find)

    def maintain(self, *names: str, **wanted: Any) -> dict[str, Outcome[Any]]:
        run = self.run(*names)
        maintenance.maintain(run, Maintenance(**wanted))
        return run.outcomes

    def record(self, name: str = "n1") -> dict[str, Any] | None:
        text = self.api.nodes[name]["metadata"].get("annotations", {}).get("fabnode.io/operation")
        return dict(json.loads(text)) if text else None

    def _deployer(self, host: Host, *_: object, **__: object) -> SimpleNamespace:
        return SimpleNamespace(
            host=host, node=host.node, planner=None, probe=lambda: None, overrides=lambda: ()
        )


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Maintained:
    made = Maintained(monkeypatch)
    made.api.owners["/apis/apps/v1/namespaces/shop/daemonsets/web"] = {"metadata": {"uid": "o"}}
    return made


def test_a_node_is_drained_rebooted_proved_and_takes_pods_again(scene: Maintained) -> None:
    scene.api.pods = [pod("a")]
    scene.hosts["n1"].installed = NEW
    outcome = scene.maintain()["n1"]
    assert outcome.ok, outcome.error
    assert scene.api.reported == [
        "patch n1: draining, unschedulable True",
        "evict a (policy/v1)",
        "patch n1: rebooting, unschedulable as it is",
        "patch n1: proving, unschedulable as it is",
        "patch n1: nothing, unschedulable None",
    ]
    assert scene.hosts["n1"].said == ["systemctl --no-block reboot"]
    assert scene.record() is None
    assert f"rebooted, kernel {NEW}" in scene.texts("changed")


def test_a_plan_changes_nothing(scene: Maintained) -> None:
    scene.api.pods = [pod("a")]
    scene.hosts["n1"].installed = NEW
    found = maintenance.plan(scene.run(), Maintenance())["n1"].value
    assert found
    assert (found.action, found.due) == (
        "reboot",
        f"kernel {NEW} is installed, {OLD} runs",
    )
    assert found.drain
    assert [d.pod for d in found.drain.departures] == ["shop/a"]
    assert (scene.api.reported, scene.hosts["n1"].said) == ([], [])


def test_nodes_follow_each_other_and_a_failure_ends_it(scene: Maintained) -> None:
    scene.hosts["n2"].comes_back = False
    outcomes = scene.maintain("n1", "n2", "n3")
    assert outcomes["n1"].ok
    assert isinstance(outcomes["n2"].error, RebootError)
    assert outcomes["n3"].skipped
    assert [n for n in ("n1", "n2", "n3") if scene.api.cordoned(n)] == ["n2"]
    assert scene.hosts["n3"].said == []
    error = outcomes["n2"].error
    assert "the host is not back after 1 s: no route to host" in error.message
    assert "inv maintain --limit n2 goes on from here" in error.advice
    assert any("cordoned by fabnode now: n2" in text for text in scene.texts("info"))


def test_only_what_is_due_is_rebooted(scene: Maintained) -> None:
    scene.hosts["n2"].due = "/run/reboot-required: libc6"
    outcomes = scene.maintain("n1", "n2", if_due=True)
    assert all(outcome.ok for outcome in outcomes.values())
    assert scene.hosts["n1"].said == []
    assert scene.hosts["n2"].said == ["systemctl --no-block reboot"]
    assert not [what for what in scene.api.reported if "n1" in what]


def test_a_pod_that_would_not_go_leaves_its_node_as_it_is(scene: Maintained) -> None:
    scene.api.pods = [pod("lonely", controller=None)]
    outcomes = scene.maintain("n1", "n2")
    assert isinstance(outcomes["n1"].error, DrainBlockedError)
    assert outcomes["n2"].ok
    assert not scene.api.cordoned("n1")
    assert scene.hosts["n1"].said == []


def test_the_same_boot_is_no_reboot(scene: Maintained) -> None:
    scene.hosts["n1"].reboots = False
    error = scene.maintain()["n1"].error
    assert isinstance(error, RebootError)
    assert "it answers, and has not gone down yet" in error.message
    assert scene.api.cordoned()


def test_a_host_that_refuses_to_reboot_says_why(scene: Maintained) -> None:
    scene.hosts["n1"].refuses = "Operation inhibited by backup"
    error = scene.maintain()["n1"].error
    assert isinstance(error, RebootError)
    assert "refuses to reboot: Operation inhibited by backup" in error.message


@pytest.mark.parametrize("named", ["", NEW])
def test_another_kernel_than_the_wanted_is_no_success(scene: Maintained, named: str) -> None:
    host = scene.hosts["n1"]
    host.installed = OLD if named else NEW
    if not named:  # its boot loader takes another one than it says

        def takes_the_old_one(_: str) -> None:
            host.installed = OLD

        host.on_said = takes_the_old_one
    error = scene.maintain(kernel=named)["n1"].error
    assert isinstance(error, RebootError)
    assert f"the host runs the kernel {OLD} instead of {NEW}" in error.message
    assert scene.api.cordoned()


def test_a_kernel_that_is_too_old_is_not_booted(monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs would do; what was installed since would not."""
    scene = Maintained(monkeypatch, kube_proxy={"mode": "nftables"})
    scene.hosts["n1"].installed = "5.10.0-13-amd64"
    error = scene.maintain()["n1"].error
    assert isinstance(error, KernelTooOldError)
    assert "5.13 is needed for kube-proxy's nftables mode" in error.message
    assert (scene.hosts["n1"].said, scene.api.reported) == ([], [])
    assert scene.maintain(kernel=NEW)["n1"].error is not None  # it is the old one that boots
    assert scene.hosts["n1"].said


def test_another_host_in_its_place_is_not_waited_for(scene: Maintained) -> None:
    scene.hosts["n1"].other_key = True
    assert isinstance(scene.maintain()["n1"].error, ChangedHostKeyError)


BAD = Check("n1", "kube-proxy health", ok=False, detail="nobody answers")
CORDONED = Check("n1", "schedulable", ok=False, detail="cordoned")


def test_checks_may_take_a_moment_to_be_good(scene: Maintained) -> None:
    scene.bad = [[BAD, CORDONED], [CORDONED]]
    assert scene.maintain()["n1"].ok


def test_a_node_that_is_not_well_takes_no_pods(scene: Maintained) -> None:
    scene.bad = [[BAD]] * 1000
    error = scene.maintain()["n1"].error
    assert isinstance(error, NotWellError)
    assert "kube-proxy health: nobody answers" in error.message
    assert scene.api.cordoned()
    assert scene.record() is not None


def test_a_node_that_is_not_ready_in_time_takes_no_pods(
    scene: Maintained, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise WaitTimeoutError("Ready", 180, "container runtime is down")

    cause = Cause("disk-full", "the file system of /var is full", "0 KiB", Fix("look there"))
    monkeypatch.setattr("fabnode.deploy.node_registry.Nodes.wait_ready", never)
    monkeypatch.setattr("fabnode.deploy.diagnosis.Diagnoses.causes", lambda *_: (cause,))
    error = scene.maintain()["n1"].error
    assert isinstance(error, NotWellError)
    assert "waited 180 s for Ready: container runtime is down" in error.message
    assert "the cause: the file system of /var is full" in error.message
    assert "inv maintain --limit n1 goes on" in error.advice
    assert scene.api.cordoned()


def test_its_own_pods_have_to_be_ready(scene: Maintained) -> None:
    scene.api.pods = [pod("agent", controller=("apps/v1", "DaemonSet"), ready=False)]
    error = scene.maintain()["n1"].error
    assert isinstance(error, NotWellError)
    assert "shop/agent is not Ready" in error.message


def test_a_new_pod_has_to_reach_the_others(scene: Maintained) -> None:
    scene.network = [Check("n1", "pod on n2", ok=False, detail="no answer within 10 s")]
    assert isinstance(scene.maintain()["n1"].error, NotWellError)
    assert scene.maintain(network=False)["n1"].ok


@pytest.mark.parametrize("phase", ["draining", "rebooting", "proving", "nothing"])
def test_a_cut_off_maintenance_goes_on_and_reboots_once(scene: Maintained, phase: str) -> None:
    scene.api.pods = [pod("a")]

    def cut(what: str) -> None:
        if what.startswith(f"patch n1: {phase}"):
            raise KeyboardInterrupt

    scene.api.on_change = cut
    assert not scene.maintain()["n1"].ok
    scene.api.on_change = lambda _: None
    assert scene.maintain()["n1"].ok
    assert scene.hosts["n1"].said == ["systemctl --no-block reboot"]
    assert not scene.api.cordoned()
    assert scene.record() is None


def test_a_run_that_was_cut_off_while_the_host_was_down_waits_for_it(scene: Maintained) -> None:
    host = scene.hosts["n1"]

    def killed(_: str) -> None:
        host.left = host.down
        raise KeyboardInterrupt

    host.on_said = killed
    assert not scene.maintain()["n1"].ok
    assert scene.record() is not None
    host.on_said = lambda _: None
    assert scene.maintain(if_due=True)["n1"].ok, "what is in flight goes on, due or not"
    assert len(host.said) == 1
    assert not scene.api.cordoned()


def test_one_that_was_cut_off_before_the_reboot_reboots(scene: Maintained) -> None:
    host = scene.hosts["n1"]

    def killed(_: str) -> None:
        raise KeyboardInterrupt  # before the host has heard of it

    host.on_said = killed
    assert not scene.maintain()["n1"].ok
    host.on_said = lambda _: None
    assert scene.maintain()["n1"].ok
    assert len(host.said) == 2
    assert host.boot == 1


def test_an_admins_cordon_and_a_drain_by_hand_are_left_as_they_were(scene: Maintained) -> None:
    scene.api.nodes["n1"] = node("n1", cordoned=True, manager="kubectl-cordon")
    assert scene.maintain()["n1"].ok
    assert scene.api.cordoned()
    assert scene.record() is None
    draining.drain(scene.run("n2"), Permits())
    before = scene.record("n2")
    assert scene.maintain("n2")["n2"].ok
    assert scene.api.cordoned("n2")
    assert scene.record("n2") == before


def test_a_cordon_that_its_owner_lifts_meanwhile_is_not_left_behind(scene: Maintained) -> None:
    """The next phase sets it again, by whom it is recorded."""
    scene.api.nodes["n1"] = node("n1", cordoned=True, manager="kubectl-cordon")
    scene.api.pods = [pod("a")]

    def lifts(what: str) -> None:
        if what.startswith("evict"):
            del scene.api.nodes["n1"]["spec"]["unschedulable"]

    scene.api.on_change = lifts
    assert scene.maintain()["n1"].ok
    assert "patch n1: rebooting, unschedulable True" in scene.api.reported
    assert not scene.api.cordoned()
    assert scene.record() is None


def test_a_cordon_that_is_lifted_at_the_end_of_what_began_within_it_is_not_said_to_stay(
    scene: Maintained, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.api.nodes["n1"] = node("n1", cordoned=True, manager="kubectl-cordon")
    end = Cordons.end

    def lifted(cordons: Cordons, name: str, operation: Operation) -> bool:
        del scene.api.nodes["n1"]["spec"]["unschedulable"]
        return end(cordons, name, operation)

    monkeypatch.setattr(Cordons, "end", lifted)
    assert scene.maintain()["n1"].ok
    assert not scene.api.cordoned()
    assert not [text for text in scene.texts("done") if "stays so" in text]


def test_a_command_in_place_of_a_reboot(scene: Maintained) -> None:
    assert scene.maintain(command="apt-get -y upgrade")["n1"].ok
    assert scene.hosts["n1"].said == ["apt-get -y upgrade"]
    assert not scene.api.cordoned()


def test_a_command_that_fails_leaves_the_node_cordoned(scene: Maintained) -> None:
    scene.hosts["n1"].command = Result(100, b"", b"reading lists\nE: no space left\n")
    error = scene.maintain(command="apt-get -y upgrade")["n1"].error
    assert isinstance(error, MaintenanceCommandError)
    assert "the command ended with status 100: E: no space left" in error.message
    assert error.detail.startswith("reading lists")
    again = "inv maintain --command 'apt-get -y upgrade' --limit n1 goes on from here"
    assert again in error.advice, "without the command it would reboot"
    assert scene.api.cordoned()
    scene.hosts["n1"].command = replace(scene.hosts["n1"].command, code=0)
    assert scene.maintain(command="apt-get -y upgrade")["n1"].ok, "it is run again"
    assert not scene.api.cordoned()


def test_a_drain_that_does_not_end_is_gone_on_with_as_a_maintenance(scene: Maintained) -> None:
    """`inv drain` would go on as well, and leave the node cordoned."""
    scene.api.pods = [pod("a", finalizers=["example.org/keep"])]
    scene.api.lasts = 10_000
    error = scene.maintain()["n1"].error
    assert isinstance(error, WaitTimeoutError)
    assert "inv maintain --limit n1 goes on from here" in error.advice
    scene.api.lasts = 0
    scene.api.pods = [pod("b")]
    scene.api.on_change = lambda what: (
        scene.api.pods.append(pod("lonely", controller=None)) if "evict" in what else None
    )
    error = scene.maintain(command="one\ntwo")["n1"].error
    assert isinstance(error, StillThereError)
    assert "inv maintain --command … --limit n1 goes on from here" in error.advice


def cut_after(phase: str) -> Callable[[], None]:
    """Have the deployer killed once a phase has begun; return what ends that."""

    def proving(*_: object) -> None:
        raise KeyboardInterrupt

    with_phase = pytest.MonkeyPatch()
    name = "prove" if phase == "proving" else "soak"
    with_phase.setattr(node_proof.NodeProof, name, proving)
    return with_phase.undo


def test_a_command_that_has_run_is_not_run_again(scene: Maintained) -> None:
    goes_on = cut_after("proving")
    assert not scene.maintain(command="one --key=s3cret")["n1"].ok
    record = scene.record()
    assert record
    assert record["phase"] == "proving"
    assert "s3cret" not in str(record)
    goes_on()
    assert scene.maintain(command="one --key=s3cret")["n1"].ok
    assert scene.hosts["n1"].said == ["one --key=s3cret"]
    assert not scene.api.cordoned()


def test_another_command_than_the_one_that_has_run_is_run(scene: Maintained) -> None:
    goes_on = cut_after("proving")
    scene.maintain(command="one")
    goes_on()
    assert scene.maintain(command="two")["n1"].ok
    assert scene.hosts["n1"].said == ["one", "two"]


@pytest.fixture
def soaking(monkeypatch: pytest.MonkeyPatch) -> Maintained:
    monkeypatch.setattr(node_proof.NodeProof, "_lapses", lambda *_: [])
    return Maintained(monkeypatch, maintenance={"retry": 1, "soak": 1})


def test_a_node_that_does_not_stay_well_takes_pods_and_is_not_rebooted_again(
    soaking: Maintained, monkeypatch: pytest.MonkeyPatch
) -> None:
    lapses: list[list[str]] = [["it is not Ready any more: disk"]]
    found = lambda *_: lapses.pop() if lapses else []  # noqa: E731
    monkeypatch.setattr(node_proof.NodeProof, "_lapses", found)
    error = soaking.maintain()["n1"].error
    assert isinstance(error, NotWellError)
    assert "it stays cordoned" not in error.advice
    assert error.advice.startswith("it takes pods: inv maintain --limit n1 sees whether")
    assert not soaking.api.cordoned()
    prospect = maintenance.plan(soaking.run(), Maintenance())["n1"].value
    assert prospect
    assert prospect.goes_on.startswith("maintain (soaking)")
    assert soaking.maintain()["n1"].ok
    assert soaking.hosts["n1"].said == ["systemctl --no-block reboot"]
    assert soaking.record() is None


def test_a_node_that_others_cordoned_meanwhile_is_not_said_to_be_on_trial(
    soaking: Maintained, monkeypatch: pytest.MonkeyPatch
) -> None:
    opens = Cordons.open

    def taken(cordons: Cordons, name: str, operation: Operation) -> tuple[Operation, bool]:
        own = soaking.api.nodes[name]
        theirs = node(name, cordoned=True, manager="kubectl-cordon")["metadata"]["managedFields"]
        own["metadata"]["managedFields"] = theirs
        return opens(cordons, name, operation)

    monkeypatch.setattr(Cordons, "open", taken)
    assert soaking.maintain()["n1"].ok
    assert soaking.api.cordoned()
    assert "takes pods again, on trial" not in soaking.texts("done")
    assert "it was cordoned by somebody else meanwhile, and stays so" in soaking.texts("done")


def test_on_trial_after_a_command_a_reboot_is_a_maintenance_of_its_own(soaking: Maintained) -> None:
    goes_on = cut_after("soaking")
    soaking.maintain(command="one")
    goes_on()
    assert soaking.maintain()["n1"].ok
    assert soaking.hosts["n1"].said == ["one", "systemctl --no-block reboot"]
    assert soaking.record() is None


# --- under a record of before ---------------------------------------------------------------------


def recordoned(scene: Maintained, *came: Any) -> None:
    """Have others lift the cordon, pods come, and others cordon the node for reasons of theirs."""
    live = scene.api.nodes["n1"]
    live["spec"]["unschedulable"] = True
    fields: dict[str, Any] = {"f:spec": {"f:unschedulable": {}}}
    live["metadata"]["managedFields"] = [{"manager": "kubectl-cordon", "fieldsV1": fields}]
    scene.api.pods = list(came)


def test_a_reboot_that_was_refused_is_made_of_an_empty_node_alone(scene: Maintained) -> None:
    scene.hosts["n1"].refuses = "Operation inhibited by backup"
    scene.maintain()
    recordoned(scene, pod("a"))
    scene.hosts["n1"].refuses = ""
    scene.hosts["n1"].said.clear()
    prospect = maintenance.plan(scene.run(), Maintenance())["n1"].value
    assert prospect
    assert prospect.drain
    assert [each.pod for each in prospect.drain.departures] == ["shop/a"]
    scene.hosts["n1"].on_said = lambda _: scene.api.reported.append("reboots")
    assert scene.maintain()["n1"].ok
    evicted = scene.api.reported.index("evict a (policy/v1)")
    assert evicted < scene.api.reported.index("reboots")
    assert scene.hosts["n1"].said == ["systemctl --no-block reboot"]
    assert scene.api.cordoned(), "that cordon is somebody else's by now"
    assert "it was cordoned before, and stays so" in scene.texts("done")


def test_a_reboot_that_was_refused_is_not_made_past_a_pod_that_would_not_go(
    scene: Maintained,
) -> None:
    scene.hosts["n1"].refuses = "Operation inhibited by backup"
    scene.maintain()
    recordoned(scene, pod("lonely", controller=None))
    scene.hosts["n1"].refuses = ""
    scene.hosts["n1"].said.clear()
    assert isinstance(scene.maintain()["n1"].error, DrainBlockedError)
    assert scene.hosts["n1"].said == []


@pytest.mark.parametrize("command", ["one", ""], ids=["a command", "a reboot"])
def test_what_was_done_before_others_took_the_node_over_is_done_once_more(
    scene: Maintained, command: str
) -> None:
    """An operation whose cordon they lifted is over: what is asked for now has not been done."""
    goes_on = cut_after("proving")
    scene.maintain(command=command)
    goes_on()
    recordoned(scene, pod("a"))
    scene.hosts["n1"].said.clear()
    assert scene.maintain(command=command)["n1"].ok
    assert scene.hosts["n1"].said == [command or "systemctl --no-block reboot"]
    assert "evict a (policy/v1)" in scene.api.reported
    assert scene.api.cordoned(), "that cordon is somebody else's by now"


def test_another_command_runs_on_an_empty_node_alone(scene: Maintained) -> None:
    goes_on = cut_after("proving")
    scene.maintain(command="one")
    goes_on()
    recordoned(scene, pod("a"))
    scene.hosts["n1"].on_said = scene.api.reported.append
    assert scene.maintain(command="two")["n1"].ok
    evicted = scene.api.reported.index("evict a (policy/v1)")
    assert evicted < scene.api.reported.index("two")


# --- the host of another node ---------------------------------------------------------------------


def test_a_host_that_is_not_the_nodes_is_not_rebooted(scene: Maintained) -> None:
    scene.api.pods = [pod("a")]
    scene.reported["n1"], scene.machine = BOOTS[7], "f" * 32
    error = scene.maintain()["n1"].error
    assert isinstance(error, NotItsHostError)
    assert f"the Node has the machine-id {'f' * 32}, the host {MACHINE}" in error.message
    assert (scene.api.reported, scene.hosts["n1"].said) == ([], [])


def test_a_clone_of_the_nodes_host_is_not_rebooted_either(scene: Maintained) -> None:
    """Its machine-id is the same one; its kubelet reports from another boot."""
    scene.reported["n1"] = BOOTS[7]
    error = scene.maintain()["n1"].error
    assert isinstance(error, NotItsHostError)
    assert f"the Node has the boot id {BOOTS[7]}, the host {BOOTS[0]}" in error.message
    assert scene.hosts["n1"].said == []


def test_a_host_that_was_rebooted_without_its_kubelet_is_the_nodes(scene: Maintained) -> None:
    scene.reported["n1"] = BOOTS[7]
    scene.api.nodes["n1"]["status"]["conditions"][0]["status"] = "Unknown"
    scene.hosts["n1"].on_said = lambda _: scene.reported.clear()
    assert scene.maintain()["n1"].ok


# --- a kubelet that is dead -----------------------------------------------------------------------

STOPPED = Survey(
    now=Surroundings(machine=MACHINE, units={"kubelet.service": UnitState("loaded", "inactive")}),
    ids=MachineIds(MACHINE),
)
WEB = Sandbox("s1", "shop", "a", daemon=False)


class Dead(Maintained):
    """
    Nodes of which the kubelet of n1 ends no pod.

    :ivar surveys: what is seen of its host, in order.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> None:
        super().__init__(monkeypatch, **settings)
        self.api.dead = {"n1"}
        self.api.pods = [pod("a")]
        self.hosts["n1"].kubelet = LOOPS
        self.surveys = [replace(STOPPED, sandboxes=(WEB,)), STOPPED]
        self.fault: Exception | None = None
        monkeypatch.setattr(host_changes, "carry_out", self._carry_out)
        monkeypatch.setattr(dead_kubelet, "survey", lambda *_, **__: self.surveys.pop(0))

    def _carry_out(self, *args: Any) -> None:
        for change in args[3].changes:
            self.api.reported.append(f"{change.kind} {change.name}")
            if change.kind == "halted":
                self.hosts["n1"].kubelet = DEAD
        if self.fault:
            raise self.fault


@pytest.fixture
def dead(monkeypatch: pytest.MonkeyPatch) -> Dead:
    return Dead(monkeypatch)


@pytest.mark.parametrize("state", [LOOPS, DEAD, kubelet(restarts=9, up=1)])
def test_pods_of_a_dead_kubelet_end_with_the_reboot(dead: Dead, state: bytes) -> None:
    dead.hosts["n1"].kubelet = state
    outcome = dead.maintain()["n1"]
    assert outcome.ok, outcome.error
    assert dead.api.reported == [
        "patch n1: draining, unschedulable True",
        "evict a (policy/v1)",
        "patch n1: rebooting, unschedulable as it is",
        "delete a at once",
        "patch n1: proving, unschedulable as it is",
        "patch n1: nothing, unschedulable None",
    ]
    assert any("their host was rebooted; removed: shop/a" in t for t in dead.texts("changed"))


@pytest.mark.parametrize("fault", ["refuses", "comes_back", "reboots"])
def test_without_a_reboot_they_are_not_declared_dead(dead: Dead, fault: str) -> None:
    setattr(dead.hosts["n1"], fault, "no" if fault == "refuses" else False)
    assert isinstance(dead.maintain()["n1"].error, RebootError)
    assert [p["metadata"]["name"] for p in dead.api.pods] == ["a"]


def test_a_pod_that_was_deleted_since_the_reboot_is_left_to_the_kubelet(dead: Dead) -> None:
    """It may have been started in this boot."""

    def deletes(_: str) -> None:
        late = pod("late", deletionTimestamp="2026-11-30T12:00:00Z")
        dead.api.pods.append(late)

    dead.hosts["n1"].on_said = deletes
    assert dead.maintain()["n1"].ok
    assert [p["metadata"]["name"] for p in dead.api.pods] == ["late"]


def test_what_a_cut_off_reboot_leaves_of_pods_is_proved_by_the_host(dead: Dead) -> None:
    host = dead.hosts["n1"]

    def killed(_: str) -> None:
        host.left = host.down
        raise KeyboardInterrupt

    host.on_said = killed
    assert not dead.maintain()["n1"].ok
    host.on_said = lambda _: None
    dead.surveys = [replace(STOPPED, sandboxes=()), STOPPED]
    outcome = dead.maintain()["n1"]
    assert outcome.ok, outcome.error
    assert "delete a at once" in dead.api.reported
    assert host.said == ["systemctl --no-block reboot", START]


UUID = "4c4c4544-0044-4410-8047-b4c04f4a4e32"
START = "systemctl start --no-block -- kubelet.service"
MENDS = "mv /var/lib/kubelet/cpu_manager_state /run && systemctl restart kubelet"


def test_before_a_command_they_are_ended_by_the_runtime(dead: Dead) -> None:
    """So what `inv doctor` says of a state file that can't be read puts it right."""
    dead.hosts["n1"].on_said = dead.api.reported.append
    outcome = dead.maintain(command=MENDS)["n1"]
    assert outcome.ok, outcome.error
    assert dead.api.reported == [
        "patch n1: draining, unschedulable True",
        "evict a (policy/v1)",
        "halted kubelet.service",
        "containers shop/a",
        "pods pods of the node",
        "delete a at once",
        START,
        "patch n1: working, unschedulable as it is",
        MENDS,
        "patch n1: proving, unschedulable as it is",
        "patch n1: nothing, unschedulable None",
    ]


@pytest.mark.parametrize("command", [MENDS, ""], ids=["a command", "a reboot"])
def test_a_kubelet_that_works_again_after_the_drain_ends_its_pods_itself(
    dead: Dead, command: str
) -> None:
    """They have their own grace then, and nothing of the node's own is ended."""

    def works_again(what: str) -> None:
        if what.startswith("evict"):
            dead.hosts["n1"].kubelet = kubelet()
            dead.api.dead.clear()

    dead.api.on_change = works_again
    outcome = dead.maintain(command=command)["n1"]
    assert outcome.ok, outcome.error
    assert dead.hosts["n1"].said == [command or "systemctl --no-block reboot"]
    assert not [w for w in dead.api.reported if w.startswith(("halted", "pods", "delete"))]
    assert dead.api.pods == []


def test_another_machine_after_the_reboot_proves_nothing_of_pods(dead: Dead) -> None:
    dead.hosts["n1"].machines = [MACHINE, "f" * 32]
    error = dead.maintain()["n1"].error
    assert isinstance(error, NotItsHostError)
    assert f"after the reboot has the machine-id {'f' * 32}" in error.message
    assert [p["metadata"]["name"] for p in dead.api.pods] == ["a"]


def test_a_clone_in_place_of_a_dead_kubelets_host_is_not_rebooted(dead: Dead) -> None:
    """Its pods run on where it is; what has its address is another machine of one image."""
    dead.api.nodes["n1"]["status"]["conditions"][0]["status"] = "Unknown"
    dead.reported["n1"], dead.hardware = BOOTS[7], UUID
    dead.hosts["n1"].hardware = UUID.replace("4", "5")
    error = dead.maintain()["n1"].error
    assert isinstance(error, NotItsHostError)
    assert "both the same machine-id, as clones have" in error.message
    assert (dead.api.reported, dead.hosts["n1"].said) == ([], [])


def test_a_reboot_of_what_may_be_a_clone_declares_no_pod_dead(dead: Dead) -> None:
    dead.api.nodes["n1"]["status"]["conditions"][0]["status"] = "Unknown"
    dead.api.nodes["n2"]["status"]["nodeInfo"] = {"machineID": MACHINE}
    dead.reported["n1"] = BOOTS[7]
    dead.hosts["n1"].on_said = lambda _: dead.reported.clear()
    dead.maintain()
    assert dead.hosts["n1"].said == ["systemctl --no-block reboot"]
    assert [p["metadata"]["name"] for p in dead.api.pods] == ["a"]
    assert (
        "n1: its pods are not declared dead by a reboot, for its host may be another machine: the"
        " Node n2 has the same machine-id, as clones have"
    ) in dead.texts("warning")


def test_a_host_that_has_a_machine_id_for_each_boot_is_maintained(scene: Maintained) -> None:
    """As one without a disk has: its kubelet reports that of the current boot."""
    scene.hosts["n1"].machines = [MACHINE, "f" * 32]
    scene.api.pods = [pod("a")]
    assert scene.maintain()["n1"].ok
    assert not scene.api.cordoned()


RUNS = {
    "sandbox": (replace(STOPPED, sandboxes=(WEB,)), "containerd holds shop/a"),
    "process": (replace(STOPPED, processes=2), "processes run in cgroups of pods there (2)"),
    "kubelet": (
        replace(
            STOPPED,
            now=replace(STOPPED.now, units={"kubelet.service": UnitState("loaded", "active")}),
        ),
        "kubelet.service is active there",
    ),
    "another machine": (
        replace(STOPPED, ids=MachineIds("f" * 32)),
        f"its host may be another machine: the Node has the machine-id {MACHINE}, the host"
        f" {'f' * 32}",
    ),
}


@pytest.mark.parametrize(("seen", "why"), RUNS.values(), ids=RUNS)
def test_pods_that_may_run_are_not_declared_dead(dead: Dead, seen: Survey, why: str) -> None:
    dead.surveys[1] = seen
    error = dead.maintain(command=MENDS)["n1"].error
    assert isinstance(error, PodsMayRunError)
    assert error.message == f"its kubelet ends no pods, and they may run on: {why}"
    assert "--limit n1 goes on from here" in error.advice
    assert [p["metadata"]["name"] for p in dead.api.pods] == ["a"]
    assert dead.hosts["n1"].said == [START], "it runs as before"
    assert dead.api.cordoned()


def test_nothing_is_ended_on_a_machine_that_is_not_the_nodes(dead: Dead) -> None:
    dead.surveys[0] = replace(STOPPED, ids=MachineIds("f" * 32))
    assert isinstance(dead.maintain(command=MENDS)["n1"].error, PodsMayRunError)
    assert not [what for what in dead.api.reported if what.startswith(("halted", "pods", "delete"))]


def test_where_ending_them_fails_the_kubelet_runs_as_before(dead: Dead) -> None:
    dead.fault = UnreachableError("n1", "no route to host")
    error = dead.maintain(command=MENDS)["n1"].error
    assert error is dead.fault
    assert dead.hosts["n1"].said == [START]
    assert [p["metadata"]["name"] for p in dead.api.pods] == ["a"]


def test_a_kubelet_that_somebody_stopped_stays_so(dead: Dead) -> None:
    dead.hosts["n1"].kubelet = DEAD
    dead.maintain(command=MENDS)
    assert dead.hosts["n1"].said == [MENDS]


def test_an_api_that_deletes_no_pod_is_named(dead: Dead, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str, **_: Any) -> None:
        raise ApiError(403, "Forbidden", f"{path} is not yours")

    monkeypatch.setattr(dead.api, "delete", refuse)
    assert dead.maintain()["n1"].ok
    (warning,) = [text for text in dead.texts("warning") if "has ended" in text]
    assert "is in the cluster until its kubelet reports: the API refuses to delete it" in warning


def test_a_budget_holds_pods_of_a_dead_kubelet_too(dead: Dead) -> None:
    dead.api.answers["a"] = [HELD]
    assert isinstance(dead.maintain()["n1"].error, WaitTimeoutError)
    assert dead.hosts["n1"].said == []


def test_pods_that_a_kubelet_ends_are_waited_for(dead: Dead) -> None:
    """The normal drain: a restart or two are no death, nor is one that stopped late."""
    dead.hosts["n1"].kubelet = kubelet("activating", "auto-restart", restarts=1)
    assert isinstance(dead.maintain()["n1"].error, WaitTimeoutError)
    assert dead.hosts["n1"].said == []
    dead.api.dead.clear()
    assert dead.maintain()["n1"].ok
    assert not [what for what in dead.api.reported if "at once" in what]


def test_a_kubelet_that_dies_while_its_pods_end_is_not_waited_for(dead: Dead) -> None:
    host = dead.hosts["n1"]
    host.kubelet = kubelet()

    def dies(what: str) -> None:
        if what.startswith("evict"):
            host.kubelet = DEAD

    dead.api.on_change = dies
    assert dead.maintain()["n1"].ok
    assert "delete a at once" in dead.api.reported


def test_a_kubelet_that_cant_be_asked_about_is_waited_for(
    dead: Dead, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead.hosts["n1"].kubelet = b"sh: systemctl: not found\n"
    assert isinstance(dead.maintain()["n1"].error, WaitTimeoutError)
    assert any("whether its kubelet runs is unknown" in text for text in dead.texts("warning"))


def test_a_plan_says_that_a_dead_kubelet_ends_no_pod(dead: Dead) -> None:
    dead.api.nodes["n1"]["status"]["conditions"][0]["status"] = "Unknown"
    (text,) = drain_view.prospect_lines(maintenance.plan(dead.run(), Maintenance()))
    assert text == (
        "n1: drain, reboot, verify, uncordon; its kubelet ends again and again: pods that are"
        " evicted end with the reboot, and go once that is proved"
    )
    (text,) = drain_view.prospect_lines(maintenance.plan(dead.run(), Maintenance(command="x")))
    assert "pods that are evicted are ended by the runtime, and go once that is proved" in text
    assert dead.api.reported == []


def test_a_kubelet_that_reports_nothing_ends_no_pod_either(dead: Dead) -> None:
    dead.hosts["n1"].kubelet = kubelet()
    ready = dead.api.nodes["n1"]["status"]["conditions"][0]
    ready["status"] = "Unknown"
    dead.hosts["n1"].on_said = lambda _: ready.update(status="True")
    assert dead.maintain()["n1"].ok
    assert "delete a at once" in dead.api.reported


# --- commands -------------------------------------------------------------------------------------


def test_a_command_that_cuts_the_connection_runs_once(scene: Maintained) -> None:
    host = scene.hosts["n1"]

    def cuts(_: str) -> None:
        host.left, host.reboots = 10**6, False

    host.on_said = cuts
    assert isinstance(scene.maintain(command="netplan apply")["n1"].error, RebootError)
    host.left = 0
    assert scene.maintain(command="netplan apply")["n1"].ok
    assert host.said == ["netplan apply"]


def test_a_host_that_is_away_for_a_moment_after_a_command_is_waited_for(scene: Maintained) -> None:
    host = scene.hosts["n1"]

    def cuts(_: str) -> None:
        host.left, host.reboots = 3, False

    host.on_said = cuts
    assert scene.maintain(command="netplan apply")["n1"].ok


def test_what_a_kubelet_said_before_the_command_ended_proves_nothing(scene: Maintained) -> None:
    host = scene.hosts["n1"]

    def runs(_: str) -> None:
        host.now += 600
        scene.beats["n1"] = -(10**6)  # whatever it says is old

    host.on_said = runs
    error = scene.maintain(command="x", network=False)["n1"].error
    assert isinstance(error, NotWellError)
    assert "its kubelet has not reported since the command has run" in error.message
    scene.beats.clear()
    assert scene.maintain(command="x", network=False)["n1"].ok
