"""The interface of a pod network: what fabnode must know of one to install it and wait for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from ..config.configuration import Config
    from ..releases.version import Release

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Manifest:
    """
    The manifest that a network is installed from.

    :param setting: key in the configuration that names it.
    :param source: file on the deployer, or https URL. :param sha256: hex; None: not checked.
    :param published: where its makers publish it; empty: unknown.
    """

    setting: str
    source: Path | str
    sha256: str | None
    published: str = ""


@dataclass(frozen=True, slots=True)
class Port:
    """
    What a node must admit from others.

    :param protocol: tcp, udp, or one without ports (ipip). :param number: 0 where it has no ports.
    :param purpose: what comes in by it, and from where.
    """

    protocol: str
    number: int
    purpose: str

    def __str__(self) -> str:
        name = f"{self.number}/{self.protocol}" if self.number else self.protocol.upper()
        return f"{name} ({self.purpose})"


@dataclass(frozen=True, slots=True)
class Right:
    """A right at the API that a network takes beside those to apply its objects."""

    namespace: str
    group: str
    resource: str
    verbs: tuple[str, ...]
    names: tuple[str, ...] = ()  # none: all


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """
    Why a network is not ready, or not what the configuration says.

    :param cause: one line that names nodes. :param advice: next command.
    :param known: False: it could not be found out, for the reason in `cause`.
    """

    cause: str
    advice: str
    known: bool = True


@dataclass(frozen=True, slots=True)
class Rollout:
    """
    Replacement of a network's pods on nodes where they run already.

    :param text: one line: which release follows which, and what is replaced.
    :param nodes: those on which such a pod is ready. :param placed: those that have one at all.
    :param new_images: they run other images then.
    :param older: the release is older than the one that runs.
    :param before, after: the releases; None: not known.
    """

    text: str
    nodes: frozenset[str]
    new_images: bool
    older: bool = False
    before: Release | None = None
    after: Release | None = None
    placed: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Turn:
    """
    When a network is changed in an upgrade of its nodes.

    :param last: after the nodes; else before them.
    :param warning: why its makers tested neither; empty: they did. :param advice: what they did.
    """

    last: bool = False
    warning: str = ""
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Leftovers:
    """
    What a pod network leaves on a node when its pods have gone.

    :param chains: beginnings of the names of iptables chains, `-` at their end.
    :param networks: names of its CNI networks.
    :param interfaces: patterns of whole names, each with the kind of interface.
    :param sets: patterns of whole names of ipsets. :param tables: of nft, `family name`.
    :param route_protocols: of its routes to pods, as `ip route` names them.
    :param files: in the folder of CNI configuration; `plugins`: in that of CNI programs, where
        others may have brought those of the same name; `own_plugins`: that bear its own name.
    :param folders: that hold nothing but its own.
    :param settings: files of kernel settings that it writes.
    """

    chains: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    interfaces: Mapping[str, str] = field(default_factory=dict)
    sets: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    route_protocols: frozenset[str] = frozenset()
    files: tuple[str, ...] = ()
    plugins: tuple[str, ...] = ()
    own_plugins: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()


class Reader(Protocol):
    """The reading half of an API client."""

    def get(self, path: str, **query: str) -> Object:
        """Return an object or a list."""

    def find(self, path: str) -> Object | None:
        """Return an object; None where there is none."""


class Writer(Reader, Protocol):
    """An API client, as far as a network writes by one."""

    def patch(self, path: str, body: Object) -> Object:
        """Change an object by a merge patch."""

    def delete(self, path: str, *, version: str = "") -> None:
        """Delete an object, if it still exists; with `version` only as it was seen."""


class Cni(Protocol):
    """
    One pod network, as one configuration wants it.

    A new one is a module that implements this, and its line in `registry.NETWORKS`.
    """

    @property
    def name(self) -> str:
        """Its name in messages; empty: fabnode installs none."""

    @property
    def setting(self) -> str:
        """The key of its section in the configuration."""

    @property
    def timeout(self) -> float:
        """Seconds to wait for it on the nodes of a run."""

    @property
    def manifest(self) -> Manifest | None:
        """What it is installed from."""

    @property
    def files(self) -> Mapping[str, Path]:
        """Further files on the deployer that its objects hold, by their settings."""

    @property
    def first_images(self) -> tuple[str, ...]:
        """Parts of names of images without which a node gets no network, in order."""

    @property
    def next_images(self) -> tuple[str, ...]:
        """Parts of names of images that its nodes run all the time: loaded before others."""

    @property
    def kernel_modules(self) -> Mapping[str, str]:
        """Kernel modules that it needs on nodes, each with its purpose."""

    @property
    def ports(self) -> tuple[Port, ...]:
        """What its nodes send to each other, and firewalls must admit."""

    @property
    def nic_mtu(self) -> int | None:
        """The MTU that a node's NIC must have for what pods send; None: it follows the NIC."""

    @property
    def runs_on_nodes(self) -> bool:
        """Whether it gives pods their network; False: something that fabnode leaves alone does."""

    @property
    def interfaces(self) -> tuple[str, ...]:
        """Beginnings of the names of interfaces that it makes on nodes."""

    @property
    def leftovers(self) -> Leftovers:
        """What it leaves on a node."""

    @property
    def conf_name(self) -> str:
        """Name of its file among those of which runtimes take the first; empty: not known here."""

    @property
    def rights(self) -> tuple[Right, ...]:
        """Rights to see whether it runs."""

    @property
    def optional_rights(self) -> tuple[Right, ...]:
        """Rights without which what it uses is not compared, and its pods are not renewed."""

    @property
    def removal_rights(self) -> tuple[Right, ...]:
        """Rights to release what it holds for a removed node; its own controllers do it else."""

    def with_manifest(self, path: Path) -> Config:
        """Return the configuration with this manifest, unchecked, in place of its own."""

    def objects(
        self, manifest: bytes, cni_plugins: Collection[str], files: Mapping[str, bytes]
    ) -> tuple[Object, ...]:
        """
        Return its objects for this cluster.

        :param cni_plugins: plugins that the runtime step installs, which it is to leave alone.
        :param files: contents of `files`; none where only the names of its objects count.
        :raises InputError: the manifest, or a file, is not what the configuration says.
        """

    def secret(self, objects: Collection[Object]) -> bytes:
        """Return what no message may hold of its objects; empty: nothing."""

    def images(self, objects: Collection[Object]) -> list[str]:
        """Return the images that its pods run."""

    def rollout(self, api: Reader, changed: Collection[Object]) -> Rollout | None:
        """
        Return how its pods would be replaced by applying these objects; None: not at all.

        :param changed: workloads that are there and whose pods would be other ones.
        """

    def turn(self, rollout: Rollout, minors: Collection[int]) -> Turn:
        """
        Return when it is to be rolled in an upgrade.

        :param minors: of all Kubernetes releases that run in the cluster meanwhile.
        """

    def by_hand(self, objects: Collection[Object]) -> tuple[Object, ...]:
        """Return the objects, its pods on nodes replaced only where somebody deletes them."""

    def older_pods(self, api: Reader, nodes: Collection[str]) -> Mapping[str, str]:
        """Return by node the path of its pod there, where that is of a template of before."""

    def workload(self, api: Reader) -> Object | None:
        """Return the workload whose pods give nodes their network; None: there is none."""

    def held(self, api: Reader, node: str) -> str:
        """Return what it holds for a node beside the cluster's objects, as text; or nothing."""

    def release(self, api: Writer, node: str) -> str:
        """Release what it holds for a node that is gone, with all of its pods; return what."""

    def not_ready(self, api: Reader, nodes: Collection[str]) -> str | None:
        """Return what of it does not run on these nodes yet; None: all of it does."""

    def is_stuck(self, api: Reader, nodes: Collection[str]) -> bool:
        """Return whether all that is not ready on these nodes fails to start, again and again."""

    def outdated(self, api: Reader, nodes: Collection[Object]) -> tuple[str, ...]:
        """
        Return the paths of its pods that have to start again, on nodes that registered again.

        :param nodes: Node objects.
        """

    def own_pod(self, pods: Collection[Object]) -> Object | None:
        """Return the pod by which it gives a node its network, of all pods there; None: none."""

    def elsewhere(self, api: Reader, nodes: Collection[str]) -> str:
        """Return what of it is not ready on other nodes, and so is not waited for; or nothing."""

    def followed(self, api: Reader) -> tuple[Object, ...]:
        """
        Return what to apply of what it made itself, where that differs and it is followed live.

        :raises ApiError: 403 where the account lacks `optional_rights`.
        """

    def drift(self, api: Reader, applied: Collection[Object] = ()) -> Diagnosis | None:
        """
        Return how what it uses differs from the configuration, where applying changes nothing.

        :param applied: some of `followed`: as it will be with these.
        :raises ApiError: 403 where the account lacks `optional_rights`.
        """

    def cut_off(self, api: Reader) -> Diagnosis | None:
        """
        Return why pods would be cut off where its pods on nodes become those of its objects.

        :raises ApiError: 403 where the account lacks `optional_rights`.
        """

    def knows_apiserver(self, api: Reader) -> bool:
        """
        Return whether its pods on nodes have the apiserver's address, beside its Service.

        :raises ApiError: 403 where the account lacks `optional_rights`.
        """

    def diagnosis(self, api: Reader, nodes: Collection[str]) -> Diagnosis:
        """Return why it is not ready on these nodes, asked once when the wait for it is over."""

    def running(self, nodes: Collection[str]) -> str:
        """Return what runs on these nodes once nothing is missing."""
