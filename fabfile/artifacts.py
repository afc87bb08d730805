"""
What the deployer holds for nodes: binaries, CNI plugins, image archives, each with its digest.

Hashing some 700 MB takes longer than all else in an unchanged run, so digests are remembered by
path, size, time and inode in the user's cache folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import urllib3

from .steps import calico
from .steps.calico import EtcdTls
from .steps.inputs import Artifact, Artifacts, ImageArchive
from .trust.certificates import BadCertificateError, public_key, read

if TYPE_CHECKING:
    from collections.abc import Callable

    from .model.config import Cluster
    from .model.sections import EtcdSettings
    from .steps.calico import Object

T = TypeVar("T")

REQUIRED = ("kubelet", "kube-proxy", "containerd", "containerd-shim-runc-v2", "ctr", "runc")


class ArtifactError(Exception):
    """A binary, archive or manifest that the configuration promises is missing or unreadable."""

    advice = "correct `artifacts` or `calico` in the configuration"


def load(cluster: Cluster) -> Artifacts:
    """Return everything that nodes may need. Raises ArtifactError with all that is missing."""
    settings = cluster.artifacts
    memory = _Memory(cache_dir() / "digests.json")
    missing = [name for name in REQUIRED if not (settings.binaries / name).is_file()]
    if missing:
        message = f"artifacts.binaries: {settings.binaries} has no {', '.join(missing)}"
        raise ArtifactError(message)
    try:
        artifacts = Artifacts(
            binaries={n: memory.artifact(settings.binaries / n) for n in REQUIRED},
            cni_plugins={
                p.name: memory.artifact(p)
                for p in sorted(settings.cni_plugins.iterdir())
                if p.is_file()
            },
            images=tuple(memory.archive(path) for path in settings.images),
        )
    except OSError as error:
        raise ArtifactError(f"artifacts: {error.filename}: {error.strerror}") from error
    memory.save()
    return artifacts


def cache_dir() -> Path:
    """Return the user's cache folder for fabnode (XDG_CACHE_HOME)."""
    home = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (home if home.is_absolute() else Path.home() / ".cache") / "fabnode"


class _Memory:
    """Digests and image names of files, as long as size, time and inode are what they were."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, dict[str, Any]] = {}
        self._changed = False
        with suppress(OSError, ValueError):
            self._known = json.loads(path.read_text())

    def artifact(self, path: Path) -> Artifact:
        return Artifact(path, self._entry(path)["sha256"])

    def archive(self, path: Path) -> ImageArchive:
        entry = self._entry(path)
        if "images" not in entry:
            entry["images"] = _image_names(path)
            self._changed = True
        return ImageArchive(tuple(entry["images"]), Artifact(path, entry["sha256"]))

    def save(self) -> None:
        """Write what was learned; a cache that can't be written is merely slow."""
        if not self._changed:
            return
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            draft = self._path.with_suffix(f".{os.getpid()}")
            draft.write_text(json.dumps(self._known))
            draft.replace(self._path)

    def _entry(self, path: Path) -> dict[str, Any]:
        stat = path.stat()
        mark = [stat.st_size, stat.st_mtime_ns, stat.st_ino]
        entry = self._known.get(str(path))
        if not entry or entry.get("mark") != mark:
            with path.open("rb") as file:
                entry = {"mark": mark, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
            self._known[str(path)] = entry
            self._changed = True
        return entry


def _image_names(path: Path) -> list[str]:
    """Return the references in an archive: docker's manifest.json, or OCI's index.json."""
    try:
        with tarfile.open(path) as archive:
            names = set(archive.getnames())
            if "manifest.json" in names:
                return [tag for m in _json(archive, "manifest.json") for tag in m["RepoTags"] or ()]
            if "index.json" in names:
                return [
                    m["annotations"]["io.containerd.image.name"]
                    for m in _json(archive, "index.json")["manifests"]
                ]
    except (tarfile.TarError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"artifacts.images: {path} is no image archive ({error})") from error
    raise ArtifactError(f"artifacts.images: {path} is neither a docker nor an OCI archive")


def _json(archive: tarfile.TarFile, name: str) -> Any:
    member = archive.extractfile(name)
    if member is None:
        raise ValueError(f"{name} is no file")
    return json.load(member)


def calico_manifest(cluster: Cluster) -> bytes:
    """
    Return Calico's manifest: a file's content, or a download whose digest is as configured.

    Downloads are kept in the cache folder under their digest. Raises ArtifactError.
    """
    source, wanted = str(cluster.calico.manifest), cluster.calico.manifest_sha256
    kept = cache_dir() / "manifests" / f"{wanted}.yaml"
    if not source.startswith("https://"):
        kept = Path(source)
    elif not kept.exists():
        _download(source, wanted or "", kept)
    try:
        content = kept.read_bytes()
    except OSError as error:
        raise ArtifactError(f"calico.manifest: {kept}: {error.strerror}") from error
    if wanted and hashlib.sha256(content).hexdigest() != wanted:
        raise ArtifactError(
            f"calico.manifest: {kept} has another sha256 than calico.manifest_sha256"
        )
    return content


def calico_objects(cluster: Cluster, *, for_names: bool = False) -> tuple[Object, ...]:
    """
    Return Calico's objects as this cluster needs them; none where fabnode doesn't install it.

    :param for_names: only which they are is wanted, so that no file but the manifest is needed.

    Raises ArtifactError, ManifestError.
    """
    settings = cluster.calico
    if not settings.enabled:
        return ()
    folder = cluster.artifacts.cni_plugins
    plugins = [] if for_names else [path.name for path in folder.iterdir()]
    etcd = etcd_tls(settings.etcd) if settings.etcd and not for_names else None
    try:
        return calico.objects(calico_manifest(cluster), cluster, plugins, etcd)
    except calico.ManifestError as error:
        raise calico.ManifestError(f"calico.manifest: {settings.manifest}: {error}") from error


def etcd_tls(settings: EtcdSettings) -> EtcdTls:
    """
    Return what Calico shows to etcd, once it is sure that it could be let in with it.

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


def _download(url: str, sha256: str, target: Path) -> None:
    try:
        answer = urllib3.request("GET", url, timeout=30.0, retries=3)
    except urllib3.exceptions.HTTPError as error:
        raise ArtifactError(f"calico.manifest: {url}: {error}") from error
    if answer.status != 200:
        raise ArtifactError(f"calico.manifest: {url} answers {answer.status}")
    if hashlib.sha256(answer.data).hexdigest() != sha256:
        raise ArtifactError(f"calico.manifest: {url} has another sha256 than configured")
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_suffix(f".{os.getpid()}")
    draft.write_bytes(answer.data)
    draft.replace(target)
