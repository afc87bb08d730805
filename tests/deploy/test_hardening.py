"""What an audit and its repairs decide: what is touched, what is waited for, what is a failure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from threading import Barrier, Event
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast
from unittest.mock import MagicMock

import pytest

from fabnode.deploy import hardening, host_changes, proxy_binding
from fabnode.deploy import run as run_module
from fabnode.deploy.hardening import ApiserverCutOffError, Audit, NotFixedError
from fabnode.deploy.restart_turns import RestartTurns
from fabnode.deploy.run import Run
from fabnode.journal.journal import Journal
from fabnode.kube.client import ApiError
from fabnode.node.examination import Asked, Evidence, Serving, UnitSeen
from fabnode.node.plan import Plan
from fabnode.releases.version import Release
from fabnode.releases.version_change import Versions
from fabnode.remote.apply import Applied
from fabnode.ssh.errors import ApplyError, ConnectionLostError
from fabnode.util.errors import HostError
from fabnode.util.fan_out import Outcome
from tests.audit.support import CA, KUBELET_YAML, SOUND_KUBELET, secret, sound, text
from tests.support import make_config

from .bindings import OWN, Bindings

if TYPE_CHECKING:
    from collections.abc import Callable

    from fabnode.config.configuration import Config
    from fabnode.deploy.node_registry import Nodes
    from fabnode.kube.client import Api

SOUND = replace(sound(), files={CA: sound().files[CA]})  # without what is one node's own
OPEN = replace(  # its kubelet lets anybody in: repaired by a restart
    SOUND,
    texts={
        **SOUND.texts,
        KUBELET_YAML: text(
            SOUND_KUBELET.replace(
                "authentication:\n", "authentication:\n  anonymous:\n    enabled: true\n"
            )
        ),
    },
)
KEY = "/etc/kubernetes/bootstrap.kubeconfig"
READABLE = replace(  # a token that everybody reads: repaired by its mode alone
    SOUND,
    files={**SOUND.files, KEY: secret(KEY, mode=0o644, kubeconfig=True, tokens=("bootstrap",))},
)
LOOPING = {"docker.service": UnitSeen("active", "running", 30, 990.0)}
ANSWER = Asked(pods=401, read_only=0)
REDIRECTED = Asked(pods=None, read_only=0, redirected=(10250,))
BY_HAND = replace(SOUND, units={**SOUND.units, **LOOPING})  # for a person to see to


@dataclass
class Scene:
    """
    Two hosts and an API in memory, under the real pipeline, judges and journal.

    :param seen: what each look at a host finds, in order; the last one again and again. An error
        in its place is raised.
    :param asked: what kubelets answer somebody without credentials; once all are used, ANSWER.
    :param applying: what carrying out a plan raises on a host.
    :param kubelet: the release that all nodes run. :param parallel: hosts worked on at once.
    :param meanwhile: called while a host's kubelet starts.
    :param answers: whether the apiserver reaches a kubelet, each time that this is asked.
    """

    seen: dict[str, list[Evidence | HostError]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    applying: dict[str, HostError] = field(default_factory=dict)
    answers: list[bool] = field(default_factory=lambda: [True, True])
    ready: Exception | None = None
    kubelet: str = "1.37.2"
    parallel: int = 1
    meanwhile: Callable[[], object] = lambda: None
    log: list[str] = field(default_factory=list)

    def run(self) -> Run:
        config = make_config()
        return Run(config, config.nodes[:2], Journal(None, []), {}, max_parallel=self.parallel)

    def harden(self) -> tuple[dict[str, Outcome[Audit]], Run]:
        """Audit and harden; what is logged is the latter's."""
        run = self.run()
        found = hardening.audit(run)
        self.log.clear()
        return hardening.harden(run, found), run

    def examine(self, host: Any, **_: str) -> Evidence:
        self.log.append(f"audit {host.name}")
        looks = self.seen.get(host.name, [SOUND])
        found = looks.pop(0) if len(looks) > 1 else looks[0]
        if isinstance(found, HostError):
            raise found
        return found

    def apply(self, host: Any, plan: Plan, *_: object, **__: object) -> Applied:
        did = ", ".join(f"{change.action} {change.name}" for change in plan.changes)
        self.log.append(f"apply {host.name}: {did}")
        if error := self.applying.get(host.name):
            raise error
        return Applied(plan, (), 7, {"kubelet.service": 1234.0})

    def session(self, config: Config, journal: Journal) -> SimpleNamespace:
        no_pods = cast("Api", SimpleNamespace(get=lambda *_, **__: {"items": []}))
        nodes = cast("Nodes", SimpleNamespace(current=dict))
        reported = Versions(Release.parse(self.kubelet), "containerd", None)

        def kubelet_answers(name: str) -> bool:
            self.log.append(f"ask kubelet {name}")
            return self.answers.pop(0)

        def wait_ready(name: str, since: float, *_: object) -> None:
            assert since == 1234.0, "when it started again, by the host's own clock"
            self.meanwhile()
            self.log.append(f"ready {name}")
            if self.ready:
                raise self.ready

        return SimpleNamespace(
            await_api=lambda: self.log.append("await API"),
            open=lambda *_: self.log.append("open session"),
            close=lambda: self.log.append("close session"),
            interrupt=lambda: None,
            restarts=RestartTurns(config, no_pods, journal, Event(), nodes),
            nodes=SimpleNamespace(
                kubelet_answers=kubelet_answers,
                wait_ready=wait_ready,
                reported_versions=lambda _: reported,
            ),
        )


