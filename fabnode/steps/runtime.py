"""
Step runtime: CNI plugins, image archives, and containerd or docker.

containerd and runc are installed. Docker is the host's own, from its distribution or its makers'
packages, with all that its administrator set up for it; only its configuration file is fabnode's.
"""

from __future__ import annotations

import json
import re
from typing import Any

from ..config.sections import USUAL_PATHS
from ..node import config_files, layout
from ..node.resources import Binary, Directory, File, Resource, Unit
from ..releases import compatibility
from ..releases.matrix import Containerd
from ..util.merging import merge_deep
from . import registries
from .inputs import Inputs
from .render import render
from .step import Step

_HOSTS = re.compile(r"[A-Za-z0-9.*:/_\[\]-]{1,253}", re.ASCII).fullmatch
_RUNC = "io.containerd.runc.v2"
BINARIES = ("containerd", "containerd-shim-runc-v2", "ctr", "runc")


def desired(inputs: Inputs) -> tuple[Resource, ...]:
    """Return the runtime's files, its units, and the images that a node needs first."""
    runtime = _docker(inputs) if inputs.node.runtime.name == "docker" else _containerd(inputs)
    return (*_cni(inputs), *runtime, *inputs.images(inputs.first_images))


def _cni(inputs: Inputs) -> tuple[Resource, ...]:
    paths = inputs.config.paths
    return (
        Directory(paths.cni_bin),
        *(
            Binary(f"{paths.cni_bin}/{name}", artifact.path, artifact.sha256)
            for name, artifact in sorted(inputs.artifacts.cni_plugins.items())
        ),
        Directory(paths.cni_conf),
    )


def _containerd(inputs: Inputs) -> tuple[Resource, ...]:
    runtime = inputs.node.runtime
    line = compatibility.containerd_data(runtime.version, inputs.version.minor)
    containerd = f"{inputs.config.paths.programs}/containerd"
    config = render(
        # 4 differs from 3 in sections that are left to their defaults here.
        f"runtime/config-{min(line.config, 3)}.toml",
        version=line.config,
        imports=config_files.CONTAINERD_IMPORTS,
        runtime=runtime,
        bin=inputs.config.paths.programs,
        cgroup_driver=inputs.cgroup_driver,
        handlers=_handlers(inputs),
        cni=_cni_folders(inputs, line),
        hosts_dir=line.hosts_dir,
        sync_fs=line.sync_fs,
    )
    unit = render(
        "runtime/containerd.service",
        runtime=runtime,
        bin=inputs.config.paths.programs,
        config=layout.CONTAINERD_CONFIG,
        no_proxy=_no_proxy(inputs),
    )
    return (
        *(
            Binary(f"{inputs.config.paths.programs}/{name}", artifact.path, artifact.sha256)
            for name in BINARIES
            if (artifact := inputs.artifacts.binaries[name])
        ),
        *_crictl(inputs),
        File(layout.CONTAINERD_CONFIG, config),
        File(layout.CONTAINERD_UNIT, unit),
        # runc and the shim are started for every pod: only containerd itself has to restart.
        Unit(
            layout.CONTAINERD, reads=(containerd, layout.CONTAINERD_CONFIG, layout.CONTAINERD_UNIT)
        ),
        *registries.containerd(inputs),
    )


def _cni_folders(inputs: Inputs, line: Containerd) -> dict[str, Any]:
    """Return what containerd's configuration must say of folders; nothing of its own defaults."""
    paths, usual = inputs.config.paths, USUAL_PATHS
    folders: dict[str, Any] = {}
    if paths.cni_bin != usual.cni_bin:
        folders |= {"bin_dirs": [paths.cni_bin]} if line.bin_dirs else {"bin_dir": paths.cni_bin}
    if paths.cni_conf != usual.cni_conf:
        folders["conf_dir"] = paths.cni_conf
    return folders


