"""
One cgroup per host, in every hierarchy (version 1) or the one there is (version 2).

Without it all hosts would share one root, and each kubelet would see, and try
to destroy, the others' pods' cgroups.
"""

from __future__ import annotations

import os
from pathlib import Path

from fabnode.util.wait import Wait

from .errors import LabError

ROOT = Path("/sys/fs/cgroup")


def driver() -> str:
    """Return the kubelet's cgroup driver that suits this machine, as kubeasz chooses it."""
    return "systemd" if _unified() else "cgroupfs"


def hierarchies() -> list[Path]:
    """Return the root of each cgroup hierarchy of this machine."""
    if _unified():
        return [ROOT]
    return [path for path in ROOT.iterdir() if path.is_dir() and not path.is_symlink()]


def _unified() -> bool:
    return (ROOT / "cgroup.controllers").exists()


def make(name: str, processors: int = 1) -> list[Path]:
    """
    Make a host's cgroup and return its folders.

    :param processors: the cgroup's share of a busy machine, as that of so many processes.
    """
    folders = []
    if _unified():
        _delegate()
    for root in hierarchies():
        folder = root / name
        folder.mkdir(exist_ok=True)
        for setting in ("cpuset.cpus", "cpuset.mems"):  # empty at first, and then useless
            if (folder / setting).exists() and (root / setting).exists():
                (folder / setting).write_text((root / setting).read_text())
        for setting, one in (("cpu.shares", 1024), ("cpu.weight", 100)):  # version 1, version 2
            if processors > 1 and (folder / setting).exists():
                (folder / setting).write_text(str(one * processors))
        folders.append(folder)
    return folders


def named(prefix: str) -> set[str]:
    """Return the names of the cgroups at the top that begin with ``prefix``."""
    return {path.name for root in hierarchies() for path in root.glob(f"{prefix}*")}


def members(name: str) -> set[int]:
    """Return every process in a host's cgroup and below it."""
    found = set()
    for root in hierarchies():
        for folder, _, _ in os.walk(root / name):  # which passes over folders that are gone
            try:
                text = Path(folder, "cgroup.procs").read_text()
                found |= {int(pid) for pid in text.split()}
            except OSError:  # it is just being removed
                continue
    return found


def remove(name: str, seconds: float = 10) -> None:
    """Remove a host's cgroup, whose last processes may take a moment to be gone."""
    wait = Wait("the end of processes", seconds, 0.02)
    for root in hierarchies():
        folder = root / name
        while folder.exists():
            try:
                for inner in sorted(_folders(folder), key=lambda path: -len(path.parts)):
                    inner.rmdir()
            except OSError as error:
                if wait.over:
                    raise LabError(f"cgroup {folder} cannot be removed: {error}") from error
                wait.pause()


def _folders(folder: Path) -> list[Path]:
    return [folder, *(path for path in folder.rglob("*") if path.is_dir())]


def _delegate() -> None:
    """Let hosts have the controllers a kubelet needs (version 2)."""
    offered = set((ROOT / "cgroup.controllers").read_text().split())
    for controller in ("cpu", "cpuset", "hugetlb", "io", "memory", "pids"):
        if controller in offered:
            (ROOT / "cgroup.subtree_control").write_text(f"+{controller}")
