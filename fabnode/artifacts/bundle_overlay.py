"""`--bundle`: a configuration whose artifacts are replaced by those of a bundle."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .bundle import MANIFEST, BundleError, unpack

if TYPE_CHECKING:
    from pathlib import Path

    from ..config.cluster import Cluster


def bundled(cluster: Cluster, path: Path, cache: Path, promised: str = "") -> Cluster:
    """
    Return the configuration with its artifacts replaced by a bundle's.

    :param cache: where it is unpacked.
    :param promised: its sha256, hex; empty: whatever it is.
    :raises BundleError: it is none, or not the one promised, or not for this configuration.
    """
    found = unpack(path, cache, promised)
    version = str(cluster.cluster.version)
    if found.kubernetes != version:
        message = f"it holds Kubernetes {found.kubernetes}, but the configuration has {version}"
        raise BundleError(f"{path}: {message}")
    settings = cluster.artifacts.model_copy(
        update={
            "binaries": found.folder / "bin",
            "cni_plugins": found.folder / "cni",
            "images": found.images,
        }
    )
    changed = cluster.calico
    if changed.enabled:
        manifest = found.path(MANIFEST)
        if manifest is None:
            raise BundleError(f"{path}: Calico is enabled, but the bundle has no manifest of it")
        changed = changed.model_copy(update={"manifest": manifest, "manifest_sha256": None})
    return replace(cluster, artifacts=settings, calico=changed)
