"""Changes of a pod network that runs: after its images, never on nodes that are left out."""

from __future__ import annotations

import threading
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from fabnode.artifacts.image_supply import other_versions
from fabnode.cni.protocol import Diagnosis, Rollout
from fabnode.deploy.errors import MissingRightsError
from fabnode.deploy.network_change import ImageGate, NetworkChange
from fabnode.journal.journal import Journal
from fabnode.kube.client import ApiError
from fabnode.kube.server_side_apply import ObjectChange
from fabnode.util.errors import ClusterError
from tests.support import make_config

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXT = "Calico 3.28.5 → 3.32.1: calico-node is rolled, one node at a time"
CHANGE = ObjectChange({}, "/x", "update", ("spec.template",))
POOL = ObjectChange({"kind": "IPPool"}, "/pool", "update", ("spec.vxlanMode",))
NODES = [{"name": f"n{number}", "address": f"192.0.2.{number}"} for number in (1, 2, 3)]
CONFIG = make_config(nodes=NODES)


def rollout(*nodes: str, new_images: bool = True, older: bool = False) -> Rollout:
    return Rollout(TEXT, frozenset(nodes), new_images, older, placed=frozenset(nodes))


class Cluster:
    """A run of some of three nodes, and an API that is only asked what would change."""

    def __init__(self, found: Rollout | None, *names: str, changes: int = 1) -> None:
        self.done: list[str] = []
        self.planned = 0
        self.gate = ImageGate(names)
        self.journal = Journal(None, [])
        self.explaining: Any = nullcontext
        self.names, self.wanted = names, True
        self.refuses = False
        self.cut_off: Diagnosis | None = None

        def plan(objects: tuple[dict[str, str], ...]) -> tuple[ObjectChange, ...]:
            if objects and objects == self.of_its_own:
                if self.refuses:
                    raise ApiError(403, "Forbidden", "no right to change it")
                return (POOL,)
            self.planned += 1
            return (CHANGE,) * changes

        self.session: Any = SimpleNamespace(
            config=CONFIG,
            network=SimpleNamespace(
                name="Calico",
                objects=lambda: ({"kind": "DaemonSet"},),
                images=lambda: ["quay.io/calico/node:v3.32.1"],
                rollout=lambda _: found,
                followed=lambda: self.of_its_own,
                cut_off=lambda: self.cut_off,
            ),
            manifests=SimpleNamespace(plan=plan, apply=lambda _: self.done.append("applied")),
            guard=SimpleNamespace(
                obtain=lambda: self.done.append("guard"),
                explaining=lambda: self.explaining(),
            ),
        )
        self.held: tuple[str, ...] = ()
        self.of_its_own: tuple[dict[str, str], ...] = ()

    def change(self) -> NetworkChange:
        return NetworkChange(self.session, self.journal, self.names, self.held, wanted=self.wanted)

    @property
    def shown(self) -> list[str]:
        return [event.text for event in self.journal.events if event.text]


def waits(gate: ImageGate) -> bool:
    """Return whether the gate is shut."""
    passed = threading.Event()

    def wait() -> None:
        gate.wait()
        passed.set()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return not passed.wait(0.1)


def test_the_gate_opens_once_all_nodes_have_their_images() -> None:
    gate = ImageGate(["n1", "n2"])
    gate.begin("n1")
    gate.arrive("n1")
    assert waits(gate)
    gate.begin("n2")
    gate.end("n2")
    assert gate.wait() == {"n1"}, "what failed has no images, and is not waited for"


def test_a_joining_node_opens_the_gate_for_those_that_have_not_begun() -> None:
    gate = ImageGate(["n1", "n2", "n3"])
    gate.begin("n1")
    gate.begin("n2")
    gate.arrive("n1", joining=True)
    assert waits(gate), "n2 is about to get its images"
    gate.arrive("n2")
    assert gate.wait() == {"n1", "n2"}


def test_a_run_that_ends_early_holds_nobody_at_the_gate() -> None:
    gate = ImageGate(["n1", "n2"])
    gate.close()
    assert gate.wait() == frozenset()


def test_after_an_interrupt_no_node_counts() -> None:
    cluster = Cluster(rollout("n1"), "n1", "n2", "n3")
    cluster.gate.arrive("n1")
    cluster.gate.close(interrupted=True)
    with pytest.raises(ClusterError, match="not changed: n1"):
        cluster.change().apply(cluster.gate)
    assert cluster.done == []


@pytest.mark.parametrize(
    ("found", "held_up"),
    [
        (None, False),  # a fresh cluster, or nothing of the pods changes
        (rollout("n1", "n2", "n3", new_images=False), False),
        (rollout("n1", "n2", "n3"), True),
    ],
)
def test_new_images_of_running_pods_come_before_the_change(
    found: Rollout | None, held_up: bool
) -> None:
    cluster = Cluster(found, "n1", "n2", "n3")
    change = cluster.change()
    change.prepare()
    thread = threading.Thread(target=lambda: change.apply(cluster.gate), daemon=True)
    thread.start()
    thread.join(0.2)
    assert cluster.done == ([] if held_up else ["guard", "applied"])
    for name in ("n1", "n2", "n3"):
        cluster.gate.begin(name)
        cluster.gate.arrive(name)
    thread.join(5)
    assert cluster.done == ["guard", "applied"]
    text = f"{TEXT}; 1 objects applied" if found else "1 objects applied"
    assert any(text in shown for shown in cluster.shown)


def test_without_images_on_every_node_nothing_is_changed() -> None:
    cluster = Cluster(rollout("n1", "n2", "cp1"), "n1", "n2", "n3")
    cluster.gate.arrive("n1")
    cluster.gate.close()
    with pytest.raises(ClusterError, match="not changed: n2 did not get the new images"):
        cluster.change().apply(cluster.gate)
    assert cluster.done == []


