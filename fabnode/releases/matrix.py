"""
Differences between releases of Kubernetes: `config/versions.yml` as checked values.

The file is the one place that differs from release to release; nothing else in fabnode compares
minors. It is read once, and checked while it is read: an unknown key or a wrong number in it is an
error, not a surprise on a node.

Each command needs it, and parsing YAML of that size takes longer than most commands do else. So
`versions.json`, beside this module, holds the same document once more, with the digest of the YAML
that it was made of: an edited file has another digest and is parsed.
`python -m tests.releases.built` writes it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from ..util.data import ROOT
from .document import made
from .version import MinorRange, Release

FILE = ROOT / "config" / "versions.yml"
BUILT = Path(__file__).with_name("versions.json")

# What a field of a component's configuration holds; a duration is text as Go has it.
FieldKind = Literal[
    "boolean", "integer", "number", "text", "duration", "texts", "integers", "mapping", "switches"
]
Cri = Literal["v1alpha1", "v1alpha2", "v1"]
Runtime = Literal["containerd", "docker"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """Something that releases from `since` up to but excluding `until` have, with its source."""

    since: int = 0
    until: int | None = None
    deprecated: int | None = None
    source: str

    @property
    def span(self) -> MinorRange:
        """Minors that have it."""
        return MinorRange(self.since, self.until)

    def __contains__(self, minor: int) -> bool:
        return minor in self.span

    def warned(self, minor: int) -> bool:
        """Return whether this release has it and warns about it."""
        return minor in self and self.deprecated is not None and self.deprecated <= minor


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting(Known):
    """A field of a configuration file, and the equivalent flag."""

    flag: str | None = None
    flag_since: int = 0
    flag_until: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag(Known):
    """A flag without a field. From `needed_until` on its default is right, or it is deprecated."""

    needed_until: int | None = None

    def passed(self, minor: int) -> bool:
        """Return whether this release gets it."""
        return minor in self and minor in MinorRange(0, self.needed_until)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate(Known):
    """A feature gate that must be set in these releases, with one runtime or with all."""

    value: bool
    runtime: Runtime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ByHand(Known):
    """An insecure default, and the setting or flag that corrects it."""

    setting: str | None = None
    flag: str | None = None
    unfit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mode(Known):
    """A mode of kube-proxy; in releases before `gate_until` behind a feature gate."""

    gate: str | None = None
    gate_until: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """
    Options of a kubelet or kube-proxy: fields and flags.

    :param fields: those that some release lacks. :param always: those of all from 1.17 on.
    :param parts: the fields within a field, by its path; of all releases together.
    :param types: kind of value → the fields of that kind, by path.
    """

    config_file: Known
    settings: Mapping[str, Setting]
    fields: Mapping[str, Known]
    always: frozenset[str]
    parts: Mapping[str, frozenset[str]]
    types: Mapping[FieldKind, frozenset[str]]
    flags: Mapping[str, Flag]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kubelet(Component):
    """The kubelet."""

    gates: Mapping[str, Gate]
    by_hand: Mapping[str, ByHand]
    cri: Mapping[Cri, Known]
    server_names: Known
    ipv6: Known
    dual_stack: Known
    dual_stack_cloud: Known
    cgroup_v1: Known
    cgroup_v2: Known


@dataclass(frozen=True, slots=True, kw_only=True)
class KubeProxy(Component):
    """The kube-proxy."""

    modes: Mapping[str, Mode]


@dataclass(frozen=True, slots=True, kw_only=True)
class Containerd:
    """
    A release series of containerd.

    :param config: version of its config.toml. :param hosts_dir: it reads /etc/containerd/certs.d.
    :param sync_fs: it can write to the disk what it unpacks.
    :param bin_dirs: it calls the folders of CNI plugins so, and not `bin_dir`.
    :param fits: minors of Kubernetes that its makers recommend it for.
    """

    newest: Release
    cri: tuple[Cri, ...]
    config: Literal[2, 3, 4]
    hosts_dir: bool = True
    sync_fs: bool = True
    bin_dirs: bool = False
    fits: MinorRange
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Skew(Known):
    """Number of minors that these kubelets may be behind the apiserver."""

    behind: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CalicoEdge(Known):
    """
    Release series of Calico, from `first` to below `to`, that can't work on these minors.

    :param datastore: the datastore that this is about; None: any.
    """

    first: str = "0.0"
    to: str | None = None
    datastore: Literal["kubernetes", "etcd"] | None = None
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CalicoAble:
    """What Calico can from the release series `first` on."""

    first: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Calico:
    """Compatibility of Calico."""

    tested: Mapping[str, Known]
    vxlan_ipv6: CalicoAble
    impossible: tuple[CalicoEdge, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class KubeletCrossing:
    """
    What a kubelet does, or wants, where its release is on the other side of a minor.

    :param runtime: on nodes with that alone; empty: on all.
    """

    minor: int
    effect: str
    source: str
    runtime: Literal["", "containerd", "docker"] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerdWay:
    """A supported upgrade from one release series of containerd to another, not the next one."""

    old: str
    new: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ShimEdge:
    """
    What shims and daemons of containerd do to each other across a release series.

    :param series: the first that is on the other side.
    """

    series: str
    effect: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollback:
    """
    How a program goes back to a release of before.

    :param failed: where its upgrade fails. :param older: an older release may be configured.
    """

    failed: Literal["under pods", "without pods"]
    older: bool
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossings:
    """
    What changes of release do to pods that run.

    :param unready_at_start: kubelets whose start has all their pods leave the endpoints for a time.
    :param state_files: below the kubelet's root, what it starts from.
    """

    kubelet: tuple[KubeletCrossing, ...]
    unready_at_start: Known
    state_files: Mapping[str, Known]
    containerd: tuple[ContainerdWay, ...]
    shims: tuple[ShimEdge, ...]
    rollbacks: Mapping[Literal["kubelet patch", "kubelet minor", "containerd"], Rollback]


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """All release data."""

    kubernetes: MinorRange
    kubelet: Kubelet
    kube_proxy: KubeProxy
    runtimes: Mapping[Literal["containerd", "docker", "dockershim", "cri-dockerd"], Known]
    containerd: Mapping[str, Containerd]
    crossings: Crossings
    api: Mapping[str, Known]
    signers: Mapping[str, Known]
    skew: tuple[Skew, ...]
    checksums: Mapping[str, Known]
    calico: Calico


@cache
def matrix() -> Matrix:
    """
    Load the release data.

    :raises ConfigError: the file does not have their shape.
    """
    return made(Matrix, document(FILE.read_bytes()), str(FILE))


def document(content: bytes) -> Any:
    """Return what a file of release data holds, parsed unless it is the one that is known."""
    built = json.loads(BUILT.read_bytes())
    if built["sha256"] == hashlib.sha256(content).hexdigest():
        return built["document"]
    # Only who edits the file needs a parser of YAML here.
    from ..util.yaml_io import parse

    return parse(content)
