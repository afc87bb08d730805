"""The deployer's artifacts: digests remembered but never stale."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fabnode.artifacts import image_archives, programs, store
from fabnode.artifacts.errors import ArtifactError
from fabnode.config.configuration import Config
from fabnode.node import copies
from fabnode.node.facts import UNKNOWN, Facts
from fabnode.node.resources import Binary
from fabnode.util.folders import cache_dir
from tests.support import make_config

AMD64, ARM64 = Facts(known=True, arch="amd64"), Facts(known=True, arch="arm64")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def archive(path: Path, members: dict[str, Any]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, document in members.items():
            data = json.dumps(document).encode()
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def cluster(tmp_path: Path, *images: Path) -> Config:
    (tmp_path / "bin").mkdir()
    (tmp_path / "cni").mkdir()
    for name in programs.required(make_config()):
        (tmp_path / "bin" / name).write_bytes(name.encode())
    (tmp_path / "cni" / "loopback").write_bytes(b"plugin")
    return make_config(
        tmp_path,
        artifacts={
            "binaries": str(tmp_path / "bin"),
            "cni_plugins": str(tmp_path / "cni"),
            "images": [str(image) for image in images],
        },
    )


def test_binaries_plugins_and_images_are_found_with_digest_and_names(tmp_path: Path) -> None:
    docker = archive(tmp_path / "d.tar", {"manifest.json": [{"RepoTags": ["a/b:1", "a/c:1"]}]})
    name = {"annotations": {"io.containerd.image.name": "docker.io/a/d:1"}}
    oci = archive(tmp_path / "o.tar", {"index.json": {"manifests": [name]}})
    found = store.load(cluster(tmp_path, docker, oci)).of(AMD64)
    assert found.binaries["kubelet"].sha256 == hashlib.sha256(b"kubelet").hexdigest()
    assert list(found.cni_plugins) == ["loopback"]
    assert [image.names for image in found.images] == [("a/b:1", "a/c:1"), ("docker.io/a/d:1",)]


def test_a_changed_file_gets_its_new_digest(tmp_path: Path) -> None:
    settings = cluster(tmp_path)
    before = store.load(settings).of(AMD64).binaries["kubelet"].sha256
    (tmp_path / "bin" / "kubelet").write_bytes(b"tebelku")  # as long as it was
    after = store.load(settings).of(AMD64).binaries["kubelet"].sha256
    assert after == hashlib.sha256(b"tebelku").hexdigest() != before


def test_an_unchanged_file_is_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = cluster(tmp_path)
    first = store.load(settings)

    def never(*_: object) -> None:
        raise AssertionError("hashed again")

    monkeypatch.setattr(hashlib, "file_digest", never)
    assert store.load(settings) == first


def test_a_broken_memory_is_merely_slow(tmp_path: Path) -> None:
    settings = cluster(tmp_path)
    memory = cache_dir() / "digests.json"
    memory.parent.mkdir(parents=True, exist_ok=True)
    memory.write_text("{ torn")
    assert store.load(settings).of(AMD64).binaries


def test_all_missing_binaries_are_named(tmp_path: Path) -> None:
    settings = cluster(tmp_path)
    (tmp_path / "bin" / "runc").unlink()
    (tmp_path / "bin" / "ctr").unlink()
    with pytest.raises(ArtifactError, match="has no ctr, runc"):
        store.load(settings)


@pytest.mark.parametrize(
    ("version", "runtimes", "wanted"),
    [
        ("1.37.2", ["containerd"], {"containerd", "containerd-shim-runc-v2", "ctr", "runc"}),
        ("1.20.2", ["docker"], set()),
        ("1.24.0", ["docker"], {"cri-dockerd"}),
        (
            "1.20.2",
            ["docker", "containerd"],
            {"containerd", "containerd-shim-runc-v2", "ctr", "runc"},
        ),
    ],
)
def test_nodes_need_the_binaries_of_their_own_runtime(
    version: str, runtimes: list[str], wanted: set[str]
) -> None:
    nodes = [
        {"name": f"n{i}", "address": f"192.0.2.{i}", "runtime": {"name": name}}
        for i, name in enumerate(runtimes, 1)
    ]
    settings = make_config(cluster={"version": version}, calico={"enabled": False}, nodes=nodes)
    assert set(programs.required(settings)) == wanted | {"kubelet", "kube-proxy"}
    without = make_config(kube_proxy="none", nodes=nodes, calico={"enabled": False})
    assert "kube-proxy" not in programs.required(without)


@pytest.mark.parametrize("members", [{}, {"manifest.json": [{"other": 1}]}, {"index.json": []}])
def test_what_is_no_image_archive_is_refused(tmp_path: Path, members: dict[str, Any]) -> None:
    path = archive(tmp_path / "x.tar", members)
    with pytest.raises(ArtifactError, match=r"artifacts\.images"):
        store.load(cluster(tmp_path, path))


BLOB = "blobs/sha256/" + "a" * 64
NAMED = {"annotations": {"io.containerd.image.name": "x"}, "digest": "sha256:" + "a" * 64}


@pytest.mark.parametrize(
    "members",
    [
        {"index.json": {"manifests": [NAMED]}, BLOB: {"manifests": [NAMED]}},
        {"index.json": {"manifests": [NAMED]}, BLOB: {"manifests": [NAMED] * 101}},
        {"manifest.json": [{"RepoTags": ["x" * 5 * 2**20]}]},
    ],
    ids=["names itself", "wide", "large"],
)
def test_an_archive_that_takes_no_end_is_refused(tmp_path: Path, members: dict[str, Any]) -> None:
    path = archive(tmp_path / "x.tar", members)
    with pytest.raises(image_archives.NotAnArchiveError):
        image_archives.images(path)


def test_an_archive_that_would_be_too_large_is_refused_by_what_it_announces(tmp_path: Path) -> None:
    info = tarfile.TarInfo("layer")
    info.size = 2**40
    path = tmp_path / "x.tar.gz"
    path.write_bytes(gzip.compress(info.tobuf()))
    with pytest.raises(image_archives.NotAnArchiveError, match="larger than any"):
        image_archives.images(path)


RELEASE = make_config().cluster.version


def elf(arch: str, text: str = "", release: str = f"v{RELEASE}") -> bytes:
    machine = {"amd64": 62, "arm64": 183}[arch]
    words = f"{text}\0{release}\0"
    return b"\x7fELF\x02\x01" + bytes(12) + machine.to_bytes(2, "little") + words.encode()


def of_architecture(tmp_path: Path, *architectures: str, flat: bool = False) -> Config:
    """Return a cluster whose programs tell an architecture, and say so in their content."""
    settings = cluster(tmp_path)
    for folder, names in (("bin", programs.required(settings)), ("cni", ("loopback",))):
        for name in names:
            (tmp_path / folder / name).unlink()
            for arch in architectures:
                place = tmp_path / folder / ("" if flat else arch)
                place.mkdir(exist_ok=True)
                (place / name).write_bytes(elf(arch, name))
    return settings


@pytest.mark.parametrize("name", ["kubelet", "kube-proxy"])
@pytest.mark.parametrize("other", ["v1.36.3", f"v{RELEASE}0", f"{RELEASE}", ""])
def test_programs_of_another_release_than_configured_are_refused(
    tmp_path: Path, name: str, other: str
) -> None:
    settings = of_architecture(tmp_path, "amd64", "arm64")
    store.load(settings)
    path = tmp_path / "bin/arm64" / name
    path.write_bytes(elf("arm64", name, other))
    for _ in range(2):  # the second time by what the cache remembers
        with pytest.raises(ArtifactError) as caught:
            store.load(settings)
        assert str(caught.value) == (
            f"artifacts.binaries: {path} is not of {RELEASE}, which cluster.version names: fetch"
            " that release (`inv binaries.fetch`), or name the one that is there"
        )
    path.write_bytes(elf("arm64", name, f"v{RELEASE}-site.1"))
    store.load(settings)


@pytest.mark.parametrize("flat", [True, False])
def test_programs_are_reported_with_what_they_are_for(tmp_path: Path, flat: bool) -> None:
    settings = of_architecture(tmp_path, "arm64", flat=flat)
    held = store.load(settings)
    assert held.of(ARM64).arch == "arm64"
    assert held.of(AMD64).arch == "arm64", "preflight tells them apart"
    assert held.of(UNKNOWN).binaries.keys() == set(programs.required(settings))


def test_each_node_gets_programs_of_its_own_architecture(tmp_path: Path) -> None:
    held = store.load(of_architecture(tmp_path, "amd64", "arm64"))
    for facts in (AMD64, ARM64):
        found = held.of(facts)
        assert found.arch == facts.arch
        digest = hashlib.sha256(elf(facts.arch, "kubelet")).hexdigest()
        assert found.binaries["kubelet"].sha256 == digest
        assert found.cni_plugins["loopback"].path.parent.name == facts.arch


def test_hosts_are_asked_for_copies_of_each_architecture_s_programs(tmp_path: Path) -> None:
    settings = of_architecture(tmp_path, "amd64", "arm64")
    held = store.load(settings)
    kubelet = held.of(UNKNOWN).binaries["kubelet"]
    binary = Binary("/usr/local/bin/kubelet", kubelet.path, kubelet.sha256)
    (wanted,) = copies.wanted((binary,), held.files())
    files = [held.of(facts).binaries["kubelet"] for facts in (AMD64, ARM64)]
    assert set(wanted.contents) == {(f.path.stat().st_size, f.sha256) for f in files}
    assert copies.wanted((binary,), store.expected(settings).files()) == ()


def test_what_is_missing_for_one_architecture_is_named(tmp_path: Path) -> None:
    settings = of_architecture(tmp_path, "amd64", "arm64")
    (tmp_path / "bin/arm64/runc").unlink()
    with pytest.raises(ArtifactError, match="has no runc for arm64"):
        store.load(settings)


def test_a_program_in_the_wrong_folder_is_refused(tmp_path: Path) -> None:
    settings = of_architecture(tmp_path, "amd64", "arm64")
    (tmp_path / "bin/arm64/runc").write_bytes(elf("amd64"))
    with pytest.raises(
        ArtifactError, match="runc is a program for amd64, but is in the folder of arm64"
    ):
        store.load(settings)


def test_a_script_is_for_every_architecture(tmp_path: Path) -> None:
    settings = of_architecture(tmp_path, "amd64", "arm64")
    (tmp_path / "cni/wrapper").write_bytes(b"#!/bin/sh\n")
    held = store.load(settings)
    for facts in (AMD64, ARM64):
        assert set(held.of(facts).cni_plugins) == {"wrapper", "loopback"}


def test_images_go_to_nodes_of_their_architecture(tmp_path: Path) -> None:
    settings = of_architecture(tmp_path, "amd64", "arm64")
    blob = {"manifests": [{"platform": {"architecture": a}} for a in ("amd64", "arm64", "unknown")]}
    annotations = {"io.containerd.image.name": "both:1"}
    index = {"manifests": [{"digest": "sha256:ab", "annotations": annotations}]}
    paths = [
        archive(
            tmp_path / "arm.tar",
            {
                "manifest.json": [{"RepoTags": ["arm:1"], "Config": "c"}],
                "c": {"architecture": "arm64"},
            },
        ),
        archive(tmp_path / "both.tar", {"index.json": index, "blobs/sha256/ab": blob}),
        archive(tmp_path / "untold.tar", {"manifest.json": [{"RepoTags": ["untold:1"]}]}),
    ]
    chosen = settings.artifacts.model_copy(update={"images": tuple(paths)})
    held = store.load(replace(settings, artifacts=chosen))
    names = {facts.arch: [i.names[0] for i in held.of(facts).images] for facts in (AMD64, ARM64)}
    assert names == {"amd64": ["both:1", "untold:1"], "arm64": ["arm:1", "both:1", "untold:1"]}
