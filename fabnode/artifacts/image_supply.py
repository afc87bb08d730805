"""Supply of images: what nodes need, what the archives on the deployer hold of it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..cni.registry import network
from ..util.errors import InputError
from ..util.image_reference import ImageReference
from . import cni_manifest, image_archives

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from ..cni.protocol import Object
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


@dataclass(frozen=True, slots=True)
class Supply:
    """
    What the archives of `artifacts.images` lack.

    :param pulled: images that nodes need, and have to pull.
    :param otherwise: a sentence for each of which another version is held (`other_versions`).
    """

    pulled: tuple[str, ...]
    otherwise: tuple[str, ...]


def supply(config: Config) -> Supply:
    """
    Return what the archives on this machine lack, as far as they and the manifest can be read.

    What is missing or damaged, a run says.
    """
    held: list[str] = []
    for path in config.artifacts.images:
        with suppress(OSError, image_archives.NotAnArchiveError):
            held += image_archives.images(path)[0]
    source = network(config).manifest
    objects: tuple[Object, ...] = ()
    if source and isinstance(source.source, Path) and source.source.is_file():
        with suppress(InputError):
            objects = cni_manifest.objects(config, for_names=True)
    of_network = network(config).images(objects)
    pulled = absent(needed(config, of_network), held)
    return Supply(tuple(pulled), tuple(other_versions(of_network, held)))


def needed(config: Config, of_network: Iterable[str]) -> list[str]:
    """
    Return the images that nodes run of themselves, and those of verify and of the pod network.

    :param of_network: those of the pod network.
    """
    sandboxes = (node.runtime.sandbox_image for node in config.nodes)
    return list(dict.fromkeys((*sandboxes, config.verify.image, *of_network)))


def absent(wanted: Iterable[str], held: Iterable[str]) -> list[str]:
    """Return the images that are wanted and not held by that very name."""
    full = {ImageReference.parse(name).full for name in held}
    return [name for name in wanted if ImageReference.parse(name).full not in full]


def _base(reference: ImageReference) -> str:
    """Return the end of an image's name, such as org/name, whatever its registry and tag."""
    return "/".join(reference.repository.split("/")[-2:])