class Host(SimpleNamespace):
    """A host of which only the name is asked."""

    def __enter__(self) -> Host:
        return self

    def __exit__(self, *_: object) -> None:
        pass


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    made = Scene()
    monkeypatch.setattr(run_module, "Access", MagicMock())
    monkeypatch.setattr(run_module, "Host", lambda node, _: Host(node=node, name=node.name))
    monkeypatch.setattr(hardening, "ClusterSession", made.session)
    monkeypatch.setattr(hardening, "examine", made.examine)
    monkeypatch.setattr(hardening, "ask", lambda *_: made.asked.pop() if made.asked else ANSWER)
    monkeypatch.setattr(host_changes, "apply", made.apply)
    return made


def error_of(outcome: Outcome[Audit]) -> BaseException:
    assert outcome.error
    return outcome.error


# --- audit ---------------------------------------------------------------------------------------


def test_an_audit_asks_no_api_and_changes_nothing(scene: Scene) -> None:
    scene.seen["n2"] = [OPEN]
    found = hardening.audit(scene.run())
    assert scene.log == ["audit n1", "audit n2"]
    assert found["n1"].value == Audit((), Plan("n1"))
    assert found["n2"].value
    assert [finding.check for finding in found["n2"].value.findings] == ["anonymous-kubelet"]
    changes = [(change.action, change.name) for change in found["n2"].value.plan.changes]
    assert changes == [("update", KUBELET_YAML), ("restart", "kubelet.service")]


def test_another_program_that_answers_is_asked_twice_before_it_is_a_stranger(scene: Scene) -> None:
    scene.seen["n1"] = [SOUND, SOUND]
    scene.asked = [REDIRECTED, REDIRECTED]
    audit = hardening.audit(scene.run())["n1"].value
    assert scene.log == ["audit n1", "audit n1", "audit n2"]
    assert audit
    assert [finding.check for finding in audit.findings] == ["foreign-listener"]


