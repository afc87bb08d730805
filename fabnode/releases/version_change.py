"""What a node runs, what it is to run, and what the change between does to its pods. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..util import program
from . import upgrade_effects
from .matrix import matrix

if TYPE_CHECKING:
    from .version import Release


@dataclass(frozen=True, slots=True)
class Versions:
    """
    Releases that a node runs, or is to run.

    :param runtime: containerd or docker; empty: not known.
    :param runtime_release: None: not known.
    """

    kubelet: Release | None
    runtime: str = ""
    runtime_release: Release | None = None


@dataclass(frozen=True, slots=True)
class VersionChange:
    """
    A node's change from some releases to others.

    :param texts: what changes, in clauses. :param effects: what that does to pods, likewise.
    :param refusal: why no such upgrade is supported; empty: it is. :param advice: what is.
    :param minor: the kubelet's minor changes. :param older: to an older one.
    :param runtime: the runtime changes.
    """

    texts: tuple[str, ...] = ()
    effects: tuple[str, ...] = ()
    refusal: str = ""
    advice: str = ""
    minor: bool = False
    runtime: bool = False
    older: bool = False

    @property
    def ends_pods(self) -> bool:
        """
        Whether the pods of the node's own end before it.

        Those of another runtime would be left to a daemon that does not know their shims; an older
        kubelet starts without what it may not read, and with that goes who has which CPUs.
        """
        return self.runtime or self.older

    @property
    def drains(self) -> bool:
        """
        Whether its pods have to leave before it.

        So Kubernetes has it of a minor (its version skew policy); patches of a kubelet may be
        changed under pods that run (KEP-3935).
        """
        return self.minor or self.runtime


def version_change(old: Versions, new: Versions, *, replaced: bool = False) -> VersionChange:
    """
    Return what a node's change of releases is, and does; what is not known is no change.

    :param replaced: the runtime's program, which is in order, gives way to another, of whatever
        release.
    """
    texts: list[str] = []
    effects: list[str] = []
    refusal = advice = ""
    minor = older = False
    if old.kubelet and new.kubelet and old.kubelet != new.kubelet:
        texts.append(f"kubelet {old.kubelet} → {new.kubelet}")
        minor = (old.kubelet.major, old.kubelet.minor) != (new.kubelet.major, new.kubelet.minor)
        effects += upgrade_effects.kubelet_effects(old.kubelet, new.kubelet, old.runtime)
        older = minor and new.kubelet < old.kubelet
    runtime = bool(old.runtime) and (
        old.runtime != new.runtime
        or (new.runtime_release is not None and old.runtime_release != new.runtime_release)
        or replaced
    )
    if older:
        effects.append(
            "an older minor: its kubelet starts without the state files of the newer one, and its"
            " own pods are ended before"
        )
    if runtime:
        texts.append(f"{_named(old)} → {_successor(old, new)}")
        effects.append("its pods are all made again: its runtime changes")
        if old.runtime_release and new.runtime_release and old.runtime == "containerd":
            effects += upgrade_effects.shim_effects(old.runtime_release, new.runtime_release)
        refusal, advice = _unsupported(old, new)
    return VersionChange(tuple(texts), tuple(effects), refusal, advice, minor, runtime, older)


def _unsupported(old: Versions, new: Versions) -> tuple[str, str]:
    """Return why the runtime can't be changed so, and what can be done; empty where it can."""
    before, after = old.runtime_release, new.runtime_release
    if new.runtime and old.runtime != new.runtime:
        return (
            f"{old.runtime} is not changed to {new.runtime} on a node that is in use: containers of"
            " the node's own pods would run on beside the new ones",
            f"configure runtime.name: {old.runtime}; or remove the node"
            f" ({program.task('remove-node')}) and deploy to its host again",
        )
    if old.runtime != "containerd" or new.runtime != "containerd" or not before or not after:
        return "", ""
    if after < before and not upgrade_effects.goes_back("containerd").older:
        return (
            f"containerd {after} is older than the {before} that runs: its makers support no way"
            " back",
            "configure what runs; or reset the node and deploy to it again",
        )
    if before.series == after.series:
        return "", ""
    way = upgrade_effects.containerd_path(before.series, after.series)
    if way is None or len(way) == 1:
        return "", ""
    first, *others = way
    known = matrix().containerd
    later = [*(str(known[series].newest) for series in others[:-1]), str(after)]
    return (
        f"containerd {before.series} can't be upgraded to {after.series} directly",
        f"configure runtime.version: {known[first].newest}, with its programs among the artifacts,"
        f" and run {program.task('upgrade')}; then the same with {', then '.join(later)}",
    )


def _successor(old: Versions, new: Versions) -> str:
    if old.runtime != new.runtime:
        return _named(new)
    if new.runtime_release is None:
        return f"the {new.runtime} of the artifacts (runtime.version says no release)"
    if old.runtime_release == new.runtime_release:
        return f"another {_named(new)}"
    return _named(new)


def _named(versions: Versions) -> str:
    release = versions.runtime_release
    return f"{versions.runtime} {release}" if release else versions.runtime
