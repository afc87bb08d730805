"""`inv bundle` and `--bundle`: a configuration's artifacts, from one file and nowhere else."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from fabnode.artifacts import store
from fabnode.artifacts.bundle import BundleError
from fabnode.artifacts.bundle_overlay import bundled
from fabnode.cli.commands import bundle
from fabnode.config.configuration import Config
from fabnode.node.facts import UNKNOWN, Facts
from tests.artifacts.test_store import archive, of_architecture
from tests.support import make_config


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def site(tmp_path: Path, *architectures: str) -> Config:
    """Return a cluster with everything it needs but Calico, image archives included."""
    cluster = of_architecture(tmp_path, *architectures)
    name = {"RepoTags": ["registry.k8s.io/pause:3.10.1"]}
    pause = archive(tmp_path / "pause.tar", {"manifest.json": [name]})
    other = archive(tmp_path / "o t:h.tar", {"manifest.json": [{"RepoTags": ["o:1"]}]})
    settings = cluster.artifacts.model_copy(update={"images": (pause, other)})
    calico = cluster.calico.model_copy(update={"enabled": False})
    return replace(cluster, artifacts=settings, calico=calico)


def test_what_a_bundle_brings_is_what_was_configured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster = site(tmp_path, "amd64", "arm64")
    out = tmp_path / "site.tar.zst"
    bundle.make(cluster, out)
    before = store.load(cluster)
    for folder in ("bin", "cni"):
        shutil.rmtree(tmp_path / folder)
    after = store.load(bundled(cluster, out, tmp_path / "cache"))
    for facts in (Facts(known=True, arch="amd64"), Facts(known=True, arch="arm64"), UNKNOWN):
        old, new = before.of(facts), after.of(facts)
        assert {n: a.sha256 for n, a in new.binaries.items()} == {
            n: a.sha256 for n, a in old.binaries.items()
        }
        assert new.cni_plugins.keys() == old.cni_plugins.keys()
        assert [i.names for i in new.images] == [i.names for i in old.images]
        assert all(tmp_path / "cache" in a.path.parents for a in new.binaries.values())
    printed = capsys.readouterr().out
    digest = hashlib.sha256(out.read_bytes()).hexdigest()
    assert f"sha256 {digest}" in printed
    assert f"inv deploy-nodes --bundle site.tar.zst --bundle-sha256 {digest}\n" in printed
    assert "no archive in artifacts.images holds docker.io/library/busybox" in printed
    assert "pause" not in printed


def test_a_bundle_of_another_release_is_refused(tmp_path: Path) -> None:
    cluster = site(tmp_path, "amd64")
    bundle.make(cluster, tmp_path / "b")
    older = make_config(cluster={"version": "1.36.3"}, calico={"enabled": False})
    with pytest.raises(
        BundleError, match=r"holds Kubernetes 1.37.2, but the configuration has 1.36"
    ):
        bundled(older, tmp_path / "b", tmp_path / "cache")


def test_a_bundle_without_the_manifest_that_is_needed_is_refused(tmp_path: Path) -> None:
    cluster = site(tmp_path, "amd64")
    bundle.make(cluster, tmp_path / "b")
    with pytest.raises(BundleError, match="the bundle has no manifest of it"):
        bundled(make_config(), tmp_path / "b", tmp_path / "cache")
