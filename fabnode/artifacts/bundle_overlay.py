"""`--bundle`: a configuration whose artifacts are replaced by those of a bundle."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..cni.registry import network
from .bundle import BundleError, manifest_name, unpack

if TYPE_CHECKING:
    from pathlib import Path

    from ..config.configuration import Config


def bundled(config: Config, path: Path, cache: Path, promised: str = "") -> Config:
    """
    Return the configuration with its artifacts replaced by a bundle's.

    :param cache: where it is unpacked.
    :param promised: its sha256, hex; empty: whatever it is.
    :raises BundleError: it is none, or not the one promised, or not for this configuration.
    """
    found = unpack(path, cache, promised)
    version = str(config.cluster.version)
    if found.kubernetes != version:
        message = f"it holds Kubernetes {found.kubernetes}, but the configuration has {version}"
        raise BundleError(f"{path}: {message}")
    settings = config.artifacts.model_copy(
        update={
            "binaries": found.folder / "bin",
            "cni_plugins": found.folder / "cni",
            "images": found.images,
        }
    )
    cni = network(config)
    changed = replace(config, artifacts=settings)
    if cni.manifest is None:
        return changed
    manifest = found.path(manifest_name(cni.manifest))
    if manifest is None:
        message = f"{cni.name} is enabled, but the bundle has no manifest of it"
        raise BundleError(f"{path}: {message}")
    return network(changed).with_manifest(manifest)
