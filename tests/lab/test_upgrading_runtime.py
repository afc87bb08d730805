"""containerd of nodes in use is upgraded for real: 1.7 → 2.3 → 2.4, without a lost request."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from fabnode.releases.matrix import matrix
from lab import builds, versions
from lab.progress import Progress

from .harness import NODES, eventually
from .shop import RECORD, Shop, container
from .visitors import Visitors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .harness import Lab

pytestmark = pytest.mark.life

OLD, BETWEEN = versions.older_containerds()
NEW = versions.CONTAINERD

# Of each shim that runs: the program that it was started from, as the kernel names it.
SHIMS = (
    "for exe in /proc/[0-9]*/exe; do readlink $exe; done 2>/dev/null | grep containerd-shim; true"
)
SANDBOXES = "ctr -n k8s.io containers ls -q 'labels.\"io.cri-containerd.kind\"==sandbox'"
NETWORKS = "ls /run/netns | grep ^cni- || true"


def runtimes(lab: Lab) -> dict[str, str]:
    """Return what each node reports that its pods run in."""
    return {
        node["metadata"]["name"]: node["status"]["nodeInfo"]["containerRuntimeVersion"]
        for node in lab.objects("nodes")
    }


def of_all(release: str) -> dict[str, str]:
    return dict.fromkeys(NODES, f"containerd://{release}")


def files(lab: Lab, node: str) -> str:
    """Return the digests of what an upgrade replaces on a node."""
    return lab.on(
        node,
        "sha256sum /usr/local/bin/containerd* /usr/local/bin/ctr /etc/containerd/config.toml"
        " /etc/systemd/system/containerd.service",
    )


def own_pods(lab: Lab, node: str) -> dict[str, str]:
    """Return the containers of the DaemonSets' pods of a node: the pod's uid → the id."""
    return {
        item["metadata"]["uid"]: item["status"]["containerStatuses"][0].get("containerID", "")
        for item in lab.objects("pods", "-A", f"--field-selector=spec.nodeName={node}")
        if [owner["kind"] for owner in item["metadata"].get("ownerReferences", ())] == ["DaemonSet"]
    }


def agent() -> dict[str, Any]:
    """Return a DaemonSet of a user's, whose pods have addresses of the pod network."""
    labels = {"app": "agent"}
    pod = {"terminationGracePeriodSeconds": 1, "containers": [container()]}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "agent"},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


