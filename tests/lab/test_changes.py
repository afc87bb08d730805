"""A changed setting changes what it must, on the nodes it concerns, and nothing else."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

from fabnode.util.own_names import NODE_RECORD, NODE_SEAL
from tests.deploy.test_site_steps import example

from .harness import NODES

if TYPE_CHECKING:
    from pathlib import Path

    from .harness import Lab
    from .workload import Workload

KEEPALIVE = "/proc/sys/net/ipv4/tcp_keepalive_time"
KUBELET_YAML = "/etc/kubernetes/kubelet.yaml"
ONE_FILE_ONE_RESTART = [("update", KUBELET_YAML), ("restart", "kubelet.service")]


def changes(plan: dict[str, Any]) -> dict[str, list[tuple[str, str]]]:
    """Return node → what would be done, as (action, name)."""
    return {
        node["node"]: [(change["action"], change["name"]) for change in node["changes"]]
        for node in plan["nodes"]
    }


def pods_allowed(lab: Lab) -> dict[str, str]:
    return {n["metadata"]["name"]: n["status"]["capacity"]["pods"] for n in lab.objects("nodes")}


def test_a_setting_of_all_and_then_of_single_nodes(workload: Workload, cluster: Lab) -> None:
    """One file and one restart each; then the nodes that it concerns, and those alone."""
    config = cluster.config(kubelet={"max_pods": 97})
    plan = cluster.plan("--exit-code", code=3, config=config)
    assert changes(plan) == dict.fromkeys(NODES, ONE_FILE_ONE_RESTART)
    for node in plan["nodes"]:
        assert "-maxPods: 110\n+maxPods: 97" in node["changes"][0]["diff"]
        assert KUBELET_YAML in node["changes"][1]["why"]
    starts, containers = cluster.starts(), workload.containers()
    done = cluster.deploy(config=config)
    assert done.results == dict.fromkeys(NODES, "changed")
    assert cluster.restarted(starts) == {f"{node} kubelet.service" for node in NODES}
    assert pods_allowed(cluster) == dict.fromkeys(NODES, "97")
    assert workload.containers() == containers
    cluster.inv("plan", "--exit-code", config=config)

    config = cluster.config(
        kubelet={"max_pods": 97},
        nodes={
            "n2": {"kubelet": {"max_pods": 60}},
            "n3": {"kube_proxy": {"config": {"iptables": {"minSyncPeriod": "2s"}}}},
        },
    )
    proxy = [("update", "/etc/kubernetes/kube-proxy.yaml"), ("restart", "kube-proxy.service")]
    plan = cluster.plan("--exit-code", code=3, config=config)
    assert changes(plan) == {"n1": [], "n2": ONE_FILE_ONE_RESTART, "n3": proxy}
    starts, containers = cluster.starts(), workload.containers()
    done = cluster.deploy(config=config)
    assert done.results == {"n1": "unchanged", "n2": "changed", "n3": "changed"}
    assert cluster.restarted(starts) == {"n2 kubelet.service", "n3 kube-proxy.service"}
    assert pods_allowed(cluster)["n2"] == "60"
    assert workload.containers() == containers


def the_node(lab: Lab, name: str) -> dict[str, Any]:
    (node,) = (n for n in lab.objects("nodes") if n["metadata"]["name"] == name)
    return node


def labels_planned(lab: Lab, config: Path | None, name: str) -> list[str]:
    document = lab.plan("--exit-code", code=3, config=config)
    (labels,) = (node["labels"] for node in document["nodes"] if node["node"] == name)
    return list(labels)


def test_labels_annotations_and_taints_follow_the_configuration(cluster: Lab) -> None:
    """Set, repaired, and taken away again, without a restart; those of others stay."""
    role = "node-role.kubernetes.io/worker"
    entry = {
        "labels": {"disk": "ssd", role: ""},
        "annotations": {"example.org/rack": "7"},
        "taints": ["dedicated=batch:PreferNoSchedule"],
    }
    config = cluster.config(nodes={"n1": entry})
    taint = "dedicated=batch:PreferNoSchedule"
    wanted = ["disk=ssd", f"{role}=", "annotation example.org/rack=7", f"taint {taint}"]
    cluster.kubectl("label", "node", "n1", "theirs=kept")
    assert labels_planned(cluster, config, "n1") == wanted
    starts = cluster.starts()
    assert cluster.deploy(config=config).results == {
        "n1": "changed",
        "n2": "unchanged",
        "n3": "unchanged",
    }
    assert "worker" in cluster.kubectl("get", "node", "n1", "--no-headers").split()
    made = {"key": "dedicated", "value": "batch", "effect": "PreferNoSchedule"}
    assert made in the_node(cluster, "n1")["spec"]["taints"]
    writes = len(cluster.writes())
    cluster.deploy("--limit", "n1", config=config)
    assert cluster.writes(writes) == []

    cluster.kubectl("label", "node", "n1", "--overwrite", "disk=hdd", f"{role}-")
    cluster.kubectl("taint", "node", "n1", "dedicated-")
    assert labels_planned(cluster, config, "n1") == ["disk=ssd", f"{role}=", f"taint {taint}"]
    cluster.deploy("--limit", "n1", config=config)
    assert the_node(cluster, "n1")["metadata"]["labels"]["disk"] == "ssd"

    gone = [
        "disk-",
        f"{role}-",
        "annotation example.org/rack-",
        "taint dedicated:PreferNoSchedule-",
    ]
    assert labels_planned(cluster, None, "n1") == gone
    cluster.deploy()
    node = the_node(cluster, "n1")
    assert not {"disk", role} & node["metadata"]["labels"].keys()
    assert not any("example.org" in k or "fabnode" in k for k in node["metadata"]["annotations"])
    assert made not in node["spec"].get("taints", [])
    assert node["metadata"]["labels"]["theirs"] == "kept"
    cluster.kubectl("label", "node", "n1", "theirs-")
    assert cluster.restarted(starts) == set()
    cluster.inv("plan", "--exit-code")


def test_a_kubelet_cannot_forge_what_fabnode_set(cluster: Lab) -> None:
    """With a node's own credentials: its record may be written, the seal on it may not."""
    cluster.kubectl("label", "node", "n2", "node-restriction.kubernetes.io/keep-off=1")
    record = json.dumps({"labels": {"node-restriction.kubernetes.io/keep-off": "1"}})
    kubeconfig = "/etc/kubernetes/kubelet.kubeconfig"

    def as_kubelet(metadata: dict[str, Any]) -> str:
        """Patch its Node from the host n2 as its kubelet may; return the HTTP status."""
        body = json.dumps({"metadata": metadata})
        pem = "/var/lib/kubelet/pki/kubelet-client-current.pem"
        return cluster.on(
            "n2",
            f"curl -s -o /dev/null -w '%{{http_code}}' --cacert /etc/kubernetes/pki/ca.pem"
            f" --cert {pem} --key {pem} -X PATCH -H 'Content-Type: application/merge-patch+json'"
            f" -d {shlex.quote(body)} $(awk '/server:/ {{print $2}}' {kubeconfig})/api/v1/nodes/n2",
        )

    assert as_kubelet({"annotations": {NODE_RECORD: record}}) == "200"
    assert as_kubelet({"labels": {NODE_SEAL: "0" * 40}}) == "403"
    cluster.deploy()
    labels = the_node(cluster, "n2")["metadata"]["labels"]
    assert labels["node-restriction.kubernetes.io/keep-off"] == "1"
    cluster.kubectl("label", "node", "n2", "node-restriction.kubernetes.io/keep-off-")


