"""Bare hosts become working nodes: by root, by sudo with a password, by sudo without."""

from __future__ import annotations

import json
import socket
import ssl
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import pytest

from fabnode.journal.events import read
from tests.step_order import assert_order

from .complaints import complaints
from .harness import NODES, UNITS, eventually

if TYPE_CHECKING:
    from .conftest import Joining
    from .harness import Lab
    from .workload import Workload


def address(lab: Lab, node: str) -> str:
    return str(lab.layout.host(node).address)


def test_bare_hosts_become_ready_nodes(joining: Joining, lab: Lab) -> None:
    assert joining.done.results == dict.fromkeys(NODES, "changed")
    assert all(check["ok"] for check in joining.done.document["checks"])
    assert lab.ready() == set(NODES)


def test_the_journal_follows_the_order_of_the_steps(joining: Joining) -> None:
    (journal,) = (joining.done.state / "fabnode/runs").glob("*/journal.jsonl")
    assert_order(read(journal.read_text().splitlines()), NODES)


def test_the_plan_showed_beforehand_what_was_to_come(joining: Joining) -> None:
    nodes = {node["node"]: node for node in json.loads(joining.plan)["nodes"]}
    assert set(nodes) == set(NODES)
    for node in nodes.values():
        assert node["restarts"] == list(UNITS)
        created = {c["name"] for c in node["changes"] if c["action"] == "create"}
        assert {"/usr/local/bin/kubelet", "/etc/kubernetes/kubelet.yaml"} <= created


def test_each_kube_proxy_goes_by_a_name_of_its_own(cluster: Lab) -> None:
    assert cluster.proxies_bound() == set(NODES)
    for node in NODES:
        assert cluster.proxy_name(node) == f"system:kube-proxy:{node}"
        assert cluster.may_list_services(f"system:kube-proxy:{node}")
    assert not cluster.may_list_services("system:kube-proxy:n9")


def test_a_name_that_lost_its_rights_has_them_again_after_a_deployment(cluster: Lab) -> None:
    cluster.kubectl("delete", "clusterrolebinding", "fabnode:kube-proxies")
    starts = cluster.starts()
    (shown,) = cluster.plan()["cluster"]
    assert shown["action"] == "create"
    assert shown["object"] == "ClusterRoleBinding fabnode:kube-proxies"
    cluster.deploy()
    assert cluster.proxies_bound() == set(NODES)
    assert cluster.restarted(starts) == set()
    writes = len(cluster.writes())
    cluster.inv("plan", "--exit-code")
    cluster.deploy()
    assert [write for write in cluster.writes(writes) if "kube-proxies" in write] == []


@pytest.mark.parametrize("unit", ["kubelet", "kube-proxy"])
def test_the_newest_complains_about_nothing_that_is_rendered(cluster: Lab, unit: str) -> None:
    assert complaints(cluster, "n1", unit) == []


def test_verify_proves_pods_and_service_from_every_node(cluster: Lab) -> None:
    checks = cluster.inv("verify", "--json").document["checks"]
    assert [check for check in checks if not check["ok"]] == []
    seen = {(check["node"], check["name"]) for check in checks}
    for node in NODES:
        wanted = {f"pod on {other}" for other in NODES} | {"Service VIP", "Ready", "version"}
        assert {(node, name) for name in wanted} <= seen
    # The namespace itself belongs to the deployer's account, which may make none.
    kept = ("get", "pods,services", "-n", "fabnode-verify", "-o", "name")
    eventually(lambda: not cluster.kubectl(*kept))


def test_logs_and_exec_go_through_verified_certificates(workload: Workload, cluster: Lab) -> None:
    """The apiserver verifies kubelets (--kubelet-certificate-authority): both prove them good."""
    for node in NODES:
        assert workload.kubectl("logs", f"web-{node}").strip() == f"serving on {node}"
        printed = workload.kubectl("exec", f"web-{node}", "--", "sh", "-c", "echo $NODE")
        assert printed.strip() == node


@pytest.mark.parametrize("node", NODES)
def test_serving_certificate_is_the_nodes_own(cluster: Lab, node: str) -> None:
    context = ssl.create_default_context(cafile=str(cluster.layout.pki / "ca.pem"))
    host = address(cluster, node)
    for name in (host, node):  # it is good for exactly these two
        with (
            socket.create_connection((host, 10250), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname=name) as tls,
        ):
            certificate = tls.getpeercert()
    assert certificate is not None
    assert certificate["subjectAltName"] == (("DNS", node), ("IP Address", host))
    assert (("commonName", f"system:node:{node}"),) in certificate["subject"]


def test_kubelet_lets_no_stranger_in(cluster: Lab) -> None:
    host = address(cluster, "n1")
    context = ssl.create_default_context(cafile=str(cluster.layout.pki / "ca.pem"))
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"https://{host}:10250/pods", context=context, timeout=10)
    assert refused.value.code == 401
    with pytest.raises(OSError, match="refused"):  # the read-only port
        socket.create_connection((host, 10255), timeout=10)


def test_deny_all_cuts_and_its_removal_restores(workload: Workload) -> None:
    workload.prove_policies(("n1", "n2"), ("n2", "n3"), ("n3", "n1"))


def test_nothing_of_the_joining_is_left(cluster: Lab) -> None:
    """Tokens and the files that held them are gone, and so is all that was sent."""
    for node in NODES:
        assert cluster.on(node, "ls /etc/kubernetes/bootstrap.kubeconfig", code=None) == ""
        assert cluster.on(node, "ls -d /var/lib/fabnode/apply.*", code=None) == ""
    secrets = cluster.objects("secrets", "-n", "kube-system")
    assert [s for s in secrets if s.get("type") == "bootstrap.kubernetes.io/token"] == []