class Cluster:
    """Three nodes with the oldest containerd that a way leads from, and a user's pods on them."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab = lab
        self._folder = folder
        lab.lab("fresh")
        lab.become_deployer()  # the account went with the rest of the cluster
        lab.deploy(config=lab.config(**self._of(OLD)))
        self.shop = Shop(lab)
        self.shop.make(agent())
        self.shop.kubectl("rollout", "status", "daemonset/agent", "--timeout=180s")

    def _of(self, release: str) -> dict[str, Any]:
        """Return what is configured for a containerd: its release, and a folder of programs."""
        folder = self._folder / release
        if not folder.exists():
            folder.mkdir()
            made = builds.provide(versions.containerd(release), Progress())
            for path in (*(self.lab.layout.artifacts / "bin").iterdir(), *made.iterdir()):
                (folder / path.name).unlink(missing_ok=True)
                (folder / path.name).symlink_to(path)
        return {"runtime": {"version": release}, "artifacts": {"binaries": str(folder)}}

    def config(self, release: str, **changes: Any) -> Path:
        """Return the configuration of a containerd, with other sections in it."""
        whole = yaml.safe_load(self.shop.config.read_text())
        for section, settings in self._of(release).items():
            whole[section] |= settings
        path = self.lab.scratch / f"containerd-{release}{'-'.join(['', *changes])}.yml"
        path.write_text(yaml.safe_dump({**whole, **changes}, sort_keys=False))
        return path

    def upgrade(self, release: str, *words: str, code: int = 0, **changes: Any) -> Any:
        config = self.config(release, **changes)
        return self.lab.inv("upgrade", "--json", *words, code=code, config=config)

    def as_before(self, before: dict[str, str]) -> None:
        """See that no file of a node was changed, and nothing is left of what was tried."""
        assert {node: files(self.lab, node) for node in NODES} == before
        assert self.shop.cordoned() == set()
        for node in NODES:
            assert RECORD not in self.shop.node(node)["metadata"].get("annotations", {})
            assert self.lab.on(node, "ls /var/lib/fabnode/kept", code=None) == ""


@pytest.fixture(scope="module")
def cluster(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    made = Cluster(lab, tmp_path_factory.mktemp("bin"))
    yield made
    made.shop.kubectl("delete", "daemonset", "agent")
    made.shop.close()
    if runtimes(lab) != of_all(NEW):  # what comes after could not deploy to them
        lab.lab("fresh")
        lab.become_deployer()


@pytest.fixture(scope="module")
def visitors(cluster: Cluster) -> Visitors:
    return Visitors(cluster.shop)


def all_is_new(cluster: Cluster, node: str) -> bool:
    """See that no shim of before runs on a node, and no network of a pod that is gone is left."""
    lab = cluster.lab
    shims = lab.on(node, SHIMS).splitlines()
    assert shims
    assert set(shims) == {"/usr/local/bin/containerd-shim-runc-v2"}
    there = lab.objects("pods", "-A", f"--field-selector=spec.nodeName={node}")
    assert len(lab.on(node, SANDBOXES).split()) == len(there)
    inside = [item for item in there if not item["spec"].get("hostNetwork")]
    assert len(lab.on(node, NETWORKS).split()) == len(inside)
    return True


def crossed(cluster: Cluster, visitors: Visitors, release: str) -> None:
    """Upgrade all nodes to a containerd, n2 and n3 while they are visited from n1."""
    lab = cluster.lab
    before = {node: own_pods(lab, node) for node in NODES}
    for of in before.values():
        assert len(of) == 2, "calico-node and agent"
    done = cluster.upgrade(release, "--limit", "n2,n3")
    assert done.results == {"n2": "changed", "n3": "changed"}
    served, lost = visitors.since_then()
    assert served > 50
    assert lost == 0, f"{lost} requests of {served + lost} were lost"
    assert own_pods(lab, "n1") == before["n1"]
    # The visitor has no controller.
    cluster.shop.kubectl("delete", "pod", "visitor", "--now")
    assert cluster.upgrade(release, "--limit", "n1").results == {"n1": "changed"}
    assert runtimes(lab) == of_all(release)
    assert cluster.shop.cordoned() == set()
    for node in NODES:
        after = own_pods(lab, node)
        assert after.keys() == before[node].keys(), "the same pods"
        assert not set(after.values()) & set(before[node].values()), "in other containers"
        eventually(partial(all_is_new, cluster, node), 180)
        assert lab.on(node, "ls /var/lib/fabnode/kept", code=None) == ""
    cluster.shop.rolled_out("front")
    lab.inv("verify", config=cluster.config(release))


@pytest.mark.usefixtures("visitors")
def test_a_way_that_is_not_supported_is_refused_with_what_comes_first(cluster: Cluster) -> None:
    before = {node: files(cluster.lab, node) for node in NODES}
    starts = cluster.lab.starts(*NODES)
    config = cluster.config(NEW)
    refused = "containerd 1.7 can't be upgraded to 2.4 directly"
    first = f"configure runtime.version: {matrix().containerd['2.3'].newest}"
    shown = cluster.lab.inv("upgrade", "--dry-run", code=1, config=config).out
    for node in NODES:
        assert f"{node}: containerd {OLD} → containerd {NEW}, " in shown
        assert f"{node}: refused: {refused}; {first}" in shown
    done = cluster.lab.inv("upgrade", "--json", "--limit", "n2,n3", code=1, config=config)
    assert done.results == {"n2": "failed", "n3": "failed"}
    deployed = cluster.lab.deploy("--limit", "n3", code=1, config=config)
    for row in (done.rows["n2"], done.rows["n3"], deployed.rows["n3"]):
        assert refused in row["cause"]
        assert first in row["advice"]
        assert "inv upgrade" in row["advice"]
    assert cluster.lab.restarted(starts) == set()
    cluster.as_before(before)


@pytest.mark.usefixtures("visitors")
def test_no_deployment_changes_the_runtime_under_pods(cluster: Cluster) -> None:
    before = {node: files(cluster.lab, node) for node in NODES}
    starts = cluster.lab.starts(*NODES)
    said, unsaid = cluster.config(BETWEEN), cluster.lab.scratch / "unsaid.yml"
    whole = yaml.safe_load(said.read_text())
    del whole["runtime"]["version"]
    unsaid.write_text(yaml.safe_dump(whole, sort_keys=False))
    for config, new in ((said, f"containerd {BETWEEN}"), (unsaid, "the containerd of the artif")):
        done = cluster.lab.deploy("--limit", "n2,n3", code=1, config=config)
        for node in ("n2", "n3"):
            assert f"containerd {OLD} → {new}" in done.rows[node]["cause"]
            assert f"inv upgrade --limit {node}" in done.rows[node]["advice"]
    assert cluster.lab.restarted(starts) == set()
    cluster.as_before(before)


def test_a_node_goes_back_to_containerd_1_7(cluster: Cluster, visitors: Visitors) -> None:
    """containerd 2.3 runs by then; the kubelet refuses its configuration, and does not start."""
    before = {node: files(cluster.lab, node) for node in NODES}
    starts = cluster.lab.starts("n3")
    broken = {"config": {"featureGates": {"NoGateOfThisName": True}}}
    done = cluster.upgrade(BETWEEN, "--limit", "n2,n3", code=1, kubelet=broken)
    assert done.results == {"n2": "failed", "n3": "skipped"}
    assert "it runs what it ran before, and takes pods again" in done.rows["n2"]["cause"]
    assert runtimes(cluster.lab) == of_all(OLD)
    assert cluster.lab.restarted(starts) == set()
    cluster.as_before(before)
    served, lost = visitors.since_then()
    assert lost == 0, f"{lost} requests of {served + lost} were lost"
    eventually(partial(all_is_new, cluster, "n2"), 180)
    plan = cluster.lab.plan("--limit", "n2", config=cluster.config(OLD))
    assert plan["nodes"][0]["changes"] == []


def test_from_1_7_to_2_3_no_request_is_lost(cluster: Cluster, visitors: Visitors) -> None:
    crossed(cluster, visitors, BETWEEN)


def test_from_2_3_to_2_4_no_request_is_lost(cluster: Cluster) -> None:
    cluster.shop.kubectl("delete", "deployment", "front")
    eventually(lambda: cluster.shop.pods(app="front") == [])
    crossed(cluster, Visitors(cluster.shop), NEW)


def test_a_second_upgrade_finds_nothing(cluster: Cluster) -> None:
    starts = cluster.lab.starts(*NODES)
    assert cluster.upgrade(NEW).results == dict.fromkeys(NODES, "unchanged")
    shown = cluster.lab.inv("upgrade", "--dry-run", config=cluster.config(NEW)).out
    assert all(f"{node}: nothing to change" in shown for node in NODES)
    assert cluster.lab.restarted(starts) == set()


def test_there_is_no_way_back(cluster: Cluster) -> None:
    """An older containerd takes the shims of a newer one's pods for dead."""
    before = {node: files(cluster.lab, node) for node in NODES}
    starts = cluster.lab.starts(*NODES)
    config = cluster.config(BETWEEN)
    cluster.shop.kubectl("delete", "deployment", "front")
    eventually(lambda: cluster.shop.pods(app="front") == [])
    done = cluster.lab.inv("upgrade", "--json", "--limit", "n3", code=1, config=config)
    deployed = cluster.lab.deploy("--limit", "n3", code=1, config=config)
    for each in (done, deployed):
        assert f"containerd {BETWEEN} is older than the {NEW} that runs" in each.rows["n3"]["cause"]
    assert cluster.lab.restarted(starts) == set()
    cluster.as_before(before)
