"""Compatibility of Kubernetes, runtimes, Calico, kube-proxy's modes; the nearest alternatives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from ..util.problems import either
from .matrix import matrix
from .version import MinorRange

if TYPE_CHECKING:
    from collections.abc import Collection

    from .matrix import Containerd, Runtime
    from .version import Release

DOCKERSHIM: Final = "dockershim"
CRI_DOCKERD: Final = "cri-dockerd"


class Misfit(NamedTuple):
    """An incompatible combination: the reason, and the nearest that is compatible."""

    why: str
    nearest: str


def kubernetes(release: Release) -> Misfit | None:
    """Return why fabnode does not support this Kubernetes, or None."""
    known = matrix().kubernetes
    if release.major == 1 and release.minor in known:
        return None
    last = (known.until or known.since + 1) - 1
    near = last if release.major > 1 or release.minor > last else known.since
    why = f"Kubernetes {release} is not supported by this fabnode"
    return Misfit(why, f"1.{known.since} to 1.{last} are; the nearest is 1.{near}")


def runtime(minor: int, name: Runtime) -> Misfit | None:
    """Return why this runtime does not work with this Kubernetes, or None."""
    runtimes = matrix().runtimes
    if minor in runtimes[name]:
        return None
    able = [other for other in ("containerd", "docker") if minor in runtimes[other]]
    why = f"Kubernetes 1.{minor} can't use {name}"
    return Misfit(why, f"use {either(able)}, or Kubernetes {_nearest(runtimes[name].span, minor)}")


def containerd(minor: int, version: Release) -> Misfit | None:
    """Return why this containerd does not work with this Kubernetes, or None."""
    data = matrix()
    line = data.containerd.get(version.series)
    if line is None:
        why = f"containerd {version} is not supported by this fabnode"
        return Misfit(why, f"the nearest is {_closest(containerd_series(minor), version.series)}.x")
    asked = cri(minor)
    if set(line.cri) & set(asked):
        return None
    why = (
        f"containerd {version} speaks CRI {either(line.cri)}, "
        f"but the kubelet of Kubernetes 1.{minor} {either(asked)}"
    )
    others = [_nearest(data.kubelet.cri[one].span, minor) for one in line.cri]
    near = _closest(containerd_series(minor), version.series)
    return Misfit(why, f"use containerd {near}.x, or Kubernetes {either(others)}")


def proxy_mode(minor: int, mode: str) -> Misfit | None:
    """Return why kube-proxy of this Kubernetes can't have this mode, or None."""
    modes = matrix().kube_proxy.modes
    if minor in modes[mode]:
        return None
    able = [name for name, known in modes.items() if minor in known]
    why = f"Kubernetes 1.{minor} has no mode {mode}"
    return Misfit(why, f"use {either(able)}, or Kubernetes {_nearest(modes[mode].span, minor)}")


def calico(
    release: Release, minor: int, *, datastore: str = "kubernetes", allow_untested: bool = False
) -> Misfit | None:
    """Return why this Calico can't run, or (unless allowed) was not tested, on this Kubernetes."""
    lines = matrix().calico.tested
    majors = sorted({int(line.partition(".")[0]) for line in lines})
    if release.major not in majors:
        known = either([f"{major}.x" for major in majors])
        return Misfit(f"Calico {release} is not supported by this fabnode", f"{known} is")
    near = _nearest_calico(release, minor, datastore)
    if why := calico_impossible(release.series, minor, datastore):
        message = f"Calico {release} can't run on Kubernetes 1.{minor}: {why}"
        return Misfit(message, f"use Calico {near}.x")
    if allow_untested or minor in calico_tested(release.series):
        return None
    message = f"Calico {release} was not tested with Kubernetes 1.{minor}"
    use = f"use Calico {near}.x, or " if calico_for(minor) else ""
    return Misfit(message, f"{use}set calico.allow_untested: true")


def calico_impossible(line: str, minor: int, datastore: str = "kubernetes") -> str | None:
    """Return why this release series of Calico can't run there, or None."""
    mine = _order(line)
    for edge in matrix().calico.impossible:
        below = edge.to is None or mine < _order(edge.to)
        there = minor in edge and edge.datastore in (None, datastore)
        if there and _order(edge.first) <= mine and below:
            return edge.why
    return None


def calico_vxlan_ipv6(release: Release) -> Misfit | None:
    """Return why VXLAN of this Calico does not carry IPv6, or None."""
    first = matrix().calico.vxlan_ipv6.first
    if _order(release.series) >= _order(first):
        return None
    return Misfit(f"VXLAN of Calico {release} carries no IPv6", f"use Calico {first} or newer")


