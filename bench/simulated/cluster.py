"""A simulated cluster: Node objects and all else that kubelets and controllers would set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fabnode.deploy import proxy_binding
from fabnode.pki import proxy_names
from fabnode.steps import rbac

from .api import Api
from .node import digest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fabnode.config.configuration import Config, Node

Object = dict[str, Any]

_ADMISSION = "admissionregistration.k8s.io/v1"
_RBAC = "rbac.authorization.k8s.io/v1"
_CALICO = "crd.projectcalico.org/v1"
_KINDS = (
    ("v1", "ConfigMap", "configmaps", True),
    ("v1", "Event", "events", True),
    ("v1", "Namespace", "namespaces", False),
    ("v1", "Node", "nodes", False),
    ("v1", "Pod", "pods", True),
    ("v1", "Secret", "secrets", True),
    ("v1", "Service", "services", True),
    ("v1", "ServiceAccount", "serviceaccounts", True),
    (_ADMISSION, "ValidatingAdmissionPolicy", "validatingadmissionpolicies", False),
    (_ADMISSION, "ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", False),
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions", False),
    ("apiregistration.k8s.io/v1", "APIService", "apiservices", False),
    ("apps/v1", "DaemonSet", "daemonsets", True),
    ("apps/v1", "Deployment", "deployments", True),
    ("certificates.k8s.io/v1", "CertificateSigningRequest", "certificatesigningrequests", False),
    ("coordination.k8s.io/v1", "Lease", "leases", True),
    ("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets", True),
    (_RBAC, "ClusterRole", "clusterroles", False),
    (_RBAC, "ClusterRoleBinding", "clusterrolebindings", False),
    (_RBAC, "Role", "roles", True),
    (_RBAC, "RoleBinding", "rolebindings", True),
    (_CALICO, "IPPool", "ippools", False),
)
_NOW = "2026-11-30T12:00:00.000000Z"
_FUTURE = "2036-11-30T12:00:00.000000Z"  # so that no heartbeat gets old while this runs
_SYSTEM = "/api/v1/namespaces/kube-system"
_IMAGES = 20  # names of images that a Node object lists; kubelets list 50 at most


def api(config: Config, nodes: Iterable[Node]) -> Api:
    """Return an API with these nodes registered, Ready, and running Calico's pods."""
    made = Api(str(config.cluster.version), _KINDS)
    made.add(f"{_SYSTEM}/configmaps/extension-apiserver-authentication", _authorities(config))
    pool = {"cidr": str(config.cluster.pod_cidr), "ipipMode": "Never", "vxlanMode": "Always"}
    _add(made, f"/apis/{_CALICO}/ippools", "default-ipv4-ippool", spec=pool)
    controllers = {"updatedReplicas": 1, "readyReplicas": 1, "observedGeneration": 1}
    place = "/apis/apps/v1/namespaces/kube-system/deployments"
    _add(made, place, "calico-kube-controllers", status=controllers)
    registered = list(nodes)
    if registered:
        made.add(proxy_binding.PATH, rbac.of_proxies([proxy_names.own(n.name) for n in registered]))
    for number, node in enumerate(registered):
        _add(made, "/api/v1/nodes", node.name, **_node(config, node, number))
        lease = {"holderIdentity": node.name, "renewTime": _FUTURE}
        place = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
        _add(made, place, node.name, spec=lease)
        _add(made, f"{_SYSTEM}/pods", f"calico-node-{digest(node.name)[:5]}-{number}", **_pod(node))
    return made


def _add(api: Api, place: str, name: str, **item: Any) -> None:
    metadata = {"name": name, **item.pop("metadata", {})}
    api.add(f"{place}/{name}", {"metadata": metadata, **item})


def _authorities(config: Config) -> Object:
    return {
        "metadata": {"name": "extension-apiserver-authentication", "namespace": "kube-system"},
        "data": {"client-ca-file": config.ca_pem.decode()},
    }


def _node(config: Config, node: Node, number: int) -> Object:
    kinds = {"MemoryPressure": "False", "DiskPressure": "False", "PIDPressure": "False"}
    conditions = [
        {
            "type": kind,
            "status": status,
            "lastHeartbeatTime": _NOW,
            "lastTransitionTime": _NOW,
            "reason": f"KubeletHas{kind}",
            "message": "kubelet is posting this status",
        }
        for kind, status in {**kinds, "Ready": "True"}.items()
    ]
    images = [
        {"names": [f"registry.example.com/team/app-{i}:1.{number}.{i}"], "sizeBytes": 10**8 + i}
        for i in range(_IMAGES)
    ]
    info = {
        "machineID": digest(node.name)[:32],
        "systemUUID": digest(node.name)[32:],
        "bootID": digest(f"boot of {node.name}")[:32],
        "kernelVersion": "6.12.48+deb13-amd64",
        "osImage": "Debian GNU/Linux 13 (trixie)",
        "containerRuntimeVersion": f"containerd://{node.runtime.version or '2.4.2'}",
        "kubeletVersion": f"v{config.cluster.version}",
        "operatingSystem": "linux",
        "architecture": "amd64",
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"labels": {"kubernetes.io/hostname": node.name, "kubernetes.io/os": "linux"}},
        "spec": {"podCIDR": f"172.{20 + number // 256}.{number % 256}.0/24"},
        "status": {
            "addresses": [
                {"type": "InternalIP", "address": node.ip},
                {"type": "Hostname", "address": node.name},
            ],
            "conditions": conditions,
            "nodeInfo": info,
            "images": images,
        },
    }


def _pod(node: Node) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": "kube-system", "labels": {"k8s-app": "calico-node"}},
        "spec": {"nodeName": node.name, "containers": [{"name": "calico-node", "image": "calico"}]},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [{"name": "calico-node", "ready": True, "restartCount": 0}],
        },
    }
