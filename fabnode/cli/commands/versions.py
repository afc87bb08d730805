"""`inv versions`, `inv versions.of`: the supported releases, one in detail, compatible versions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...releases import compatibility
from ...releases.matrix import matrix
from ...releases.version import MinorRange, Release
from ...util.problems import ConfigError, Problem, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ...releases.matrix import Component, Known, Runtime, Setting

_RELEASE = re.compile(r"v?(\d{1,4})\.(\d{1,4})(?:\.(\d{1,4}))?", re.ASCII)
_RUNTIMES: tuple[Runtime, ...] = ("containerd", "docker")
_DATASTORES = ("kubernetes", "etcd")

HEADS = ("RELEASE", "SET BY", "CONTAINERD", "DOCKER BY", "CSR API", "PROXY MODES", "CALICO")
DETAIL_HEADS = ("OF", "WHAT", "IS", "SOURCE")


@dataclass(frozen=True, slots=True)
class Datum:
    """One fact about a release, with its source."""

    topic: str
    item: str
    value: str
    source: str


@dataclass(frozen=True, slots=True)
class Combination:
    """Components to combine with a Kubernetes release; empty: unspecified."""

    runtime: str = ""
    containerd: str = ""
    calico: str = ""
    datastore: str = "kubernetes"
    proxy_mode: str = ""

    def __bool__(self) -> bool:
        return bool(self.runtime or self.containerd or self.calico or self.proxy_mode)

    def __str__(self) -> str:
        runtime = f"containerd {self.containerd}" if self.containerd else self.runtime
        calico = f"Calico {self.calico} on {self.datastore}" if self.calico else ""
        mode = f"kube-proxy in mode {self.proxy_mode}" if self.proxy_mode else ""
        return ", ".join(part for part in (runtime, calico, mode) if part)


def parse(text: str) -> Release:
    """
    Parse `1.20` or `1.20.2`.

    :raises ConfigError: for anything else, and for releases that fabnode does not know.
    """
    if not (found := _RELEASE.fullmatch(text)):
        raise _refusal(
            f"{text!r} is not a release of Kubernetes", "give one such as 1.20 or 1.20.2"
        )
    release = Release(*(int(part or 0) for part in found.groups()))
    if misfit := compatibility.kubernetes(release):
        raise _refusal(misfit.why, misfit.nearest)
    return release


def check(release: Release, combination: Combination) -> None:
    """
    Check that these components work together.

    :raises ConfigError: with every conflict, and the nearest version without it.
    """
    found = list(_misfits(release.minor, combination))
    if found:
        raise ConfigError(found)


def _misfits(minor: int, combination: Combination) -> Iterator[Problem]:
    if combination.runtime not in ("", *_RUNTIMES):
        hint = nearest(combination.runtime, _RUNTIMES) or f"known names: {', '.join(_RUNTIMES)}"
        yield _problem(f"{combination.runtime!r} is not a runtime", hint)
    for name in _RUNTIMES:
        version = combination.containerd if name == "containerd" else ""
        misfit = (
            compatibility.runtime(minor, name) if version or name == combination.runtime else None
        )
        if version and not misfit:
            misfit = compatibility.containerd(minor, _release(version))
        if misfit:
            yield _problem(*misfit)
    if combination.datastore not in _DATASTORES:
        hint = (
            nearest(combination.datastore, _DATASTORES) or f"known names: {', '.join(_DATASTORES)}"
        )
        yield _problem(f"{combination.datastore!r} is not a datastore of Calico", hint)
    elif combination.calico:
        calico = _release(combination.calico)
        if misfit := compatibility.calico(calico, minor, datastore=combination.datastore):
            yield _problem(*misfit)
    modes = matrix().kube_proxy.modes
    if combination.proxy_mode and combination.proxy_mode not in modes:
        hint = nearest(combination.proxy_mode, modes) or f"known names: {', '.join(modes)}"
        yield _problem(f"{combination.proxy_mode!r} is not a mode of kube-proxy", hint)
    elif combination.proxy_mode and (
        misfit := compatibility.proxy_mode(minor, combination.proxy_mode)
    ):
        yield _problem(*misfit)


def overview() -> list[dict[str, Any]]:
    """Return one row per minor, oldest first."""
    known = matrix().kubernetes
    return [_row(minor) for minor in range(known.since, known.until or known.since + 1)]


def lines(rows: Iterable[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Return rows of the overview as cells of a table."""
    return [
        (
            row["release"],
            row["set by"],
            _range(row["containerd"]),
            row["docker by"],
            ", ".join(row["csr api"]),
            ", ".join(row["proxy modes"]),
            _range(row["calico"]),
        )
        for row in rows
    ]


def _row(minor: int) -> dict[str, Any]:
    data = matrix()
    with_containerd = compatibility.runtime(minor, "containerd") is None
    containerd = compatibility.containerd_series(minor) if with_containerd else []
    return {
        "release": f"1.{minor}",
        "set by": "file" if minor in data.kubelet.config_file else "flags",
        "containerd": containerd,
        "docker by": compatibility.shim(minor),
        "csr api": [v for v in ("v1", "v1beta1") if minor in data.api[f"certificates/{v}"]],
        "proxy modes": [name for name, mode in data.kube_proxy.modes.items() if minor in mode],
        "calico": [line for line, known in data.calico.tested.items() if minor in known],
    }