@pytest.mark.parametrize(
    ("names", "found", "others"),
    [
        (("n1",), rollout("n1", "n2", "n3"), "n2, n3"),
        (("n1",), rollout("n1", "n3", new_images=False), "n3"),
        (("n1",), rollout("n1", "cp1"), "cp1"),  # no node of the configuration's
        (("n1",), rollout("n1"), ""),
        # Its calico-node is not ready at the moment, and would be another one when it is.
        (("n1",), replace(rollout("n1"), placed=frozenset({"n1", "n2"})), "n2"),
        (("n1",), None, ""),
        (("n1", "n2", "n3"), rollout("n1", "n2", "n3"), ""),
    ],
)
def test_a_run_of_some_nodes_changes_no_pods_on_the_others(
    names: tuple[str, ...], found: Rollout | None, others: str
) -> None:
    cluster = Cluster(found, *names)
    change = cluster.change()
    if others:
        with pytest.raises(ClusterError, match=f"{TEXT}, and on {others} too") as caught:
            change.prepare()
        assert "nothing was changed" in str(caught.value)
        assert caught.value.exit_code == 1
        assert cluster.done == []
    else:
        change.prepare()
        cluster.gate.close()
    change.plan()
    assert cluster.planned == 1, "compared once"


def test_a_step_back_is_a_warning() -> None:
    for older in (True, False):
        cluster = Cluster(rollout("n1", older=older), "n1", "n2", "n3")
        cluster.change().plan()
        assert (f"{TEXT}: a downgrade" in cluster.shown) is older


def test_what_is_forbidden_names_the_rights_that_are_missing() -> None:
    cluster = Cluster(None, "n1", "n2", "n3")

    @contextmanager
    def explaining() -> Iterator[None]:
        yield
        raise MissingRightsError("no right to get x")

    cluster.explaining = explaining
    with pytest.raises(MissingRightsError):
        cluster.change().plan()


def test_a_run_of_single_steps_is_not_about_the_network() -> None:
    cluster = Cluster(rollout("n1", "n2"), "n1")
    cluster.wanted = False
    change = cluster.change()
    change.prepare()
    change.apply(cluster.gate)
    assert change.plan() == ()
    assert (cluster.planned, cluster.done) == (0, [])


@pytest.mark.parametrize(
    ("held", "others"),
    [
        ((), ""),
        (("quay.io/calico/node:v3.32.1", "docker.io/calico/node:v3.28.5"), ""),
        (("docker.io/calico/node:v3.32.1",), "docker.io/calico/node:v3.32.1"),
        (("calico/node:v3.28.5", "busybox:1"), "docker.io/calico/node:v3.28.5"),
        (("quay.io/other/node:v3.32.0",), ""),
    ],
)
def test_archives_of_another_version_are_a_warning(held: tuple[str, ...], others: str) -> None:
    (*found,) = other_versions(["quay.io/calico/node:v3.32.1"] * 2, held)
    assert len(found) == bool(others)
    assert all(f"hold {others}, but" in text and "quay.io/calico/node" in text for text in found)


def test_such_archives_are_a_warning_of_plan_and_run() -> None:
    cluster = Cluster(None, "n1", "n2", "n3")
    cluster.held = ("docker.io/calico/node:v3.28.5",)
    cluster.change().prepare()
    assert any("artifacts.images hold docker.io/calico/node:v3.28.5" in t for t in cluster.shown)


@pytest.mark.parametrize(
    ("names", "refuses", "planned"),
    [
        (("n1", "n2", "n3"), False, (CHANGE, POOL)),
        (("n1", "n2", "n3"), True, (CHANGE,)),  # it is drift then, with a command
        (("n1",), False, (CHANGE,)),  # it would change routes on n2 and n3
    ],
)
def test_what_the_network_made_itself_is_changed_in_a_run_of_all_nodes(
    names: tuple[str, ...], refuses: bool, planned: tuple[ObjectChange, ...]
) -> None:
    cluster = Cluster(None, *names)
    cluster.of_its_own, cluster.refuses = ({"kind": "IPPool"},), refuses
    change = cluster.change()
    assert change.plan() == planned
    assert change.followed == [each.object for each in planned if each is POOL]


@pytest.mark.parametrize("names", [("n1", "n2", "n3"), ("n1",)])
def test_what_would_cut_pods_off_is_refused_before_anything_is_changed(
    names: tuple[str, ...],
) -> None:
    cluster = Cluster(None, *names)
    cluster.cut_off = Diagnosis("pool has no VXLAN", "correct calico.backend")
    with pytest.raises(ClusterError, match=r"pool has no VXLAN: nothing was changed") as refused:
        cluster.change().prepare()
    assert refused.value.advice == "correct calico.backend"
    assert cluster.done == []


def test_where_nothing_of_the_network_changes_nothing_is_refused() -> None:
    """What is cut off already shows in verify; other changes of nodes go on."""
    cluster = Cluster(None, "n1", "n2", "n3", changes=0)
    cluster.cut_off = Diagnosis("pool has no VXLAN", "correct calico.backend")
    cluster.change().prepare()


@pytest.mark.parametrize(
    ("found", "warned"),
    [
        (rollout("n1", "cp1"), True),
        (rollout("n1", "cp1", new_images=False), False),
        (rollout("n1", "n2"), False),
    ],
)
def test_nodes_that_nobody_brings_the_new_images_are_named(found: Rollout, warned: bool) -> None:
    cluster = Cluster(found, "n1", "n2", "n3")
    cluster.change().plan()
    assert any("cp1 too, which the configuration does not have" in t for t in cluster.shown) == (
        warned
    )