def test_a_certificate_that_is_exchanged_meanwhile_makes_no_stranger(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = (Serving(frozenset({name}), complete=True) for name in (b"old", b"new"))
    looks = [old, new, new]
    monkeypatch.setattr(hardening, "serving", lambda _: looks.pop(0))
    monkeypatch.setattr(hardening, "ask", lambda *asked: REDIRECTED if old in asked else ANSWER)
    audit = hardening.audit(scene.run())["n1"].value
    assert scene.log == ["audit n1", "audit n1", "audit n2"]
    assert audit
    assert not audit.findings


def test_a_host_that_can_not_be_examined_fails_alone(scene: Scene) -> None:
    scene.seen["n1"] = [ConnectionLostError("n1", "no answer in time")]
    run = scene.run()
    found = hardening.audit(run)
    assert isinstance(found["n1"].error, ConnectionLostError)
    assert found["n2"].ok
    assert {name: outcome.ok for name, outcome in run.outcomes.items()} == {
        "n1": False,
        "n2": True,
    }


def test_what_a_person_has_to_do_is_found_and_not_planned(scene: Scene) -> None:
    scene.seen["n1"] = [BY_HAND]
    audit = hardening.audit(scene.run())["n1"].value
    assert audit
    assert audit.findings
    assert audit.plan.empty


def test_why_something_is_not_repaired_stands_with_its_finding(scene: Scene) -> None:
    """Another than root may replace the file: it is not written to."""
    ours = replace(OPEN.texts[KUBELET_YAML], controlled=False)
    scene.seen["n1"] = [replace(OPEN, texts={**OPEN.texts, KUBELET_YAML: ours})]
    audit = hardening.audit(scene.run())["n1"].value
    assert audit
    assert audit.plan.empty
    (finding,) = audit.findings
    assert finding.repairs == ()
    assert "symlink" in finding.by_hand


# --- nodes that were removed and are back ---------------------------------------------------------


class Cluster:
    """An apiserver that has Node objects, and the binding of kube-proxies."""

    def __init__(self, *nodes: dict[str, Any], names: Bindings | None = None) -> None:
        self._nodes = list(nodes)
        self._names = names or Bindings(live=False)
        self.refuses = False

    def get(self, path: str, **_query: str) -> dict[str, Any]:
        assert path == "/api/v1/nodes"
        if self.refuses:
            raise ApiError(403, "Forbidden", "nodes is forbidden")
        return {"items": self._nodes}

    def find(self, path: str) -> dict[str, Any] | None:
        return self._names.find(path)


def registered(name: str, *, labels: tuple[str, ...] = (), **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "name": name,
            "creationTimestamp": "2026-11-30T08:00:00Z",
            "labels": dict.fromkeys(labels, ""),
        },
        "spec": spec,
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    }


def back_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, cluster: Cluster, *names: str
) -> list[tuple[str, str]]:
    """Return severity and subject of what an audit finds by the API."""
    monkeypatch.setattr(hardening, "load", lambda _: None)
    monkeypatch.setattr(hardening, "Api", lambda *_, **__: cluster)
    run = scene.run()
    wanted = names or tuple(node.name for node in run.config.nodes)
    run = replace(run, nodes=tuple(node for node in run.config.nodes if node.name in wanted))
    return [(found.severity, found.subject) for found in hardening.back_again(run)]


TAINT = {"key": "fabnode.io/removed", "effect": "NoExecute"}


