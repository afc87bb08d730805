"""What is fetched from where, by the configuration alone."""

from __future__ import annotations

from typing import Any

import pytest

from fabnode.artifacts import digests
from fabnode.artifacts.download import Digest
from fabnode.artifacts.upstreams import Source, SourceError, sources
from fabnode.releases.compatibility import checksum
from tests.support import make_config

RELEASES = {"runc": "1.5.2", "cni_plugins": "1.9.1", "crictl": "1.37.0"}


def urls(arch: str = "amd64", **changes: Any) -> list[tuple[str, str]]:
    config = make_config(artifacts={"releases": RELEASES, **changes})
    return [
        (source.url, (source.mirror_sums or source.sums).removeprefix(source.url))
        for source in sources(config, [arch])
    ]


def test_the_official_places() -> None:
    github = "https://github.com"
    assert set(urls()) == {
        ("https://dl.k8s.io/release/v1.37.2/bin/linux/amd64/kubelet", ".sha256"),
        ("https://dl.k8s.io/release/v1.37.2/bin/linux/amd64/kube-proxy", ".sha256"),
        ("https://dl.k8s.io/release/v1.37.2/bin/linux/amd64/kubectl", ".sha256"),
        (
            f"{github}/containerd/containerd/releases/download/v2.4.2/"
            "containerd-2.4.2-linux-amd64.tar.gz",
            ".sha256sum",
        ),
        (
            f"{github}/opencontainers/runc/releases/download/v1.5.2/runc.amd64",
            f"{github}/opencontainers/runc/releases/download/v1.5.2/runc.sha256sum",
        ),
        (
            f"{github}/containernetworking/plugins/releases/download/v1.9.1/"
            "cni-plugins-linux-amd64-v1.9.1.tgz",
            ".sha256",
        ),
        (
            f"{github}/kubernetes-sigs/cri-tools/releases/download/v1.37.0/"
            "crictl-v1.37.0-linux-amd64.tar.gz",
            ".sha256",
        ),
    }


def test_where_no_node_has_a_kube_proxy_none_is_fetched() -> None:
    def programs(**settings: Any) -> set[str]:
        found = sources(make_config(**settings), ["amd64"])
        return {source.file for source in found if "dl.k8s.io" in source.url}

    assert programs(kube_proxy="none") == {"kubelet", "kubectl"}
    some = [{"name": "n1", "address": "192.0.2.11", "kube_proxy": {"enabled": True}}]
    assert "kube-proxy" in programs(kube_proxy="none", nodes=some)


def test_mirrors_stand_in_for_the_places_one_by_one() -> None:
    mirrors = {"kubernetes": "https://mirror.example.org/k8s/", "runc": "https://m.example.org"}
    found = dict(urls("arm64", mirrors=mirrors))
    assert "https://mirror.example.org/k8s/release/v1.37.2/bin/linux/arm64/kubelet" in found
    assert "https://m.example.org/v1.5.2/runc.arm64" in found
    assert sum("https://github.com/" in url for url in found) == 3


@pytest.mark.parametrize(
    ("minor", "kind"),
    [(8, None), (11, None), (12, "sha512"), (15, "sha512"), (16, "sha256"), (37, "sha256")],
)
def test_each_release_has_its_kind_of_checksum(minor: int, kind: str | None) -> None:
    assert checksum(minor) == kind


def test_docker_comes_with_the_hosts_packages() -> None:
    config = make_config(
        cluster={"version": "1.20.2"},
        runtime={"name": "docker"},
        calico={"enabled": False},
        artifacts={"releases": RELEASES},
    )
    assert [source.name for source in sources(config, ["amd64"])] == [
        "kubelet",
        "kube-proxy",
        "kubectl",
        "CNI plugins",
    ]


NODE_ARCHIVE = "v1.8.4/kubernetes-node-linux-amd64.tar.gz"


def old(**artifacts: Any) -> Any:
    """Return a cluster of a release that publishes nothing to prove its binaries by."""
    return make_config(
        cluster={"version": "1.8.4"},
        runtime={"name": "docker"},
        calico={"enabled": False},
        artifacts={"releases": RELEASES, **artifacts},
    )


def test_a_release_without_checksums_needs_them_from_the_operator() -> None:
    with pytest.raises(SourceError) as caught:
        sources(old(), ["amd64"])
    assert f"https://dl.k8s.io/{NODE_ARCHIVE}: the project publishes no checksum of" in str(
        caught.value
    )
    assert f"artifacts.sums: {{{NODE_ARCHIVE}: …}}" in str(caught.value)
    source = sources(old(sums={NODE_ARCHIVE: "a" * 64}), ["amd64"])[0]
    assert source.given
    assert source.given.hex == "a" * 64
    assert source.members == ("kubelet", "kube-proxy", "kubectl")


@pytest.mark.parametrize(
    "base",
    ["http://m.example.org", "https://m.example.org", "https://github.com.example.org/x"],
)
def test_a_mirror_does_not_vouch_for_itself(base: str) -> None:
    def runc(**changes: Any) -> Source:
        config = make_config(artifacts={"releases": RELEASES, **changes})
        return next(s for s in sources(config, ["amd64"]) if s.name == "runc")

    place = "https://github.com/opencontainers/runc/releases/download/v1.5.2"
    found = runc(mirrors={"runc": base})
    assert (found.url, found.mirrored) == (f"{base}/v1.5.2/runc.amd64", True)
    assert (found.sums, found.mirror_sums) == (
        f"{place}/runc.sha256sum",
        f"{base}/v1.5.2/runc.sha256sum",
    )
    assert found.shipped is None
    given = runc(mirrors={"runc": base}, sums={"v1.5.2/runc.amd64": "a" * 128})
    assert given.given == Digest("sha512", "a" * 128)
    direct = runc()
    assert (direct.mirrored, direct.mirror_sums) == (False, "")
    older = runc(mirrors={"runc": base}, releases={**RELEASES, "runc": "1.5.1"})
    assert older.shipped == digests.known("runc", "1.5.1", "amd64")
    assert older.shipped
