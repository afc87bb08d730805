"""Causes: which there are, which explains which, and what fixes one."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Final, Literal


@dataclass(frozen=True, slots=True)
class UnitAct:
    """Do something with a service on the host."""

    act: Literal["start", "restart", "unmask", "enable", "resume"]
    unit: str

    @property
    def command(self) -> str:
        """What is run there, as root."""
        match self.act:
            case "unmask":
                return f"systemctl unmask {self.unit}"
            case "enable":
                return f"systemctl enable --now {self.unit}"
            case "resume":
                return f"systemctl kill -s CONT {self.unit} && systemctl restart {self.unit}"
            case _:
                return f"systemctl {self.act} {self.unit}"

    @property
    def shown(self) -> str:
        """What is done, in a clause."""
        return self.command


@dataclass(frozen=True, slots=True)
class Deploy:
    """Deploy to the node."""

    shown: ClassVar[str] = "deploy to it"


@dataclass(frozen=True, slots=True)
class RestartPod:
    """Have the pod network's own pod on the node start again. `name`: namespace/name."""

    name: str
    uid: str

    @property
    def shown(self) -> str:
        """What is done, in a clause."""
        return f"have {self.name} start again"


@dataclass(frozen=True, slots=True)
class Approve:
    """Judge the node's signing requests, and approve what is proved."""

    shown: ClassVar[str] = "approve its signing requests that are proved"


Act = UnitAct | Deploy | RestartPod | Approve


@dataclass(frozen=True, slots=True)
class Fix:
    """
    What fixes a cause.

    :param text: a command, or what a person does. :param acts: what `--fix` does; nothing where a
        person has to judge.
    """

    text: str
    acts: tuple[Act, ...] = ()


@dataclass(frozen=True, slots=True)
class Cause:
    """
    One thing that is wrong with a node.

    :param key: which, of `EXPLAINS`. :param text: what is wrong, in a clause.
    :param seen: how that was seen: text of the host, or of the API.
    """

    key: str
    text: str
    seen: str
    fix: Fix


_NOT_REPORTING: Final = (
    *("kubelet-silent", "not-reporting", "unregistered", "not-ready", "kubelet-unreached"),
)
_KUBELET: Final = ("kubelet-crashes", "kubelet-down", *_NOT_REPORTING)
_PODS: Final = ("network-pod", "no-network", "pods-fail", "not-ready")
_NO_RUNTIME: Final = ("runtime-silent", *_KUBELET, "proxy-down", *_PODS)
_RUNTIME: Final = ("runtime-crashes", "runtime-disabled", "runtime-down", *_NO_RUNTIME)
_BALANCER: Final = (
    *("balancer-crashes", "balancer-disabled", "balancer-down", *_KUBELET),
    *("proxy-crashes", "network-pod", "drift"),
)
_HOST: Final = (*_RUNTIME, "proxy-crashes", "disk-pressure", "drift")
_CREDENTIALS: Final = ("api-refuses", *_KUBELET, "network-pod")

