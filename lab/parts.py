"""Everything a lab is made from, had before the machine is touched."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from . import builds, images, rootfs, versions
from .progress import Progress


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything a lab is made from, as folders and files of the cache."""

    kubernetes: Path
    etcd: Path
    containerd: Path
    cni: Path
    calico: Path
    images: list[Path]
    base: Path


def provide(kubernetes: str, progress: Progress) -> Parts:
    """Return all parts of a lab: from the cache, or downloaded, or built."""
    with ThreadPoolExecutor(1) as pool:  # the hosts' Debian comes in while Go compiles
        base = pool.submit(rootfs.host_base, progress)
        cni = builds.provide(versions.cni_plugins(), progress)
        calico = builds.provide(versions.calico(), progress)
        return Parts(
            kubernetes=builds.provide(versions.kubernetes(kubernetes), progress),
            etcd=builds.provide(versions.etcd(), progress),
            containerd=builds.provide(versions.containerd(), progress),
            cni=cni,
            calico=calico,
            images=images.provide(calico, cni, progress),
            base=base.result(),
        )
