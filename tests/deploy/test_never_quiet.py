"""Whatever stops a node's work, wherever: that node failed, in table, JSON, report, exit code."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from functools import cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import MagicMock

import pytest
from invoke.exceptions import Exit

from fabnode.artifacts import store as artifact_files
from fabnode.artifacts.store import ArtifactStore
from fabnode.cli import app
from fabnode.cli.report import render
from fabnode.deploy import approval, pipeline, rotation
from fabnode.deploy import node_planner as planner_module
from fabnode.deploy import run as run_module
from fabnode.deploy.certified_keys import Holder
from fabnode.deploy.run import Run, on_hosts, on_nodes
from fabnode.deploy.site_steps import steps_of
from fabnode.journal.journal import Journal
from fabnode.journal.summary import rows
from fabnode.journal.timeline import timeline
from fabnode.kube.client import ApiAwayError, ApiError
from fabnode.library.results import PlannedChange, PlanResult, plan_result
from fabnode.node import layout
from fabnode.node.plan import make_plan
from fabnode.pki import proxy_names
from fabnode.pki.certificates import new_request, sign_client
from fabnode.pki.csr_policy import HostKey
from fabnode.pki.renewal import CLIENT, Renewal
from fabnode.releases.version_change import Versions
from fabnode.remote import apply as apply_module
from fabnode.remote.apply_protocol import ApplyEvent
from fabnode.ssh.errors import ApplyError, ConnectionLostError, HostMisbehavedError
from fabnode.steps import preflight, proxy_cert
from fabnode.steps.checks.check import Check
from fabnode.steps.order import node_steps
from tests.steps.support import artifacts
from tests.support import authority, make_config, pem, private_pem

from .machine import Machine

if TYPE_CHECKING:
    from collections.abc import Callable

    from fabnode.config.configuration import Config
    from fabnode.node.facts import Facts
    from fabnode.remote.apply import Applied
    from fabnode.ssh.exec import Result


class Points:
    """
    Counts the places where a node's work waits for somebody else, and raises at one of them.

    :param at: the number of the place, from 0 on; None: nowhere.
    """

    def __init__(self, at: int | None = None, error: BaseException | None = None) -> None:
        self.at, self.error = at, error
        self.passed: list[str] = []

    def pass_by(self, node: str, what: str) -> None:
        if node != "n1":
            return
        self.passed.append(what)
        if self.error and len(self.passed) - 1 == self.at:
            raise self.error


class Host(Machine):
    """A node in memory at which anything may be raised."""

    def __init__(self, node: Any, points: Points) -> None:
        super().__init__(node, [])
        self.points = points

    def root(self, script: str, **_: object) -> Result:
        self.points.pass_by(self.name, f"root {script[:20]}")
        return super().root(script)

    def tls_to(self, *_: object) -> Any:
        self.points.pass_by(self.name, "tls")
        return super().tls_to()

    def probe(self, host: object, watch: Any) -> Facts:
        self.points.pass_by(self.name, "probe")
        return super().probe(host, watch)

    def change(
        self, host: object, plan: Any, packer: object, on_event: Any, /, **_: object
    ) -> Applied:
        self.points.pass_by(self.name, "before the first action")
        for change in plan.changes:
            on_event(ApplyEvent("start", change))
            self.points.pass_by(self.name, f"in {change.name}")
            on_event(ApplyEvent("done", change, 0.1))
        self.points.pass_by(self.name, "after the last action")
        return super().change(host, plan, packer, on_event)

    def __enter__(self) -> Host:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def close(self) -> None:
        pass

    def interrupt(self) -> None:
        pass


@cache
def two_nodes() -> Config:
    nodes = [{"name": f"n{number}", "address": f"192.0.2.{number}"} for number in (1, 2)]
    return make_config(calico={"enabled": False}, nodes=nodes)


class Everything:
    """Two nodes and an API, all in memory, under the real pipeline, journal and surface."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, points: Points, config: Config | None = None
    ) -> None:
        self.config = config or two_nodes()
        self.points = points
        self.cluster_error: tuple[str, BaseException] | None = None
        self.hosts = {node.name: Host(node, points) for node in self.config.nodes}
        self.labelled = ""
        replaced = {
            (run_module, "Access"): MagicMock(),
            (approval, "Access"): MagicMock(),
            (approval, "Host"): lambda node, _: self.hosts[node.name],
            (run_module, "Host"): lambda node, _: self.hosts[node.name],
            (run_module, "ClusterSession"): lambda *_, **__: self._api(),
            (pipeline, "verify_node"): self._verify,
            (pipeline, "verify_cluster"): lambda *_, **__: [],
            (pipeline, "certificates_seen"): lambda *_: [],
            (pipeline, "network_probe_left"): lambda _: False,
            (artifact_files, "load"): lambda c: ArtifactStore({"amd64": artifacts(c)}),
            (planner_module, "probe"): lambda host, watch: host.probe(host, watch),
            (apply_module, "apply"): lambda host, *args, **kw: host.change(host, *args, **kw),
            (planner_module, "make_plan"): self._pure(make_plan),
            (preflight, "findings"): lambda *_: (),
        }
        for (owner, name), value in replaced.items():
            monkeypatch.setattr(owner, name, value)

    def _pure(self, plan: Callable[..., Any]) -> Callable[..., Any]:
        def called(name: str, *args: Any) -> Any:
            self.points.pass_by(name, "plan")
            return plan(name, *args)

        return called

    def _verify(self, host: Host, *_: object) -> list[Check]:
        self.points.pass_by(host.name, "verify")
        return [Check(host.name, "well", ok=True, detail="")]

    def _of_cluster(self, what: str) -> None:
        if self.cluster_error and self.cluster_error[0] == what:
            raise self.cluster_error[1]

    def _api(self) -> SimpleNamespace:
        def asked(what: str, answer: Callable[..., Any] = lambda *_: None) -> Callable[..., Any]:
            def call(*args: Any, **_: Any) -> Any:
                self._of_cluster(what)
                if args:
                    self.points.pass_by(getattr(args[0], "name", args[0]), what)
                return answer(*args)

            return call

        def proxy_pem(node: Any) -> bytes:
            request = new_request(proxy_names.own(node.name), proxy_cert.subject(node))
            ca, key = authority()
            return sign_client(request.request_pem, pem(ca), private_pem(key))

        live = {"metadata": {"name": "n1"}}
        pool = ThreadPoolExecutor(3)
        release = self.config.cluster.version
        return SimpleNamespace(
            config=self.config,
            snapshot=SimpleNamespace(version=release, clock_offset=0.0, other_approvers=()),
            api=None,
            background=pool.submit,
            open=lambda *_: None,
            close=lambda: pool.shutdown(wait=False, cancel_futures=True),
            await_api=asked("await"),
            guard=SimpleNamespace(
                obtain=asked("guard"),
                policy_findings=asked("policy", tuple),
                explaining=nullcontext,
            ),
            network=SimpleNamespace(
                name="",
                objects=asked("calico objects", tuple),
                images=list,
                rollout=lambda _: None,
                followed=tuple,
                drift=lambda *_: asked("pool")(),
            ),
            manifests=SimpleNamespace(plan=asked("roles", lambda _: ()), apply=asked("apply")),
            nodes=SimpleNamespace(
                settled=asked("nodes", lambda _: {}),
                wait_registered=asked("wait registered", lambda *_: live),
                wait_ready=asked("wait ready", lambda *_: live),
                awaits_network=lambda _: False,
                was_registered=lambda _: True,
                reported_versions=lambda _: Versions(None),
                label=asked("label", lambda *_: self.labelled),
                label_changes=lambda _: (self.labelled,) if self.labelled else (),
                machine_ids=asked("machine ids", lambda *_: {}),
                by_address=lambda *_: (),
            ),
            restarts=SimpleNamespace(turn=lambda *_, **__: nullcontext()),
            admission=SimpleNamespace(
                bindings=asked("bindings", tuple),
                new_token=asked("token", lambda _: "aaaaaa.0123456789abcdef"),
                wait_serving=asked("wait serving"),
                tidy=asked("tidy", lambda *_, **__: None),
                expel=asked("expel"),
            ),
            certified=SimpleNamespace(
                show_key=asked("show key"),
                left_certified=asked("left certified", lambda _: ()),
                was_certified=asked("was certified", lambda _: False),
                holder=asked("holder", lambda *_: Holder.HOST),
            ),
            proxy_identities=SimpleNamespace(
                lost=lambda _: False,
                restore=lambda _: False,
                readmit=asked("let in", lambda _: None),
                planned=lambda _: None,
            ),
            proxy_certificates=SimpleNamespace(
                issue=asked("proxy certificate", proxy_pem),
            ),
        )

    def hosts_facts(self) -> dict[str, Facts]:
        """What the hosts are now, which later changes leave alone."""
        return {
            name: replace(
                host.facts,
                paths=dict(host.facts.paths),
                certificates=dict(host.facts.certificates),
            )
            for name, host in self.hosts.items()
        }

    def run(self) -> Run:
        self.points.passed.clear()
        steps = steps_of(self.config)
        return Run(
            config=self.config,
            nodes=self.config.nodes,
            journal=Journal(None, []),
            passwords={},
            max_parallel=2,
            steps=steps,
            only=node_steps(steps),
        )

    def plan(self) -> PlanResult:
        """What a deployment would do, as `inv plan` shows it."""
        return plan_result(pipeline.plan(self.run()))

    def planned(self, node: str = "n1") -> list[PlannedChange]:
        """The changes that a deployment would make of a node."""
        (found,) = (each for each in self.plan().nodes if each.node == node)
        assert not found.error
        return list(found.changes)

    def deployed(self, run: Run | None = None) -> Run:
        """A run that has deployed."""
        made = run or self.run()
        pipeline.deploy(made)
        return made


