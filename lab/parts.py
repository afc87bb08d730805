"""Everything a lab is made from, had before the machine is touched."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from . import builds, images, rootfs, versions
from .progress import Progress
from .state import State

BALANCER = "haproxy"  # what hosts reach several API servers by


@dataclass(frozen=True, slots=True)
class Parts:
    """
    Everything a lab is made from, as folders and files of the cache.

    ``node`` holds kubelet and kube-proxy; ``containerd`` is None where the hosts bring docker.
    """

    control_plane: Path
    node: Path
    etcd: Path
    containerd: Path | None
    cni: Path
    calico: Path
    images: list[Path]
    base: Path


def provide_all(
    progress: Progress, *, older_nodes: bool = False, older_runtimes: bool = False
) -> None:
    """
    Have all parts of the labs that `make test` needs.

    :param older_nodes: of `make test-releases` too, which has more releases.
    :param older_runtimes: of `make test-life` too, which upgrades containerd.
    """
    for release in versions.older_containerds() if older_runtimes else ():
        builds.provide(versions.containerd(release), progress)
    for release in versions.every_kubernetes():
        if release != versions.KUBERNETES and not older_nodes:
            continue
        docker = versions.has_dockershim(release)
        runtime = versions.DOCKER if docker else "containerd"
        provide(State(1, release, jump=False, subnet="", runtime=runtime), progress)


def provide(wanted: State, progress: Progress) -> Parts:
    """Return all parts of a lab: from the cache, or downloaded, or built."""
    runtime, kubernetes = wanted.runtime, wanted.kubernetes
    with ThreadPoolExecutor(1) as pool:  # the hosts' Debian comes in while Go compiles
        balancer = (BALANCER,) if wanted.control_planes > 1 else ()
        virtual = rootfs.VIRTUAL_PACKAGES if wanted.vm else ()
        more = (*dict.fromkeys((*wanted.packages, *balancer)), *virtual)
        base = pool.submit(rootfs.host_base, runtime, wanted.suite, more, progress)
        cni = builds.provide(versions.cni_plugins(), progress)
        calico = builds.provide(versions.calico(), progress)
        docker = runtime == versions.DOCKER
        containerd = None if docker else builds.provide(versions.containerd(), progress)
        control_plane = versions.control_plane(kubernetes)
        return Parts(
            control_plane=builds.provide(versions.kubernetes(control_plane), progress),
            node=builds.provide(versions.node(kubernetes), progress),
            etcd=builds.provide(versions.etcd(), progress),
            containerd=containerd,
            cni=cni,
            calico=calico,
            images=images.provide(calico, cni, progress),
            base=base.result(),
        )
