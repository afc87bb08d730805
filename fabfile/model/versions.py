"""
What differs between releases of Kubernetes and Calico, as data.

Sources stand beside the data: RN-x are the release notes of Kubernetes x, the rest are the
projects' own documents. Only what fabnode decides by is here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_RELEASE = re.compile(r"v?(0|[1-9]\d{0,3})\.(0|[1-9]\d{0,3})\.(0|[1-9]\d{0,3})", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class Release:
    """A release `major.minor.patch` of Kubernetes or Calico. Printed without a `v`."""

    major: int
    minor: int
    patch: int

    @classmethod
    def parse(cls, text: str) -> Release:
        """Read `1.37.2` or `v1.37.2`; a ValueError on anything else, pre-releases included."""
        if not (found := _RELEASE.fullmatch(text)):
            msg = f"{text!r} is no release like 1.37.2"
            raise ValueError(msg)
        major, minor, patch = found.groups()
        return cls(int(major), int(minor), int(patch))

    @property
    def series(self) -> str:
        """Return `major.minor`."""
        return f"{self.major}.{self.minor}"

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


@dataclass(frozen=True, slots=True)
class Span:
    """Minors of Kubernetes 1.x, from `since` up to and without `until`; None: open."""

    since: int = 0
    until: int | None = None

    def __contains__(self, minor: int) -> bool:
        return self.since <= minor and (self.until is None or minor < self.until)


KUBERNETES = Span(30, 38)
"""The minors fabnode renders for."""

KUBELET_FIELDS: Mapping[str, Span] = MappingProxyType(
    {
        # k8s.io/kubelet config/v1beta1 types.go, compared across tags
        "memorySwap": Span(22),
        "registerNode": Span(23),
        "registerWithTaints": Span(23),
        "containerRuntimeEndpoint": Span(27),
        "imageServiceEndpoint": Span(27),
        "failCgroupV1": Span(31),
    }
)
"""Fields of KubeletConfiguration that not every release knows."""

KUBE_PROXY_FIELDS: Mapping[str, Span] = MappingProxyType(
    {
        # k8s.io/kube-proxy config/v1alpha1 types.go, compared across tags
        "udpIdleTimeout": Span(0, 26),
        "nftables": Span(29),
    }
)
"""Fields of KubeProxyConfiguration that not every release knows."""

PROXY_MODES: Mapping[str, Span] = MappingProxyType(
    {
        "iptables": Span(),
        "ipvs": Span(8, 40),  # deprecated 1.35, its gate goes off in 1.40 (KEP-5495)
        "nftables": Span(29),  # alpha 1.29, beta 1.31, GA 1.33 (KEP-3866)
    }
)

CGROUP_V1_REFUSED = 35
"""From this minor on the kubelet refuses cgroup v1 unless failCgroupV1 is false (RN-1.35)."""

CALICO_TESTED: Mapping[str, Span] = MappingProxyType(
    {
        # "We test Calico vX against the following Kubernetes versions", Calico's requirements page
        "3.28": Span(27, 31),
        "3.29": Span(29, 32),
        "3.30": Span(31, 36),
        "3.31": Span(32, 36),
        "3.32": Span(34, 37),
    }
)
"""Kubernetes minors each Calico series was tested with by its makers."""


@dataclass(frozen=True, slots=True)
class CalicoEdge:
    """
    A pair that can't work: Calico minors (of 3.x) on Kubernetes minors, and why.

    :param datastores: with which it can't.
    """

    calico: Span
    kubernetes: Span
    why: str
    datastores: tuple[str, ...] = ("kubernetes", "etcd")


CALICO_EDGES = (
    CalicoEdge(
        Span(0, 15),
        Span(22),
        "its custom resources use apiextensions.k8s.io/v1beta1, which is gone since 1.22",
        ("kubernetes",),
    ),
    CalicoEdge(
        Span(15),
        Span(0, 16),
        "its custom resources need apiextensions.k8s.io/v1, new in 1.16",
        ("kubernetes",),
    ),
    CalicoEdge(
        Span(0, 23),
        Span(25),
        "its PodDisruptionBudget uses policy/v1beta1, which is gone since 1.25",
    ),
    CalicoEdge(
        # Calico's requirements page; seen with 3.28.5 on 1.20.2
        Span(28),
        Span(0, 21),
        "before 1.21 its custom resources are rejected for their nulls (with etcd it runs)",
        ("kubernetes",),
    ),
)

POLICY_V1 = 21
"""From this minor on there is policy/v1, which Calico's manifests have since 3.23."""


def calico_impossible(
    calico: Release, kubernetes: Release, datastore: str = "kubernetes"
) -> str | None:
    """Return why this Calico can't run on this Kubernetes, None where nothing is known against."""
    for edge in CALICO_EDGES:
        fits = calico.minor in edge.calico and kubernetes.minor in edge.kubernetes
        if fits and datastore in edge.datastores:
            return edge.why
    return None


def calico_tested(calico: Release, kubernetes: Release) -> bool:
    """Tell whether Calico's makers tested this pair."""
    return kubernetes.minor in CALICO_TESTED.get(calico.series, Span(0, 0))


def calico_for(kubernetes: Release) -> str | None:
    """Return the newest Calico series tested with this Kubernetes, None where there is none."""
    fitting = [series for series, span in CALICO_TESTED.items() if kubernetes.minor in span]
    return max(fitting, key=lambda series: int(series.split(".")[1]), default=None)