def fitting(minor: int) -> dict[str, str]:
    """Return what goes with a minor release, by component."""
    row = _row(minor)
    best = compatibility.best_containerd(minor) if row["containerd"] else ""
    return {
        "containerd": f"{_range(row['containerd'])}{best and f' (default: {best})'}",
        "docker": f"by {row['docker by']}" if row["docker by"] else "–",
        "Calico": f"{_range(row['calico'])} (tested by its makers)" if row["calico"] else "–",
        "kube-proxy": ", ".join(row["proxy modes"]),
        "apiserver": f"of the same minor, or up to {compatibility.skew(minor)} newer",
    }


def details(minor: int) -> list[Datum]:
    """Return all facts about one minor release, each with its source."""
    data = matrix()
    return [
        *_component("kubelet", data.kubelet, minor),
        *_by_hand(minor),
        *_component("kube-proxy", data.kube_proxy, minor),
        *_modes(minor),
        *_runtimes(minor),
        *_known("API", data.api, minor),
        *_known("signer", data.signers, minor),
        *_known("checksum", data.checksums, minor),
        *(
            Datum("Calico", line, "tested by its makers", known.source)
            for line, known in data.calico.tested.items()
            if minor in known
        ),
        *(
            Datum("skew", "behind the apiserver", f"at most {rule.behind} minors", rule.source)
            for rule in data.skew
            if minor in rule
        ),
    ]


def _component(topic: str, component: Component, minor: int) -> Iterator[Datum]:
    file = component.config_file
    yield Datum(topic, "set by", "file" if minor in file else "flags", file.source)
    for name, flag in component.flags.items():
        if flag.passed(minor):
            value = (
                "passed although deprecated: there is no alternative"
                if flag.warned(minor)
                else "passed"
            )
            yield Datum(topic, name, value, flag.source)
    for path, setting in component.settings.items():
        if way := _way(component, setting, minor):
            yield Datum(topic, path, way, setting.source)
    unknown = [name for name, known in component.fields.items() if minor not in known]
    if unknown and minor in file:
        source = ", ".join(dict.fromkeys(component.fields[name].source for name in unknown))
        yield Datum(topic, "no fields of this release", ", ".join(unknown), source)


def _way(component: Component, setting: Setting, minor: int) -> str:
    if minor in component.config_file and minor in setting:
        return "field"
    if setting.flag and minor in MinorRange(setting.flag_since, setting.flag_until):
        return setting.flag
    return ""


def _by_hand(minor: int) -> Iterator[Datum]:
    kubelet = matrix().kubelet
    for title, entry in kubelet.by_hand.items():
        if minor in entry:
            yield Datum("unfit default", title, entry.unfit, entry.source)
    for name, gate in kubelet.gates.items():
        if minor in gate:
            where = f" with {gate.runtime}" if gate.runtime else ""
            value = f"switched {'on' if gate.value else 'off'}{where}"
            yield Datum("feature gate", name, value, gate.source)


def _modes(minor: int) -> Iterator[Datum]:
    for name, mode in matrix().kube_proxy.modes.items():
        if minor in mode:
            value = "deprecated" if mode.warned(minor) else "possible"
            if mode.gate and minor in MinorRange(0, mode.gate_until):
                value += f", by the gate {mode.gate}"
            yield Datum("proxy mode", name, value, mode.source)


def _runtimes(minor: int) -> Iterator[Datum]:
    data = matrix()
    for version, known in data.kubelet.cri.items():
        if minor in known:
            yield Datum("CRI", version, "spoken by the kubelet", known.source)
    shims = {compatibility.DOCKERSHIM, compatibility.CRI_DOCKERD}
    for name, known in data.runtimes.items():
        if minor in known:
            value = "how docker is reached" if name in shims else "possible"
            yield Datum("runtime", name, value, known.source)
    if minor in data.runtimes["containerd"]:
        best = compatibility.best_containerd(minor)
        for line in compatibility.containerd_series(minor):
            known_line = data.containerd[line]
            value = f"{known_line.newest}, configuration version {known_line.config}"
            best_here = " (default)" if line == best else ""
            yield Datum("containerd", line, value + best_here, known_line.source)


def _known(topic: str, entries: Mapping[str, Known], minor: int) -> Iterator[Datum]:
    for name, known in entries.items():
        if minor in known:
            value = "deprecated" if known.warned(minor) else "yes"
            yield Datum(topic, name, value, known.source)


def _range(names: Sequence[str]) -> str:
    if not names:
        return "–"
    return names[0] if len(names) == 1 else f"{names[0]}–{names[-1]}"


def _release(text: str) -> Release:
    try:
        return Release.parse(text)
    except ValueError as error:
        raise _refusal(str(error), "all three parts are needed") from None


def _problem(message: str, hint: str) -> Problem:
    return Problem("", None, "", message, hint)


def _refusal(message: str, hint: str) -> ConfigError:
    return ConfigError([_problem(message, hint)])
