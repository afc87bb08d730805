"""Scope of a reset, and of the record before the first change: both follow from the steps."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from ..artifacts import store
from ..cni.registry import network
from ..node import layout
from ..node.conventions import SERVICES
from ..node.facts import UNKNOWN
from ..node.host_traces import Scope
from ..node.resources import (
    Absent,
    Binary,
    ClientCertificate,
    Directory,
    ExistingSecret,
    File,
    Module,
    Sysctl,
    own_parents,
)
from ..node.surroundings import SETTINGS, setting_file
from ..remote.survey import Observed
from ..steps.inputs import Inputs, Issued
from .desired_state import desired_state

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..config.configuration import Config, Node
    from ..node.resources import Resource
    from ..steps.step import Step

# Of Kubernetes and containerd alone, whatever is configured.
_TREES = (
    "/run/containerd",
    "/opt/containerd",
    "/var/lib/cni",
    "/var/log/pods",
    "/var/log/containers",
    "/usr/libexec/kubernetes",
)
# Of containerd, but other runtimes have theirs there as well.
_SHARED_TREES = ("/run/nri",)
_FOLDERS = ("/etc/kubernetes/manifests", "/var/lib/kube-proxy")
_BESIDE = ("previous", "old")  # see scripts/apply: files that wait beside others


def resources_of(config: Config, node: Node, steps: Sequence[Step]) -> tuple[Resource, ...]:
    """Return all that the steps would want of an unprobed node."""
    inputs = Inputs(
        config=config,
        node=node,
        facts=UNKNOWN,
        artifacts=store.expected(config).of(UNKNOWN),
        issued=Issued(),
        now=datetime.now(UTC),
    )
    return tuple(desired_state(steps, inputs))


def scope_of(config: Config, node: Node, resources: Iterable[Resource]) -> Scope:
    """Return what a deployment of these has on a host, or starts there."""
    paths, left = config.paths, network(config).leftovers
    wanted = tuple(resources)
    made = [
        layout.KUBELET_KUBECONFIG,
        *(f"{paths.cni_conf}/{name}" for name in left.files),
        *(f"{paths.cni_bin}/{name}" for name in left.own_plugins),
    ]
    files = list(made)
    folders = list(_FOLDERS)
    for each in wanted:
        match each:
            case File() | Binary() | ExistingSecret() | Absent():
                files.append(each.path)
            case ClientCertificate(bootstrap=path):
                files.append(path)
                made.append(path)
            case Directory(path=path):
                folders.append(path)
            case _:
                pass
    settings = [setting_file(each.key) for each in wanted if isinstance(each, Sysctl)]
    files += [f"{paths.cni_bin}/{name}" for name in left.plugins]
    trees = (node.kubelet.root, node.runtime.root, *_TREES, *_SHARED_TREES, *left.folders)
    # What lies in a tree goes with it.
    inside = tuple(f"{tree}/" for tree in trees)
    files = [path for path in dict.fromkeys(files) if not path.startswith(inside)]
    folders += [parent for path in files for parent in own_parents(path)]
    never = {*trees, paths.state, paths.programs}
    usual = {"/var/lib/kubelet", "/var/lib/containerd", *_TREES, *left.folders}
    return Scope(
        files=tuple(files),
        made=frozenset(made),
        folders=tuple(f for f in dict.fromkeys(folders) if f not in never),
        trees=trees,
        mounts=(node.kubelet.root, node.runtime.root, "/run/containerd", *left.folders),
        modules=frozenset(m.name.replace("-", "_") for m in wanted if isinstance(m, Module)),
        settings=tuple(dict.fromkeys((*settings, *SETTINGS, *left.settings))),
        pod_cidrs=tuple(map(ip_network, config.cluster.pod_cidrs)),
        state=paths.state,
        runtime_root=node.runtime.root,
        ctr=f"{paths.programs}/ctr",
        crictl=f"{paths.programs}/crictl",
        usual=frozenset(usual),
        chains=left.chains,
        networks=left.networks,
        interfaces=left.interfaces,
        sets=left.sets,
        tables=left.tables,
        route_protocols=left.route_protocols,
    )


def observed(scope: Scope) -> Observed:
    """Return what is recorded of a host before the first change."""
    return Observed(scope.settings, SERVICES, (*scope.files, *scope.folders, *scope.trees))


def beside(scope: Scope) -> Scope:
    """Return the scope with what an interrupted run may have left beside its files."""
    further = [
        str(PurePosixPath(path).parent / f".{PurePosixPath(path).name}.fabnode{suffix}")
        for path in scope.files
        for suffix in ("", *(f"-{name}" for name in _BESIDE))
    ]
    return replace(scope, files=(*scope.files, *further), made=scope.made | set(further))