EXPLAINS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        # The way to the host, and the host itself.
        "api-away": (),
        "host-down": ("not-reporting", "not-ready", "network-pod", "kubelet-unreached"),
        # It is on: why its kubelet is silent as well, an SSH server that is away does not explain.
        "ssh-refused": (),
        "ssh-away": (),
        "host-key": (),
        "login-refused": (),
        "sudo-refused": (),
        "host-hangs": ("not-reporting", "not-ready"),
        "host-misbehaves": (),
        "clock-wrong": ("ca-differs", "api-unproved", "client-unusable", *_CREDENTIALS),
        "read-only": _HOST,
        "disk-full": _HOST,
        "inodes-used-up": _HOST,
        "tasks-used-up": _HOST,
        "folder-lost": ("client-lost", *_HOST),
        "no-resolv-conf": _PODS,
        # Whoever may write what a service starts with is root once it starts: that comes first,
        # and explains nothing.
        "others-write": (),
        # Whatever else is wrong with it, somebody wants it removed.
        "locked-out": ("cordoned", "tainted", "deleted", "unregistered", "api-refuses"),
        # The runtime.
        "runtime-masked": _RUNTIME,
        "runtime-program": _RUNTIME,
        "runtime-setting": (*_RUNTIME, "drift"),
        "runtime-frozen": _NO_RUNTIME,
        "runtime-crashes": _NO_RUNTIME,
        "runtime-disabled": ("runtime-down", *_NO_RUNTIME),
        "runtime-down": _NO_RUNTIME,
        "runtime-socket": _NO_RUNTIME,
        "runtime-silent": _NO_RUNTIME[1:],
        # Its way to several apiservers.
        "balancer-masked": _BALANCER,
        "balancer-program": _BALANCER,
        "balancer-setting": _BALANCER,
        "balancer-frozen": _BALANCER[3:],
        "balancer-crashes": _BALANCER[1:],
        "balancer-disabled": _BALANCER[2:],
        "balancer-down": _BALANCER[3:],
        # What keeps a kubelet from running.
        "kubelet-masked": ("kubelet-disabled", *_KUBELET, "drift"),
        "kubelet-program": ("client-lost", "kubelet-disabled", *_KUBELET, "drift"),
        "overridden": ("kubelet-flag", "kubelet-field", "proxy-set", *_KUBELET),
        "kubelet-flag": (*_KUBELET, "drift"),
        "kubelet-field": (*_KUBELET, "drift"),
        "swap-on": _KUBELET,
        "cgroup-v1": _KUBELET,
        "cgroup-driver": (*_KUBELET, "pods-fail"),
        "state-file": _KUBELET,
        "port-taken": _KUBELET,
        # What keeps a kubelet from the API.
        "name-unresolved": ("api-unreached", *_CREDENTIALS),
        "proxy-set": ("api-unreached", *_CREDENTIALS),
        "server-differs": ("api-unreached", *_CREDENTIALS, "drift"),
        "ca-differs": ("api-unproved", *_CREDENTIALS, "drift"),
        "api-unreached": _CREDENTIALS,
        "api-unproved": _CREDENTIALS,
        "token-refused": ("client-lost", *_CREDENTIALS),
        "request-denied": ("client-lost", *_CREDENTIALS),
        "request-unsigned": ("client-lost", *_CREDENTIALS),
        "request-waits": ("client-lost", *_CREDENTIALS),
        "client-unusable": _CREDENTIALS,
        "client-of-another": _CREDENTIALS,
        "client-lost": _CREDENTIALS,
        "webhook-refuses": ("api-refuses", "not-reporting", "unregistered", "not-ready"),
        "api-refuses": ("not-reporting", "unregistered", "not-ready"),
        # The kubelet as such.
        "kubelet-crashes": _NOT_REPORTING,
        "kubelet-disabled": ("kubelet-down", *_NOT_REPORTING),
        "kubelet-down": _NOT_REPORTING,
        "kubelet-frozen": _NOT_REPORTING,
        "kubelet-silent": ("not-reporting", "not-ready"),
        # Its Node object.
        "deleted": ("unregistered", "proxy-crashes", "proxy-down", "network-pod", "not-ready"),
        "unregistered": ("not-ready",),
        "leaving": (),
        "other-machine": ("not-reporting", "not-ready"),
        "address-gone": ("not-ready", "kubelet-unreached"),
        "skew": ("not-ready",),
        # The pods' network, and what starts pods.
        "other-network": _PODS,
        "program-lost": ("proxy-crashes", "proxy-down", "plugin-lost", *_PODS),
        "sandbox-image": _PODS,
        "forwarding-off": ("network-pod",),
        "proxy-masked": ("proxy-crashes", "proxy-down", "network-pod"),
        "proxy-crashes": ("proxy-down", "network-pod"),
        "proxy-down": ("network-pod",),
        "network-config": ("no-network", "pods-fail", "not-ready"),
        "plugin-lost": _PODS,
        "network-pod": ("no-network", "pods-fail", "not-ready"),
        "no-network": ("pods-fail", "not-ready"),
        "pods-fail": (),
        # Ready, and of no use, or not for all.
        "disk-pressure": (),
        "memory-pressure": (),
        "task-pressure": (),
        "not-reporting": ("not-ready",),
        "not-ready": (),
        "cordoned": (),
        "excluded": (),
        "uninitialized": (),
        "tainted": (),
        "pods-full": (),
        "serving-waits": ("kubelet-unreached",),
        "kubelet-unreached": (),
        "drift": (),
    }
)
"""
Each cause, and the others that it explains where both are found. In this order they are named.

So a cause stands before all that it explains; tests hold the table to that.
"""

_RANK: Final = {key: rank for rank, key in enumerate(EXPLAINS)}

# What is hardly one node's own fault where several have it.
SHARED: Final = frozenset(
    {
        "api-unreached",
        "api-unproved",
        "api-refuses",
        "webhook-refuses",
        "request-unsigned",
        "request-waits",
        "network-pod",
        "host-down",
        "name-unresolved",
        "ca-differs",
        "clock-wrong",
        "serving-waits",
        "kubelet-unreached",
    }
)


@dataclass(frozen=True, slots=True)
class Common:
    """A cause that several nodes share. :param nodes: which, sorted."""

    cause: Cause
    nodes: tuple[str, ...]


def ranked(found: Collection[Cause]) -> tuple[Cause, ...]:
    """Return causes in order, what explains others first; of one key the first alone."""
    first: dict[str, Cause] = {}
    for cause in found:
        first.setdefault(cause.key, cause)
    return tuple(sorted(first.values(), key=lambda cause: _RANK[cause.key]))


def explained(causes: Sequence[Cause]) -> dict[str, str]:
    """Return key → key of the first cause that explains it, of those that one does."""
    found: dict[str, str] = {}
    for cause in causes:
        for key in EXPLAINS[cause.key]:
            found.setdefault(key, cause.key)
    present = {cause.key for cause in causes}
    return {key: by for key, by in found.items() if key in present}


def roots(causes: Sequence[Cause]) -> tuple[Cause, ...]:
    """Return the causes that no other one explains."""
    known = explained(causes)
    return tuple(cause for cause in causes if cause.key not in known)


def common(found: Mapping[str, Sequence[Cause]]) -> tuple[Common, ...]:
    """
    Return what several nodes share, and is hardly their own fault.

    Of each node its first cause counts: what is wrong besides may come of that in ways unknown.
    """
    nodes: dict[str, list[str]] = {}
    causes: dict[str, Cause] = {}
    for name in sorted(found):
        for cause in found[name][:1]:
            if cause.key in SHARED:
                nodes.setdefault(cause.key, []).append(name)
                causes.setdefault(cause.key, cause)
    shared = [key for key, names in nodes.items() if len(names) > 1]
    return tuple(
        Common(causes[key], tuple(nodes[key])) for key in sorted(shared, key=_RANK.__getitem__)
    )
