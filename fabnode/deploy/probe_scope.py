"""Scope of a probe: paths, units and settings it must report, derived from the steps."""

from __future__ import annotations

from functools import lru_cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from ..node import copies, layout
from ..node.facts import Named, Watchlist
from ..node.resources import (
    Absent,
    Binary,
    ClientCertificate,
    Command,
    Directory,
    ExistingSecret,
    File,
    Image,
    Module,
    RemovedUnit,
    Retired,
    Superseded,
    Sysctl,
    Unit,
)
from ..steps import environment, kubelet_paths
from ..steps.checks import node_certificates

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from ..config.configuration import Config, Node
    from ..node.artifacts import Artifact
    from ..node.resources import Resource


def watchlist(
    resources: Collection[Resource],
    *,
    config: Config,
    node: Node,
    deep: bool,
    held: Iterable[Artifact] = (),
) -> Watchlist:
    """
    Return what to probe, given all that the steps would want of an unprobed node.

    :param held: the deployer's files, of which the host may have copies elsewhere.
    """
    writable: list[str] = []
    text: list[str] = [layout.kept_tag(config.paths.state)]
    opaque: list[str] = [layout.KUBELET_KUBECONFIG, layout.reset_record(config.paths.state)]
    folders: list[str] = []
    units: list[str] = []
    sysctls: list[str] = []
    modules: list[str] = []
    store = "containerd"
    for resource in resources:
        above = _folders(getattr(resource, "path", "/"))
        folders += above
        if isinstance(resource, File | Binary | Directory):
            writable.append(above[0])
        match resource:
            case File(secret=False):
                text.append(resource.path)
            case Directory():
                folders.append(resource.path)
            case File() | ExistingSecret() | Binary() | Absent() | Retired() | Superseded():
                opaque.append(resource.path)
            case Unit():
                units.append(resource.name)
            case RemovedUnit():
                units.append(resource.name)
                opaque.append(resource.path)
            case Sysctl():
                sysctls.append(resource.key)
            case Module():
                modules.append(resource.name)
            case Image():
                store = resource.store
            case ClientCertificate():
                opaque.append(resource.bootstrap)
            case Command():
                opaque.append(resource.marker)
            case _:
                pass
    return Watchlist(
        text=tuple(dict.fromkeys(text)),
        opaque=tuple(dict.fromkeys(opaque)),
        folders=tuple(dict.fromkeys(folders)),
        certificates=tuple(node_certificates.certificate_paths(node).values()),
        servers=(layout.KUBELET_KUBECONFIG, layout.KUBEADM_KUBECONFIG),
        units=tuple(units),
        sysctls=tuple(sysctls),
        modules=tuple(modules),
        free=tuple(environment.room(config, node)),
        writable=tuple(dict.fromkeys(writable)),
        mounts=environment.mounts(config, node),
        ports=layout.ports(balanced=config.cluster.balanced),
        store=store,
        ctr=f"{config.paths.programs}/ctr",
        state=config.paths.state,
        cni_conf=config.paths.cni_conf,
        obeyed=(*kubelet_paths.configured(node), *_runtime_paths(config, node)),
        programs=copies.wanted(resources, held),
        copy_folders=tuple(
            dict.fromkeys((config.paths.programs, config.paths.cni_bin, *copies.FOLDERS))
        ),
        deep=deep,
    )


@lru_cache(4096)  # most paths are the same on all nodes
def _folders(path: str) -> tuple[str, ...]:
    """Return the folders that a path leads through, the nearest first."""
    return tuple(map(str, PurePosixPath(path).parents))


def _runtime_paths(config: Config, node: Node) -> tuple[Named, ...]:
    """
    Return the folders by whose files the runtime chooses networks and registries.

    A network's file names programs that it runs as root; a registry's, where images come from.
    """
    found = [Named(config.paths.cni_conf, "paths.cni_conf", runs=False)]
    if node.runtime.name == "containerd":
        found.append(Named(layout.CONTAINERD_CERTS, "containerd's config_path", runs=False))
    return tuple(found)
