"""What others changed in the cluster since: named, and put right or left with a reason."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from .harness import eventually

if TYPE_CHECKING:
    from .harness import Lab

pytestmark = pytest.mark.sites

SETTLED = 15  # seconds after which a kubelet without its Node object is not about to register
PORT = "10250/tcp does not answer the apiserver"
GONE = {
    "apiVersion": "apiregistration.k8s.io/v1",
    "kind": "APIService",
    "metadata": {"name": "v1beta1.metrics.k8s.io"},
    "spec": {
        "group": "metrics.k8s.io",
        "version": "v1beta1",
        "groupPriorityMinimum": 100,
        "versionPriority": 100,
        "insecureSkipTLSVerify": True,
        "service": {"name": "gone", "namespace": "kube-system"},
    },
}


def verified(lab: Lab, *words: str, code: int = 0) -> dict[tuple[str | None, str], dict[str, Any]]:
    """Return the checks of `inv verify` by node and name."""
    checks = lab.inv("verify", "--json", *words, code=code).document["checks"]
    return {(check["node"], check["name"]): check for check in checks}


def bad(checks: dict[tuple[str | None, str], dict[str, Any]]) -> dict[tuple[str | None, str], str]:
    return {key: check["detail"] for key, check in checks.items() if not check["ok"]}


def test_a_node_object_that_was_deleted_comes_back(cluster: Lab) -> None:
    eventually(lambda: _uptime(cluster, "n2") > SETTLED or None, 60)
    before = cluster.starts()
    labelled = cluster.config({"n2": {"labels": {"disk": "ssd"}, "taints": ["a=b:NoSchedule"]}})
    cluster.deploy("--limit", "n2", config=labelled)
    cluster.kubectl("delete", "node", "n2")
    (planned,) = cluster.plan("--limit", "n2", "--exit-code", code=3, config=labelled)["nodes"]
    assert [(c["action"], c["name"], c["why"]) for c in planned["changes"]] == [
        ("restart", f"{unit}.service", "its Node object is missing")
        for unit in ("kubelet", "kube-proxy")
    ]
    cluster.deploy("--limit", "n2", config=labelled)
    node = json.loads(cluster.kubectl("get", "node", "n2", "-o", "json"))
    assert node["metadata"]["labels"]["disk"] == "ssd"
    assert ("a", "NoSchedule") in {(t["key"], t["effect"]) for t in node["spec"]["taints"]}
    assert cluster.restarted(before) == {"n2 kubelet.service", "n2 kube-proxy.service"}
    cluster.deploy()


def _uptime(lab: Lab, host: str) -> float:
    shown = lab.on(host, "systemctl show -p ActiveEnterTimestampMonotonic --value kubelet")
    return float(lab.on(host, "cut -d' ' -f1 /proc/uptime")) - int(shown) / 1e6


def test_a_changed_address_gets_its_serving_certificate(cluster: Lab) -> None:
    old = str(cluster.layout.subnet[11])
    new = old.rpartition(".")[0] + ".250"
    cluster.on("n1", f"ip addr replace {new}/24 dev host0")
    moved = cluster.config({"n1": {"ip": new}})
    try:
        (planned,) = cluster.plan("--limit", "n1", "--exit-code", code=3, config=moved)["nodes"]
        reasons = {change["name"]: change["why"] for change in planned["changes"]}
        served = "/var/lib/kubelet/pki/kubelet-server-current.pem"
        assert f"its serving certificate is not for {new}" in reasons["kubelet.service"]
        cluster.deploy("--limit", "n1", config=moved)
        names = cluster.on("n1", f"openssl x509 -in {served} -noout -ext subjectAltName")
        assert f"IP Address:{new}" in names
        ours = [r for r in cluster.objects("csr") if r["spec"]["username"] == "system:node:n1"]
        assert [r["metadata"]["name"] for r in ours if not r["status"].get("conditions")] == []
        cluster.inv("verify", "--limit", "n1", config=moved)
        # As seen from a configuration of the old address, which nobody has deployed since.
        rows = cluster.inv("certs", "--json", "--limit", "n1", code=1).document["certificates"]
        faults = {row["name"]: row["faults"] for row in rows}
        assert faults["kubelet serving certificate"] == [f"it is not for {old}"]
        assert f"it is not for {old}" in str(bad(verified(cluster, "--no-network", code=1)))
    finally:
        cluster.deploy()
        cluster.on("n1", f"ip addr del {new}/24 dev host0")


def test_the_apiservers_other_address_reaches_the_kubelet(cluster: Lab) -> None:
    name = "kubernetes.default.svc"
    cluster.on(
        "n3",
        f"grep -q {name} /etc/hosts || echo {cluster.layout.gateway} {name} >>/etc/hosts",
    )
    moved = cluster.config(cluster={"apiserver": f"https://{name}:6443"})
    try:
        before = cluster.starts()
        pair = "sha256sum /var/lib/kubelet/pki/kubelet-client-current.pem"
        held = cluster.on("n3", pair)
        (planned,) = cluster.plan("--limit", "n3", config=moved)["nodes"]
        reasons = {change["name"]: change["why"] for change in planned["changes"]}
        assert f"→ https://{name}:6443" in reasons["/etc/kubernetes/kubelet.kubeconfig"]
        cluster.deploy("--limit", "n3", config=moved)
        assert cluster.plan("--limit", "n3", config=moved)["empty"]
        assert name in cluster.on("n3", "cat /etc/kubernetes/kubelet.kubeconfig")
        assert cluster.on("n3", pair) == held
        assert {"n3 kubelet.service", "n3 kube-proxy.service"} <= cluster.restarted(before)
        assert not {name for name in cluster.restarted(before) if not name.startswith("n3 ")}
    finally:
        cluster.deploy()
        cluster.on("n3", f"sed -i /{name}/d /etc/hosts")


def test_a_node_that_gets_no_pods_is_not_called_good(cluster: Lab) -> None:
    taint = "node.cloudprovider.kubernetes.io/uninitialized"
    cluster.kubectl("cordon", "n2")
    cluster.kubectl("taint", "node", "n3", f"{taint}=true:NoSchedule")
    try:
        checks = verified(cluster, "--no-network", code=1)
        assert bad(checks) == {
            ("n2", "schedulable"): "cordoned",
            ("n3", "schedulable"): f"tainted {taint}:NoSchedule",
        }
        assert "kubectl uncordon n2" in checks["n2", "schedulable"]["advice"]
        warned = [c for c in cluster.deploy().document["checks"] if not c["ok"]]
        assert {(c["node"], c["name"], c["warning"]) for c in warned} == {
            ("n2", "schedulable", True),
            ("n3", "schedulable", True),
        }
        assert "true" in cluster.kubectl(
            "get", "node", "n2", "-o", "jsonpath={.spec.unschedulable}"
        )
    finally:
        cluster.kubectl("uncordon", "n2")
        cluster.kubectl("taint", "node", "n3", f"{taint}-")


POOL = ("ippools.crd.projectcalico.org", "default-ipv4-ippool")


def test_a_pools_encapsulation_is_an_object_of_the_plan(cluster: Lab) -> None:
    was = cluster.kubectl("get", *POOL, "-o", "jsonpath={.spec.vxlanMode}")
    other = "CrossSubnet" if was == "Always" else "Always"
    _patch(cluster, vxlanMode=other)
    try:
        found = cluster.plan("--exit-code", code=3)
        (change,) = found["cluster"]
        assert change["object"] == "IPPool default-ipv4-ippool"
        assert change["fields"] == ["spec.vxlanMode"]
        assert found["drift"] is None
        limited = cluster.plan("--limit", "n1")
        assert not limited["cluster"], "routes of other nodes would change"
        assert f"vxlanMode is {other}, configured is {was}" in limited["drift"]["text"]
        cluster.deploy()
        assert cluster.kubectl("get", *POOL, "-o", "jsonpath={.spec.vxlanMode}") == was
    finally:
        _patch(cluster, vxlanMode=was)
    assert cluster.plan("--exit-code")["empty"]


def test_a_pool_that_is_disabled_is_drift(cluster: Lab) -> None:
    _patch(cluster, disabled=True)
    try:
        found = cluster.plan("--exit-code", code=3)
        assert not found["cluster"]
        assert "default-ipv4-ippool is disabled" in found["drift"]["text"]
        assert (
            "default-ipv4-ippool is disabled"
            in bad(verified(cluster, "--no-network", code=1))[None, "Calico pool"]
        )
    finally:
        _patch(cluster, disabled=False)
    assert cluster.plan("--exit-code")["drift"] is None


def _patch(lab: Lab, **spec: object) -> None:
    lab.kubectl("patch", *POOL, "--type=merge", "-p", json.dumps({"spec": spec}))


@contextmanager
def dropping(lab: Lab, rules: Mapping[str, str]) -> Iterator[None]:
    """Drop packets on hosts, in a table of its own: Calico's rules come before others'."""
    chain = "'{ type filter hook prerouting priority -400; }'"
    for host, rule in rules.items():
        lab.on(
            host,
            f"nft add table ip moved && nft add chain ip moved in {chain} &&"
            f" nft add rule ip moved in {rule} drop",
        )
    try:
        yield
    finally:
        for host in rules:
            lab.on(host, "nft delete table ip moved", code=None)


def test_the_path_between_nodes_and_to_kubelets_is_named(cluster: Lab) -> None:
    """n2 gets no large packet of the overlay, and n3's kubelet is reached by nobody."""
    rules = {
        "n2": "udp dport 4789 ip length gt 1400",
        "n3": "iifname host0 tcp dport 10250",
    }
    with dropping(cluster, rules):
        found = bad(verified(cluster, code=1))
    assert "lost on the way from" in found["n2", "large packets"]
    assert ("n1", "large packets") not in found
    assert PORT in found["n3", "network probe"]
    assert not {key for key in found if key[1].startswith("pod on")}


def test_one_node_alone_is_tried_against_others(cluster: Lab) -> None:
    with dropping(cluster, {"n1": "udp dport 4789"}):
        found = bad(verified(cluster, "--limit", "n1", code=1))
    assert {key for key in found if key[1].startswith("pod on")} >= {("n1", "pod on n2")}


def test_an_api_that_is_down_is_named(cluster: Lab) -> None:
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(GONE))
    try:
        found = verified(cluster, "--no-network")
        check = found[None, "aggregated APIs"]
        assert check["warning"]
        assert "v1beta1.metrics.k8s.io is down: ServiceNotFound" in check["detail"]
    finally:
        cluster.kubectl("delete", "apiservice", "v1beta1.metrics.k8s.io")
