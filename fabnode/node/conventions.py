"""Names and numbers that several rooms share about a node's software."""

from __future__ import annotations

from typing import Final

STATE: Final = "/var/lib/fabnode"
"""Stamps and digests: fabnode's own memory of a node, where `paths.state` has its default."""

KUBELET_SERVICE: Final = "kubelet.service"
PROXY_SERVICE: Final = "kube-proxy.service"
CONTAINERD_SERVICE: Final = "containerd.service"
DOCKER_SERVICE: Final = "docker.service"
DOCKER_SOCKET: Final = "docker.socket"  # comes with docker, and starts it
CRI_DOCKERD_SERVICE: Final = "cri-docker.service"  # as its own project calls it
BALANCER_SERVICE: Final = "apiserver-balancer.service"

SERVICES: Final = (
    KUBELET_SERVICE,
    PROXY_SERVICE,
    CONTAINERD_SERVICE,
    DOCKER_SERVICE,
    CRI_DOCKERD_SERVICE,
    BALANCER_SERVICE,
)
"""All that fabnode may run on a node."""

KUBELET_PORT: Final = 10250
KUBELET_READ_ONLY_PORT: Final = 10255  # fabnode opens none
KUBELET_HEALTH_PORT: Final = 10248
PROXY_HEALTH_PORT: Final = 10256
PROXY_METRICS_PORT: Final = 10249

LOCAL_PROGRAMS: Final = ("/usr/local/sbin", "/usr/local/bin")
SYSTEM_PROGRAMS: Final = ("/usr/sbin", "/usr/bin", "/sbin", "/bin")
"""Folders of programs: those that come first in the PATH of systemd's units, and the system's."""

UNITS_PATH: Final = "PATH"
"""What names the programs of `LOCAL_PROGRAMS`, in a probe's words."""
