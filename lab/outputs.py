"""The files a lab leaves for its users, all in its folder."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from . import cache, configuration, disks, pki
from .layout import Layout
from .parts import Parts
from .rootfs import RUNC
from .state import State
from .versions import NODE

NODE_CONTAINERD = ("containerd", "containerd-shim-runc-v2", "ctr")


def write_outputs(layout: Layout, state: State, parts: Parts) -> None:
    """Make keys and certificates, and write what fabnode, kubectl and ssh need."""
    pki.make(layout)
    pki.make_ssh_key(layout.key, f"fabnode-lab-{layout.name}")
    nodes, everyone = layout.nodes(state.nodes), state.hosts(layout)
    known = "".join(f"{disks.known_host(layout, host)}\n" for host in everyone)
    pki.write_secret(layout.known_hosts, known.encode())
    pki.write_secret(layout.sudo_password, (parts.base / "sudo-password").read_bytes())
    pki.write_secret(layout.kubeconfig, configuration.kubeconfig(layout, "admin").encode())
    layout.configuration.write_text(configuration.cluster(layout, nodes, state, parts.images))
    _link_artifacts(layout, parts)


def complete(layout: Layout) -> bool:
    """Return whether every file is there, also behind the links into the cache."""
    files = [layout.configuration, layout.kubeconfig, layout.known_hosts, layout.sudo_password]
    linked = [*layout.artifacts.rglob("*"), layout.kubectl]
    return len(linked) > 1 and all(path.exists() for path in (*files, *linked))


def _link_artifacts(layout: Layout, parts: Parts) -> None:
    binaries = [parts.node / name for name in NODE]
    if parts.containerd:
        binaries += [parts.containerd / name for name in NODE_CONTAINERD]
    _link_all(layout.artifacts / "bin", binaries)
    if parts.containerd:
        shutil.copy(RUNC, layout.artifacts / "bin/runc")
    _link_all(layout.artifacts / "cni", parts.cni.iterdir())
    _link_all(layout.artifacts / "images", parts.images)
    for manifest in ("calico.yaml", "calico-etcd.yaml"):
        shutil.copy(parts.calico / manifest, layout.artifacts)
    _link_all(layout.kubectl.parent, [parts.control_plane / "kubectl"])


def _link_all(folder: Path, targets: Iterable[Path]) -> None:
    cache.remove(folder)
    folder.mkdir(parents=True)
    for target in targets:
        (folder / target.name).symlink_to(target)
