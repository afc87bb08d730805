"""The image archives that are not needed to join: loaded while the node becomes Ready."""

from __future__ import annotations

from ..node.resources import Resource
from .inputs import Inputs
from .step import Step


def desired(inputs: Inputs) -> tuple[Resource, ...]:
    """Return all archives but those that the runtime step has loaded; Calico's own node first."""
    early = inputs.first_images
    late = [archive for archive in inputs.artifacts.images if archive not in early]
    late.sort(key=lambda archive: not any("/calico/node:" in name for name in archive.names))
    return inputs.images(late)


STEP = Step("images", "Load the image archives that joining didn't need.", desired=desired)
