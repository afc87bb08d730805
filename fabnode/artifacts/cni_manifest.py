"""The files from which the pod network is installed, and its objects made of them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from ..cni.registry import network
from ..util.folders import cache_dir
from .errors import ArtifactError
from .programs import plugin_names

if TYPE_CHECKING:
    from ..cni.protocol import Manifest, Object
    from ..config.configuration import Config


def manifest(config: Config, source: Manifest) -> bytes:
    """Return a network's manifest, held against the digest configured. Raises ArtifactError."""
    path = manifest_path(config, source)
    content = _read(source.setting, path)
    if source.sha256 and hashlib.sha256(content).hexdigest() != source.sha256:
        raise ArtifactError(
            f"{source.setting}: {path} has another sha256 than {source.setting}_sha256"
        )
    return content


def objects(config: Config, *, for_names: bool = False) -> tuple[Object, ...]:
    """
    Return the network's objects as this cluster needs them; none where fabnode installs none.

    :param for_names: only which they are is wanted, so that no file but the manifest is needed.
    :raises ArtifactError: a file is missing or another than configured.
    :raises InputError: a file is not what it should be.
    """
    cni = network(config)
    if cni.manifest is None:
        return ()
    plugins = frozenset() if for_names else plugin_names(config.artifacts.cni_plugins)
    files = {} if for_names else {name: _read(name, path) for name, path in cni.files.items()}
    return cni.objects(manifest(config, cni.manifest), plugins, files)


def manifest_path(config: Config, source: Manifest) -> Path:
    """Return the manifest's file: the one configured, or a download of that digest."""
    if isinstance(source.source, Path):
        return source.source
    # urllib3, which takes a tenth of a check of the configuration: only where there is a URL.
    from .download import Digest, Downloader, DownloadError

    downloader = Downloader(cache_dir() / "downloads", ca=config.artifacts.mirrors_ca)
    try:
        return downloader.file(source.source, Digest.of(source.sha256 or ""))
    except (DownloadError, OSError) as error:
        raise ArtifactError(f"{source.setting}: {error}") from error


def absent(config: Config) -> str:
    """
    Return which manifest is not there, and where it is published; empty: it is there, or a URL.

    It is not fetched like binaries, since its makers publish no digest of it.
    """
    wanted = network(config).manifest
    if wanted is None or not isinstance(wanted.source, Path) or wanted.source.exists():
        return ""
    place = wanted.published and f"; its makers publish it at {wanted.published}"
    return f"{wanted.setting}: {wanted.source}{place}"


def _read(setting: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"{setting}: {path}: {error.strerror}") from error
