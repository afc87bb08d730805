"""What `fab` and `inv` show of hosts that work, and what they do to single ones."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
import yaml

from .harness import NODES

if TYPE_CHECKING:
    from .harness import Lab


def test_status_of_hosts(cluster: Lab) -> None:
    printed = cluster.fab("-H", "n1,n2", "status").out
    assert "n1 " in printed
    assert "n2 " in printed
    assert "n3" not in printed
    checks = json.loads(cluster.fab("-H", "n1", "status", "--json").out)["checks"]
    assert {"kubelet.service", "Ready", "kube-proxy certificate"} <= {c["name"] for c in checks}
    assert all(check["ok"] for check in checks)


def test_status_of_a_host_with_a_dead_unit(cluster: Lab) -> None:
    cluster.disturb("n3", "systemctl stop kube-proxy")
    printed = cluster.fab("-H", "n3", "status", code=1).out
    (line,) = (line for line in printed.splitlines() if "kube-proxy.service" in line)
    assert "failed" in line
    assert "inactive" in line
    checks = cluster.inv("verify", "--json", "--no-network", code=1).document["checks"]
    bad = {(check["node"], check["name"]) for check in checks if not check["ok"]}
    assert {("n3", "kube-proxy.service"), ("n3", "kube-proxy health")} <= bad
    assert {node for node, _ in bad} == {"n3"}


def test_approve_csr_says_that_there_is_nothing_to_judge(cluster: Lab) -> None:
    assert "no request is pending" in cluster.inv("approve-csr", "--dry-run").out


def test_restart_restarts_that_unit_alone(cluster: Lab) -> None:
    starts = cluster.starts()
    printed = cluster.fab("-H", "n2", "restart", "--unit", "kube-proxy").out
    assert "kube-proxy.service" in printed
    assert cluster.restarted(starts) == {"n2 kube-proxy.service"}
    cluster.inv("plan", "--exit-code")


@pytest.mark.parametrize("unit", ["kubelet", "kube-proxy", "containerd"])
def test_logs_show_a_units_journal(cluster: Lab, unit: str) -> None:
    printed = cluster.fab("-H", "n2", "logs", "--unit", unit, "--lines", "5").out.splitlines()
    assert unit in printed[0]
    assert 1 < len(printed) <= 6


def test_facts_are_json_of_the_host(cluster: Lab) -> None:
    facts = json.loads(cluster.fab("-H", "n3", "facts").out)
    assert facts["machine_id"] == cluster.on("n3", "cat /etc/machine-id").strip()
    assert str(cluster.layout.host("n3").address) in facts["addresses"]


def test_diff_of_a_host_without_drift_is_empty(cluster: Lab) -> None:
    assert "nothing to change" in cluster.fab("-H", "n1", "diff").out


def test_each_step_finds_nothing_to_do(cluster: Lab) -> None:
    starts, writes = cluster.starts(), len(cluster.writes())
    steps = ["prepare", "runtime", "bootstrap-kubeconfig", "kubelet", "proxy-cert", "proxy"]
    printed = cluster.fab("-H", "n2", *steps).out
    assert printed.count("1 unchanged") == len(steps)
    assert cluster.restarted(starts) == set()
    assert cluster.writes(writes) == []


def test_certificates_are_shown_with_their_days_left(cluster: Lab) -> None:
    document = cluster.inv("certs", "--json").document
    text = json.dumps(document)
    for node in NODES:
        assert f"CN=system:node:{node}" in text
    cluster.inv("certs", "--margin", "400", code=3)


def test_report_of_a_run_is_one_html_file(cluster: Lab) -> None:
    done = cluster.inv("deploy-nodes")
    (folder,) = (done.state / "fabnode/runs").iterdir()
    out = cluster.scratch / "report.html"
    cluster.inv("report", "--run", str(folder), "--out", str(out))
    text = out.read_text()
    assert all(f">{node}<" in text for node in NODES)
    assert not re.search(r"""(src|href)=["']?(http|/)""", text), "it loads nothing"


def test_hosts_behind_a_jump_host_are_reached(cluster: Lab) -> None:
    """Nothing listens for the deployer on the hosts themselves: all goes through the gateway."""
    gateway = {"gateway": f"dev@{cluster.layout.host('n3').address}:22"}
    config = cluster.config(ssh=gateway)
    document = yaml.safe_load(config.read_text())
    document["nodes"] = [node for node in document["nodes"] if node["name"] != "n3"]
    config.write_text(yaml.safe_dump(document, sort_keys=False))
    for node in ("n1", "n2"):
        cluster.disturb(
            node, f"iptables -I INPUT -p tcp --dport 22 -s {cluster.layout.gateway} -j DROP"
        )
    try:
        cluster.inv("plan", "--exit-code", config=config)
        done = cluster.deploy(config=config)
        assert done.results == {"n1": "unchanged", "n2": "unchanged"}
    finally:
        for node in ("n1", "n2"):
            cluster.disturb(
                node, f"iptables -D INPUT -p tcp --dport 22 -s {cluster.layout.gateway} -j DROP"
            )
