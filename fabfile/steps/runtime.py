"""The container runtime: containerd, runc, CNI plugins, and the images that are brought along."""

from __future__ import annotations

from ..model.resources import Binary, Directory, File, Image, Resource, Unit
from . import layout
from .inputs import Inputs
from .render import render

NAME = "runtime"
HELP = "Install and run containerd; load images."

UNIT = "containerd.service"
BINARIES = ("containerd", "containerd-shim-runc-v2", "ctr", "runc")


def desired(inputs: Inputs) -> tuple[Resource, ...]:
    """Return the runtime's files, its unit, and the images that a node needs first."""
    runtime = inputs.node.runtime
    artifacts = inputs.artifacts
    containerd = f"{layout.BIN}/containerd"
    return (
        *(
            Binary(f"{layout.BIN}/{name}", artifact.path, artifact.sha256)
            for name in BINARIES
            if (artifact := artifacts.binaries[name])
        ),
        Directory(layout.CNI_BIN),
        *(
            Binary(f"{layout.CNI_BIN}/{name}", artifact.path, artifact.sha256)
            for name, artifact in sorted(artifacts.cni_plugins.items())
        ),
        Directory(layout.CNI_CONF),
        File(
            layout.CONTAINERD_CONFIG,
            render(
                "runtime/config.toml",
                runtime=runtime,
                bin=layout.BIN,
                cgroup_driver=inputs.cgroup_driver,
            ),
        ),
        File(
            layout.CONTAINERD_UNIT,
            render(
                "runtime/containerd.service",
                runtime=runtime,
                bin=layout.BIN,
                config=layout.CONTAINERD_CONFIG,
            ),
        ),
        # runc and the shim are started anew for every pod: only containerd itself has to restart.
        Unit(UNIT, reads=(containerd, layout.CONTAINERD_CONFIG, layout.CONTAINERD_UNIT)),
        *(
            Image(archive.names, archive.artifact.path, archive.artifact.sha256)
            for archive in inputs.first_images
        ),
    )
