"""File layout of a node: every path that fabnode writes or reads there."""

from __future__ import annotations

from ..pki.renewal import CLIENT, PROXY, SERVING
from ..util.loopback import BALANCER_PORT
from .conventions import (
    BALANCER_SERVICE,
    CONTAINERD_SERVICE,
    CRI_DOCKERD_SERVICE,
    DOCKER_SERVICE,
    KUBELET_HEALTH_PORT,
    KUBELET_PORT,
    KUBELET_SERVICE,
    PROXY_HEALTH_PORT,
    PROXY_METRICS_PORT,
    PROXY_SERVICE,
)

UNITS = "/etc/systemd/system"
NETWORK_ONLINE = "network-online.target"

CA = "/etc/kubernetes/pki/ca.pem"
BOOTSTRAP_KUBECONFIG = "/etc/kubernetes/bootstrap.kubeconfig"
KUBELET_KUBECONFIG = "/etc/kubernetes/kubelet.kubeconfig"
# Where kubeadm, and kubespray with it, have it.
KUBEADM_KUBECONFIG = "/etc/kubernetes/kubelet.conf"
STATIC_PODS = "/etc/kubernetes/manifests"
KUBELET_CONFIG = "/etc/kubernetes/kubelet.yaml"
KUBELET_UNIT = f"{UNITS}/{KUBELET_SERVICE}"

PROXY_PEM = "/etc/kubernetes/pki/kube-proxy.pem"
PROXY_KUBECONFIG = "/etc/kubernetes/kube-proxy.kubeconfig"
PROXY_CONFIG = "/etc/kubernetes/kube-proxy.yaml"
PROXY_UNIT = f"{UNITS}/{PROXY_SERVICE}"

CONTAINERD_CONFIG = "/etc/containerd/config.toml"
CONTAINERD_UNIT = f"{UNITS}/{CONTAINERD_SERVICE}"
CONTAINERD_SOCKET = "/run/containerd/containerd.sock"
DOCKER_CONFIG = "/etc/docker/daemon.json"
CRI_DOCKERD_UNIT = f"{UNITS}/{CRI_DOCKERD_SERVICE}"
CRI_DOCKERD_SOCKET = "/run/cri-dockerd.sock"

CONTAINERD, DOCKER, CRI_DOCKERD = CONTAINERD_SERVICE, DOCKER_SERVICE, CRI_DOCKERD_SERVICE
CONTAINERD_CERTS = "/etc/containerd/certs.d"
DOCKER_CERTS = "/etc/docker/certs.d"
CRICTL_CONFIG = "/etc/crictl.yaml"

BALANCER_CONFIG = "/etc/kubernetes/apiserver-balancer.cfg"
BALANCER_UNIT = f"{UNITS}/{BALANCER_SERVICE}"
BALANCER_PROGRAM = "haproxy"
BALANCER_PATH = f"/usr/sbin/{BALANCER_PROGRAM}"  # where all distributions have it

MODULES_CONF = "/etc/modules-load.d/fabnode.conf"
SYSCTL_CONF = "/etc/sysctl.d/99-fabnode.conf"


def runtime_units(runtime: str, *, cri_dockerd: bool) -> tuple[str, ...]:
    """Return the runtime's services, docker's with its adapter; a kubelet uses the last."""
    if runtime != "docker":
        return (CONTAINERD,)
    return (DOCKER, CRI_DOCKERD) if cri_dockerd else (DOCKER,)


# TCP ports that ours listen on.
PORTS = {
    KUBELET_PORT: "kubelet",
    KUBELET_HEALTH_PORT: "kubelet",
    PROXY_HEALTH_PORT: "kube-proxy",
    PROXY_METRICS_PORT: "kube-proxy",
}


def ports(*, balanced: bool) -> tuple[int, ...]:
    """
    Return the TCP ports that ours listen on.

    :param balanced: it has a balancer to several apiservers.
    """
    return (*PORTS, *((BALANCER_PORT,) if balanced else ()))


def kubelet_client_certificate(kubelet_root: str) -> str:
    """Return where the kubelet keeps its current client certificate, with the key."""
    return f"{kubelet_root}/pki/kubelet-client-current.pem"


def kubelet_pending_key(kubelet_root: str) -> str:
    """Return where a kubelet without rotation keeps its key until it has a certificate."""
    return f"{kubelet_root}/pki/kubelet-client.key.tmp"


def kubelet_serving_certificate(kubelet_root: str) -> str:
    """Return where the kubelet keeps its current serving certificate, with the key."""
    return f"{kubelet_root}/pki/kubelet-server-current.pem"


def certificates(kubelet_root: str, *, proxy: bool) -> dict[str, str]:
    """
    Return where each kind of certificate of a node lies, each with its key.

    :param proxy: it has a kube-proxy.
    """
    found = {
        CLIENT: kubelet_client_certificate(kubelet_root),
        SERVING: kubelet_serving_certificate(kubelet_root),
    }
    return {**found, PROXY: PROXY_PEM} if proxy else found


def certificate_files(*, authority: bool) -> frozenset[str]:
    """
    Return what new certificates may change beside these themselves.

    :param authority: they come with a new CA.
    """
    return frozenset({BOOTSTRAP_KUBECONFIG, *({CA, PROXY_KUBECONFIG} if authority else ())})


def reset_record(state: str) -> str:
    """Return the file that records a reset which is not done (`apply/reset.sh`)."""
    return f"{state}/resetting"


def kept_tag(state: str) -> str:
    """Return the file that tells which upgrade kept what a host ran before (`apply/kept.sh`)."""
    return f"{state}/kept/tag"