def _handlers(inputs: Inputs) -> dict[str, dict[str, Any]]:
    """
    Return the further runtimes, by name, with their options.

    Those that runc's shim starts (nvidia's) must have the kubelet's cgroup driver, too.
    """
    made: dict[str, dict[str, Any]] = {}
    for name, handler in sorted(inputs.node.runtime.handlers.items()):
        options = dict(handler.options)
        if handler.type == _RUNC:
            options = {"SystemdCgroup": inputs.cgroup_driver == "systemd", **options}
        made[name] = {**handler.model_dump(), "options": options}
    return made


def _no_proxy(inputs: Inputs) -> str:
    """Return what needs no proxy: by the host's own setting, and in the cluster."""
    cluster, proxies = inputs.config.cluster, inputs.facts.proxies
    theirs = ",".join(proxies.get(name, "") for name in ("NO_PROXY", "no_proxy")).split(",")
    # Several are reached by way of loopback; a list that changes is no reason to restart anything.
    api = () if cluster.balanced else (cluster.endpoints[0][0],)
    ours = (
        *("localhost", "127.0.0.0/8", *api, *inputs.node.ips),
        *(*cluster.service_cidrs, *cluster.pod_cidrs, ".svc", f".{cluster.dns_domain}"),
    )
    return ",".join(dict.fromkeys((*filter(_HOSTS, theirs), *ours)))


def _docker(inputs: Inputs) -> tuple[Resource, ...]:
    # Containers outlive a restart for this (live-restore), but for the first, which turns it on.
    docker = Unit(layout.DOCKER, reads=(layout.DOCKER_CONFIG,))
    files = (Directory("/etc/docker"), File(layout.DOCKER_CONFIG, _daemon(inputs)))
    shim = _cri_dockerd(inputs) if inputs.shim == compatibility.CRI_DOCKERD else ()
    return (*files, *registries.docker(inputs), docker, *shim)


def _daemon(inputs: Inputs) -> bytes:
    """Return docker's configuration, as JSON without a place for a comment."""
    settings: dict[str, Any] = {
        "data-root": inputs.node.runtime.root,
        "exec-opts": [f"native.cgroupdriver={inputs.cgroup_driver}"],
        "live-restore": True,
        "log-driver": "json-file",
        "log-opts": {"max-file": "3", "max-size": "10m"},
    }
    if mirrors := registries.docker_mirrors(inputs):
        settings["registry-mirrors"] = mirrors
    whole = merge_deep(settings, inputs.node.runtime.daemon)
    return f"{json.dumps(whole, indent=2, sort_keys=True)}\n".encode()


def _cri_dockerd(inputs: Inputs) -> tuple[Resource, ...]:
    """Return what kubelets from 1.24 on need to speak to docker."""
    binary, artifact = (
        f"{inputs.config.paths.programs}/cri-dockerd",
        inputs.artifacts.binaries["cri-dockerd"],
    )
    unit = render(
        "runtime/cri-docker.service",
        runtime=inputs.node.runtime,
        binary=binary,
        socket=layout.CRI_DOCKERD_SOCKET,
        docker=layout.DOCKER,
        cni_bin=inputs.config.paths.cni_bin,
        cni_conf=inputs.config.paths.cni_conf,
    )
    return (
        Binary(binary, artifact.path, artifact.sha256),
        File(layout.CRI_DOCKERD_UNIT, unit),
        Unit(layout.CRI_DOCKERD, reads=(binary, layout.CRI_DOCKERD_UNIT)),
    )


def _crictl(inputs: Inputs) -> tuple[Resource, ...]:
    """Return crictl, with which people inspect a node's containers, where the deployer has it."""
    artifact = inputs.artifacts.binaries.get("crictl")
    if artifact is None:
        return ()
    endpoint = f"unix://{layout.CONTAINERD_SOCKET}"
    return (
        Binary(f"{inputs.config.paths.programs}/crictl", artifact.path, artifact.sha256),
        File(layout.CRICTL_CONFIG, f"runtime-endpoint: {endpoint}\n".encode()),
    )


STEP = Step("runtime", "Set up containerd or docker; load images.", desired=desired)