def calico_tested(line: str) -> MinorRange:
    """Return the minors of Kubernetes that Calico's project tested this release series with."""
    known = matrix().calico.tested.get(line)
    return known.span if known else MinorRange(0, 0)


def calico_turn(old: Release, new: Release, minors: Collection[int]) -> tuple[bool, str, str]:
    """
    Return whether Calico is changed after the nodes' Kubernetes, a warning, and what to do instead.

    Each of its releases is to run only beside Kubernetes that its project tested it with: the newer
    goes first where it was tested with all that run meanwhile, last where only the older was. Where
    neither was, a release between them may be.

    :param minors: of Kubernetes, all that run before, during and after the upgrade.
    """

    def covers(series: str) -> bool:
        return all(minor in calico_tested(series) for minor in minors)

    if old.series == new.series or covers(new.series):
        return False, "", ""
    if covers(old.series):
        return True, "", ""
    low, high = sorted((_order(old.series), _order(new.series)))
    between = [s for s in matrix().calico.tested if low < _order(s) < high and covers(s)]
    those = ", ".join(f"1.{minor}" for minor in sorted(set(minors)))
    warning = (
        f"neither Calico {old.series} nor {new.series} was tested with all Kubernetes that runs"
        f" meanwhile ({those})"
    )
    if not between:
        return False, warning, "upgrade in smaller steps; calico.allow_untested lets it pass"
    via = max(between, key=_order)
    return False, warning, f"Calico {via}.x was: upgrade to it first, then Kubernetes, then Calico"


def calico_for(minor: int) -> str | None:
    """Return the newest release series of Calico tested with this Kubernetes, or None."""
    lines = [line for line, known in matrix().calico.tested.items() if minor in known]
    return max(lines, key=_order, default=None)


def containerd_data(version: Release | None, minor: int) -> Containerd:
    """Return the data of this containerd's release series; of the best one for None."""
    return matrix().containerd[version.series if version else best_containerd(minor)]


def best_containerd(minor: int) -> str:
    """Return the best release series of containerd: the newest that its project recommends."""
    lines = matrix().containerd
    able = containerd_series(minor)
    meant = [name for name in able if minor in lines[name].fits]
    return max(meant or able or lines, key=_order)


def checksum(minor: int) -> str | None:
    """Return the strongest kind of digest published for this Kubernetes, or None."""
    known = matrix().checksums
    return next((kind for kind in ("sha256", "sha512") if minor in known[kind]), None)


def cri(minor: int) -> tuple[str, ...]:
    """Return the versions of CRI that this kubelet supports."""
    return tuple(name for name, known in matrix().kubelet.cri.items() if minor in known)


def shim(minor: int) -> str:
    """Return the adapter between this kubelet and docker: `dockershim` or `cri-dockerd`."""
    return DOCKERSHIM if minor in matrix().runtimes[DOCKERSHIM] else CRI_DOCKERD


def needs_cri_dockerd(minor: int) -> bool:
    """Return whether this kubelet speaks to docker by cri-dockerd alone."""
    return shim(minor) == CRI_DOCKERD


def skew(minor: int) -> int:
    """Return how many minors a kubelet of this minor may be behind the apiserver."""
    return next(rule.behind for rule in matrix().skew if minor in rule)


def oldest(server: int) -> int:
    """Return the oldest minor of kubelets that an apiserver of this minor supports."""
    return next(minor for minor in range(server + 1) if server - minor <= skew(minor))


def containerd_series(minor: int) -> list[str]:
    """Return the release series of containerd that work with this kubelet, oldest first."""
    lines = matrix().containerd
    return [name for name, line in lines.items() if set(line.cri) & set(cri(minor))]


def _nearest_calico(release: Release, minor: int, datastore: str) -> str:
    known = matrix().calico.tested
    tested = [line for line in known if minor in known[line]]
    able = [line for line in known if not calico_impossible(line, minor, datastore)]
    return _closest(tested or able, release.series)


def _closest(lines: Collection[str], wanted: str) -> str:
    """Return the newest of the older series, or the oldest where all are newer."""
    older = [line for line in lines if _order(line) <= _order(wanted)]
    return max(older, key=_order) if older else min(lines, key=_order)


def _nearest(span: MinorRange, minor: int) -> str:
    """Return the end of a span that is nearest to a minor outside it, as `1.23 or older`."""
    if minor < span.since:
        return f"1.{span.since} or newer"
    return f"1.{(span.until or minor + 1) - 1} or older"


def _order(line: str) -> tuple[int, ...]:
    return tuple(int(part) for part in line.split(".")[:2])
