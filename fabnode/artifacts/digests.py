"""
Known digests of published files: `config/digests.yml` as values.

The digest of a file must not come from the same place as the file: a mirror can't vouch for itself.
The data are read when something is downloaded, and validated as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, StringConstraints, TypeAdapter

from ..releases.version import Release
from ..util.data import ROOT
from ..util.yaml_io import parse
from .download import Digest

FILE = ROOT / "config" / "digests.yml"

Part = Literal["kubelet", "kube-proxy", "kubectl", "containerd", "runc", "cni_plugins", "crictl"]
Arch = Literal["amd64", "arm64"]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Block(BaseModel):
    """
    Digests of one component's releases, from one publication.

    :param source: where they stand, of a fixed version.
    :param read: when and how they were taken from there.
    :param digests: sha256 by release and architecture.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: Annotated[str, StringConstraints(pattern=r"^https://\S+$")]
    read: Annotated[str, StringConstraints(min_length=10)]
    digests: Mapping[Annotated[Release, BeforeValidator(Release.parse)], Mapping[Arch, Sha256]]


_FILE = TypeAdapter(Mapping[Part, tuple[Block, ...]])


def read(text: bytes | str) -> Mapping[Part, tuple[Block, ...]]:
    """
    Return the blocks of each part.

    :raises ValueError: the text has another shape, or contradicts itself.
    """
    parts = _FILE.validate_python(parse(text))
    for part, blocks in parts.items():
        seen: dict[tuple[Release, Arch], str] = {}
        for block in blocks:
            for release, found in block.digests.items():
                for arch, digest in found.items():
                    if seen.setdefault((release, arch), digest) != digest:
                        raise ValueError(f"{part} {release} {arch} has two digests")
    return parts


@cache
def _shipped() -> Mapping[Part, tuple[Block, ...]]:
    return read(FILE.read_bytes())


def known(part: Part, release: str, arch: str) -> Digest | None:
    """Return the known digest of a component's published file, or None."""
    try:
        wanted = Release.parse(release)
    except ValueError:
        return None
    for block in _shipped().get(part, ()):
        for each, digest in block.digests.get(wanted, {}).items():
            if each == arch:
                return Digest("sha256", digest)
    return None
