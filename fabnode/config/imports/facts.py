"""What a source says, in our keys: taken, without counterpart, or for somebody to decide."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..starter import Network

if TYPE_CHECKING:
    from .values import Place, Value


@dataclass(frozen=True, slots=True)
class Taken:
    """
    A setting of ours, and where it comes from.

    :param key: ours, dotted, as `kubelet.max_pods`; of a node `labels`, `ssh.user`.
    :param names: of the source's settings; empty: what their tool does where nothing is set.
    :param doubt: what a person has to check; empty: nothing.
    :param several: of `cluster.apiserver` all of them, where there are several.
    """

    key: str
    value: Any
    place: Place | None
    name: str
    doubt: str = ""
    several: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Open:
    """A setting of ours that somebody has to decide: `key` is empty where it is none of ours."""

    key: str
    why: str
    place: Place | None = None
    name: str = ""


@dataclass(frozen=True, slots=True)
class Without:
    """A setting of the source's that has no counterpart here, and what fabnode does instead."""

    name: str
    place: Place | str
    why: str


@dataclass(frozen=True, slots=True)
class Machine:
    """
    A host of the source.

    :param ip: of its kubelet, where it is not `address`.
    :param control: whether it is one of the control plane; where the source has that.
    :param doubts: of its name or address.
    """

    name: str
    place: Place
    address: str
    ip: str | None = None
    control: bool = False
    worker: bool = True
    doubts: tuple[str, ...] = ()
    taken: tuple[Taken, ...] = ()
    open: tuple[Open, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """
    All that a source says.

    :param tool: that it is for. :param sources: files that were read, the main one first.
    :param ca: where the cluster's CA lies, to complete "copy it from …"; likewise `kubeconfig`.
    """

    tool: str
    sources: tuple[str, ...]
    taken: tuple[Taken, ...]
    open: tuple[Open, ...]
    without: tuple[Without, ...]
    machines: tuple[Machine, ...]
    network: Network
    own_kube_proxy: bool = False
    ca: str
    kubeconfig: str


@dataclass(slots=True)
class Ledger:
    """Collects what becomes of each setting; one that is used is never listed as unknown."""

    taken: list[Taken] = field(default_factory=list)
    open: list[Open] = field(default_factory=list)
    without: list[Without] = field(default_factory=list)
    _seen: set[int] = field(default_factory=set)
    _kept: list[Value] = field(default_factory=list)  # so that no identity is used twice

    def take(self, key: str, value: Any, source: Value, name: str, doubt: str = "") -> None:
        """Take a setting."""
        self.use(source)
        self.taken.append(Taken(key, value, source.place, name, doubt))

    def assume(self, key: str, value: Any, tool: str, doubt: str = "") -> None:
        """Take what a tool does where nothing is set."""
        self.taken.append(Taken(key, value, None, f"{tool}'s default", doubt))

    def has(self, key: str) -> bool:
        """Whether a setting of ours was taken, or left for somebody to decide."""
        return key in {*(each.key for each in self.taken), *(each.key for each in self.open)}

    def leave_open(self, key: str, why: str, source: Value | None = None, name: str = "") -> None:
        """Leave a setting for somebody to decide."""
        if source:
            self.use(source)
        self.open.append(Open(key, why, source.place if source else None, name))

    def drop(self, name: str, source: Value, why: str) -> None:
        """Name a setting that has no counterpart."""
        if not self.seen(source):
            self.use(source)
            self.without.append(Without(name, source.place, why))

    def use(self, source: Value | None) -> None:
        """Note that a setting is accounted for."""
        for each in (source.of or (source,)) if source is not None else ():
            self._seen.add(id(each))
            self._kept.append(each)

    def seen(self, source: Value) -> bool:
        """Say whether a setting is accounted for."""
        return all(id(each) in self._seen for each in source.of or (source,))
