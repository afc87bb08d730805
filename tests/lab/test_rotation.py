"""Certificates are made again on demand, and no pod notices."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lab import processes

from .harness import NODES, eventually

if TYPE_CHECKING:
    from .harness import Lab
    from .workload import Workload

PKI = "/var/lib/kubelet/pki"
PAIRS = {
    "kubelet client certificate": f"{PKI}/kubelet-client-current.pem",
    "kubelet serving certificate": f"{PKI}/kubelet-server-current.pem",
    "kube-proxy certificate": "/etc/kubernetes/pki/kube-proxy.pem",
}
CHANGED = dict.fromkeys(NODES, "changed")


def pairs(lab: Lab) -> dict[str, str]:
    """Return `node certificate` → its digest, key and all."""
    return {
        f"{node} {title}": lab.on(node, f"sha256sum <{path}")
        for node in NODES
        for title, path in PAIRS.items()
    }


def renewed(lab: Lab, before: dict[str, str]) -> set[str]:
    now = pairs(lab)
    return {key for key, digest in before.items() if now[key] != digest}


def every(*titles: str) -> set[str]:
    return {f"{node} {title}" for node in NODES for title in titles or PAIRS}


def alive(workload: Workload) -> dict[str, Any]:
    """Return what tells a container that went on from one that was started again."""
    return {
        pod["metadata"]["name"]: (
            pod["metadata"]["uid"],
            pod["status"]["containerStatuses"][0]["containerID"],
            pod["status"]["containerStatuses"][0]["restartCount"],
        )
        for pod in json.loads(workload.kubectl("get", "pods", "-o", "json"))["items"]
    }


def uids(lab: Lab) -> dict[str, str]:
    """Return what tells a Node object from another of the same name."""
    return {n["metadata"]["name"]: n["metadata"]["uid"] for n in lab.objects("nodes")}


def names(lab: Lab) -> set[str]:
    """Return the names of all signing requests."""
    return {r["metadata"]["name"] for r in lab.objects("certificatesigningrequests")}


def test_all_three_kinds_are_renewed_and_no_pod_is_restarted(
    workload: Workload, cluster: Lab
) -> None:
    before, pods = pairs(cluster), alive(workload)
    nodes = uids(cluster)
    plan = cluster.inv("rotate-certs", "--issued-before", "now", "--dry-run", "--json").document
    for node in plan["nodes"]:
        reported = [(c["action"], c["name"]) for c in node["changes"]]
        assert ("remove", PAIRS["kubelet client certificate"]) in reported
        assert ("remove", PAIRS["kubelet serving certificate"]) in reported
        assert ("update", PAIRS["kube-proxy certificate"]) in reported
        assert node["restarts"] == ["kubelet.service", "kube-proxy.service"]
    assert renewed(cluster, before) == set()
    done = cluster.inv("rotate-certs", "--issued-before", "now", "--json")
    assert done.results == CHANGED
    assert renewed(cluster, before) == every()
    assert alive(workload) == pods
    assert uids(cluster) == nodes
    assert cluster.ready() == set(NODES)
    assert workload.ask("n1", "n2") == "n2"
    assert "serving on n3" in workload.kubectl("logs", "web-n3")  # by its new serving certificate
    secrets = cluster.kubectl("-n", "kube-system", "get", "secrets", "-o", "name")
    assert "bootstrap-token" not in secrets
    for node in NODES:
        assert cluster.on(node, "ls -a /etc/kubernetes /var/lib/kubelet/pki").count("old") == 0
        assert "bootstrap" not in cluster.on(node, "ls /etc/kubernetes")
    # What is new is left alone: an interrupted run is gone on with by the same command.
    assert cluster.inv("rotate-certs", "--json").results == dict.fromkeys(NODES, "unchanged")
    cluster.inv("plan", "--exit-code")


def test_one_kind_on_one_node_restarts_one_unit(workload: Workload, cluster: Lab) -> None:
    before, starts = pairs(cluster), cluster.starts()
    words = ("--issued-before", "now", "--limit", "n2", "--json")
    cluster.inv("rotate-certs", "--only", "proxy", *words)
    assert renewed(cluster, before) == {"n2 kube-proxy certificate"}
    assert cluster.restarted(starts) == {"n2 kube-proxy.service"}
    cluster.inv("rotate-certs", "--only", "serving", *words)
    assert renewed(cluster, before) == {
        "n2 kube-proxy certificate",
        "n2 kubelet serving certificate",
    }
    assert cluster.restarted(starts) == {"n2 kube-proxy.service", "n2 kubelet.service"}


def test_when_nobody_signs_the_old_pair_goes_on_and_the_others_are_left_alone(
    workload: Workload, cluster: Lab
) -> None:
    before, pods, nodes = pairs(cluster), alive(workload), uids(cluster)
    asked = names(cluster)
    config = cluster.config(timeouts={"join": 5})
    processes.stop(cluster.layout.record("kube-controller-manager"))
    try:
        done = cluster.inv(
            "rotate-certs",
            "--only",
            "client",
            "--issued-before",
            "now",
            "--json",
            code=1,
            config=config,
        )
    finally:
        cluster.lab("up", "--nodes", str(len(NODES)))
    assert done.results == {"n1": "failed", "n2": "skipped", "n3": "skipped"}
    assert "no certificate came" in done.rows["n1"]["cause"]
    assert renewed(cluster, before) == set()
    eventually(lambda: cluster.ready() == set(NODES))
    assert alive(workload) == pods
    assert (
        uids(cluster) == nodes
    )  # nobody has the certificate that was approved, so it is not shut out
    assert names(cluster) <= asked  # nor gets it later: the request is gone
    # Its last start was not one with all in place, as far as is known: a deployment makes it good.
    plan = cluster.plan("--limit", "n1")
    assert [node["restarts"] for node in plan["nodes"]] == [["kubelet.service"]]
    cluster.as_configured = False


def test_what_differs_otherwise_is_for_a_deployment(cluster: Lab) -> None:
    before = pairs(cluster)
    config = cluster.config(kubelet={"max_pods": 77})
    done = cluster.inv("rotate-certs", "--issued-before", "now", "--json", code=1, config=config)
    assert "differs from its configuration in more than certificates" in done.rows["n1"]["cause"]
    assert "inv deploy-nodes" in done.rows["n1"]["advice"]
    assert renewed(cluster, before) == set()


def test_certificates_near_their_end_are_reported(cluster: Lab) -> None:
    found = cluster.inv("certs", "--json").document
    assert found["margin"] == 30
    assert {row["name"] for row in found["certificates"]} == {"CA", "apiserver", *PAIRS}
    near = cluster.config(verify={"certificate_days": 36_000})
    assert cluster.inv("certs", "--json", code=3, config=near).document["margin"] == 36_000
    checks = cluster.inv("verify", "--no-network", "--json", code=1, config=near).document["checks"]
    reported = [c["detail"] for c in checks if not c["ok"]]
    assert len(reported) == len(every())
    assert all("fewer than 36000 (verify.certificate_days)" in text for text in reported)
