"""
The deployer's artifacts for nodes: binaries, CNI plugins, image archives, each with its digest.

Hashing some 700 MB takes longer than all else in an unchanged run, so digests are cached by path,
size, time and inode.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..node.artifacts import Artifact, Artifacts, ImageArchive
from ..util.atomic_write import atomic_write
from ..util.folders import cache_dir
from . import elf, image_archives, programs
from .errors import ArtifactError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from ..config.configuration import Config
    from ..node.facts import Facts
    from ..releases.version import Release


@dataclass(frozen=True, slots=True)
class ArtifactStore:
    """The deployer's artifacts by architecture; under "" those of unknown architecture."""

    by_arch: Mapping[str, Artifacts]

    def of(self, facts: Facts) -> Artifacts:
        """
        Return the artifacts of a node.

        One that was never probed gets all that any may get, so that all of it is probed; one
        that nothing is here for gets another's, and is stopped by preflight.
        """
        found = tuple(self.by_arch.values())
        if facts.known:
            return self.by_arch.get(facts.arch, found[0])
        return Artifacts(
            binaries={name: it for each in found for name, it in each.binaries.items()},
            cni_plugins={name: it for each in found for name, it in each.cni_plugins.items()},
            images=tuple(dict.fromkeys(it for each in found for it in each.images)),
            arch=found[0].arch,
        )

    def files(self) -> Iterator[Artifact]:
        """Yield every file that some node may get."""
        for each in self.by_arch.values():
            yield from each.binaries.values()
            yield from each.cni_plugins.values()
            yield from (archive.artifact for archive in each.images)


def load(config: Config) -> ArtifactStore:
    """
    Load the artifacts of all nodes.

    :raises ArtifactError: with all that is missing.
    """
    settings = config.artifacts
    digests = _DigestCache(cache_dir() / "digests.json")
    needed, release = programs.required(config), config.cluster.version
    try:
        binaries = _programs(settings.binaries, digests, (*needed, *programs.OPTIONAL))
        plugins = _programs(settings.cni_plugins, digests)
        images = tuple(digests.archive(path) for path in settings.images)
        ours = [
            each[name].path
            for each in binaries.values()
            for name in programs.OF_KUBERNETES
            if name in each
        ]
        others = [path for path in ours if not digests.is_of_release(path, release)]
    except OSError as error:
        raise ArtifactError(f"artifacts: {error.filename}: {error.strerror}") from error
    digests.save()
    by_arch = {
        arch: Artifacts(
            binaries=found,
            cni_plugins=plugins.get(arch) or plugins.get("") or {},
            images=tuple(i for i in images if _fits(i, arch)),
            arch=arch,
        )
        for arch, found in binaries.items()
    }
    missing = [_missing(needed, each, settings.binaries) for each in by_arch.values()]
    if text := "\n".join(filter(None, missing)):
        raise ArtifactError(text)
    if others:
        raise ArtifactError("\n".join(programs.another_release(path, release) for path in others))
    return ArtifactStore(by_arch)


def expected(config: Config) -> ArtifactStore:
    """
    Return the artifacts that nodes get by their names alone, whether they are here or not.

    Enough to derive what a probe must report; nothing can be compared with it or installed.
    """
    settings = config.artifacts
    return ArtifactStore(
        {
            "": Artifacts(
                binaries={
                    name: Artifact(settings.binaries / name, "")
                    for name in (*programs.required(config), *programs.OPTIONAL)
                },
                cni_plugins={
                    name: Artifact(settings.cni_plugins / name, "")
                    for name in sorted(programs.plugin_names(settings.cni_plugins))
                },
                images=tuple(ImageArchive((), Artifact(path, "")) for path in settings.images),
            )
        }
    )


def _fits(archive: ImageArchive, arch: str) -> bool:
    return not arch or not archive.architectures or arch in archive.architectures


def _missing(needed: Sequence[str], held: Artifacts, folder: Path) -> str:
    names = [name for name in needed if name not in held.binaries]
    of = f" for {held.arch}" if held.arch else ""
    return f"artifacts.binaries: {folder} has no {', '.join(names)}{of}" if names else ""


def _programs(
    folder: Path, digests: _DigestCache, names: Collection[str] | None = None
) -> dict[str, dict[str, Artifact]]:
    """
    Return a folder's programs by architecture: those without one are everybody's.

    :param names: those that count; None: all.
    """
    found: dict[str, dict[str, Artifact]] = {"": {}}
    for place in programs.places(folder):
        if place is not folder and not place.is_dir():
            continue
        for path in sorted(place.iterdir()):
            if not path.is_file() or (names is not None and path.name not in names):
                continue
            artifact, arch = digests.program(path)
            if place is not folder and arch not in ("", place.name):
                raise ArtifactError(
                    f"{path} is a program for {arch}, but is in the folder of {place.name}"
                )
            kind = place.name if place is not folder else arch
            found.setdefault(kind, {})[path.name] = artifact
    anybodys = found.pop("")
    return {arch: anybodys | own for arch, own in found.items()} or {"": anybodys}


class _DigestCache:
    """Cache of files' digests and image names, valid while size, time and inode are unchanged."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, dict[str, Any]] = {}
        self._changed = False
        with suppress(OSError, ValueError):
            self._known = json.loads(path.read_text())

    def program(self, path: Path) -> tuple[Artifact, str]:
        """Return a program and its architecture; empty where it has none (a script)."""
        entry = self._entry(path)
        if "arch" not in entry:
            entry["arch"] = elf.architecture(path)
            self._changed = True
        return Artifact(path, entry["sha256"], entry["mark"][0]), entry["arch"]

    def is_of_release(self, path: Path, release: Release) -> bool:
        """Return whether a program of Kubernetes' is of this release; scripts pass for any."""
        entry = self._entry(path)
        known = entry.setdefault("releases", {})
        if str(release) not in known:
            known[str(release)] = elf.is_of_release(path, release)
            self._changed = True
        return bool(known[str(release)])

    def archive(self, path: Path) -> ImageArchive:
        entry = self._entry(path)
        if "architectures" not in entry:
            try:
                entry["images"], entry["architectures"] = image_archives.images(path)
            except image_archives.NotAnArchiveError as error:
                raise ArtifactError(f"artifacts.images: {error}") from error
            self._changed = True
        artifact = Artifact(path, entry["sha256"], entry["mark"][0])
        return ImageArchive(tuple(entry["images"]), artifact, tuple(entry["architectures"]))

    def save(self) -> None:
        """Write the cache; failure only makes the next run slower."""
        if not self._changed:
            return
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(self._path) as file:
                file.write(json.dumps(self._known).encode())

    def _entry(self, path: Path) -> dict[str, Any]:
        stat = path.stat()
        mark = [stat.st_size, stat.st_mtime_ns, stat.st_ino]
        entry = self._known.get(str(path))
        if not entry or entry.get("mark") != mark:
            with path.open("rb") as file:
                entry = {"mark": mark, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
            self._known[str(path)] = entry
            self._changed = True
        return entry
