"""What a site sets for its own sake takes effect in real runtimes, kubelets and networks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from .harness import eventually
from .test_cluster_moved import verified

if TYPE_CHECKING:
    from .harness import Lab

pytestmark = pytest.mark.sites

TAINT = "node.cloudprovider.kubernetes.io/uninitialized"
HANDLER = {"type": "io.containerd.runc.v2", "options": {"BinaryName": "/usr/local/bin/runc"}}
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "handled"},
    "spec": {
        "nodeName": "n1",
        "runtimeClassName": "other",
        "restartPolicy": "Never",
        "containers": [
            {
                "name": "main",
                "image": "docker.io/library/busybox:1.35.0",
                "command": [
                    "sh",
                    "-c",
                    "cat /sys/class/net/eth0/mtu; grep Seccomp: /proc/1/status",
                ],
            }
        ],
    },
}


def test_handlers_mtu_hardening_and_cloud_provider(cluster: Lab) -> None:
    config = cluster.config(
        calico={"mtu": 1300},
        runtime={"handlers": {"other": HANDLER}, "default_handler": "other"},
        kubelet={"hardened": True, "cloud_provider": "external"},
    )
    try:
        cluster.deploy(config=config)
        cluster.inv("plan", "--exit-code", config=config)
        assert "other" in {h["name"] for h in node(cluster)["status"]["runtimeHandlers"]}
        cluster.kubectl("delete", "node", "n1")
        cluster.on("n1", "systemctl restart kubelet kube-proxy")
        eventually(lambda: TAINT in taints(cluster) or None, 60)
        done = cluster.deploy(config=config)
        warned = {(c["node"], c["name"]): c for c in done.document["checks"] if not c["ok"]}
        assert set(warned) == {("n1", "schedulable")}
        assert warned["n1", "schedulable"]["warning"]
        assert "controller manager" in warned["n1", "schedulable"]["advice"]
        assert runs(cluster) == ["1300", "Seccomp:\t2"]
    finally:
        cluster.kubectl("taint", "node", "n1", f"{TAINT}-", code=None)
        cluster.deploy()
    assert all(check["ok"] for check in verified(cluster).values())


STARTUP = "example.org/agent-not-ready"


def test_a_startup_taint_is_set_as_a_node_registers_and_not_again(cluster: Lab) -> None:
    config = cluster.config(kubelet={"startup_taints": [f"{STARTUP}:NoSchedule"]})
    try:
        cluster.deploy("--limit", "n1", config=config)
        assert STARTUP not in taints(cluster), "n1 has registered before"
        cluster.kubectl("delete", "node", "n1")
        (planned,) = cluster.plan("--limit", "n1", config=config)["nodes"]
        assert f"taint {STARTUP}:NoSchedule as it registers" in planned["labels"]
        cluster.deploy("--limit", "n1", config=config)
        assert STARTUP in taints(cluster)
        checks = cluster.inv("verify", "--json", "--no-network", config=config).document["checks"]
        warned = [(c["node"], c["name"], c["warning"]) for c in checks if not c["ok"]]
        assert warned == [("n1", "schedulable", True)]
        cluster.kubectl("taint", "node", "n1", f"{STARTUP}-")
        cluster.deploy("--limit", "n1", config=config)
        cluster.inv("plan", "--exit-code", "--limit", "n1", config=config)
        cluster.on("n1", "systemctl restart kubelet")
        eventually(lambda: cluster.on("n1", "curl -s 127.0.0.1:10248/healthz") == "ok")
        assert STARTUP not in taints(cluster)
    finally:
        cluster.kubectl("taint", "node", "n1", f"{STARTUP}-", code=None)
        cluster.deploy()


def node(lab: Lab) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(lab.kubectl("get", "node", "n1", "-o", "json"))
    return found


def taints(lab: Lab) -> set[str]:
    found = lab.kubectl("get", "node", "n1", "-o", "json", code=None)
    return {t["key"] for t in json.loads(found)["spec"].get("taints", ())} if found else set()


def runs(lab: Lab) -> list[str]:
    """Return what a pod of the further runtime prints."""
    classed = {
        "apiVersion": "node.k8s.io/v1",
        "kind": "RuntimeClass",
        "metadata": {"name": "other"},
        "handler": "other",
    }
    lab.kubectl("apply", "-f", "-", stdin=json.dumps(classed))
    lab.kubectl("apply", "-f", "-", stdin=json.dumps(POD))
    try:
        phase = ("get", "pod", "handled", "-o", "jsonpath={.status.phase}")
        eventually(lambda: lab.kubectl(*phase) == "Succeeded" or None, 60)
        return lab.kubectl("logs", "handled").split("\n")[:2]
    finally:
        lab.kubectl("delete", "pod", "handled", "--now")
        lab.kubectl("delete", "runtimeclass", "other")
