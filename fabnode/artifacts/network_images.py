"""Whether the image archives on the deployer hold what the pod network's manifest runs."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ..cni.registry import network
from ..util.errors import InputError
from ..util.image_reference import ImageReference
from . import cni_manifest, image_archives

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from ..config.configuration import Config


def other_versions(wanted: Iterable[str], held: Collection[str]) -> list[str]:
    """Return a sentence for each image that is wanted and held only by another tag or registry."""
    references = [ImageReference.parse(name).full for name in held]
    found = []
    for name in dict.fromkeys(wanted):
        image = ImageReference.parse(name).full
        same = [r for r in references if _base(r) == _base(image)]
        if same and image not in references:
            others = ", ".join(sorted(map(str, same)))
            found.append(
                f"artifacts.images hold {others}, but the pod network's manifest runs {name}:"
                " nodes would have to pull it"
            )
    return found


def held_otherwise(config: Config) -> list[str]:
    """
    Return `other_versions` of the files on this machine, as far as they can be read.

    What is missing or damaged, a run says.
    """
    source = network(config).manifest
    if source is None or not isinstance(source.source, Path) or not source.source.is_file():
        return []
    held: list[str] = []
    for path in config.artifacts.images:
        with suppress(OSError, image_archives.NotAnArchiveError):
            held += image_archives.images(path)[0]
    try:
        objects = cni_manifest.objects(config, for_names=True)
    except InputError:
        return []
    return other_versions(network(config).images(objects), held)


def _base(reference: ImageReference) -> str:
    """Return the end of an image's name, such as org/name, whatever its registry and tag."""
    return "/".join(reference.repository.split("/")[-2:])
