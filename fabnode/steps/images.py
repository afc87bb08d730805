"""Step images: image archives that joining does not need, loaded while the node becomes Ready."""

from __future__ import annotations

from ..cni.registry import network
from ..node.resources import Resource
from .inputs import Inputs
from .step import Step


def desired(inputs: Inputs) -> tuple[Resource, ...]:
    """Return the archives that the runtime step has not loaded; the pod network's come first."""
    early = inputs.first_images
    late = [archive for archive in inputs.artifacts.images if archive not in early]
    first = network(inputs.config).next_images
    late.sort(key=lambda archive: not any(part in n for n in archive.names for part in first))
    return inputs.images(late)


STEP = Step("images", "Load the image archives that joining didn't need.", desired=desired)
