"""The pod network in an upgrade: images first, one pod after another, or as it was before."""

from __future__ import annotations

import json
from contextlib import nullcontext
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from fabnode.cni.protocol import Rollout, Turn
from fabnode.deploy import network_before, network_upgrade
from fabnode.deploy.cni_rollout import PodNetwork
from fabnode.deploy.network_upgrade import NetworkUpgrade, NetworkWentBackError
from fabnode.journal.journal import Journal
from fabnode.kube.server_side_apply import ObjectChange
from fabnode.releases.version import Release
from fabnode.steps.checks.check import Check
from fabnode.util.errors import ClusterError
from fabnode.util.own_names import NETWORK_BEFORE
from fabnode.util.wait import WaitTimeoutError
from tests.support import make_config

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from fabnode.config.configuration import Config

PATH = "/apis/apps/v1/namespaces/kube-system/daemonsets/net"


def daemonset(image: str, **spec: Any) -> dict[str, Any]:
    whole = {"image": image, "template": {"image": image}, **spec}
    return {"kind": "DaemonSet", "metadata": {"name": "net"}, "spec": whole}


ITS_OWN, BY_HAND = {"type": "RollingUpdate"}, {"type": "OnDelete"}
SHOWN = {"RollingUpdate": "its own", "OnDelete": "by hand"}


