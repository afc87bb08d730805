"""
Copies: programs that a host has elsewhere, with the very content that is wanted. Pure.

Another tool, or a package, may have put them there. Such a program is copied on the host, by its
digest, and does not travel. Nothing that is found so is ever run.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from .resources import Absent, Binary, File, Resource, Retired, Superseded

if TYPE_CHECKING:
    from .artifacts import Artifact
    from .facts import Facts, Watchlist

FOLDERS = (
    "/usr/local/bin",
    "/usr/bin",
    "/opt/bin",
    "/opt/kube/bin",  # kubeasz
    "/opt/cni/bin",
    "/usr/lib/cni",
    "/usr/libexec/cni",
    "/opt/containerd/bin",
)
"""Where other tools and packages have the programs of nodes."""


_KEPT = re.compile(r"/kept/[0-9]{1,9}", re.ASCII)  # `scripts/apply/kept.sh`


@dataclass(frozen=True, slots=True)
class Wanted:
    """
    A program that a host is to have.

    :param contents: size in bytes and sha256 of each that it may be: one for each architecture.
    """

    path: str
    contents: tuple[tuple[int, str], ...]


def wanted(resources: Iterable[Resource], held: Iterable[Artifact]) -> tuple[Wanted, ...]:
    """
    Return the programs of which a host is asked for copies; none where nothing is known of them.

    :param held: files of the deployer's that hosts get; the other architecture's are among them.
    """
    named: dict[str, dict[str, int]] = {}
    for file in held:
        if file.sha256 and file.size:
            named.setdefault(file.path.name, {})[file.sha256] = file.size
    found: dict[str, Wanted] = {}
    for each in resources:
        if isinstance(each, Binary):
            contents = named.get(PurePosixPath(each.path).name, {})
            if each.sha256 in contents:
                pairs = tuple((size, sha256) for sha256, size in contents.items())
                found[each.path] = Wanted(each.path, pairs)
    return tuple(found.values())


def unasked(facts: Facts, watch: Watchlist) -> str:
    """Return a path that a host names as a copy and nobody asked it about; empty: there is none."""
    names = {each.path.rpartition("/")[2] for each in watch.programs}
    for path in (path for paths in facts.copies.values() for path in paths):
        folder, _, name = path.rpartition("/")
        kept = path.startswith(watch.state) and _KEPT.fullmatch(path, len(watch.state))
        if not kept and not (folder in watch.copy_folders and name in names):
            return path
    return ""


def source(binary: Binary, facts: Facts, resources: Iterable[Resource]) -> str:
    """
    Return which file of the host becomes a program that it lacks; empty: there is none.

    :param resources: all that is wanted there. What the same plan replaces or takes away is no
        source: it may be gone when its turn comes.
    """
    candidates = facts.copies.get(binary.sha256, ())
    if not candidates:
        return ""
    goes = {
        each.path
        for each in resources
        if isinstance(each, File | Absent | Retired | Superseded)
        or (isinstance(each, Binary) and each.sha256 != binary.sha256)
    }
    return next((path for path in candidates if path not in goes and path != binary.path), "")
