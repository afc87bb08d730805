"""What a renewal and a changed CA decide: who goes first, what stops others, what is awaited."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import MagicMock

import pytest

from fabnode.artifacts import store as artifact_files
from fabnode.artifacts.store import ArtifactStore
from fabnode.deploy import pipeline, rotation
from fabnode.deploy import run as run_module
from fabnode.deploy.run import Run
from fabnode.journal.journal import Journal
from fabnode.kube.client import ApiError
from fabnode.kube.csr import SigningError
from fabnode.node import layout
from fabnode.node.facts import Facts, PathFact
from fabnode.pki.ca_rollover import BUNDLE, CERTIFICATES, DONE, OLD_OUT, NoSafeTransitionError
from fabnode.pki.certificates import CertificateFile
from fabnode.pki.renewal import CLIENT, KINDS, Renewal
from fabnode.ssh.errors import ConnectionLostError
from fabnode.steps.checks.check import Check
from fabnode.steps.checks.node_certificates import certificate_paths, certificates
from fabnode.util.wait import WaitTimeoutError
from tests.support import authority, certificate, make_config, pem

if TYPE_CHECKING:
    from collections.abc import Callable

    from fabnode.config.configuration import Config, Node

OLD, NEW = (pem(authority(name)[0]) for name in ("old-ca", "new-ca"))
BOTH = NEW + OLD
RENEWAL = Renewal((CLIENT,))
NODES = ["n1", "n2", "n3"]


@dataclass
class Held:
    """What a node of these tests trusts and holds."""

    trusts: bytes = BOTH
    signer: str = "new-ca"

    def facts(self, node: Node) -> Facts:
        by = authority(self.signer)
        return Facts(
            known=True,
            paths={layout.CA: PathFact("file", content=self.trusts)},
            certificates={
                path: CertificateFile.of(certificate(f"system:node:{node.name}", by=by))
                for path in certificates(node).values()
            },
        )


@dataclass
class Scene:
    """
    Three nodes and an API in memory, under the real pipeline and journal.

    :param renewing: what renewing a node returns or raises, by its name.
    :param checks: those of a node that are not good, by its name.
    :param log: what was done, in order.
    """

    renewing: dict[str, bool | Exception] = field(default_factory=dict)
    checks: dict[str, list[Check]] = field(default_factory=dict)
    nodes: dict[str, Held] = field(default_factory=lambda: {name: Held() for name in NODES})
    away: set[str] = field(default_factory=set)
    rights: Exception | None = None
    verify: Exception | None = None
    calico: Exception | None = None
    accepted: bytes = BOTH
    for_pods: bytes | None = BOTH
    server_fault: str | None = None
    trial: str | Exception | None = None
    ca: bytes = BOTH
    log: list[str] = field(default_factory=list)
    planned: dict[str, Renewal] = field(default_factory=dict)
    dry_runs: list[bool] = field(default_factory=list)

    def run(self, nodes: int = len(NODES)) -> Run:
        config = replace(make_config(), ca_pem=self.ca)
        return Run(config, config.nodes[:nodes], Journal(None, []), {}, max_parallel=1)

    def session(self, config: Config, _: object, *, dry_run: bool, **__: object) -> SimpleNamespace:
        self.dry_runs.append(dry_run)

        def plan(_: object) -> tuple[()]:
            if self.rights:
                raise self.rights
            return ()

        def background(work: Callable[[], object]) -> Future[object]:
            future: Future[object] = Future()
            try:
                future.set_result(work())
            except Exception as error:
                future.set_exception(error)
            return future

        def try_signing(node: Node, _: bytes) -> str | None:
            self.log.append(f"trial {node.name}")
            if isinstance(self.trial, Exception):
                raise self.trial
            return self.trial

        def wait_for_calico(names: list[str], _: object) -> None:
            self.log.append(f"calico {' '.join(names)}")
            if self.calico:
                raise self.calico

        def live() -> dict[str, Any]:
            if self.verify:
                raise self.verify
            return {}

        return SimpleNamespace(
            config=config,
            open=lambda *_: None,
            close=lambda: None,
            background=background,
            network=SimpleNamespace(
                name="Calico", wait_ready=wait_for_calico, renew_pods=lambda *_: ()
            ),
            guard=SimpleNamespace(obtain=lambda: None),
            manifests=SimpleNamespace(plan=plan),
            admission=SimpleNamespace(bindings=tuple),
            proxy_certificates=SimpleNamespace(try_signing=try_signing),
            nodes=SimpleNamespace(
                settled=lambda _: live(), current=live, awaits_network=lambda _: False
            ),
            authorities=SimpleNamespace(
                client=lambda: self.accepted,
                pod=lambda: self.for_pods,
                server_fault=lambda _: self.server_fault,
            ),
        )

    def verified(self, host: Any, *_: object) -> list[Check]:
        self.log.append(f"check {host.node.name}")
        return self.checks.get(host.node.name, [Check(host.node.name, "well", ok=True, detail="")])

    @property
    def renewed(self) -> list[str]:
        return [text.split()[1] for text in self.log if text.startswith("renew")]


class Deployer:
    """A node of which only renewal is asked; it comes out as its scene has it."""

    def __init__(self, scene: Scene, host: Any) -> None:
        self.scene, self.host, self.node = scene, host, host.node

    @property
    def facts(self) -> Facts:
        return self.scene.nodes[self.node.name].facts(self.node)

    def facts_of_started_units(self) -> Facts:
        return self.current_facts()

    def current_facts(self) -> Facts:
        if self.node.name in self.scene.away:
            raise ConnectionLostError(self.node.name, "no answer in time")
        return self.facts

    def overrides(self) -> tuple[()]:
        return ()

    def sites_own(self) -> tuple[()]:
        return ()

    def plan(self, renewal: Renewal) -> None:
        self.scene.planned[self.node.name] = renewal

    def renew(self, renewal: Renewal, *, before_change: Callable[[], None]) -> bool:
        name = self.node.name
        if self.scene.renewing.get(name) is False:
            return False
        before_change()
        self.scene.log.append(f"renew {name} {','.join(renewal.kinds)}".strip())
        result = self.scene.renewing.get(name, True)
        if isinstance(result, Exception):
            raise result
        held = self.scene.nodes[name]
        held.trusts = self.scene.ca
        if renewal.kinds and renewal.authority:
            held.signer = "new-ca"
        return result


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    made = Scene()
    replaced: dict[str, object] = {
        "Access": MagicMock(),
        "Host": lambda node, _: SimpleNamespace(node=node, close=lambda: None),
        "ClusterSession": made.session,
        "verify_node": made.verified,
        "verify_cluster": lambda *_, **__: [],
        "certificates_seen": lambda *_: [],
    }
    for name, value in replaced.items():
        monkeypatch.setattr(pipeline if name in vars(pipeline) else run_module, name, value)
    # `pipeline` names it as well, for what a plan calls; `run` makes them.
    monkeypatch.setattr(run_module, "NodeDeployer", lambda host, *_, **__: Deployer(made, host))
    monkeypatch.setattr(artifact_files, "load", lambda _: ArtifactStore({}))
    return made


def ends(run: Run) -> dict[str, str]:
    """Return how each node ended: `ok`, or why not."""
    return {
        name: str(outcome.error or outcome.skipped or "ok")
        for name, outcome in sorted(run.outcomes.items())
    }


# --- certificates on demand ----------------------------------------------------------------------


def test_one_node_is_renewed_and_checked_before_the_others(scene: Scene) -> None:
    run = scene.run()
    checks = rotation.rotate(run, RENEWAL)
    assert scene.log == [
        "renew n1 client",
        "calico n1",
        "check n1",
        "renew n2 client",
        "renew n3 client",
        "calico n1 n2 n3",
        *(f"check {name}" for name in NODES),
    ]
    assert [check.node for check in checks] == NODES
    assert set(ends(run).values()) == {"ok"}


NEAR = next(iter(certificate_paths(make_config().nodes[0])))

FIRSTS: dict[str, tuple[Callable[[Scene], None], list[str], str]] = {
    "it fails": (
        lambda scene: scene.renewing.update(n1=ConnectionLostError("n1", "the connection broke")),
        ["n1"],
        "the connection broke",
    ),
    "it is not well": (
        lambda scene: scene.checks.update(n1=[Check("n1", "kubelet", ok=False, detail="is down")]),
        ["n1"],
        "it was the first node, and its checks failed: kubelet: is down",
    ),
    "it holds another certificate that ends soon": (
        lambda scene: scene.checks.update(n1=[Check("n1", NEAR, ok=False, detail="ends soon")]),
        NODES,
        "ok",
    ),
    "its pods are late, and it is well": (
        lambda scene: setattr(scene, "calico", WaitTimeoutError("calico-node on n1", 1)),
        NODES,
        "ok",
    ),
    "it can't be checked": (
        lambda scene: setattr(scene, "verify", ApiError(500, "InternalError", "no")),
        ["n1"],
        "it was the first node, and its checks could not run",
    ),
    "none of its checks was made": (
        lambda scene: scene.checks.update(n1=[]),
        ["n1"],
        "it was the first node, and its checks failed: reachable: nothing was checked",
    ),
}


@pytest.mark.parametrize(("prepare", "renewed", "first"), FIRSTS.values(), ids=FIRSTS)
def test_what_the_first_node_comes_to_decides_about_the_others(
    scene: Scene, prepare: Callable[[Scene], None], renewed: list[str], first: str
) -> None:
    prepare(scene)
    run = scene.run()
    rotation.rotate(run, RENEWAL)
    assert scene.renewed == renewed
    found = ends(run)
    assert first in found["n1"]
    rest = "ok" if renewed == NODES else "n1, the first node, failed"
    assert (found["n2"], found["n3"]) == (rest, rest)


def test_a_first_node_of_which_nothing_was_due_is_checked_with_the_others(scene: Scene) -> None:
    scene.renewing["n1"] = False
    rotation.rotate(scene.run(), RENEWAL)
    assert scene.renewed == NODES[1:]
    assert scene.log[:3] == ["renew n2 client", "renew n3 client", "calico n1 n2 n3"]


def test_one_node_alone_is_checked_once(scene: Scene) -> None:
    rotation.rotate(scene.run(nodes=1), RENEWAL)
    assert scene.log == ["renew n1 client", "calico n1", "check n1"]


def test_nothing_is_checked_where_nothing_was_renewed(scene: Scene) -> None:
    scene.renewing["n1"] = ConnectionLostError("n1", "the connection broke")
    assert rotation.rotate(scene.run(), RENEWAL) == []
    assert scene.log == ["renew n1 client"]


def test_of_those_after_the_first_one_failure_is_its_own(scene: Scene) -> None:
    scene.renewing["n2"] = ConnectionLostError("n2", "the connection broke")
    run = scene.run()
    checks = rotation.rotate(run, RENEWAL)
    assert [check.node for check in checks] == ["n1", "n3"]
    assert "the connection broke" in ends(run)["n2"]


def test_without_rights_nothing_is_renewed(scene: Scene) -> None:
    scene.rights = ApiError(403, "Forbidden", "no")
    run = scene.run()
    assert rotation.rotate(run, RENEWAL) == []
    assert scene.renewed == []
    assert "ok" not in ends(run).values()


def test_rights_that_are_missing_are_reported_though_nothing_was_due(scene: Scene) -> None:
    scene.rights = ApiError(403, "Forbidden", "no")
    scene.renewing = dict.fromkeys(NODES, False)
    run = scene.run()
    assert rotation.rotate(run, RENEWAL) == []
    assert scene.log == []
    assert [event.step for event in run.journal.events if event.state == "failed"] == ["rbac"]


def test_a_plan_renews_nothing(scene: Scene) -> None:
    planned = rotation.plan(scene.run(), RENEWAL)
    assert list(planned.nodes) == NODES
    assert scene.planned == dict.fromkeys(NODES, RENEWAL)
    assert scene.dry_runs == [True]
    assert scene.log == []


# --- a changed CA --------------------------------------------------------------------------------


def test_bundle_and_certificates_follow_one_another_in_one_run(scene: Scene) -> None:
    """Each stage on all nodes, one of them first, before the next begins; then it waits."""
    scene.nodes = {name: Held(OLD, "old-ca") for name in NODES}
    change = rotation.change_ca(scene.run())
    kinds = ",".join(KINDS)
    assert [text for text in scene.log if text.startswith(("renew", "trial"))] == [
        *(f"renew {name}" for name in NODES),
        "trial n1",
        *(f"renew {name} {kinds}" for name in NODES),
    ]
    assert set(change.stages.values()) == {DONE}
    assert [text.split()[0] for text in change.waits] == ["every", "then"]


def test_the_old_ca_goes_once_it_is_out_of_the_configuration(scene: Scene) -> None:
    scene.ca = NEW
    change = rotation.change_ca(scene.run())
    assert scene.renewed == NODES
    assert {held.trusts for held in scene.nodes.values()} == {NEW}
    assert (set(change.stages.values()), change.waits) == ({DONE}, ())


def test_nodes_at_a_later_stage_wait_for_those_before_them(scene: Scene) -> None:
    """One that was away joins in; the stage of the others begins when its own is done."""
    scene.nodes = {
        "n1": Held(BOTH, "old-ca"),
        "n2": Held(OLD, "old-ca"),
        "n3": Held(BOTH, "old-ca"),
    }
    rotation.change_ca(scene.run())
    assert scene.renewed == ["n2", *NODES]


STOPS: dict[str, Callable[[Scene], None]] = {
    "a node that can't be asked": lambda scene: scene.away.add("n3"),
    "a node from which no way leads there": lambda scene: scene.nodes.update(n3=Held(b"")),
}


@pytest.mark.parametrize("stop", STOPS.values(), ids=STOPS)
def test_a_node_whose_stage_is_unknown_stops_all(
    scene: Scene, stop: Callable[[Scene], None]
) -> None:
    scene.nodes = {name: Held(OLD, "old-ca") for name in NODES}
    stop(scene)
    run = scene.run()
    change = rotation.change_ca(run)
    assert scene.renewed == []
    assert set(change.stages) == {"n1", "n2"}
    assert change.waits == ()
    assert isinstance(run.outcomes["n3"].error, ConnectionLostError | NoSafeTransitionError)


@pytest.mark.parametrize("failing", ["n1", "n3"])
def test_no_stage_begins_while_a_node_is_not_through_with_the_one_before(
    scene: Scene, failing: str
) -> None:
    scene.nodes = {name: Held(OLD, "old-ca") for name in NODES}
    scene.renewing[failing] = ConnectionLostError(failing, "the connection broke")
    change = rotation.change_ca(scene.run())
    assert not [text for text in scene.log if text.startswith("trial")]
    assert set(change.stages.values()) == {BUNDLE}
    assert change.waits == ()


def test_no_stage_begins_after_checks_that_failed(scene: Scene) -> None:
    scene.nodes = {name: Held(OLD, "old-ca") for name in NODES}
    scene.checks["n3"] = [Check("n3", "kubelet", ok=False, detail="is down")]
    change = rotation.change_ca(scene.run())
    assert scene.renewed == NODES
    assert [check.ok for check in change.checks] == [True, True, False]


AWAITED: dict[str, tuple[dict[str, object], bytes, list[str]]] = {
    "certificates, all ready": ({}, BOTH, []),
    "certificates, clients of the new CA are refused": (
        {"accepted": OLD},
        BOTH,
        ["kube-apiserver does not accept clients"],
    ),
    "certificates, the apiserver tells no CA": (
        {"accepted": b""},
        BOTH,
        ["kube-apiserver does not accept clients"],
    ),
    "certificates, another CA signs": (
        {"trial": "CN=old-ca"},
        BOTH,
        ["certificates are signed by CN=old-ca"],
    ),
    "certificates, nobody signs": (
        {"trial": WaitTimeoutError("its certificate", 1)},
        BOTH,
        ["a trial request for a certificate failed: waited 1 s for its certificate"],
    ),
    "certificates, the signer fails": (
        {"trial": SigningError("it was refused")},
        BOTH,
        ["a trial request for a certificate failed: it was refused"],
    ),
    "certificates do not wait for what pods and the apiserver show": (
        {"server_fault": "it is signed by old-ca", "for_pods": OLD},
        BOTH,
        [],
    ),
    "old out, all ready": ({}, NEW, []),
    "old out, the apiserver shows a certificate of the old CA": (
        {"server_fault": "it is signed by old-ca"},
        NEW,
        ["kube-apiserver's own certificate"],
    ),
    "old out, pods trust the old CA alone": ({"for_pods": OLD}, NEW, ["pods don't get"]),
    "old out, before 1.20 pods are given no CA": ({"for_pods": None}, NEW, []),
    "old out, neither": (
        {"for_pods": OLD, "server_fault": "it is signed by old-ca"},
        NEW,
        ["kube-apiserver's own certificate", "pods don't get"],
    ),
    "old out does not ask who signs": ({"trial": "CN=old-ca", "accepted": OLD}, NEW, []),
}


@pytest.mark.parametrize(("control_plane", "ca", "waits"), AWAITED.values(), ids=AWAITED)
def test_a_stage_begins_when_the_control_plane_is_ready_for_it(
    scene: Scene, control_plane: dict[str, object], ca: bytes, waits: list[str]
) -> None:
    signer, stage = ("old-ca", CERTIFICATES) if ca == BOTH else ("new-ca", OLD_OUT)
    scene.nodes = {name: Held(BOTH, signer) for name in NODES}
    scene.ca = ca
    for name, value in control_plane.items():
        setattr(scene, name, value)
    change = rotation.change_ca(scene.run())
    if waits:
        assert scene.renewed == []
        assert set(change.stages.values()) == {stage}
        assert len(change.waits) == len(waits)
        for text, part in zip(change.waits, waits, strict=True):
            assert part in text
    else:
        assert scene.renewed == NODES
        assert set(change.stages.values()) == {DONE}


def test_a_host_lost_during_the_trial_ends_the_run_with_that(scene: Scene) -> None:
    """It says nothing about who signs."""
    scene.nodes = {name: Held(BOTH, "old-ca") for name in NODES}
    scene.trial = ConnectionLostError("n1", "the connection broke")
    with pytest.raises(ConnectionLostError):
        rotation.change_ca(scene.run())
    assert scene.renewed == []


def test_with_one_ca_and_nothing_to_do_nothing_is_left(scene: Scene) -> None:
    scene.ca = NEW
    scene.nodes = {name: Held(NEW) for name in NODES}
    change = rotation.change_ca(scene.run())
    assert (scene.renewed, change.waits, change.checks) == ([], (), ())


def test_a_plan_shows_stages_and_waits_and_changes_nothing(scene: Scene) -> None:
    scene.nodes = {"n1": Held(BOTH, "old-ca"), "n2": Held(OLD, "old-ca"), "n3": Held()}
    scene.accepted = OLD
    change = rotation.plan_ca(scene.run())
    assert change.stages == {"n1": CERTIFICATES, "n2": BUNDLE, "n3": DONE}
    (wait,) = change.waits
    assert wait.startswith("kube-apiserver does not accept clients")
    of_ca = Renewal(authority=NEW)
    assert scene.planned == {"n1": replace(of_ca, kinds=KINDS), "n2": of_ca, "n3": of_ca}
    assert scene.log == []


def test_while_a_stage_is_open_the_next_one_is_not_announced(scene: Scene) -> None:
    """A node that gets the new CA beside the old one waits for nothing in the control plane."""
    scene.nodes["n2"] = Held(OLD, "old-ca")
    assert rotation.plan_ca(scene.run()).waits == ()


def test_what_the_last_stage_will_wait_for_is_shown_before_it(scene: Scene) -> None:
    scene.server_fault = "it is signed by old-ca"
    assert [text.split()[0] for text in rotation.change_ca(scene.run()).waits] == [
        "every",
        "kube-apiserver's",
        "then",
    ]


def test_a_plan_leaves_out_a_node_that_can_not_be_asked(scene: Scene) -> None:
    scene.away.add("n2")
    change = rotation.plan_ca(scene.run())
    assert set(change.stages) == {"n1", "n3"}
    assert change.plan
    assert set(change.plan.nodes) == {"n1", "n3"}
