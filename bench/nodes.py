"""
Measure what other nodes of a cluster cost a deployment of three: `make bench-nodes`.

`python -m bench.nodes [OTHERS …]`. The apiserver, etcd and the three nodes are the lab's real ones;
the others are objects alone, Nodes as large as kubelets make them and their Leases, of hosts that
are off. Each command is measured beside none of them and beside so many: processor time, memory,
calls of the API and bytes of its answers, and what its run left in its journal.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from lab import versions

from .labs import BenchLab, FailedError, lab, say_what_else_runs, wait_until_quiet

NODES, OTHERS = 3, (97, 5000)
IMAGES = 50  # that a kubelet reports at most: its nodeStatusMaxImages
COMMANDS = (
    "plan --json",
    "deploy-nodes",
    "deploy-nodes",
    "verify --no-network",
    "status",
    "audit",
    "upgrade --dry-run",
)
NAMES = ("plan, hosts bare", "deploy-nodes", "deploy-nodes, unchanged", *COMMANDS[3:])
_TIMEOUT = 600
Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Cost:
    """What a command took. :param journal: bytes that its run left on the disk."""

    seconds: float
    cpu: float
    peak: int
    calls: int
    received: int
    journal: int

    def __str__(self) -> str:
        return (
            f"{self.seconds:6.1f} s, processor {self.cpu:5.2f} s, {self.peak / 1e6:4.0f} MB,"
            f" {self.calls:4} calls, {self.received / 1e6:6.2f} MB received,"
            f" journal {self.journal / 1e3:5.0f} kB"
        )


def main(numbers: list[int]) -> None:
    """Measure and print."""
    say_what_else_runs()
    with lab("nodes", NODES) as bench:
        for others in (0, *numbers):
            bench.fresh()
            if others:
                print(f"{others} others: {_create(bench, others) / 1e6:.1f} MB of JSON", flush=True)
            wait_until_quiet()
            for name, command in zip(NAMES, COMMANDS, strict=True):
                print(f"{others:5} others  {name:24} {_measure(bench, command)}", flush=True)


def _measure(bench: BenchLab, command: str) -> Cost:
    """Return what an `inv` command took."""
    out, before = bench.state / "counts.json", _kept(bench.state)
    counted = [sys.executable, "-m", "bench.counted", str(out), *command.split()]
    run = bench.measure(counted, timeout=_TIMEOUT)
    found = json.loads(out.read_text())
    out.unlink()
    calls = sum(found["calls"].values())
    kept = _kept(bench.state) - before
    return Cost(run.seconds, run.cpu, run.peak, calls, found["received"], kept)


def _kept(folder: Path) -> int:
    """Return how many bytes of files a folder holds."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _create(bench: BenchLab, others: int) -> int:
    """Have so many Nodes more, each with its Lease. Returns the size of the Nodes in bytes."""
    now = datetime.now(UTC)
    nodes = [node(number, now) for number in range(others)]
    items = [*nodes, *(lease(number, now) for number in range(others))]
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    done = subprocess.run(
        bench.kubectl("create", "-f", "-"), input=text, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise FailedError(done.stderr[-2000:])
    return len(json.dumps(nodes))


def node(number: int, now: datetime) -> Object:
    """
    Return a Node as a kubelet and the controllers leave it when its host went off.

    It is unreachable already, so that no controller has work with it, and has no label of its
    operating system, so that no DaemonSet wants it.
    """
    name, address = f"other-{number}", f"10.200.{number // 250}.{number % 250 + 1}"
    unique = sha256(name.encode()).hexdigest()
    long_ago = _time(now - timedelta(days=1))
    conditions = [
        {
            "type": kind,
            "status": "Unknown",
            "reason": "NodeStatusUnknown",
            "message": "Kubelet stopped posting node status.",
            "lastHeartbeatTime": long_ago,
            "lastTransitionTime": long_ago,
        }
        for kind in ("MemoryPressure", "DiskPressure", "PIDPressure", "Ready")
    ]
    resources = {"cpu": "16", "memory": "65841784Ki", "pods": "110", "ephemeral-storage": "98Gi"}
    images = [
        {
            "names": [
                f"registry.example.com/team-{at}/service@sha256:{unique}",
                f"registry.example.com/team-{at}/service:v1.{at}.0",
            ],
            "sizeBytes": 50_000_000 + at,
        }
        for at in range(IMAGES)
    ]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {"kubernetes.io/hostname": name, "topology.kubernetes.io/zone": "a"},
            "annotations": {
                "node.alpha.kubernetes.io/ttl": "300",
                "projectcalico.org/IPv4Address": f"{address}/16",
                "projectcalico.org/IPv4VXLANTunnelAddr": f"10.201.{number // 250}.{number % 250}",
            },
        },
        "spec": {
            "podCIDR": f"10.{100 + number // 256}.{number % 256}.0/24",
            "podCIDRs": [f"10.{100 + number // 256}.{number % 256}.0/24"],
            "taints": [
                {"key": "node.kubernetes.io/unreachable", "effect": effect, "timeAdded": long_ago}
                for effect in ("NoSchedule", "NoExecute")
            ],
        },
        "status": {
            "addresses": [
                {"type": "InternalIP", "address": address},
                {"type": "Hostname", "address": name},
            ],
            "allocatable": resources,
            "capacity": resources,
            "conditions": conditions,
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
            "images": images,
            "nodeInfo": {
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
            },
        },
    }


def lease(number: int, now: datetime) -> Object:
    """Return the Lease of that Node's kubelet, renewed for the last time when its host went off."""
    name = f"other-{number}"
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name, "namespace": "kube-node-lease"},
        "spec": {
            "holderIdentity": name,
            "leaseDurationSeconds": 40,
            "renewTime": _time(now - timedelta(days=1), "microseconds"),
        },
    }


def _time(moment: datetime, precision: str = "seconds") -> str:
    return moment.isoformat(timespec=precision).replace("+00:00", "Z")


if __name__ == "__main__":
    try:
        main([int(word) for word in sys.argv[1:]] or list(OTHERS))
    except FailedError as failure:
        sys.exit(str(failure))
    except KeyboardInterrupt:
        sys.exit("interrupted")
