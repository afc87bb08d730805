"""kube-proxy's modes, each for real, and nothing of one left when a node has changed to another."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from .harness import eventually

if TYPE_CHECKING:
    from .harness import Lab
    from .workload import Workload

pytestmark = pytest.mark.sites

NODE = "n3"

# What each mode leaves in the kernel, and how to see it.
TRACES = {
    "iptables": "iptables-save -t nat | grep -q ^:KUBE-SVC-",
    "ipvs": "test -e /sys/class/net/kube-ipvs0",
    "nftables": "nft list table ip kube-proxy >/dev/null 2>&1",
}


def traces(lab: Lab) -> set[str]:
    """Return the modes of which something is in the node's kernel."""
    found = lab.on(NODE, "".join(f"{see} && echo {mode};" for mode, see in TRACES.items()), None)
    return set(found.split())


def test_a_service_answers_in_every_mode_and_after_every_change(
    workload: Workload, cluster: Lab
) -> None:
    url = workload.service()
    answers = {"n1", "n2", "n3"}
    containers = workload.containers()
    for mode in changes(cluster):
        config = cluster.config(nodes={NODE: {"kube_proxy": {"mode": mode}}})
        results = cluster.deploy("--limit", NODE, config=config).results
        assert results == {NODE: "changed"}
        assert cluster.on(NODE, "curl -s http://127.0.0.1:10249/proxyMode") == mode
        eventually(lambda: workload.fetch(NODE, url) in answers)
        eventually(lambda: cluster.on(NODE, f"curl -s -m 3 {url} || true").strip() in answers)
        assert traces(cluster) == {mode}
    assert workload.containers() == containers


ENDPOINT = "kubernetes-services-endpoint"  # by which Calico finds the apiserver without a Service


def move_controllers(lab: Lab) -> None:
    """Have calico-kube-controllers run on another node: its pod knows the Service alone."""
    lab.kubectl("cordon", NODE)
    try:
        label = "k8s-app=calico-kube-controllers"
        lab.kubectl("-n", "kube-system", "delete", "pod", "-l", label, "--timeout=120s")
        rolled = ["rollout", "status", "deployment/calico-kube-controllers", "--timeout=300s"]
        lab.kubectl("-n", "kube-system", *rolled)
    finally:
        lab.kubectl("uncordon", NODE)


def test_a_node_loses_its_kube_proxy_and_joins_without_one(cluster: Lab) -> None:
    host = f"KUBERNETES_SERVICE_HOST={cluster.layout.gateway}"
    port = "KUBERNETES_SERVICE_PORT=6443"
    literals = [f"--from-literal={pair}" for pair in (host, port)]
    kube_system = ["-n", "kube-system"]
    cluster.kubectl(*kube_system, "create", "configmap", ENDPOINT, *literals)
    cluster.kubectl(*kube_system, "rollout", "restart", "daemonset/calico-node")
    cluster.kubectl(*kube_system, "rollout", "status", "daemonset/calico-node", "--timeout=300s")
    move_controllers(cluster)
    config = cluster.config(nodes={NODE: {"kube_proxy": "none"}})
    unit = "systemctl show -p LoadState --value kube-proxy.service"
    files = "ls /etc/kubernetes /etc/kubernetes/pki /usr/local/bin /etc/systemd/system"
    try:
        (planned,) = cluster.plan("--limit", NODE, config=config)["nodes"]
        gone = {change["name"] for change in planned["changes"] if change["action"] == "remove"}
        assert gone == {
            "kube-proxy.service",
            "/etc/kubernetes/pki/kube-proxy.pem",
            "/etc/kubernetes/kube-proxy.kubeconfig",
            "/etc/kubernetes/kube-proxy.yaml",
            "/usr/local/bin/kube-proxy",
        }
        for _ in range(2):  # once as it loses it, and once as it joins
            done = cluster.deploy("--limit", NODE, code=1, config=config)
            assert done.results == {NODE: "changed"}
            assert cluster.on(NODE, unit).strip() == "not-found"
            assert "kube-proxy" not in cluster.on(NODE, files)
            assert traces(cluster) == set()
            cluster.inv("plan", "--exit-code", "--limit", NODE, config=config)
            words = ["verify", "--json", "--limit", NODE]
            checks = cluster.inv(*words, code=1, config=config).document["checks"]
            # Nothing serves Services there, which is what fails, and all that does.
            assert [check["name"] for check in checks if not check["ok"]] == ["Service VIP"]
            (none,) = [check for check in checks if check["name"] == "kube-proxy"]
            assert "not checked" in none["detail"]
            cluster.lab("fresh", "--hosts", NODE)
    finally:
        cluster.kubectl(*kube_system, "delete", "configmap", ENDPOINT)
        cluster.kubectl(*kube_system, "rollout", "restart", "daemonset/calico-node")
        cluster.deploy()
    assert traces(cluster) == {"iptables"}