def test_limit_leaves_the_others_alone(nodes: Lab) -> None:
    config = nodes.config(kubelet={"max_pods": 98})
    starts = nodes.starts()
    done = nodes.deploy("--limit", "n3", config=config)
    assert done.results == {"n3": "changed"}
    assert nodes.restarted(starts) == {"n3 kubelet.service"}


def test_one_step_of_one_host(nodes: Lab) -> None:
    """`fab -H n1 kubelet` does that step's part, and no other's."""
    config = nodes.config(
        kubelet={"max_pods": 99}, kube_proxy={"config": {"iptables": {"minSyncPeriod": "3s"}}}
    )
    starts = nodes.starts()
    nodes.fab("-H", "n1", "kubelet", config=config)
    nodes.as_configured = False
    assert nodes.restarted(starts) == {"n1 kubelet.service"}
    nodes.fab("-H", "n1", "proxy", config=config)
    assert nodes.restarted(starts) == {"n1 kubelet.service", "n1 kube-proxy.service"}
    for step in ("prepare", "runtime", "bootstrap-kubeconfig", "proxy-cert"):
        assert "unchanged" in nodes.fab("-H", "n1", step, config=config).out


def test_a_step_and_commands_of_the_sites_own(nodes: Lab) -> None:
    """Planned and shown, run where something changes, and never on a node that is right."""
    nodes.on("n2", f"echo 7200 >{KEEPALIVE}")
    site = nodes.scratch / "site"
    site.mkdir()
    (site / "keepalive.py").write_text(example("keepalive.py"))
    program = site / "register"
    program.write_text('#!/bin/sh\necho "$FABNODE_HOOK $FABNODE_NODE" >>site/log\n')
    program.chmod(0o755)
    there = ["sh", "-c", 'echo "$FABNODE_HOOK $FABNODE_NODE" >>/run/hooked']
    hooks = [
        {"after": "keepalive", "where": "host", "run": there},
        {"after": "verify", "where": "deployer", "run": ["site/register"]},
    ]
    config = nodes.config(extensions={"steps": ["site/keepalive.py"], "hooks": hooks})
    (planned,) = nodes.plan("--limit", "n2", config=config)["nodes"]
    assert [(c["step"], c["action"]) for c in planned["changes"]] == [
        ("keepalive", "create"),
        ("keepalive", "set"),
        ("keepalive", "run"),
    ]
    assert planned["hooks"] == ["hook after verify: site/register"]
    assert not (site / "log").exists()
    done = nodes.deploy("--limit", "n2", config=config)
    try:
        assert done.results == {"n2": "changed"}
        assert nodes.on("n2", f"cat {KEEPALIVE}").strip() == "240"
        again = nodes.deploy("--limit", "n2", config=config)
        assert again.results == {"n2": "unchanged"}
        assert "unchanged" in nodes.fab("-H", "n2", "step", "keepalive", config=config).out
        assert nodes.on("n2", "cat /run/hooked").splitlines() == ["after keepalive n2"]
        assert (site / "log").read_text().splitlines() == ["after verify n2"]
        assert nodes.on("n2", "ls /var/lib/fabnode/hooks").split() == []
    finally:
        nodes.on("n2", f"rm -f /etc/sysctl.d/91-keepalive.conf /run/hooked; echo 7200 >{KEEPALIVE}")
