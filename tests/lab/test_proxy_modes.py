"""kube-proxy's modes, each for real, and nothing of one left when a node has changed to another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .harness import eventually

if TYPE_CHECKING:
    from .harness import Lab
    from .workload import Workload

NODE = "n3"

# What each mode leaves in the kernel, and how to see it.
TRACES = {
    "iptables": "iptables-save -t nat | grep -q ^:KUBE-SVC-",
    "ipvs": "test -e /sys/class/net/kube-ipvs0",
    "nftables": "nft list table ip kube-proxy >/dev/null 2>&1",
}

# From each to each other, and back to how the lab's configuration has it.
CHANGES = ("nftables", "ipvs", "nftables", "iptables", "ipvs", "iptables")


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
    for mode in CHANGES:
        config = cluster.config(nodes={NODE: {"kube_proxy": {"mode": mode}}})
        results = cluster.deploy("--limit", NODE, config=config).results
        assert results == {NODE: "changed"}
        assert cluster.on(NODE, "curl -s http://127.0.0.1:10249/proxyMode") == mode
        eventually(lambda: workload.fetch(NODE, url) in answers)
        eventually(lambda: cluster.on(NODE, f"curl -s -m 3 {url} || true").strip() in answers)
        assert traces(cluster) == {mode}
    assert workload.containers() == containers


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


def test_ipip_is_refused_where_the_kernel_has_none(cluster: Lab) -> None:
    """The lab's kernel has none, or else this test has to become one that uses it."""
    config = cluster.config(calico={"backend": "bird", "encapsulation": "Always"})
    plan = cluster.plan("--limit", NODE, config=config, code=1)
    (node,) = plan["nodes"]
    (finding,) = (f for f in node["findings"] if f["level"] == "error")
    assert finding["text"] == "its kernel has no ipip, needed for Calico's IPIP"
    free = cluster.config(calico={"backend": "bird", "encapsulation": "Never"})
    (node,) = cluster.plan("--limit", NODE, config=free)["nodes"]
    assert [f for f in node["findings"] if f["level"] == "error"] == []
