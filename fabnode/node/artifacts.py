"""What the deployer holds for nodes: programs, CNI plugins, archives of images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file of the deployer's that nodes get; sha256 in hex, size in bytes (0: not known)."""

    path: Path
    sha256: str
    size: int = 0


@dataclass(frozen=True, slots=True)
class ImageArchive:
    """
    An archive of container images and the references it holds.

    :param architectures: that its images are for; empty: unknown.
    """

    names: tuple[str, ...]
    artifact: Artifact
    architectures: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Artifacts:
    """
    Everything the deployer holds for one kind of node: by file name, and images in order.

    :param arch: the architecture that the programs are for; empty: unknown.
    """

    binaries: Mapping[str, Artifact]
    cni_plugins: Mapping[str, Artifact]
    images: tuple[ImageArchive, ...]
    arch: str = ""
