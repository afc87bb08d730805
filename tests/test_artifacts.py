"""What the deployer holds: digests remembered but never stale, manifests that are checked."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import urllib3
from cryptography.hazmat.primitives.asymmetric import ec

from fabfile import artifacts
from fabfile.artifacts import REQUIRED, ArtifactError
from fabfile.model.config import Cluster
from fabfile.model.sections import EtcdSettings
from tests.support import authority, make_cluster, pem, private_pem

CONTENT = b"kind: ConfigMap\n"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


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


def cluster(tmp_path: Path, *images: Path) -> Cluster:
    (tmp_path / "bin").mkdir()
    (tmp_path / "cni").mkdir()
    for name in REQUIRED:
        (tmp_path / "bin" / name).write_bytes(name.encode())
    (tmp_path / "cni" / "loopback").write_bytes(b"plugin")
    return make_cluster(
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
    found = artifacts.load(cluster(tmp_path, docker, oci))
    assert found.binaries["kubelet"].sha256 == hashlib.sha256(b"kubelet").hexdigest()
    assert list(found.cni_plugins) == ["loopback"]
    assert [image.names for image in found.images] == [("a/b:1", "a/c:1"), ("docker.io/a/d:1",)]


def test_a_changed_file_gets_its_new_digest(tmp_path: Path) -> None:
    settings = cluster(tmp_path)
    before = artifacts.load(settings).binaries["kubelet"].sha256
    (tmp_path / "bin" / "kubelet").write_bytes(b"tebelku")  # as long as it was
    after = artifacts.load(settings).binaries["kubelet"].sha256
    assert after == hashlib.sha256(b"tebelku").hexdigest() != before


def test_an_unchanged_file_is_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = cluster(tmp_path)
    first = artifacts.load(settings)

    def never(*_: object) -> None:
        raise AssertionError("hashed again")

    monkeypatch.setattr(hashlib, "file_digest", never)
    assert artifacts.load(settings) == first


def test_a_broken_memory_is_merely_slow(tmp_path: Path) -> None:
    settings = cluster(tmp_path)
    memory = artifacts.cache_dir() / "digests.json"
    memory.parent.mkdir(parents=True)
    memory.write_text("{ torn")
    assert artifacts.load(settings).binaries


def test_all_missing_binaries_are_named(tmp_path: Path) -> None:
    settings = cluster(tmp_path)
    (tmp_path / "bin" / "runc").unlink()
    (tmp_path / "bin" / "ctr").unlink()
    with pytest.raises(ArtifactError, match="has no ctr, runc"):
        artifacts.load(settings)


@pytest.mark.parametrize("members", [{}, {"manifest.json": [{"other": 1}]}, {"index.json": []}])
def test_what_is_no_image_archive_is_refused(tmp_path: Path, members: dict[str, Any]) -> None:
    path = archive(tmp_path / "x.tar", members)
    with pytest.raises(ArtifactError, match=r"artifacts\.images"):
        artifacts.load(cluster(tmp_path, path))


def served(monkeypatch: pytest.MonkeyPatch, status: int, data: bytes) -> list[str]:
    """Have downloads answered with this, and return the list of what was asked for."""
    asked: list[str] = []

    def request(_: str, url: str, **__: object) -> SimpleNamespace:
        asked.append(url)
        return SimpleNamespace(status=status, data=data)

    monkeypatch.setattr(urllib3, "request", request)
    return asked


URL = {"manifest": "https://example.org/calico.yaml", "manifest_sha256": SHA256}


def test_a_manifest_is_downloaded_once_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = served(monkeypatch, 200, CONTENT)
    settings = make_cluster(tmp_path, calico=URL)
    assert [artifacts.calico_manifest(settings) for _ in range(2)] == [CONTENT, CONTENT]
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("status", "data", "message"),
    [(200, CONTENT + b"x", "another sha256"), (404, b"", "answers 404")],
)
def test_a_wrong_download_is_refused_and_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, data: bytes, message: str
) -> None:
    served(monkeypatch, status, data)
    with pytest.raises(ArtifactError, match=message):
        artifacts.calico_manifest(make_cluster(tmp_path, calico=URL))
    assert not list(artifacts.cache_dir().rglob("*.yaml"))


def test_a_manifest_file_is_held_against_its_digest_where_one_is_given(tmp_path: Path) -> None:
    path = tmp_path / "calico.yaml"
    path.write_bytes(CONTENT)
    assert artifacts.calico_manifest(make_cluster(calico={"manifest": str(path)})) == CONTENT
    settings = make_cluster(calico={"manifest": str(path), "manifest_sha256": "0" * 64})
    with pytest.raises(ArtifactError, match="another sha256"):
        artifacts.calico_manifest(settings)


def etcd_files(tmp_path: Path, **made: bytes) -> EtcdSettings:
    """Return settings that name a CA, its certificate and its key, or what was made instead."""
    certificate, key = authority()
    files = {"ca": pem(certificate), "cert": pem(certificate), "key": private_pem(key)} | made
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    return EtcdSettings(
        endpoints=("https://192.0.2.1:2379",), **{name: tmp_path / name for name in files}
    )


def test_what_calico_shows_to_etcd_is_read_and_never_shown(tmp_path: Path) -> None:
    found = artifacts.etcd_tls(etcd_files(tmp_path))
    assert found.key == (tmp_path / "key").read_bytes()
    assert "PRIVATE" not in repr(found)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ({"ca": b"x"}, r"calico.etcd.ca: .*/ca: not a readable certificate"),
        ({"cert": b"x"}, r"calico.etcd.cert: .*/cert: not a readable certificate"),
        ({"key": b"x"}, r"calico.etcd.key: .*/key: it is no private key without a password"),
        (
            {"key": private_pem(ec.generate_private_key(ec.SECP256R1()))},
            r"calico.etcd.key: .*/key is not the key of .*/cert",
        ),
    ],
)
def test_what_etcd_would_refuse_is_found_before(
    tmp_path: Path, made: dict[str, bytes], message: str
) -> None:
    with pytest.raises(ArtifactError, match=message) as caught:
        artifacts.etcd_tls(etcd_files(tmp_path, **made))
    assert "PRIVATE" not in str(caught.value)
