"""
Step images: image archives that joining does not need, loaded while the node becomes Ready.

What older archives brought, and no archive does now, the kubelet may collect again.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..cni.registry import network
from ..node.resources import Resource, UnpinnedImage
from ..util.image_reference import ImageReference
from .inputs import Inputs
from .step import Step


def desired(inputs: Inputs) -> tuple[Resource, ...]:
    """Return the archives that the runtime step has not loaded; the pod network's come first."""
    early = inputs.first_images
    late = [archive for archive in inputs.artifacts.images if archive not in early]
    first = network(inputs.config).next_images
    late.sort(key=lambda archive: not any(part in n for n in archive.names for part in first))
    return (*inputs.images(late), *_former(inputs))


def _former(inputs: Inputs) -> Iterator[UnpinnedImage]:
    runtime = inputs.node.runtime
    if runtime.name != "containerd":
        return
    # The sandbox's, containerd itself keeps pinned.
    wanted = {runtime.sandbox_image}.union(*(a.names for a in inputs.artifacts.images))
    names = {str(ImageReference.parse(name).full) for name in wanted}
    for name in sorted(inputs.facts.image_archives.keys() & inputs.facts.pinned - names):
        yield UnpinnedImage(name, f"{inputs.config.paths.programs}/ctr")


STEP = Step("images", "Load the image archives that joining didn't need.", desired=desired)