def deploy(run: Run) -> list[Check]:
    return pipeline.deploy(run)


def renew(run: Run) -> list[Check]:
    return rotation.rotate(run, Renewal((CLIENT,)))


def bare(_: Everything) -> None:
    pass


def joined(scene: Everything) -> None:
    pipeline.deploy(scene.run())


def drifted(scene: Everything) -> None:
    joined(scene)
    for host in scene.hosts.values():
        host.lose(layout.KUBELET_CONFIG)


def unlabelled(scene: Everything) -> None:
    joined(scene)
    scene.labelled = "labels"


KINDS: list[Callable[[], BaseException]] = [
    lambda: ConnectionLostError("n1", "the connection broke"),
    lambda: HostMisbehavedError("n1", "it answers nonsense"),
    lambda: ApplyError("n1", "no room", "make some", action="begin", detail="No space left"),
    lambda: ApiError(500, "InternalError", "it says no"),
    lambda: ApiAwayError("it is away"),
    lambda: OSError(28, "No space left on device"),
    lambda: TimeoutError(),
    lambda: RuntimeError("nobody foresaw this"),
    lambda: SystemExit(0),
]


def assert_failed(run: Run, checks: list[Check], capsys: Any, where: str) -> None:
    """n1 failed in every form in which a run's end is reported."""
    capsys.readouterr()
    with pytest.raises(Exit) as ended:
        app.end(run, checks, as_json=True)
    assert ended.value.code == 1, where
    found = {row["node"]: row for row in json.loads(capsys.readouterr().out)["nodes"]}["n1"]
    assert found["result"] == "failed", (where, found)
    assert found["step"], (where, found)
    assert found["cause"], (where, found)
    assert found["advice"], (where, found)
    with pytest.raises(Exit) as ended:
        app.end(run, checks, as_json=False)
    assert ended.value.code == 1, where
    line, *_ = (text for text in capsys.readouterr().out.splitlines() if text.startswith("n1 "))
    assert line.split()[1] == "failed", (where, line)
    (alone,) = (row for row in rows(run.journal.events) if row.node == "n1")
    assert alone.result == "failed", (where, "the journal alone tells as much")
    (lane,) = (lane for lane in timeline(run.journal.events).nodes if lane.row.node == "n1")
    assert lane.row.result == "failed", where


