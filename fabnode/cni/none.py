"""No pod network of fabnode's: the cluster brings its own."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

from .protocol import Diagnosis, Leftovers, Turn

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from ..config.configuration import Config
    from .protocol import Object, Port, Reader, Right, Rollout, Writer


@dataclass(frozen=True, slots=True)
class NoNetwork:
    """Installs nothing, needs nothing, and is never waited for."""

    config: Config

    name: ClassVar[str] = ""
    setting: ClassVar[str] = ""
    timeout: ClassVar[float] = 0
    manifest: ClassVar[None] = None
    files: ClassVar[Mapping[str, Path]] = MappingProxyType({})
    first_images: ClassVar[tuple[str, ...]] = ()
    next_images: ClassVar[tuple[str, ...]] = ()
    kernel_modules: ClassVar[Mapping[str, str]] = MappingProxyType({})
    ports: ClassVar[tuple[Port, ...]] = ()
    nic_mtu: ClassVar[None] = None
    runs_on_nodes: ClassVar[bool] = False
    interfaces: ClassVar[tuple[str, ...]] = ("cni", "flannel", "cilium", "lxc", "weave", "veth")
    leftovers: ClassVar[Leftovers] = Leftovers()  # whatever it is, it is not fabnode's
    conf_name: ClassVar[str] = ""
    rights: ClassVar[tuple[Right, ...]] = ()
    optional_rights: ClassVar[tuple[Right, ...]] = ()
    removal_rights: ClassVar[tuple[Right, ...]] = ()

    def with_manifest(self, _path: Path) -> Config:
        """Return the configuration as it is."""
        return self.config

    def objects(
        self, _manifest: bytes, _cni_plugins: Collection[str], _files: Mapping[str, bytes]
    ) -> tuple[Object, ...]:
        """Return no objects."""
        return ()

    def secret(self, _objects: Collection[Object]) -> bytes:
        """Return nothing: there are no objects."""
        return b""

    def images(self, _objects: Collection[Object]) -> list[str]:
        """Return no images."""
        return []

    def rollout(self, _api: Reader, _changed: Collection[Object]) -> None:
        """Return None: it has no pods."""

    def turn(self, _rollout: Rollout, _minors: Collection[int]) -> Turn:
        """Return any: it is not rolled."""
        return Turn()

    def by_hand(self, objects: Collection[Object]) -> tuple[Object, ...]:
        """Return the objects, of which there are none."""
        return tuple(objects)

    def older_pods(self, _api: Reader, _nodes: Collection[str]) -> Mapping[str, str]:
        """Return nothing: it has no pods."""
        return {}

    def workload(self, _api: Reader) -> Object | None:
        """Return nothing: it has none."""
        return None

    def held(self, _api: Reader, _node: str) -> str:
        """Return nothing: what it holds is not known here."""
        return ""

    def release(self, _api: Writer, _node: str) -> str:
        """Return nothing: what it holds is not known here."""
        return ""

    def not_ready(self, _api: Reader, _nodes: Collection[str]) -> str | None:
        """Return None: nothing is missing."""
        return None

    def is_stuck(self, _api: Reader, _nodes: Collection[str]) -> bool:
        """Return False: it is never waited for."""
        return False

    def outdated(self, _api: Reader, _nodes: Collection[Object]) -> tuple[str, ...]:
        """Return nothing: it has no pods."""
        return ()

    def own_pod(self, _pods: Collection[Object]) -> Object | None:
        """Return None: it has no pods."""
        return None

    def elsewhere(self, _api: Reader, _nodes: Collection[str]) -> str:
        """Return nothing: it is never waited for."""
        return ""

    def followed(self, _api: Reader) -> tuple[Object, ...]:
        """Return nothing: there is nothing to compare."""
        return ()

    def drift(self, _api: Reader, _applied: Collection[Object] = ()) -> None:
        """Return None: there is nothing to compare."""

    def cut_off(self, _api: Reader) -> None:
        """Return None: there is nothing to compare."""

    def knows_apiserver(self, _api: Reader) -> bool:
        """Return True: it has no pods that would ask."""
        return True

    def diagnosis(self, _api: Reader, _nodes: Collection[str]) -> Diagnosis:
        """Return an empty one: it is never waited for."""
        return Diagnosis("", "")

    def running(self, _nodes: Collection[str]) -> str:
        """Return nothing: nothing runs."""
        return ""
