"""Which of Kubernetes' tests are run, on nodes in which forms, and how long they may take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ..errors import LabInputError

T = TypeVar("T")

PROCESSES = 2  # tests at once: with more, the lab's two cores make them time out
NODES = 3

# What no part runs: tests that break nodes or want the cluster for themselves, and those that need
# what a lab has not (a registry, SCTP in its kernel, another family of addresses).
NEVER = (
    r"\[Serial\]",
    r"\[Disruptive\]",
    r"pull policy of Always",
    r"SCTP",
    r"\[Feature:.*(IPv6|LoadBalancer)",
)


@dataclass(frozen=True, slots=True)
class Part:
    """
    Some of the tests.

    :param focus: expressions, of which one matches the whole name of each test that is run.
    :param skip: and those of which none does, beside `NEVER`.
    :param minutes: after which what has not ended is cut off, and counts as failed.
    """

    name: str
    focus: tuple[str, ...]
    minutes: int
    skip: tuple[str, ...] = ()


PARTS = (
    Part("net-conf", (r"\[sig-network\].*\[Conformance\]",), 60),
    Part("node-storage", (r"\[sig-(node|storage)\].*\[Conformance\]",), 90),
    Part("netpol", (r"\[sig-network\] Netpol",), 120),
    Part(
        "more",
        (
            r"\[sig-network\] (Conntrack|Connectivity Pod Lifecycle|HostPort|KubeProxy)\b",
            r"\[sig-network\] (LocalhostNodePorts|NoSNAT|Networking|Services|Traffic Dist)",
        ),
        90,
        (r"\[Conformance\]", r"\[Feature:", r"\[Slow\]", r"LoadBalancer", r"Internet connection"),
    ),
)


@dataclass(frozen=True, slots=True)
class Form:
    """
    What nodes are like.

    :param changes: of the lab's configuration of fabnode.
    :param vm: nodes are virtual machines: cgroup v2. Slow where they must be emulated, so only run
        when it is asked for.
    """

    name: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    vm: bool = False


FORMS = (
    Form("iptables-vxlan"),
    Form(
        "nftables-crosssubnet",
        {"kube_proxy": {"mode": "nftables"}, "calico": {"encapsulation": "CrossSubnet"}},
    ),
    Form("cgroup-v2", vm=True),
)


def parts(names: str) -> list[Part]:
    """
    Return the parts of these names, separated by commas; all if there is none.

    :raises LabInputError: there is no such part.
    """
    known = {part.name: part for part in PARTS}
    return [_known(name, known) for name in _split(names) or known]


def forms(names: str) -> list[Form]:
    """
    Return the forms of these names; without any, those of containers.

    :raises LabInputError: there is no such form.
    """
    known = {form.name: form for form in FORMS}
    usual = [form.name for form in FORMS if not form.vm]
    return [_known(name, known) for name in _split(names) or usual]


def _split(names: str) -> list[str]:
    return [name for name in names.split(",") if name]


def _known(name: str, known: Mapping[str, T]) -> T:
    if name not in known:
        raise LabInputError(f"{name!r} is none of {', '.join(known)}")
    return known[name]