@pytest.mark.parametrize(
    ("mode", "tool", "package"),
    [("ipvs", "ipset", "ipset"), ("nftables", "nft", "nftables")],
)
def test_a_missing_package_is_found_before(
    cluster: Lab, mode: str, tool: str, package: str
) -> None:
    config = cluster.config(nodes={NODE: {"kube_proxy": {"mode": mode}}})
    starts = cluster.starts()
    cluster.disturb(NODE, f"mv /usr/sbin/{tool} /root/")
    try:
        done = cluster.deploy("--limit", NODE, config=config, code=1)
    finally:
        cluster.disturb(NODE, f"mv /root/{tool} /usr/sbin/")
    row = done.rows[NODE]
    assert f"it has no {tool}, needed for kube-proxy's {mode} mode" in row["cause"]
    assert f"install the package {package} on it" in row["advice"]
    assert cluster.restarted(starts) == set()


# How to see, without asking fabnode's own probe, whether the kernel can do it.
TRIALS = {
    "ipvs": "ipvsadm -Ln >/dev/null 2>&1",
    "ipip": "ip link add try0 type ipip local 127.0.0.1 2>/dev/null && ip link del try0",
}


def can(lab: Lab, what: str) -> bool:
    return lab.on(NODE, f"{TRIALS[what]} && echo yes || echo no").strip() == "yes"


def changes(lab: Lab) -> tuple[str, ...]:
    """Return modes from each to each other, and back to how the lab's configuration has it."""
    if can(lab, "ipvs"):
        return ("nftables", "ipvs", "nftables", "iptables", "ipvs", "iptables")
    return ("nftables", "iptables")


@pytest.mark.parametrize(
    ("what", "settings", "text"),
    [
        (
            "ipvs",
            {"kube_proxy": {"mode": "ipvs"}},
            "its kernel has no ip_vs, ip_vs_rr, ip_vs_sh, ip_vs_wrr, needed for kube-proxy's ipvs"
            " mode",
        ),
        (
            "ipip",
            {"calico": {"backend": "bird", "encapsulation": "Always"}},
            "its kernel has no ipip, needed for Calico's IPIP",
        ),
    ],
)
def test_what_the_kernel_cannot_do_is_refused_and_nothing_else(
    cluster: Lab, what: str, settings: dict[str, Any], text: str
) -> None:
    allowed = can(cluster, what)
    # Calico's settings are all nodes': a run that leaves some out would change their pods.
    plan = cluster.plan(config=cluster.config(**settings), code=0 if allowed else 1)
    (node,) = (each for each in plan["nodes"] if each["node"] == NODE)
    errors = [f["text"] for f in node["findings"] if f["level"] == "error"]
    assert errors == ([] if allowed else [text])


def test_bgp_without_encapsulation_needs_nothing_of_the_kernel(cluster: Lab) -> None:
    config = cluster.config(calico={"backend": "bird", "encapsulation": "Never"})
    (node,) = (each for each in cluster.plan(config=config)["nodes"] if each["node"] == NODE)
    assert [f for f in node["findings"] if f["level"] == "error"] == []


def test_what_iptables_mode_leaves_is_swept_before_ipvs_mode_starts(
    workload: Workload, cluster: Lab
) -> None:
    """The unit's own command, for kube-proxy in ipvs mode needs more of a kernel than it does."""
    url = workload.service()
    config = cluster.config(nodes={NODE: {"kube_proxy": {"mode": "ipvs"}}})
    plan = cluster.plan("--limit", NODE, config=config, code=0 if can(cluster, "ipvs") else 1)
    unit = next(c for c in plan["nodes"][0]["changes"] if c["name"].endswith("proxy.service"))
    (sweep,) = re.findall(r"^\+ExecStartPre=-/bin/sh -c '(.*)'$", unit["diff"], re.M)
    cluster.disturb(NODE, "systemctl stop kube-proxy")
    assert traces(cluster) == {"iptables"}
    cluster.disturb(NODE, sweep)
    assert traces(cluster) == set()
    cluster.disturb(NODE, sweep)
    cluster.disturb(NODE, "systemctl start kube-proxy")
    eventually(lambda: workload.fetch(NODE, url) in {"n1", "n2", "n3"})
