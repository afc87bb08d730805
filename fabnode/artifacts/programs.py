"""
Programs that nodes need: their names, where they lie on the deployer, which of them are not there.

`store.py` reads them; this is what a check of the configuration says of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..releases import compatibility
from ..util import program
from . import elf

if TYPE_CHECKING:
    from pathlib import Path

    from ..config.configuration import Config
    from ..releases.version import Release

OF_KUBERNETES = ("kubelet", "kube-proxy")
_CONTAINERD = ("containerd", "containerd-shim-runc-v2", "ctr", "runc")
OPTIONAL = ("crictl",)

_FOLDERS = ("amd64", "arm64")  # of programs for one architecture, below those configured


def absent(config: Config) -> tuple[str, ...]:
    """Return the names of the binaries that nodes need and that lie in no folder for them."""
    folders = places(config.artifacts.binaries)
    return tuple(
        name for name in required(config) if not any((each / name).is_file() for each in folders)
    )


def of_another_release(config: Config) -> tuple[str, ...]:
    """Return a line for each program of Kubernetes' that is here and not of the release named."""
    folders, release = places(config.artifacts.binaries), config.cluster.version
    paths = [each / name for each in folders for name in OF_KUBERNETES if (each / name).is_file()]
    return tuple(
        another_release(path, release) for path in paths if not elf.is_of_release(path, release)
    )


def places(folder: Path) -> tuple[Path, ...]:
    """Return where a folder's programs may lie: in it, or below for one architecture."""
    return (folder, *(folder / arch for arch in _FOLDERS))


def another_release(path: Path, release: Release) -> str:
    """Return the sentence about a program of another release than the one configured."""
    return (
        f"artifacts.binaries: {path} is not of {release}, which cluster.version names: fetch that"
        f" release (`{program.task('binaries.fetch')}`), or name the one that is there"
    )


def plugin_names(folder: Path) -> frozenset[str]:
    """Return the names of the CNI plugins in a folder, for whatever architecture."""
    found = (path for place in places(folder) if place.is_dir() for path in place.iterdir())
    return frozenset(path.name for path in found if path.is_file())


def required(config: Config) -> tuple[str, ...]:
    """Return the names of the binaries that these nodes need, by the runtimes they have."""
    runtimes = {node.runtime.name for node in config.nodes}
    needed = ["kubelet"]
    if any(node.kube_proxy.enabled for node in config.nodes):
        needed.append("kube-proxy")
    if "containerd" in runtimes:
        needed += _CONTAINERD
    if "docker" in runtimes and compatibility.needs_cri_dockerd(config.cluster.version.minor):
        needed.append("cri-dockerd")  # docker itself is the host's
    return tuple(needed)
