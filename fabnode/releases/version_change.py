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
    :param minor: the kubelet's minor changes. :param runtime: the runtime changes.
    """

    texts: tuple[str, ...] = ()
    effects: tuple[str, ...] = ()
    refusal: str = ""
    advice: str = ""
    minor: bool = False
    runtime: bool = False

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
    minor = False
    if old.kubelet and new.kubelet and old.kubelet != new.kubelet:
        texts.append(f"kubelet {old.kubelet} → {new.kubelet}")
        minor = (old.kubelet.major, old.kubelet.minor) != (new.kubelet.major, new.kubelet.minor)
        effects += upgrade_effects.kubelet_effects(old.kubelet, new.kubelet)
    runtime = bool(old.runtime) and (
        old.runtime != new.runtime
        or (new.runtime_release is not None and old.runtime_release != new.runtime_release)
        or replaced
    )
    if runtime:
        texts.append(f"{_named(old)} → {_successor(old, new)}")
        effects.append("its pods are all made again: its runtime changes")
        refusal, advice = _unsupported(old, new)
    return VersionChange(tuple(texts), tuple(effects), refusal, advice, minor, runtime)


def _unsupported(old: Versions, new: Versions) -> tuple[str, str]:
    """Return why containerd can't be upgraded so, and what can be done; empty where it can."""
    before, after = old.runtime_release, new.runtime_release
    if old.runtime != "containerd" or new.runtime != "containerd" or not before or not after:
        return "", ""
    if after < before:
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
