"""Nodes that are objects alone: as large as kubelets make them, their Leases renewed in time."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from fabnode.kube.client import Api
from fabnode.kube.kubeconfig import load
from fabnode.kube.node_status import LEASES, NODES
from lab import versions

IMAGES = 50  # that a kubelet reports at most: its nodeStatusMaxImages
_EVERY = 30.0  # seconds; controllers give a node up 50 s after its Lease was renewed last
_CLIENTS = 8
Object = dict[str, Any]


@contextmanager
def others(kubeconfig: Path, count: int) -> Iterator[None]:
    """
    Have so many Nodes, Ready all the time, until the end.

    :raises ClusterError: an apiserver refuses, or does not answer.
    """
    api = Api(load(kubeconfig), patience=60)
    made: list[str] = []
    over = threading.Event()

    def create(number: int) -> None:
        item = node(number)
        name = item["metadata"]["name"]
        api.create(NODES, item)
        # Each new Node is tainted as not ready (admission plugin TaintNodesByCondition); the
        # controller would take that off twenty of them a second, and new nodes wait in its queue.
        api.patch(f"{NODES}/{name}", {"spec": {"taints": None}})
        api.create(LEASES, lease(name))
        made.append(name)

    def renew(begin: int) -> None:
        while not over.is_set():
            began = time.monotonic()
            for name in made[begin::_CLIENTS]:
                api.patch(f"{LEASES}/{name}", {"spec": {"renewTime": _now("microseconds")}})
                if over.is_set():
                    return
            over.wait(max(0.0, _EVERY - (time.monotonic() - began)))

    with ThreadPoolExecutor(2 * _CLIENTS) as pool:
        # The first ones are to be renewed before the last ones are made.
        renewing = [pool.submit(renew, begin) for begin in range(_CLIENTS)]
        try:
            for done in [pool.submit(create, number) for number in range(count)]:
                done.result()
            yield
        finally:
            over.set()
        for each in renewing:
            each.result()


def node(number: int) -> Object:
    """Return a Node as its kubelet and controllers leave it; no DaemonSet wants it."""
    name, address = f"other-{number}", f"10.200.{number // 250}.{number % 250 + 1}"
    unique = sha256(name.encode()).hexdigest()
    network = f"10.{100 + number // 256}.{number % 256}.0/24"
    healthy = {
        "MemoryPressure": "False",
        "DiskPressure": "False",
        "PIDPressure": "False",
        "Ready": "True",
    }
    resources = {"cpu": "16", "memory": "65841784Ki", "pods": "110", "ephemeral-storage": "98Gi"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            # That of its operating system would have calico-node scheduled there.
            "labels": {"kubernetes.io/hostname": name, "topology.kubernetes.io/zone": "a"},
            "annotations": {
                "node.alpha.kubernetes.io/ttl": "300",
                "projectcalico.org/IPv4Address": f"{address}/16",
                "projectcalico.org/IPv4VXLANTunnelAddr": f"10.201.{number // 250}.{number % 250}",
            },
        },
        "spec": {"podCIDR": network, "podCIDRs": [network]},
        "status": {
            "addresses": [
                {"type": "InternalIP", "address": address},
                {"type": "Hostname", "address": name},
            ],
            "allocatable": resources,
            "capacity": resources,
            "conditions": [_condition(kind, status) for kind, status in healthy.items()],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
            "images": [_image(at, unique) for at in range(IMAGES)],
            "nodeInfo": _node_info(unique),
        },
    }


def lease(name: str) -> Object:
    """Return the Lease of a node's kubelet, renewed just now."""
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name, "namespace": "kube-node-lease"},
        "spec": {
            "holderIdentity": name,
            "leaseDurationSeconds": 40,
            "renewTime": _now("microseconds"),
        },
    }


def _condition(kind: str, status: str) -> Object:
    return {
        "type": kind,
        "status": status,
        "reason": "KubeletReady",
        "message": "kubelet is posting ready status",
        "lastHeartbeatTime": _now(),
        "lastTransitionTime": _now(),
    }


def _image(number: int, unique: str) -> Object:
    name = f"registry.example.com/team-{number}/service"
    return {
        "names": [f"{name}@sha256:{unique}", f"{name}:v1.{number}.0"],
        "sizeBytes": 50_000_000 + number,
    }


def _node_info(unique: str) -> dict[str, str]:
    return {
        "architecture": "amd64",
        "bootID": f"{unique[:8]}-0000-4000-8000-{unique[:12]}",
        "containerRuntimeVersion": f"containerd://{versions.CONTAINERD}",
        "kernelVersion": "6.1.0-40-amd64",
        "kubeProxyVersion": "",
        "kubeletVersion": f"v{versions.KUBERNETES}",
        "machineID": unique[:32],
        "operatingSystem": "linux",
        "osImage": "Debian GNU/Linux 12 (bookworm)",
        "systemUUID": f"{unique[:8]}-0000-4000-8000-{unique[12:24]}",
    }


def _now(precision: str = "seconds") -> str:
    return datetime.now(UTC).isoformat(timespec=precision).replace("+00:00", "Z")