class Cluster:
    """
    Three nodes, each with a pod of a network that is to get another image.

    :ivar runs: the image of each node's pod. :ivar did: what was changed, in order.
    :ivar bad: nodes on which no pod of the new image becomes Ready.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.config: Config = make_config()
        self.journal = Journal()
        self.live = daemonset("old", updateStrategy=ITS_OWN)
        self.runs = dict.fromkeys(("n1", "n2", "n3"), "old")
        self.did: list[str] = []
        self.bad: set[str] = set()
        self.checks: list[Check] = []
        self.before_change: Callable[[], None] = lambda: None
        self.rolls = True
        self.turn = Turn()
        monkeypatch.setattr(network_upgrade, "NetworkChange", lambda *_, **__: self)
        monkeypatch.setattr(network_upgrade, "verify_cluster", self._verify)

    # What NetworkChange has of it.
    def prepare(self) -> None:
        """Make the objects."""

    def plan(self) -> tuple[ObjectChange, ...]:
        wanted = daemonset("new", updateStrategy=ITS_OWN)
        if self.live == wanted:
            return ()
        return (ObjectChange(wanted, PATH, "update", ("spec.template.image",)),)

    @property
    def rollout(self) -> Rollout | None:
        nodes = frozenset(self.runs)
        return (
            Rollout("Net 1 → 2: net is rolled", nodes, True)
            if self.live["spec"]["image"] == ("old") and self.rolls
            else None
        )

    # What PodNetwork has of it.
    name = "Net"

    def objects(self) -> list[dict[str, Any]]:
        return [daemonset("new", updateStrategy=ITS_OWN)]

    def older_pods(self, names: Collection[str]) -> dict[str, str]:
        image = self.live["spec"]["image"]
        return {n: f"/pods/{n}" for n, runs in self.runs.items() if n in names and runs != image}

    def replace_pod(self, path: str) -> None:
        node = path.rpartition("/")[2]
        self.runs[node] = self.live["spec"]["image"]
        self.did.append(f"replace {node}: {self.runs[node]}")

    def wait_ready(self, names: Sequence[str], _: object) -> None:
        (name,) = names
        if name in self.bad and self.runs[name] == "new":
            raise WaitTimeoutError("Net", 1, "its pod crashes")

    def by_hand(self, changes: Sequence[ObjectChange]) -> tuple[ObjectChange, ...]:
        return tuple(
            ObjectChange(
                {**c.object, "spec": {**c.object["spec"], "updateStrategy": BY_HAND}},
                c.path,
                c.action,
            )
            for c in changes
        )

    def turned(self, _: Rollout, minors: Collection[int]) -> Turn:
        self.minors = set(minors)
        return self.turn

    def apply(self, changes: Sequence[ObjectChange]) -> None:
        for change in changes:
            self.live = json.loads(json.dumps(change.object))
            spec = change.object["spec"]
            self.did.append(f"apply {spec['image']}, {SHOWN[spec['updateStrategy']['type']]}")

    def _verify(self, _: object, names: Sequence[str], *__: object, **___: object) -> list[Check]:
        self.did.append(f"try {', '.join(names)}")
        return self.checks

    def upgrade(self, *names: str) -> NetworkUpgrade:
        self.did.clear()
        of_run = names or tuple(node.name for node in self.config.nodes)
        network = SimpleNamespace(
            name=self.name,
            objects=self.objects,
            older_pods=self.older_pods,
            replace_pod=self.replace_pod,
            wait_ready=self.wait_ready,
            by_hand=self.by_hand,
            turn=self.turned,
        )
        live = {"status": {"nodeInfo": {"kubeletVersion": "v1.36.3"}}}
        session: Any = SimpleNamespace(
            config=self.config,
            network=network,
            api=SimpleNamespace(get=lambda _: json.loads(json.dumps(self.live))),
            manifests=SimpleNamespace(plan=lambda _: self.again(), apply=self.apply),
            guard=SimpleNamespace(obtain=self.before_change, explaining=nullcontext),
            nodes=SimpleNamespace(current=lambda: {"n1": live}),
            snapshot=SimpleNamespace(version=Release.parse("1.37.2")),
        )
        return NetworkUpgrade(session, self.journal, of_run, frozenset(), wanted=True)

    def again(self) -> tuple[ObjectChange, ...]:
        return tuple(ObjectChange(item, PATH, "update") for item in self.objects())

    def cut_off(self, done: int) -> None:
        """Upgrade with a deployer that is killed once so many pods were replaced."""
        replace_pod = self.replace_pod

        def killed(path: str) -> None:
            if len([what for what in self.did if what.startswith("replace")]) == done:
                raise KeyboardInterrupt
            replace_pod(path)

        self.replace_pod = killed  # type: ignore[method-assign]
        upgrade = self.upgrade()
        with pytest.raises(KeyboardInterrupt):
            upgrade.upgrade(upgrade.prospect(), ALL)
        self.replace_pod = replace_pod  # type: ignore[method-assign]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    return Cluster(monkeypatch)


ALL = ("n1", "n2", "n3")


def test_pods_are_replaced_one_after_another_and_the_first_is_proved(cluster: Cluster) -> None:
    upgrade = cluster.upgrade()
    upgrade.upgrade(upgrade.prospect(), ALL)
    assert cluster.did == [
        "apply new, by hand",
        "replace n1: new",
        "try n1",
        "replace n2: new",
        "replace n3: new",
        "apply new, its own",
    ]


def test_a_prospect_says_what_and_where_and_changes_nothing(cluster: Cluster) -> None:
    found = cluster.upgrade().prospect()
    assert found.text == "Net 1 → 2: net is rolled; 1 object to apply"
    assert found.pods == ALL
    assert cluster.minors == {36, 37}
    assert cluster.did == []


def test_without_the_new_images_everywhere_nothing_is_changed(cluster: Cluster) -> None:
    upgrade = cluster.upgrade()
    with pytest.raises(ClusterError, match="n2 did not get the new images"):
        upgrade.upgrade(upgrade.prospect(), ["n1", "n3"])
    assert cluster.did == []


@pytest.mark.parametrize("fault", ["never ready", "no network"])
def test_one_that_is_not_well_goes_back_and_the_others_are_untouched(
    cluster: Cluster, fault: str
) -> None:
    if fault == "never ready":
        cluster.bad = {"n1"}
    else:
        cluster.checks = [Check("n1", "pod to pod", ok=False, detail="no answer")]
    upgrade = cluster.upgrade()
    with pytest.raises(NetworkWentBackError, match="runs as before on n1"):
        upgrade.upgrade(upgrade.prospect(), ALL)
    assert cluster.runs == dict.fromkeys(ALL, "old")
    assert cluster.live == daemonset("old", updateStrategy=ITS_OWN)
    assert not [what for what in cluster.did if "n2" in what or "n3" in what]


def test_one_that_was_cut_off_goes_on(cluster: Cluster) -> None:
    cluster.live = daemonset("new", updateStrategy=BY_HAND)
    cluster.runs["n1"] = "new"
    upgrade = cluster.upgrade()
    found = upgrade.prospect()
    assert found.pods == ("n2", "n3")
    assert "goes on" in found.text
    upgrade.upgrade(found, ())
    assert cluster.runs == dict.fromkeys(ALL, "new")
    assert cluster.live == daemonset("new", updateStrategy=ITS_OWN)


def test_one_that_was_cut_off_and_goes_on_ends_without_a_trace(cluster: Cluster) -> None:
    cluster.cut_off(1)
    assert NETWORK_BEFORE in cluster.live["metadata"]["annotations"]
    upgrade = cluster.upgrade()
    upgrade.upgrade(upgrade.prospect(), ())
    assert cluster.runs == dict.fromkeys(ALL, "new")
    assert cluster.live == daemonset("new", updateStrategy=ITS_OWN)


def test_one_that_was_cut_off_goes_back_on_all_nodes_where_it_was_replaced(
    cluster: Cluster,
) -> None:
    cluster.cut_off(1)
    cluster.bad = {"n2"}
    upgrade = cluster.upgrade()
    with pytest.raises(NetworkWentBackError, match="runs as before on n2, n1"):
        upgrade.upgrade(upgrade.prospect(), ())
    assert cluster.runs == dict.fromkeys(ALL, "old")
    assert cluster.live == daemonset("old", updateStrategy=ITS_OWN)


def test_the_first_template_is_the_one_of_before_whatever_is_configured_since(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.cut_off(1)
    wanted = [daemonset("newer", updateStrategy=ITS_OWN)]
    change = ObjectChange(wanted[0], PATH, "update", ("spec.template.image",))
    monkeypatch.setattr(cluster, "plan", lambda: (change,))
    monkeypatch.setattr(cluster, "wait_ready", lambda names, _: fail_on(cluster, names))
    upgrade = cluster.upgrade()
    with pytest.raises(NetworkWentBackError):
        upgrade.upgrade(upgrade.prospect(), ALL)
    assert cluster.live == daemonset("old", updateStrategy=ITS_OWN)


def fail_on(cluster: Cluster, names: Sequence[str]) -> None:
    if cluster.runs[names[0]] == "newer":
        raise WaitTimeoutError("Net", 1, "its pod crashes")


def test_an_annotation_of_a_roll_that_has_ended_says_nothing(cluster: Cluster) -> None:
    """As where an apiserver without server-side apply has left it."""
    text = json.dumps({"spec": {"image": "ancient"}})
    cluster.live["metadata"]["annotations"] = {NETWORK_BEFORE: text}
    cluster.bad = {"n1"}
    upgrade = cluster.upgrade()
    with pytest.raises(NetworkWentBackError):
        upgrade.upgrade(upgrade.prospect(), ALL)
    assert cluster.live == daemonset("old", updateStrategy=ITS_OWN)


@pytest.mark.parametrize("text", ["", "[", "[]", '{"spec": 1}', "[" * 100_000, "x" * 300_000])
def test_what_others_wrote_there_is_no_template(text: str) -> None:
    live = {"metadata": {"annotations": {NETWORK_BEFORE: text}}}
    assert network_before.read(live) is None


def test_a_status_says_what_goes_on_and_where_not_yet(cluster: Cluster) -> None:
    cluster.cut_off(1)
    live = cluster.live
    own = {"controller-revision-hash": "a", "pod-template-generation": "1"}
    pods = [
        {"metadata": {"name": "p2", "labels": own}, "spec": {"nodeName": "n2"}, "status": {}},
    ]
    live["metadata"]["annotations"]["deprecated.daemonset.template.generation"] = "2"
    api: Any = SimpleNamespace(find=lambda _: live, get=lambda *_, **__: {"items": pods})
    network = PodNetwork(make_config(calico={"enabled": True}), api, Journal())
    found = network.rolling(ALL)
    assert found.startswith("Calico is rolled, one node at a time, by ")
    assert found.endswith(" UTC: n2 left")
    live["spec"]["updateStrategy"] = ITS_OWN
    assert network.rolling(ALL) == ""


def test_a_run_of_some_nodes_leaves_it_alone_and_says_so(cluster: Cluster) -> None:
    assert cluster.upgrade("n1").prospect().text == ""
    (warning,) = [e.text for e in cluster.journal.events if e.state == "warning"]
    assert "left alone, because this run is not about all nodes" in warning


def test_objects_without_pods_are_applied_alone(cluster: Cluster) -> None:
    cluster.rolls = False
    cluster.runs = {}
    upgrade = cluster.upgrade()
    upgrade.upgrade(upgrade.prospect(), ())
    assert cluster.did == ["apply new, its own"]
