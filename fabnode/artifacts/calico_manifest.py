"""Local files for installing Calico: its manifest, and its credentials for etcd."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ..pki.certificates import BadCertificateError, public_key, read
from ..steps import calico
from ..steps.calico import EtcdTls
from ..util.folders import cache_dir
from .download import Digest, Downloader, DownloadError
from .store import ArtifactError, plugin_names

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..config.cluster import Cluster
    from ..config.sections import EtcdSettings
    from ..steps.calico import Object

T = TypeVar("T")


def manifest(cluster: Cluster) -> bytes:
    """
    Return Calico's manifest, checked against the configured digest.

    :raises ArtifactError: where it can't be read or differs.
    """
    path, wanted = manifest_path(cluster), cluster.calico.manifest_sha256
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"calico.manifest: {path}: {error.strerror}") from error
    if wanted and hashlib.sha256(content).hexdigest() != wanted:
        raise ArtifactError(
            f"calico.manifest: {path} has another sha256 than calico.manifest_sha256"
        )
    return content


def objects(cluster: Cluster, *, for_names: bool = False) -> tuple[Object, ...]:
    """
    Return Calico's objects as this cluster needs them; none where fabnode doesn't install it.

    :param for_names: only which they are is wanted, so that no file but the manifest is needed.

    Raises ArtifactError, ManifestError.
    """
    settings = cluster.calico
    if not settings.enabled:
        return ()
    plugins = frozenset() if for_names else plugin_names(cluster.artifacts.cni_plugins)
    etcd = etcd_tls(settings.etcd) if settings.etcd and not for_names else None
    try:
        return calico.objects(manifest(cluster), cluster, plugins, etcd)
    except calico.ManifestError as error:
        raise calico.ManifestError(f"calico.manifest: {settings.manifest}: {error}") from error


def etcd_tls(settings: EtcdSettings) -> EtcdTls:
    """
    Return Calico's credentials for etcd, once certificate and key are valid and belong together.

    Raises ArtifactError; none of its sentences holds anything of the key.
    """

    def taken(name: str, read_from: Callable[[bytes], T]) -> tuple[bytes, T]:
        path: Path = getattr(settings, name)
        try:
            content = path.read_bytes()
            return content, read_from(content)
        except OSError as error:
            raise ArtifactError(f"calico.etcd.{name}: {path}: {error.strerror}") from error
        except BadCertificateError as error:
            raise ArtifactError(f"calico.etcd.{name}: {path}: {error}") from error

    ca, _ = taken("ca", read)
    cert, shown = taken("cert", read)
    key, public = taken("key", public_key)
    if shown.days_left(datetime.now(UTC)) <= 0:
        raise ArtifactError(f"calico.etcd.cert: {settings.cert} has expired")
    if shown.public_key != public:
        raise ArtifactError(f"calico.etcd.key: {settings.key} is not the key of {settings.cert}")
    return EtcdTls(ca, cert, key)


def manifest_path(cluster: Cluster) -> Path:
    """Return the manifest's file: the one configured, or a download of that digest."""
    source, wanted = cluster.calico.manifest, cluster.calico.manifest_sha256
    if isinstance(source, Path):
        return source
    downloader = Downloader(cache_dir() / "downloads", ca=cluster.artifacts.mirrors_ca)
    try:
        return downloader.file(source, Digest.of(wanted or ""))
    except (DownloadError, OSError) as error:
        raise ArtifactError(f"calico.manifest: {error}") from error