@pytest.mark.parametrize("turn", range(3))
@pytest.mark.parametrize(
    ("before", "work"),
    [(bare, deploy), (joined, deploy), (drifted, deploy), (unlabelled, deploy), (joined, renew)],
    ids=lambda f: f.__name__,
)
def test_what_is_raised_anywhere_is_that_nodes_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: Any, before: Any, work: Any, turn: int
) -> None:
    """
    At each place in turn where the work on a node waits for its host, the API or a plan.

    Each time something else is raised; three turns raise three kinds of things at each place.
    """
    with monkeypatch.context() as patches:
        points = Points()
        scene = Everything(patches, points)
        before(scene)
        found = scene.hosts_facts()
        work(scene.run())
    places = list(points.passed)
    assert places
    for number, place in enumerate(places):
        with monkeypatch.context() as patches:
            points = Points(at=None, error=KINDS[(number + 3 * turn) % len(KINDS)]())
            points.at = number
            another = Everything(patches, points)
            another.labelled = scene.labelled
            for name, facts in found.items():
                another.hosts[name].facts = facts
            found = another.hosts_facts()
            run = another.run()
            checks = work(run)
            assert points.passed[number] == place
            assert_failed(run, checks, capsys, f"{number}: {place}: {points.error!r}")
            if work is deploy:
                assert run.outcomes["n2"].ok, place


