"""Nodes older than their control plane: a minor behind by deployment, far behind by force."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from fabnode.cli import app
from fabnode.cli.options import Options
from fabnode.deploy.run import on_nodes
from fabnode.remote.apply import apply
from fabnode.remote.payload_cache import Packer
from lab import builds, versions
from lab.progress import Progress

from .complaints import complaints
from .harness import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from fabnode.deploy.node_deployer import NodeDeployer
    from fabnode.remote.apply import Applied

    from .harness import Done, Lab

pytestmark = pytest.mark.releases

OLD = "1.30.14"


@pytest.fixture(scope="module")
def joined(older_lab: Lab) -> Done:
    """A node of 1.36.3 in a cluster of 1.37.2."""
    return older_lab.deploy()


def test_a_node_a_minor_behind_its_control_plane_works(joined: Done, older_lab: Lab) -> None:
    checks = joined.document["checks"]
    assert [check for check in checks if not check["ok"]] == []
    assert {"Calico", "Service VIP", "pod on n1"} <= {check["name"] for check in checks}
    (node,) = older_lab.objects("nodes")
    assert node["status"]["nodeInfo"]["kubeletVersion"] == "v1.36.3"
    assert "v1.37.2" in older_lab.kubectl("version").partition("Server Version")[2]


@pytest.mark.usefixtures("joined")
@pytest.mark.parametrize("unit", ["kubelet", "kube-proxy"])
def test_1_36_complains_about_nothing_that_is_rendered(older_lab: Lab, unit: str) -> None:
    assert complaints(older_lab, "n1", unit) == []


@pytest.mark.usefixtures("joined")
def test_a_node_is_unchanged_by_a_second_deployment(older_lab: Lab) -> None:
    before = older_lab.starts("n1")
    assert older_lab.deploy().results == {"n1": "unchanged"}
    assert older_lab.restarted(before) == set()


@pytest.fixture(scope="module")
def beyond_the_skew(joined: Done, older_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The same node with 1.30's binaries and files: a deployment refuses, so the plan is forced."""
    scratch = tmp_path_factory.mktemp("old")
    binaries = scratch / "bin"
    binaries.mkdir()
    old = builds.provide(versions.kubernetes_node(OLD), Progress())
    for path in (*(older_lab.layout.artifacts / "bin").iterdir(), *old.iterdir()):
        (binaries / path.name).unlink(missing_ok=True)
        (binaries / path.name).symlink_to(path)
    config = older_lab.config(cluster={"version": OLD}, artifacts={"binaries": str(binaries)})
    refused = older_lab.deploy(config=config, code=1)
    assert "more than 3 minors older than the apiserver" in refused.text
    _force(config, Packer(scratch / "packed"))


def _force(config: Path, packer: Packer) -> None:
    def work(deployer: NodeDeployer) -> Applied:
        return apply(deployer.host, deployer.plan().plan, packer)

    with app.run_of(Options(str(config))) as run:
        for outcome in on_nodes(run, work).values():
            if outcome.error:
                raise outcome.error


@pytest.mark.usefixtures("beyond_the_skew")
def test_1_30_starts_with_what_is_rendered(older_lab: Lab) -> None:
    for unit, port in (("kubelet", 10248), ("kube-proxy", 10256)):
        found = older_lab.on("n1", f"/usr/local/bin/{unit} --version").split()
        assert found == ["Kubernetes", f"v{OLD}"]
        health = f"curl -sf http://127.0.0.1:{port}/healthz"
        eventually(partial(older_lab.on, "n1", health))


@pytest.mark.usefixtures("beyond_the_skew")
@pytest.mark.parametrize("unit", ["kubelet", "kube-proxy"])
def test_1_30_complains_about_nothing_that_is_rendered(older_lab: Lab, unit: str) -> None:
    assert complaints(older_lab, "n1", unit) == []
