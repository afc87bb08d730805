"""`inv bundle`: one file with everything that nodes get."""

from __future__ import annotations

import hashlib
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from ...artifacts import cni_manifest, store
from ...artifacts.bundle import Part, manifest_name, write
from ...cni.registry import network
from ...node.facts import UNKNOWN
from ...util import program
from ...util.image_reference import ImageReference
from .. import app

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...artifacts.store import ArtifactStore
    from ...config.cluster import Cluster


def make(cluster: Cluster, out: Path | None) -> None:
    """Write the bundle of a configuration; print its digest, its use, and images it lacks."""
    version = str(cluster.cluster.version)
    out = out or Path(f"fabnode-{version}.tar.zst")
    held = store.load(cluster)
    parts = _parts(cluster, held)
    digest = write(out, parts, version)
    app.print_text(
        f"{out}: {len(parts)} files, {out.stat().st_size >> 20} MiB, Kubernetes {version}"
    )
    app.print_text(f"sha256 {digest}")
    app.print_text("Transfer this digest separately from the file, and use the bundle there with")
    use = shlex.join(["deploy-nodes", "--bundle", out.name, "--bundle-sha256", digest])
    app.print_text(f"  {program.task(use)}")
    for image in _missing_images(cluster, held):
        app.print_text(f"warning: no archive in artifacts.images holds {image}: nodes will pull it")


def _parts(cluster: Cluster, held: ArtifactStore) -> dict[str, Part]:
    parts: dict[str, Part] = {}
    for arch, each in held.by_arch.items():
        below = f"{arch}/" if arch else ""
        for folder, found in (("bin", each.binaries), ("cni", each.cni_plugins)):
            for name, artifact in found.items():
                parts[f"{folder}/{below}{name}"] = Part(artifact.path, artifact.sha256)
    for number, archive in enumerate(held.of(UNKNOWN).images):
        name = re.sub(r"[^A-Za-z0-9._+-]", "_", archive.artifact.path.name)[-80:]
        parts[f"images/{number:03}-{name}"] = Part(archive.artifact.path, archive.artifact.sha256)
    if source := network(cluster).manifest:
        content = cni_manifest.manifest(cluster, source)
        path = cni_manifest.manifest_path(cluster, source)
        parts[manifest_name(source)] = Part(path, hashlib.sha256(content).hexdigest())
    return parts


def _missing_images(cluster: Cluster, held: ArtifactStore) -> list[str]:
    """Return the images that nodes need and no archive holds."""
    brought = {name for archive in held.of(UNKNOWN).images for name in archive.names}
    full = {ImageReference.parse(name).full for name in brought}
    wanted = dict.fromkeys(_images(cluster))
    return [name for name in wanted if ImageReference.parse(name).full not in full]


def _images(cluster: Cluster) -> Iterator[str]:
    for node in cluster.nodes:
        yield node.runtime.sandbox_image
    yield cluster.verify.image
    yield from network(cluster).images(cni_manifest.objects(cluster, for_names=True))
