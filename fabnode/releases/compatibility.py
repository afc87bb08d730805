"""What fits what: Kubernetes, runtimes, Calico, modes of kube-proxy; and what is nearest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from ..util.problems import either
from .matrix import matrix
from .version import Span

if TYPE_CHECKING:
    from collections.abc import Collection

    from .matrix import Containerd, Runtime
    from .version import Release

DOCKERSHIM: Final = "dockershim"
CRI_DOCKERD: Final = "cri-dockerd"


class Misfit(NamedTuple):
    """A pair that can't be: why, and the nearest that can."""

    why: str
    nearest: str


def kubernetes(release: Release) -> Misfit | None:
    """Say why this Kubernetes can't be had; None where it can."""
    known = matrix().kubernetes
    if release.major == 1 and release.minor in known:
        return None
    last = (known.until or known.since + 1) - 1
    near = last if release.major > 1 or release.minor > last else known.since
    why = f"Kubernetes {release} is not known here"
    return Misfit(why, f"1.{known.since} to 1.{last} are; the nearest is 1.{near}")


def runtime(minor: int, name: Runtime) -> Misfit | None:
    """Say why this runtime can't serve this Kubernetes."""
    runtimes = matrix().runtimes
    if minor in runtimes[name]:
        return None
    able = [other for other in ("containerd", "docker") if minor in runtimes[other]]
    why = f"Kubernetes 1.{minor} can't use {name}"
    return Misfit(why, f"use {either(able)}, or Kubernetes {_nearest(runtimes[name].span, minor)}")


def containerd(minor: int, version: Release) -> Misfit | None:
    """Say why this release of containerd can't serve this Kubernetes."""
    data = matrix()
    line = data.containerd.get(version.series)
    if line is None:
        why = f"containerd {version} is not known here"
        return Misfit(why, f"the nearest is {_closest(containerd_lines(minor), version.series)}.x")
    asked = cri(minor)
    if set(line.cri) & set(asked):
        return None
    why = (
        f"containerd {version} speaks CRI {either(line.cri)}, "
        f"and the kubelet of Kubernetes 1.{minor} {either(asked)}"
    )
    others = [_nearest(data.kubelet.cri[one].span, minor) for one in line.cri]
    near = _closest(containerd_lines(minor), version.series)
    return Misfit(why, f"use containerd {near}.x, or Kubernetes {either(others)}")


def proxy_mode(minor: int, mode: str) -> Misfit | None:
    """Say why kube-proxy can't have this mode."""
    modes = matrix().kube_proxy.modes
    if minor in modes[mode]:
        return None
    able = [name for name, known in modes.items() if minor in known]
    why = f"Kubernetes 1.{minor} has no mode {mode}"
    return Misfit(why, f"use {either(able)}, or Kubernetes {_nearest(modes[mode].span, minor)}")


def calico(
    release: Release, minor: int, *, datastore: str = "kubernetes", allow_untested: bool = False
) -> Misfit | None:
    """Say why this Calico can't run on this Kubernetes, or (unless allowed) was not tested so."""
    lines = matrix().calico.tested
    majors = sorted({int(line.partition(".")[0]) for line in lines})
    if release.major not in majors:
        known = either([f"{major}.x" for major in majors])
        return Misfit(f"Calico {release} is not known here", f"{known} is")
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
    """Return why this line of Calico can't run there, None where nothing is known against it."""
    mine = _order(line)
    for edge in matrix().calico.impossible:
        below = edge.to is None or mine < _order(edge.to)
        there = minor in edge and edge.datastore in (None, datastore)
        if there and _order(edge.first) <= mine and below:
            return edge.why
    return None


def calico_tested(line: str) -> Span:
    """Return the minors of Kubernetes that Calico's makers tested this line with."""
    known = matrix().calico.tested.get(line)
    return known.span if known else Span(0, 0)


def calico_for(minor: int) -> str | None:
    """Return the newest line of Calico tested with this Kubernetes, None where there is none."""
    lines = [line for line, known in matrix().calico.tested.items() if minor in known]
    return max(lines, key=_order, default=None)


def containerd_line(version: Release | None, minor: int) -> Containerd:
    """Return what is known of this containerd's line; None: of the one that fits best."""
    return matrix().containerd[version.series if version else containerd_for(minor)]


def containerd_for(minor: int) -> str:
    """Return the line of containerd that fits this Kubernetes best: the newest of its makers'."""
    lines = matrix().containerd
    able = containerd_lines(minor)
    meant = [name for name in able if minor in lines[name].fits]
    return max(meant or able or lines, key=_order)


def checksum(minor: int) -> str | None:
    """Return which digest of its binaries this Kubernetes publishes; None: none that holds."""
    known = matrix().checksums
    return next((kind for kind in ("sha256", "sha512") if minor in known[kind]), None)


def cri(minor: int) -> tuple[str, ...]:
    """Return the versions of CRI that this kubelet speaks."""
    return tuple(name for name, known in matrix().kubelet.cri.items() if minor in known)


def shim(minor: int) -> str:
    """Return what stands between this kubelet and docker: `dockershim` or `cri-dockerd`."""
    return DOCKERSHIM if minor in matrix().runtimes[DOCKERSHIM] else CRI_DOCKERD


def skew(minor: int) -> int:
    """Return how many minors older than the apiserver a kubelet of this minor may be."""
    return next(rule.behind for rule in matrix().skew if minor in rule)


def oldest(server: int) -> int:
    """Return the oldest minor that a kubelet may have under an apiserver of this one."""
    return next(minor for minor in range(server + 1) if server - minor <= skew(minor))


def containerd_lines(minor: int) -> list[str]:
    """Return the lines of containerd that speak to this kubelet, oldest first."""
    lines = matrix().containerd
    return [name for name, line in lines.items() if set(line.cri) & set(cri(minor))]


def _nearest_calico(release: Release, minor: int, datastore: str) -> str:
    known = matrix().calico.tested
    tested = [line for line in known if minor in known[line]]
    able = [line for line in known if not calico_impossible(line, minor, datastore)]
    return _closest(tested or able, release.series)


def _closest(lines: Collection[str], wanted: str) -> str:
    """Return the newest of the older lines, or where all are newer, the oldest."""
    older = [line for line in lines if _order(line) <= _order(wanted)]
    return max(older, key=_order) if older else min(lines, key=_order)


def _nearest(span: Span, minor: int) -> str:
    """Return the end of a span that is nearest to a minor outside it, as `1.23 or older`."""
    if minor < span.since:
        return f"1.{span.since} or newer"
    return f"1.{(span.until or minor + 1) - 1} or older"


def _order(line: str) -> tuple[int, ...]:
    return tuple(int(part) for part in line.split(".")[:2])
