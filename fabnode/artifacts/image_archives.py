"""Metadata of image archives (docker, OCI): architectures, image names."""

from __future__ import annotations

import json
import tarfile
from typing import TYPE_CHECKING, Any

from ..util.errors import FabnodeError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path


_LARGEST, _MOST = 64 * 2**30, 100_000  # bytes and files of an archive, unpacked
_LARGEST_JSON = 4 * 2**20
_DEEPEST, _WIDEST = 3, 100  # an index names indexes of platforms, and each of those an image


class NotAnArchiveError(FabnodeError):
    """A file is not an image archive."""


def images(path: Path) -> tuple[list[str], list[str]]:
    """
    Return the references in an archive, and the architectures of its images where it has them.

    That is in docker's manifest.json, or OCI's index.json. Raises NotAnArchiveError.
    """
    try:
        with tarfile.open(path) as archive:
            members = _members(archive)
            if "manifest.json" in members:
                entries = _json(archive, "manifest.json")
                names = [tag for m in entries for tag in m["RepoTags"] or ()]
                configs = [m["Config"] for m in entries if m.get("Config") in members]
                kinds = [_json(archive, config).get("architecture") for config in configs]
                return names, sorted({kind for kind in kinds if kind})
            if "index.json" in members:
                entries = _json(archive, "index.json")["manifests"]
                names = [m["annotations"]["io.containerd.image.name"] for m in entries]
                kinds = [kind for m in entries for kind in _oci_architectures(archive, members, m)]
                return names, sorted(set(kinds))
    except (
        tarfile.TarError,
        EOFError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
    ) as error:
        raise NotAnArchiveError(f"{path} is not an image archive ({error})") from error
    raise NotAnArchiveError(f"{path} is neither a docker nor an OCI archive")


def _oci_architectures(
    archive: tarfile.TarFile,
    members: Collection[str],
    descriptor: Mapping[str, Any],
    depth: int = 0,
) -> list[str]:
    """Return the architectures of an image whose blobs are here, or of each in an index of such."""
    if depth > _DEEPEST:
        raise ValueError("its indexes refer to each other")
    if kind := (descriptor.get("platform") or {}).get("architecture"):
        return [kind] if kind != "unknown" else []  # attestations are of none
    name = f"blobs/{descriptor.get('digest', '').replace(':', '/')}"
    if name not in members:
        return []
    found = _json(archive, name)
    inner = found.get("manifests") or ([found["config"]] if "config" in found else [])
    if not inner:
        return [found["architecture"]] if "architecture" in found else []
    if len(inner) > _WIDEST:
        raise ValueError(f"an index in it names {len(inner)} images")
    return [
        kind for each in inner for kind in _oci_architectures(archive, members, each, depth + 1)
    ]


def _members(archive: tarfile.TarFile) -> set[str]:
    """
    Return the names in an archive.

    Each header is judged before what it announces is decompressed.
    """
    names: set[str] = set()
    size = 0
    for member in archive:
        names.add(member.name)
        size += member.size
        if size > _LARGEST or len(names) > _MOST:
            raise ValueError("it is larger than any image archive")
    return names


def _json(archive: tarfile.TarFile, name: str) -> Any:
    member = archive.extractfile(name)
    if member is None:
        raise ValueError(f"{name} is not a file")
    text = member.read(_LARGEST_JSON + 1)
    if len(text) > _LARGEST_JSON:
        raise ValueError(f"{name} is larger than {_LARGEST_JSON >> 20} MiB")
    return json.loads(text)
