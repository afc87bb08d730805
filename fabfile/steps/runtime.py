"""The container runtime: containerd, runc, CNI plugins, and the images that are brought along."""

from __future__ import annotations

from ..model import fitting
from ..model.resources import Binary, Directory, File, Image, Resource, Unit
from . import layout, registries
from .inputs import Inputs
from .render import render

NAME = "runtime"
HELP = "Install and run containerd; load images."

UNIT = layout.CONTAINERD
BINARIES = ("containerd", "containerd-shim-runc-v2", "ctr", "runc")


def desired(inputs: Inputs) -> tuple[Resource, ...]:
    """Return the runtime's files, its unit, and the images that a node needs first."""
    if inputs.node.runtime.name == "docker":
        # Docker comes with the host's own packages.
        known = registries.docker(inputs)
        read = tuple(
            f.path for f in known if isinstance(f, File) and f.path == layout.DOCKER_CONFIG
        )
        return (*_cni(inputs), *known, Unit(layout.DOCKER, reads=read))
    return (
        *_containerd(inputs),
        *registries.containerd(inputs),
        *(
            Image(archive.names, archive.artifact.path, archive.artifact.sha256)
            for archive in inputs.first_images
        ),
    )


def _cni(inputs: Inputs) -> tuple[Resource, ...]:
    return (
        Directory(layout.CNI_BIN),
        *(
            Binary(f"{layout.CNI_BIN}/{name}", artifact.path, artifact.sha256)
            for name, artifact in sorted(inputs.artifacts.cni_plugins.items())
        ),
        Directory(layout.CNI_CONF),
    )


def _containerd(inputs: Inputs) -> tuple[Resource, ...]:
    runtime = inputs.node.runtime
    line = fitting.containerd_line(runtime.version, inputs.version.minor)
    containerd = f"{layout.BIN}/containerd"
    config = render(
        # 4 differs from 3 in sections that are left to their defaults here.
        f"runtime/config-{min(line.config, 3)}.toml",
        version=line.config,
        runtime=runtime,
        bin=layout.BIN,
        cgroup_driver=inputs.cgroup_driver,
        hosts_dir=line.hosts_dir,
    )
    unit = render(
        "runtime/containerd.service",
        runtime=runtime,
        bin=layout.BIN,
        config=layout.CONTAINERD_CONFIG,
    )
    return (
        *(
            Binary(f"{layout.BIN}/{name}", artifact.path, artifact.sha256)
            for name in BINARIES
            if (artifact := inputs.artifacts.binaries[name])
        ),
        *_crictl(inputs),
        *_cni(inputs),
        File(layout.CONTAINERD_CONFIG, config),
        File(layout.CONTAINERD_UNIT, unit),
        # runc and the shim are started anew for every pod: only containerd itself has to restart.
        Unit(UNIT, reads=(containerd, layout.CONTAINERD_CONFIG, layout.CONTAINERD_UNIT)),
    )


def _crictl(inputs: Inputs) -> tuple[Resource, ...]:
    """Return crictl, with which people look at a node's containers, where the deployer has it."""
    artifact = inputs.artifacts.binaries.get("crictl")
    if artifact is None:
        return ()
    endpoint = f"unix://{layout.CONTAINERD_SOCKET}"
    return (
        Binary(f"{layout.BIN}/crictl", artifact.path, artifact.sha256),
        File(layout.CRICTL_CONFIG, f"runtime-endpoint: {endpoint}\n".encode()),
    )