def test_there_are_as_many_places_as_one_thinks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the test above can't pass by trying nothing."""
    points = Points()
    pipeline.deploy(Everything(monkeypatch, points).run())
    kinds = Counter(place.split()[0] for place in points.passed)
    assert kinds["in"] > 10
    assert {
        "probe",
        "tls",
        "plan",
        "before",
        "after",
        "root",
        "token",
        "holder",
        "wait",
        "label",
    } < {*kinds}
    assert {"tidy", "proxy", "machine", "verify"} < {*kinds}
    assert len(points.passed) > 30


@pytest.mark.parametrize("kind", [KINDS[4], KINDS[7]], ids=["away", "bug"])
@pytest.mark.parametrize("what", ["roles", "bindings", "calico objects", "nodes", "guard"])
@pytest.mark.parametrize("before", [bare, joined, drifted], ids=lambda f: f.__name__)
def test_what_fails_for_the_whole_cluster_is_reported_beside_the_nodes_results(
    monkeypatch: pytest.MonkeyPatch, capsys: Any, before: Any, what: str, kind: Any
) -> None:
    scene = Everything(monkeypatch, Points())
    before(scene)
    scene.cluster_error = (what, kind())
    run = scene.run()
    checks = pipeline.deploy(run)
    if what == "guard" and before is joined:
        app.end(run, checks, as_json=True)  # it changes nothing, and needs no leave
        return
    with pytest.raises(Exit) as ended:
        app.end(run, checks, as_json=True)
    assert ended.value.code == 1
    found = {row["node"]: row for row in json.loads(capsys.readouterr().out)["nodes"]}
    failed = [row for row in found.values() if row["result"] == "failed"]
    assert failed
    assert all(row["cause"] and row["advice"] and row["step"] for row in failed)
    assert {"n1", "n2"} <= {*found}
    if what not in {"guard"}:
        assert found["cluster"]["result"] == "failed"


