"""
A folder of artifacts as settings of a first configuration: what lies there, and of which releases.

The folder is as `inv binaries.fetch` and its default settings have it: `bin`, `cni`, `images`,
`calico.yaml`. Programs are read, never run.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from ..artifacts import elf, image_archives, image_supply, programs
from ..config import fields
from ..config.sections import RuntimeSettings, VerifySettings
from ..config.starter import Fact, Findings, Known, Offered, local
from ..releases import compatibility
from ..releases.matrix import matrix
from ..releases.version import Release
from ..util.errors import InputError
from ..util.image_reference import ImageReference
from ..util.words import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FOLDER = "artifacts"
"""What it is called beside a configuration."""

_AS_NAMED: TypeAdapter[tuple[Path, ...]] = TypeAdapter(fields.LocalArchives)
_MANIFEST = "calico.yaml"
_LARGEST = 16 * 2**20  # bytes of a manifest; Calico's has a half
_IMAGE = re.compile(r"^\s*(?:- )?image:\s*[\"']?([^\s\"'#]+)", re.MULTILINE)
_CALICO = "calico/node"
_MOST_NAMED = 4


@dataclass(frozen=True, slots=True)
class Artifacts:
    """
    What lies in a folder; each part None or empty where there is none.

    :param binaries: folder of programs. :param cni_plugins, images: likewise.
    :param held: references in the image archives. :param archives: their number.
    :param unread: why archives can't be read.
    :param manifest: of Calico. :param wanted: images that it names.
    """

    folder: Path
    binaries: Path | None = None
    cni_plugins: Path | None = None
    images: Path | None = None
    archives: int = 0
    held: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    manifest: Path | None = None
    wanted: tuple[str, ...] = ()

    @property
    def calico(self) -> Release | None:
        """The release of Calico that the manifest is of, by the tag of its node's image."""
        for name in self.wanted:
            image = ImageReference.parse(name)
            if image.repository.endswith(_CALICO):
                return _release(image.tag)
        return None


def find_artifacts(folder: Path) -> Artifacts:
    """
    Return what lies in a folder.

    :raises InputError: it can't be read, or has none of what a deployment takes.
    """
    try:
        if not folder.is_dir():
            raise InputError(f"--artifacts {folder}: there is no such folder")
        found = _found(folder)
    except OSError as error:
        raise InputError(f"--artifacts {folder}: {error.filename}: {error.strerror}") from error
    if not any((found.binaries, found.cni_plugins, found.images, found.manifest)):
        raise InputError(
            f"--artifacts {folder}: it has neither bin/kubelet nor cni/loopback, neither archives"
            f" in images nor {_MANIFEST}",
            "name the folder that has these, as `artifacts` beside a configuration",
        )
    return found


def _found(folder: Path) -> Artifacts:
    binaries, plugins, images = (folder / name for name in ("bin", "cni", "images"))
    archives = _archives(images)
    held: list[str] = []
    unread: list[str] = []
    for path in archives:
        try:
            held += image_archives.images(path)[0]
        except image_archives.NotAnArchiveError as error:
            unread.append(str(error))
    manifest = folder / _MANIFEST
    text = ""
    if manifest.is_file():
        with manifest.open("rb") as file:
            text = file.read(_LARGEST).decode("utf-8", "replace")
    return Artifacts(
        folder,
        binaries if _has(binaries, "kubelet") else None,
        plugins if _has(plugins, "loopback") else None,
        images if archives else None,
        len(archives),
        tuple(dict.fromkeys(held)),
        tuple(unread),
        manifest if text else None,
        tuple(dict.fromkeys(_IMAGE.findall(text))),
    )


def _has(folder: Path, name: str) -> bool:
    return any((place / name).is_file() for place in programs.places(folder))


def _archives(folder: Path) -> list[Path]:
    """Return the archives that a configuration takes from a folder that it names."""
    named = _AS_NAMED.validate_python([str(folder.absolute())], context={"base": folder})
    return [path for path in named if path.is_file()]


