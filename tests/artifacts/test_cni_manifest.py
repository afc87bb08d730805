"""The files that installing Calico takes: made sure of, and never shown."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from fabnode.artifacts import cni_manifest
from fabnode.artifacts.download import Digest, Downloader, DownloadError
from fabnode.artifacts.errors import ArtifactError
from fabnode.cni import calico_manifest
from fabnode.cni.registry import network
from fabnode.config.configuration import Config
from fabnode.config.sections import EtcdSettings
from tests.support import authority, make_config, pem, private_pem

CONTENT = b"kind: ConfigMap\n"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
URL = {"manifest": "https://example.org/calico.yaml", "manifest_sha256": SHA256}


def read_manifest(config: Config) -> bytes:
    source = network(config).manifest
    assert source
    return cni_manifest.manifest(config, source)


def test_a_manifest_is_downloaded_by_its_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How downloads are made sure of stands in tests/artifacts."""
    asked: list[tuple[str, Digest]] = []

    def file(_: object, url: str, promised: Digest) -> Path:
        asked.append((url, promised))
        path = tmp_path / "downloaded"
        path.write_bytes(CONTENT)
        return path

    monkeypatch.setattr(Downloader, "file", file)
    assert read_manifest(make_config(tmp_path, calico=URL)) == CONTENT
    assert asked == [("https://example.org/calico.yaml", Digest("sha256", SHA256))]


def test_a_manifest_that_can_not_be_had_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def file(*_: object) -> Path:
        raise DownloadError("https://example.org/calico.yaml: HTTP 404")

    monkeypatch.setattr(Downloader, "file", file)
    with pytest.raises(ArtifactError, match=r"calico\.manifest: https.*HTTP 404"):
        read_manifest(make_config(tmp_path, calico=URL))


def test_a_manifest_file_is_held_against_its_digest_where_one_is_given(tmp_path: Path) -> None:
    path = tmp_path / "calico.yaml"
    path.write_bytes(CONTENT)
    assert read_manifest(make_config(calico={"manifest": str(path)})) == CONTENT
    settings = make_config(calico={"manifest": str(path), "manifest_sha256": "0" * 64})
    with pytest.raises(ArtifactError, match="another sha256"):
        read_manifest(settings)


def etcd_tls(settings: EtcdSettings) -> calico_manifest.EtcdTls:
    files = {name: getattr(settings, name).read_bytes() for name in ("ca", "cert", "key")}
    contents = {f"calico.etcd.{name}": content for name, content in files.items()}
    return calico_manifest.etcd_tls(settings, contents, datetime.now(UTC))


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
    found = etcd_tls(etcd_files(tmp_path))
    assert found.key == (tmp_path / "key").read_bytes()
    assert "PRIVATE" not in repr(found)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ({"ca": b"x"}, r"calico.etcd.ca: .*/ca: not a readable certificate"),
        ({"cert": b"x"}, r"calico.etcd.cert: .*/cert: not a readable certificate"),
        ({"key": b"x"}, r"calico.etcd.key: .*/key: it is not an unencrypted private key"),
        (
            {"key": private_pem(ec.generate_private_key(ec.SECP256R1()))},
            r"calico.etcd.key: .*/key is not the key of .*/cert",
        ),
    ],
)
def test_what_etcd_would_refuse_is_found_before(
    tmp_path: Path, made: dict[str, bytes], message: str
) -> None:
    with pytest.raises(calico_manifest.CredentialError, match=message) as caught:
        etcd_tls(etcd_files(tmp_path, **made))
    assert "PRIVATE" not in str(caught.value)