def test_a_role_that_fails_is_reported_where_nothing_is_to_be_renewed(
    monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    scene = Everything(monkeypatch, Points())
    joined(scene)
    scene.cluster_error = ("roles", ApiError(403, "Forbidden", "not you"))
    run = scene.run()
    checks = rotation.rotate(run, Renewal(()))
    with pytest.raises(Exit) as ended:
        app.end(run, checks, as_json=True)
    assert ended.value.code == 1
    assert "not you" in capsys.readouterr().out


@pytest.mark.parametrize("kind", KINDS, ids=lambda make: type(make()).__name__)
@pytest.mark.parametrize("way", [on_nodes, on_hosts])
def test_any_other_work_on_nodes_is_taken_down_alike(
    monkeypatch: pytest.MonkeyPatch, capsys: Any, way: Any, kind: Any
) -> None:
    """What is done by SSH alone, and what no step surrounds; those who went well are unchanged."""
    scene = Everything(monkeypatch, Points())
    run = scene.run()

    def work(side: Any) -> str:
        if (side.name if isinstance(side, Host) else side.node.name) == "n1":
            raise kind()
        return "well"

    outcomes = way(run, work)
    assert (outcomes["n1"].ok, outcomes["n2"].ok) == (False, True)
    assert_failed(run, [], capsys, "alone")
    found = {row.node: row.result for row in rows(run.journal.events, ["n1", "n2"])}
    assert found == {"n1": "failed", "n2": "unchanged"}
    assert "nobody foresaw" in render(run.journal.events) or "nobody" not in str(kind())


def test_a_node_that_was_passed_over_is_no_success(
    monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """With one node a batch: what is left of the batches is reported, and checks nothing well."""
    points = Points(at=0, error=RuntimeError("first"))
    scene = Everything(monkeypatch, points)
    run = Run(
        config=scene.config,
        nodes=scene.config.nodes,
        journal=Journal(None, []),
        passwords={},
        max_parallel=1,
        batch=1,
    )
    checks = pipeline.verify_nodes(run, network=False, title="status")
    assert {event.step for event in run.journal.events if event.node is None} == {"status"}
    assert {(check.node, check.ok) for check in checks} == {("n1", False), ("n2", False)}
    with pytest.raises(Exit):
        app.end(run, checks, as_json=True)
    found = {row["node"]: row for row in json.loads(capsys.readouterr().out)["nodes"]}
    assert found["n2"]["result"] == "skipped"
    assert "earlier batch" in found["n2"]["cause"]


def test_a_node_of_which_nothing_was_checked_is_not_well(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Everything(monkeypatch, Points())
    monkeypatch.setattr(pipeline, "verify_node", lambda *_: [])
    checks = pipeline.verify_nodes(scene.run(), network=False)
    assert [(check.node, check.ok) for check in checks] == [("n1", False), ("n2", False)]


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_host_that_can_not_be_asked_for_its_key_is_no_success(
    monkeypatch: pytest.MonkeyPatch, capsys: Any, dry_run: bool
) -> None:
    """Its request stays pending, which exit 0 would hide; that is reported once."""
    scene = Everything(monkeypatch, Points())
    asked: list[HostKey] = []

    def cluster_session(*_: object, key_lookup: Any, **__: object) -> SimpleNamespace:
        def judge() -> None:
            asked.extend([key_lookup.ask("n1"), key_lookup.ask("n1"), key_lookup.ask("n2")])

        admission = SimpleNamespace(allow=lambda _: None, refuse_other_approvers=lambda: None)
        judged = SimpleNamespace(judge=judge)
        return SimpleNamespace(admission=admission, judge=judged, close=lambda: None)

    def key(host: Host) -> HostKey:
        return HostKey(fault="no route to host") if host.name == "n1" else HostKey(b"key")

    monkeypatch.setattr(approval, "ClusterSession", cluster_session)
    monkeypatch.setattr(approval, "waiting_key", key)
    run = scene.run()
    approval.approve(run, watch=False, dry_run=dry_run)
    assert len(asked) == 3
    (outcome,) = run.outcomes.values()
    assert isinstance(outcome.error, approval.KeyLookupError)
    (failed,) = (event for event in run.journal.events if event.state == "failed")
    assert (failed.node, failed.step) == ("n1", "approve-csr")
    assert "no route to host" in failed.text
    assert failed.data["advice"]
    found = {row.node: row.result for row in rows(run.journal.events, ["n1", "n2"])}
    assert found == {"n1": "failed", "n2": "unchanged"}
