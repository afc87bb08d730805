"""What version changes do to running pods; supported upgrade paths of containerd."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Literal

from .matrix import matrix

if TYPE_CHECKING:
    from .matrix import Rollback
    from .version import Release


def kubelet_effects(old: Release, new: Release, runtime: str = "") -> tuple[str, ...]:
    """Return what a kubelet's change of release does to the pods of its node, in clauses."""
    low, high = sorted((old.minor, new.minor))
    found = [
        each.effect
        for each in matrix().crossings.kubelet
        if low < each.minor <= high and each.runtime in {"", runtime}
    ]
    return tuple(dict.fromkeys(found))


def shim_effects(old: Release, new: Release) -> tuple[str, ...]:
    """Return what shims and daemons of two releases of containerd do to each other, in clauses."""
    known = list(matrix().containerd)
    if old.series not in known or new.series not in known:
        return ()
    low, high = sorted(map(known.index, (old.series, new.series)))
    edges = matrix().crossings.shims
    return tuple(each.effect for each in edges if low < known.index(each.series) <= high)


def goes_back(program: Literal["kubelet patch", "kubelet minor", "containerd"]) -> Rollback:
    """Return how a program goes back to a release of before."""
    return matrix().crossings.rollbacks[program]


def unready_at_start(new: Release) -> bool:
    """Return whether pods leave their Services' endpoints while this kubelet starts."""
    return new.minor in matrix().crossings.unready_at_start


def containerd_path(old: str, new: str) -> tuple[str, ...] | None:
    """
    Return the release series on the shortest supported path, the last one included.

    Its makers support upgrades to the next series, and some that `config/versions.yml` lists; no
    downgrades.

    :param old, new: series such as `1.7`. Empty: they are the same.
    :returns: None where there is no such path, or a series is not known.
    """
    known = list(matrix().containerd)
    if old not in known or new not in known:
        return None
    ways = {series: [after] for series, after in itertools.pairwise(known)}
    for each in matrix().crossings.containerd:
        ways.setdefault(each.old, []).append(each.new)
    found: dict[str, tuple[str, ...]] = {old: ()}
    reached = [old]
    for series in reached:
        for after in ways.get(series, ()):
            if after not in found:
                found[after] = (*found[series], after)
                reached.append(after)
    return found.get(new)
