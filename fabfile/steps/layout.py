"""Where things lie on a node: every path that fabnode writes or reads there."""

from __future__ import annotations

from ..model import fitting
from ..trust.renewal import CLIENT, PROXY, SERVING

BIN = "/usr/local/bin"
CNI_BIN = "/opt/cni/bin"
CNI_CONF = "/etc/cni/net.d"

STATE = "/var/lib/fabnode"  # stamps and digests, fabnode's own memory of this node

CA = "/etc/kubernetes/pki/ca.pem"
BOOTSTRAP_KUBECONFIG = "/etc/kubernetes/bootstrap.kubeconfig"
KUBELET_KUBECONFIG = "/etc/kubernetes/kubelet.kubeconfig"
KUBELET_CONFIG = "/etc/kubernetes/kubelet.yaml"
KUBELET_UNIT = "/etc/systemd/system/kubelet.service"

PROXY_PEM = "/etc/kubernetes/pki/kube-proxy.pem"
PROXY_KUBECONFIG = "/etc/kubernetes/kube-proxy.kubeconfig"
PROXY_CONFIG = "/etc/kubernetes/kube-proxy.yaml"
PROXY_UNIT = "/etc/systemd/system/kube-proxy.service"

CONTAINERD_CONFIG = "/etc/containerd/config.toml"
CONTAINERD_UNIT = "/etc/systemd/system/containerd.service"
CONTAINERD_SOCKET = "/run/containerd/containerd.sock"
DOCKER_CONFIG = "/etc/docker/daemon.json"
CRI_DOCKERD_UNIT = "/etc/systemd/system/cri-docker.service"
CRI_DOCKERD_SOCKET = "/run/cri-dockerd.sock"

CONTAINERD, DOCKER, CRI_DOCKERD = "containerd.service", "docker.service", "cri-docker.service"
CONTAINERD_CERTS = "/etc/containerd/certs.d"
DOCKER_CERTS = "/etc/docker/certs.d"
CRICTL_CONFIG = "/etc/crictl.yaml"

MODULES_CONF = "/etc/modules-load.d/fabnode.conf"
SYSCTL_CONF = "/etc/sysctl.d/99-fabnode.conf"


def runtime_units(runtime: str, minor: int) -> tuple[str, ...]:
    """Return the runtime's services with this Kubernetes; the kubelet speaks to the last."""
    if runtime != "docker":
        return (CONTAINERD,)
    return (DOCKER, CRI_DOCKERD) if fitting.shim(minor) == fitting.CRI_DOCKERD else (DOCKER,)


# TCP ports that ours listen on.
PORTS = {10250: "kubelet", 10248: "kubelet", 10256: "kube-proxy", 10249: "kube-proxy"}


def kubelet_client_certificate(kubelet_root: str) -> str:
    """Return where the kubelet keeps its current client certificate, with the key."""
    return f"{kubelet_root}/pki/kubelet-client-current.pem"


def kubelet_pending_key(kubelet_root: str) -> str:
    """Return where a kubelet without rotation keeps its key until it has a certificate."""
    return f"{kubelet_root}/pki/kubelet-client.key.tmp"


def kubelet_serving_certificate(kubelet_root: str) -> str:
    """Return where the kubelet keeps its current serving certificate, with the key."""
    return f"{kubelet_root}/pki/kubelet-server-current.pem"


def certificates(kubelet_root: str) -> dict[str, str]:
    """Return where each kind of certificate lies, each with its key."""
    return {
        CLIENT: kubelet_client_certificate(kubelet_root),
        SERVING: kubelet_serving_certificate(kubelet_root),
        PROXY: PROXY_PEM,
    }


def certificate_files(kubelet_root: str, *, authority: bool) -> frozenset[str]:
    """Return what a new certificate may change; with `authority`, what a new CA may as well."""
    others = {CA, PROXY_KUBECONFIG} if authority else set()
    return frozenset({*certificates(kubelet_root).values(), BOOTSTRAP_KUBECONFIG, *others})