def test_a_removed_node_that_is_a_node_again_is_named(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what its removal recorded: its new Node object says nothing of that."""
    names = Bindings("n1", "n2", "gone")
    for name in ("n2", "gone"):
        proxy_binding.unbind(cast("Api", names), name)
    cluster = Cluster(registered("n1"), registered("n2"), registered("gone"), names=names)
    assert back_again(scene, monkeypatch, cluster) == [("high", "gone"), ("high", "n2")]
    proxy_binding.bind(cast("Api", names), [f"{OWN}n2"], way="apply")
    assert back_again(scene, monkeypatch, cluster) == [("high", "gone")]


def test_a_node_that_is_locked_out_and_ready_is_named(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Cluster(registered("n1", taints=[TAINT]))
    assert back_again(scene, monkeypatch, cluster) == [("high", "n1")]
    silent = registered("n1", taints=[TAINT])
    silent["status"]["conditions"][0]["status"] = "Unknown"
    assert back_again(scene, monkeypatch, Cluster(silent)) == []


def test_a_run_of_some_nodes_is_told_of_these_alone(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Cluster(
        registered("n1", taints=[TAINT]), registered("n2", taints=[TAINT]), registered("n9")
    )
    assert back_again(scene, monkeypatch, cluster, "n2") == [("high", "n2")]


def test_others_nodes_are_told_and_control_planes_are_none(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    label = "node-role.kubernetes.io/control-plane"
    cluster = Cluster(registered("m1", labels=(label,)), registered("n9"))
    assert back_again(scene, monkeypatch, cluster) == [("info", "n9")]


def test_an_account_that_may_not_read_the_binding_sees_less(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = Bindings("n1")
    proxy_binding.unbind(cast("Api", names), "n1")
    names.refused.add("get")
    cluster = Cluster(registered("n1"), registered("n2", taints=[TAINT]), names=names)
    assert back_again(scene, monkeypatch, cluster) == [("high", "n2")]


def test_an_api_that_can_not_be_asked_is_said(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    (found,) = hardening.back_again(scene.run())
    assert (found.check, found.severity) == ("unseen", "info")
    assert "which removed nodes are back: " in found.text
    cluster = Cluster()
    cluster.refuses = True
    assert back_again(scene, monkeypatch, cluster) == [("info", "cluster")]


# --- harden --------------------------------------------------------------------------------------


def test_hosts_on_which_nothing_is_wrong_are_not_touched(scene: Scene) -> None:
    scene.seen["n1"] = [BY_HAND]
    after, run = scene.harden()
    assert scene.log == ["close session"]
    assert all(outcome.ok for outcome in after.values())
    assert after["n1"].value
    assert after["n1"].value.findings, "it is still found"
    assert set(run.outcomes) == {"n1", "n2"}


def test_without_a_restarted_kubelet_the_api_is_left_alone(scene: Scene) -> None:
    scene.seen["n1"] = [READABLE, SOUND]
    after, _ = scene.harden()
    assert scene.log == [f"apply n1: mode {KEY}", "audit n1", "close session"]
    assert after["n1"].value
    assert after["n1"].value.findings == ()


def test_a_restarted_kubelet_is_waited_for_and_must_let_the_apiserver_in(scene: Scene) -> None:
    scene.seen["n1"] = [OPEN, SOUND]
    after, _ = scene.harden()
    assert scene.log == [
        "await API",
        "open session",
        "ask kubelet n1",
        f"apply n1: update {KUBELET_YAML}, restart kubelet.service",
        "ready n1",
        "ask kubelet n1",
        "audit n1",
        "close session",
    ]
    assert after["n1"].ok


@pytest.mark.parametrize(
    ("before", "after", "cut_off"),
    [(True, True, False), (True, False, True), (False, False, False), (False, True, False)],
)
def test_only_a_kubelet_that_let_the_apiserver_in_before_can_be_cut_off(
    scene: Scene, before: bool, after: bool, cut_off: bool
) -> None:
    scene.seen["n1"] = [OPEN, SOUND]
    scene.answers = [before, after]
    found, run = scene.harden()
    assert isinstance(found["n1"].error, ApiserverCutOffError) is cut_off
    assert found["n2"].ok
    assert ("audit n1" in scene.log) is not cut_off
    assert scene.log[-1] == "close session"
    assert run.outcomes["n1"].ok is not cut_off


def test_kubelets_whose_start_takes_pods_out_of_endpoints_restart_in_turns(scene: Scene) -> None:
    """By the release that runs, whatever is configured."""
    scene.seen = {"n1": [OPEN, SOUND], "n2": [OPEN, SOUND]}
    scene.kubelet, scene.parallel, scene.answers = "1.34.9", 2, [True] * 4
    scene.meanwhile = lambda: Event().wait(0.2)  # for the other one to come between
    after, _ = scene.harden()
    assert all(outcome.ok for outcome in after.values())
    done = [line[:8] for line in scene.log if line.startswith(("apply", "ready"))]
    first, second = done[0][-2:], done[-1][-2:]
    assert done == [f"apply {first}", f"ready {first}", f"apply {second}", f"ready {second}"]


def test_other_kubelets_restart_all_at_once(scene: Scene) -> None:
    scene.seen = {"n1": [OPEN, SOUND], "n2": [OPEN, SOUND]}
    scene.kubelet, scene.parallel, scene.answers = "1.35.0", 2, [True] * 4
    both = Barrier(2)
    scene.meanwhile = lambda: both.wait(60)
    after, _ = scene.harden()
    assert all(outcome.ok for outcome in after.values())


LEFT: dict[str, tuple[Evidence, Evidence, str]] = {
    "what was repaired is still found": (OPEN, OPEN, "still present: kubelet: "),
    "something else comes up": (OPEN, READABLE, ""),
    "what was repaired can't be seen any more": (
        OPEN,
        replace(SOUND, limited=("whom the kubelet answers",)),
        "it can't be told whether all is fixed: not examined: whom the kubelet answers",
    ),
    "a limit that was there before hides no other": (
        replace(OPEN, limited=("/home/m: files beyond the first 20",)),
        replace(SOUND, limited=("/home/m: files beyond the first 20", "whom the kubelet answers")),
        "it can't be told whether all is fixed: not examined: whom the kubelet answers",
    ),
    "a limit that was there before is none of this": (
        replace(OPEN, limited=("/home/m: files beyond the first 20",)),
        replace(SOUND, limited=("/home/m: files beyond the first 20",)),
        "",
    ),
    "what no repair was for is still found": (
        replace(OPEN, units=BY_HAND.units),
        BY_HAND,
        "",
    ),
    "nothing is left": (OPEN, SOUND, ""),
}


@pytest.mark.parametrize(("before", "after", "failure"), LEFT.values(), ids=LEFT)
def test_what_was_repaired_must_be_gone(
    scene: Scene, before: Evidence, after: Evidence, failure: str
) -> None:
    scene.seen["n1"] = [before, after]
    found, _ = scene.harden()
    if failure:
        error = error_of(found["n1"])
        assert isinstance(error, NotFixedError)
        assert str(error).startswith(failure)
    else:
        assert found["n1"].ok


REFUSED: dict[str, Callable[[], Outcome[Audit]]] = {
    "its audit failed": lambda: Outcome(error=ConnectionLostError("n1", "no answer in time")),
    "it was skipped": lambda: Outcome(skipped="an earlier batch failed"),
}


@pytest.mark.parametrize("found", REFUSED.values(), ids=REFUSED)
def test_a_host_without_an_audit_is_not_touched_and_failed(
    scene: Scene, found: Callable[[], Outcome[Audit]]
) -> None:
    run = scene.run()
    outcome = found()
    sound = hardening.audit(run)["n2"]
    scene.log.clear()
    after = hardening.harden(run, {"n1": outcome, "n2": sound})
    assert scene.log == ["close session"]
    reason = str(outcome.error or outcome.skipped)
    assert str(error_of(after["n1"])) == reason
    assert after["n2"].ok


def test_a_repair_that_fails_ends_that_hosts_work(scene: Scene) -> None:
    scene.seen = {"n1": [OPEN, SOUND], "n2": [OPEN, SOUND]}
    scene.answers = [True] * 4
    scene.applying["n1"] = ApplyError("n1", "it changed", "probe", action="x", detail="")
    found, _ = scene.harden()
    assert isinstance(found["n1"].error, ApplyError)
    assert found["n2"].ok
    assert "ready n1" not in scene.log
    assert "audit n1" not in scene.log
    assert scene.log[-1] == "close session"


def test_a_kubelet_that_does_not_come_back_is_a_failure(scene: Scene) -> None:
    scene.seen["n1"] = [OPEN, SOUND]
    scene.ready = TimeoutError("n1 did not become Ready")
    found, _ = scene.harden()
    assert isinstance(found["n1"].error, TimeoutError)
    assert "audit n1" not in scene.log