def added(findings: Findings, found: Artifacts, target: Path) -> Findings:
    """
    Return findings with what a folder tells, where they do not tell it already.

    :param target: the folder of the configuration, which names paths below it relatively.
    """
    version = findings.cluster.get("version")
    release = _release(str(version.value)) if isinstance(version, Known) else None
    settings: dict[str, Fact] = {}
    for key, path in (("binaries", found.binaries), ("cni_plugins", found.cni_plugins)):
        if path:
            settings[f"artifacts.{key}"] = Known(local(path, target), _source(found))
    if found.images:
        text = f"{counted(found.archives, 'archive')} of images, which hosts then need not pull."
        settings["artifacts.images"] = Known([local(found.images, target)], text)
    settings |= _images(found, findings)
    runtime, remarks = _runtime(found, release)
    docker = findings.settings.get("runtime.name")
    if not (isinstance(docker, Known) and docker.value == "docker"):
        settings |= runtime
    network = findings.network
    if found.manifest:
        offered = Offered(local(found.manifest, target), str(found.calico or ""))
        network = replace(network, offered=offered)
    return replace(
        findings,
        settings={**settings, **findings.settings},
        network=network,
        remarks=(*findings.remarks, *remarks, *_doubts(found, release, findings)),
    )


def _source(found: Artifacts) -> str:
    return f"Found in {found.folder}."


def _images(found: Artifacts, findings: Findings) -> Iterator[tuple[str, Fact]]:
    """Yield settings of images whose default is in no archive, where another release of it is."""
    if not found.images:
        return
    for key, default in (
        ("runtime.sandbox_image", str(RuntimeSettings.model_fields["sandbox_image"].default)),
        ("verify.image", str(VerifySettings.model_fields["image"].default)),
    ):
        others = _same(default, found.held)
        if key not in findings.settings and len(others) == 1 and default not in others:
            text = f"The one in {found.images.name}; the default, {default}, is not among them."
            yield key, Known(others[0], text)


def _same(default: str, held: Iterable[str]) -> list[str]:
    """Return which of these are the default's image, whatever registry and tag they have."""
    last = ImageReference.parse(default).repository.rpartition("/")[2]
    named = [
        name for name in held if ImageReference.parse(name).repository.rpartition("/")[2] == last
    ]
    exact = [name for name in named if not image_supply.absent([default], [name])]
    return [default] if exact else named


def _runtime(found: Artifacts, release: Release | None) -> tuple[dict[str, Fact], tuple[str, ...]]:
    """Return containerd's release, by the newest of its lines; and what to check."""
    paths = _all(found, "containerd")
    if not paths or release is None:
        return {}, ()
    lines = compatibility.containerd_series(release.minor)
    best = compatibility.best_containerd(release.minor)
    for line in dict.fromkeys((best, *reversed(lines))):
        newest = matrix().containerd[line].newest
        if all(elf.is_of_release(path, newest) for path in paths):
            return {"runtime.version": Known(str(newest), f"Of {paths[0]}.")}, ()
    text = f"{paths[0]} does not show its release; runtime.version has to name it."
    return {}, (text,)


def _doubts(found: Artifacts, release: Release | None, findings: Findings) -> Iterator[str]:
    """Yield what has to be checked before it is deployed."""
    for name in programs.OF_KUBERNETES if release else ():
        for path in _all(found, name):
            if release and not elf.is_of_release(path, release):
                yield f"{programs.another_release(path, release)}."
    yield from (f"{text}." for text in found.unread[:_MOST_NAMED])
    ours = not findings.network.other
    if found.images and found.manifest and ours:
        lacking = image_supply.absent(found.wanted, found.held)
        if lacking:
            more = f" and {len(lacking) - _MOST_NAMED} more" if len(lacking) > _MOST_NAMED else ""
            named = ", ".join(lacking[:_MOST_NAMED])
            yield f"no archive has images of {_MANIFEST}, which hosts have to pull: {named}{more}."
    if found.manifest and found.calico is None and ours:
        yield f"{found.manifest} does not show its release; calico.version has to name it."


def _all(found: Artifacts, name: str) -> list[Path]:
    places = programs.places(found.binaries) if found.binaries else ()
    return [place / name for place in places if (place / name).is_file()]


def _release(text: str) -> Release | None:
    try:
        return Release.parse(text)
    except ValueError:
        return None


def summary(found: Artifacts) -> str:
    """Return in a line what was found."""
    parts = [
        "programs" if found.binaries else "",
        "CNI plugins" if found.cni_plugins else "",
        counted(found.archives, "archive") + " of images" if found.archives else "",
        f"Calico {found.calico or 'of an unknown release'}" if found.manifest else "",
    ]
    return f"{found.folder}: {', '.join(filter(None, parts))}"
