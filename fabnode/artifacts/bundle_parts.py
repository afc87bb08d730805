"""Parts of a configuration's bundle: every file that its nodes get, and what no file brings."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from ..cni.registry import network
from ..node.facts import UNKNOWN
from . import cni_manifest, image_supply
from .bundle import Part, manifest_name

if TYPE_CHECKING:
    from ..config.configuration import Config
    from .store import ArtifactStore


def parts_of(config: Config, held: ArtifactStore) -> dict[str, Part]:
    """Return the parts by their names in the bundle."""
    parts: dict[str, Part] = {}
    for arch, each in held.by_arch.items():
        below = f"{arch}/" if arch else ""
        for folder, found in (("bin", each.binaries), ("cni", each.cni_plugins)):
            for name, artifact in found.items():
                parts[f"{folder}/{below}{name}"] = Part(artifact.path, artifact.sha256)
    for number, archive in enumerate(held.of(UNKNOWN).images):
        name = re.sub(r"[^A-Za-z0-9._+-]", "_", archive.artifact.path.name)[-80:]
        parts[f"images/{number:03}-{name}"] = Part(archive.artifact.path, archive.artifact.sha256)
    if source := network(config).manifest:
        content = cni_manifest.manifest(config, source)
        path = cni_manifest.manifest_path(config, source)
        parts[manifest_name(source)] = Part(path, hashlib.sha256(content).hexdigest())
    return parts


def missing_images(config: Config, held: ArtifactStore) -> list[str]:
    """Return the images that nodes need and no archive holds."""
    of_network = network(config).images(cni_manifest.objects(config, for_names=True))
    brought = [name for archive in held.of(UNKNOWN).images for name in archive.names]
    return image_supply.absent(image_supply.needed(config, of_network), brought)
