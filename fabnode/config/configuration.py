"""A loaded configuration: the cluster and its nodes, each with all its settings."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..util.problems import ConfigError, Problem, nearest
from .sections import (
    ArtifactSettings,
    BootstrapSettings,
    CalicoSettings,
    ClusterSettings,
    DeploySettings,
    ExtensionSettings,
    HostSettings,
    ImageSettings,
    KubeletSettings,
    KubeProxySettings,
    MaintenanceSettings,
    PathSettings,
    RuntimeSettings,
    SecretRef,
    SshSettings,
    TimeoutSettings,
    VerifySettings,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_MAX_SUGGESTIONS = 12

__all__ = ["Config", "Group", "Node", "SecretRef", "Taint"]


@dataclass(frozen=True, slots=True, order=True)
class Taint:
    """A taint; `effect` is NoSchedule, PreferNoSchedule or NoExecute, `value` may be empty."""

    key: str
    value: str
    effect: str

    @classmethod
    def parse(cls, text: str) -> Taint:
        """Read `key=value:Effect` or `key:Effect`."""
        pair, _, effect = text.rpartition(":")
        key, _, value = pair.partition("=")
        return cls(key, value, effect)

    def __str__(self) -> str:
        return (
            f"{self.key}={self.value}:{self.effect}" if self.value else f"{self.key}:{self.effect}"
        )


@dataclass(frozen=True, slots=True)
class Group:
    """A group of nodes. `max_parallel`: members worked on at once; None: no limit of its own."""

    name: str
    max_parallel: int | None = None


@dataclass(frozen=True, slots=True)
class Node:
    """
    A node with all its settings: the cluster's, its groups' in their order, its own.

    :param address: where SSH reaches it: an IPv4 or IPv6 address, maybe with an interface of this
        machine (`fe80::1%eth0`), or a host name.
    :param ip: the address that its kubelet serves on and that its certificate names.
    :param second_ip: its address of the other family; empty: it has none.
    """

    name: str
    address: str
    ip: str
    groups: tuple[str, ...]
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    taints: tuple[Taint, ...]
    ssh: SshSettings
    host: HostSettings
    runtime: RuntimeSettings
    kubelet: KubeletSettings
    kube_proxy: KubeProxySettings
    second_ip: str = ""

    @property
    def ips(self) -> tuple[str, ...]:
        """Its addresses, one of each family that it has; the first is its kubelet's."""
        return (self.ip, self.second_ip) if self.second_ip else (self.ip,)

    @property
    def startup_taints(self) -> tuple[Taint, ...]:
        """Taints of a node that registers; who takes them off is not fabnode."""
        return tuple(map(Taint.parse, self.kubelet.startup_taints))


@dataclass(frozen=True, slots=True)
class Config:
    """
    A whole, valid configuration.

    :param source: the file it was read from.
    :param registry_cas: content of `images.registries.NAME.ca`, by name; `registry_passwords`:
        once they were asked for.
    :param ca_pem: content of `cluster.ca`: one or more PEM certificates and no key.
    """

    source: Path
    ca_pem: bytes = field(repr=False)
    cluster: ClusterSettings
    ssh: SshSettings
    artifacts: ArtifactSettings
    runtime: RuntimeSettings
    images: ImageSettings
    kubelet: KubeletSettings
    kube_proxy: KubeProxySettings
    calico: CalicoSettings
    bootstrap: BootstrapSettings
    verify: VerifySettings
    timeouts: TimeoutSettings
    deploy: DeploySettings
    maintenance: MaintenanceSettings
    extensions: ExtensionSettings
    paths: PathSettings
    groups: Mapping[str, Group]
    nodes: tuple[Node, ...]
    registry_cas: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    registry_passwords: Mapping[str, str] = field(default_factory=dict, repr=False)

    def node(self, name: str) -> Node:
        """
        Return the node of this name.

        :raises ConfigError: where there is none; it suggests the nearest name.
        """
        for node in self.nodes:
            if node.name == name:
                return node
        hint = _hint(name, [node.name for node in self.nodes])
        raise ConfigError([self._unknown(f"no node is called {name!r}", hint)])

    def select(self, limit: str | None) -> tuple[Node, ...]:
        """
        Return the selected nodes in the configuration's order, each once.

        :param limit: names, addresses, groups and globs, separated by commas; None: all nodes.
        :raises ConfigError: where a name matches neither a node nor a group.
        """
        if limit is None:
            return self.nodes
        names = [name.strip() for name in limit.split(",") if name.strip()]
        problems = [] if names else [self._unknown("names no node", "give names or groups")]
        chosen: set[str] = set()
        for name in names:
            found = {node.name for node in self.nodes if _matches(name, node)}
            if not found and name not in self.groups:
                known = [*(node.name for node in self.nodes), *self.groups]
                hint = _hint(name, known)
                problems.append(self._unknown(f"no node or group is called {name!r}", hint))
            chosen |= found
        if problems:
            raise ConfigError(problems)
        return tuple(node for node in self.nodes if node.name in chosen)

    def _unknown(self, message: str, hint: str) -> Problem:
        return Problem(str(self.source), None, "", message, hint)


def _hint(name: str, known: list[str]) -> str:
    """Suggest the nearest known name, or list some where none is near."""
    some = ", ".join(known[:_MAX_SUGGESTIONS]) + (", …" if len(known) > _MAX_SUGGESTIONS else "")
    return nearest(name, known) or f"known names: {some}"


def _matches(pattern: str, node: Node) -> bool:
    names = (node.name, *node.groups)
    return pattern == node.address or any(fnmatch.fnmatchcase(n, pattern) for n in names)
