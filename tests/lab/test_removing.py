"""Nodes are taken out of the cluster for real, and come back only as new ones."""

from __future__ import annotations

import base64
import json
import subprocess
from typing import TYPE_CHECKING

import pytest
import yaml

from fabnode.pki.certificates import new_request
from fabnode.pki.csr_policy import CLIENT

from .harness import eventually
from .shop import budget, container, deployment, pod

if TYPE_CHECKING:
    from .shop import Shop

pytestmark = pytest.mark.life


def names(shop: Shop) -> set[str]:
    return {node["metadata"]["name"] for node in shop.lab.objects("nodes")}


def leases(shop: Shop) -> set[str]:
    found = shop.lab.objects("leases", "-n", "kube-node-lease")
    return {lease["metadata"]["name"] for lease in found}


JOURNAL = "journalctl -u kubelet -b --no-pager | grep -a 'fabnode removed' || true"


def created(shop: Shop, node: str) -> str:
    """Return why a node's kubelet may not ask for a certificate; empty: it may."""
    words = ("create", "--dry-run=server", "-f", "-", "--as-group=system:nodes")
    name = f"system:node:{node}"
    item = {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": "tried"},
        "spec": {
            "signerName": CLIENT,
            "usages": ["digital signature", "client auth"],
            "request": base64.b64encode(
                new_request(name, {"organization": "system:nodes"}).request_pem
            ).decode(),
        },
    }
    done = subprocess.run(
        [*shop.lab.kubectl_command(), *words, f"--as={name}"],
        input=json.dumps(item),
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stderr if done.returncode else ""


def held(shop: Shop, node: str = "n3") -> set[str]:
    """Return the names of what Calico holds of addresses for a node."""
    affinities = shop.lab.objects("blockaffinities.crd.projectcalico.org")
    blocks = shop.lab.objects("ipamblocks.crd.projectcalico.org")
    return {
        *(a["metadata"]["name"] for a in affinities if a["spec"]["node"] == node),
        *(b["metadata"]["name"] for b in blocks if b["spec"].get("affinity") == f"host:{node}"),
    }


def test_a_node_is_drained_stopped_removed_and_joins_again_as_a_new_one(shop: Shop) -> None:
    shop.make(deployment("web", 3), budget("web", maxUnavailable=1), pod("lonely", "n3"))
    shop.rolled_out("web")
    refused = shop.inv("remove-node", "--limit", "n3", "--yes", code=1)
    assert "shop/lonely" in refused.text
    assert names(shop) == {"n1", "n2", "n3"}
    assert shop.cordoned() == set()
    writes = len(shop.lab.writes())
    force = ("--force", "shop/lonely")
    shown = shop.inv("remove-node", "--limit", "n3", *force, code=3)
    assert "n3: drained, stopped; then its Node object" in shown.out
    assert "nothing was changed" in shown.out
    assert [write for write in shop.lab.writes(writes) if "/nodes/" in write] == []
    done = shop.inv("remove-node", "--limit", "n3", *force, "--yes", "--json")
    (gone,) = done.document["nodes"]
    assert any("sandboxes" in thing for thing in gone["gone"])
    assert gone["changed_meanwhile"] == []
    assert names(shop) == {"n1", "n2"}
    users = {item["spec"]["username"] for item in shop.lab.objects("csr")}
    assert "system:node:n3" not in users
    assert held(shop) == set()
    assert shop.lab.proxies_bound() == {"n1", "n2"}
    shop.rolled_out("web")
    # The kubelet's folder is a mount of the lab's, which stays, empty.
    left = "ls -d /etc/kubernetes /var/lib/fabnode /etc/cni/net.d /var/lib/kubelet/* 2>/dev/null"
    assert shop.lab.on("n3", left, code=None) == ""
    assert shop.lab.on("n3", "systemctl is-active kubelet", code=None).strip() == "inactive"
    again = shop.inv("remove-node", "--limit", "n3", "--yes")
    assert "n3" not in leases(shop)
    assert "the cluster has nothing of it" in again.text
    shop.lab.deploy("--limit", "n3")
    eventually(lambda: shop.lab.ready() == {"n1", "n2", "n3"})
    shop.lab.inv("verify")


def test_a_node_whose_host_is_dead_is_locked_out_and_removed_by_the_operators_word(
    shop: Shop,
) -> None:
    words = ("remove-node", "--offline", "--limit", "n3")
    shop.make(pod("data", "n3"))
    shop.kubectl("wait", "--for=condition=Ready", "--timeout=60s", "pod/data")
    assert held(shop)
    alive = shop.inv(*words, "--host-is-off", "--yes", code=1)
    assert "it is not offline" in alive.text
    assert shop.cordoned() == set()
    shop.lab.lab("off", "n3", "--plug")
    try:
        eventually(lambda: shop.lab.ready() == {"n1", "n2"}, 120)
        shown = shop.inv(*words, code=3).out
        assert "n3: not removed: 1 pod may run there, and would be declared dead: shop/data" in (
            shown
        )
        locked = shop.inv(*words, "--yes", code=1)
        assert "locked out (tainted, cordoned" in locked.text
        assert names(shop) == {"n1", "n2", "n3"}
        taints = {(t["key"], t["effect"]) for t in shop.node("n3")["spec"]["taints"]}
        assert ("fabnode.io/removed", "NoExecute") in taints
        assert shop.lab.proxies_bound() == {"n1", "n2"}
        assert not shop.lab.may_list_services("system:kube-proxy:n3")
        assert "its kube-proxy's certificate has no rights any more" in locked.text
        assert "and is not renewed: the apiserver refuses it another one" in locked.text
        assert "fabnode removed this node" in created(shop, "n3")
        assert created(shop, "n2") == ""
        done = shop.inv(*words, "--host-is-off", "--yes")
        assert "n3: removed" in done.out
        assert "its kubelet's certificate is good until 2" in done.out
        assert names(shop) == {"n1", "n2"}
        assert "n3" not in leases(shop)
        assert held(shop) == set()
        assert shop.pods("n3") == []
    finally:
        shop.lab.lab("on", "n3")
    # Its keys are good still: where no policy refuses it, it comes back, as was said.
    eventually(lambda: "fabnode removed this node" in shop.lab.on("n3", JOURNAL), 180)
    assert names(shop) == {"n1", "n2"}
    shop.lab.kubectl("delete", "validatingadmissionpolicybinding", "fabnode-removed-nodes")
    eventually(lambda: names(shop) == {"n1", "n2", "n3"}, 180)
    (back,) = shop.inv("audit", "--json", code=3).document["cluster"]
    assert (back["check"], back["severity"], back["subject"]) == ("removed-node", "high", "n3")
    assert "inv remove-node --limit n3" in back["fix"]
    gone = shop.inv("remove-node", "--limit", "n3", "--yes", "--json")
    assert gone.document["nodes"][0]["changed_meanwhile"] == []
    assert names(shop) == {"n1", "n2"}
    shop.lab.deploy("--limit", "n3")
    eventually(lambda: shop.lab.ready() == {"n1", "n2", "n3"})
    shop.lab.inv("verify")
    # A node of its own again: what its removal recorded is forgotten.
    seen = shop.lab.begin("audit", "--json", config=shop.config).wait(shop.lab.patience)
    assert seen.document["cluster"] == []


def test_rights_of_a_kube_proxy_whose_node_nobody_knows_are_taken_back(shop: Shop) -> None:
    """n3 was taken out of the configuration, and its Node object deleted, past fabnode."""
    proxy, words = "system:kube-proxy:n3", ("rbac.forget", "n3")
    without = shop.lab.scratch / "without-n3.yml"
    whole = yaml.safe_load(shop.config.read_text())
    whole["nodes"] = [node for node in whole["nodes"] if node["name"] != "n3"]
    without.write_text(yaml.safe_dump(whole, sort_keys=False))
    writes = len(shop.lab.writes())
    configured = shop.inv(*words, code=1)
    assert "n3: left: the configuration has that node" in configured.out
    there = shop.inv(*words, code=1, config=without)
    assert "n3: left: there is a Node object n3" in there.out
    assert [w for w in shop.lab.writes(writes) if "clusterrolebindings" in w] == []
    assert shop.lab.may_list_services(proxy)
    shop.lab.kubectl("delete", "node", "n3")  # its kubelet, which runs, makes none again
    try:
        seen = shop.inv("status", config=without).out
        assert f"kube-proxies that have rights, of nodes that are gone:\n  {proxy}\n" in seen
        assert f"inv rbac.forget {proxy}" in seen
        starts = shop.lab.starts("n1", "n2")
        done = shop.inv("rbac.forget", proxy, config=without)
        assert f"{proxy} has no rights any more" in done.out
        assert shop.lab.proxies_bound() == {"n1", "n2"}
        assert not shop.lab.may_list_services(proxy)
        assert shop.lab.may_list_services("system:kube-proxy:n2")
        refused = "journalctl -u kube-proxy -b --no-pager | grep -a -m 1 -o 'is forbidden' || true"
        shop.lab.on("n3", "systemctl restart kube-proxy")
        eventually(lambda: shop.lab.on("n3", refused), 120)
        assert "n3: it has no rights" in shop.inv(*words, config=without).out
        assert proxy not in shop.inv("status", config=without).out
        assert shop.lab.restarted(starts) == set()
    finally:
        shop.lab.deploy()
    eventually(lambda: shop.lab.ready() == {"n1", "n2", "n3"})
    assert shop.lab.proxies_bound() == {"n1", "n2", "n3"}
    assert shop.lab.may_list_services(proxy)
    shop.lab.inv("verify")


def test_a_node_whose_kubelet_is_dead_is_removed_with_its_pods(shop: Shop) -> None:
    """Evicted, they end by the runtime, told so before; then also after `inv reset` alone."""
    told = "trap 'echo told >/told/it; exit 0' TERM; while :; do sleep 0.2; done"
    mounts = [{"name": "told", "mountPath": "/told"}]
    volume = {"name": "told", "hostPath": {"path": "/srv/told", "type": "DirectoryOrCreate"}}
    data = pod(
        "data",
        "n3",
        containers=[container(command=["sh", "-c", told], volumeMounts=mounts)],
        volumes=[volume],
        terminationGracePeriodSeconds=30,
    )
    words = ("remove-node", "--limit", "n3", "--force", "shop/data")
    shop.make(deployment("web", 3), budget("web", maxUnavailable=1), data)
    shop.rolled_out("web")
    shop.kubectl("wait", "--for=condition=Ready", "--timeout=60s", "pod/data")
    shop.lab.on("n3", "systemctl stop kubelet")
    shown = shop.inv(*words, "--dry-run").out
    assert "n3: its kubelet does not run (inactive), so its pods are evicted" in shown
    assert shop.cordoned() == set()
    done = shop.inv(*words, "--yes", "--json")
    assert done.document["nodes"][0]["changed_meanwhile"] == []
    assert names(shop) == {"n1", "n2"}
    left = [p["spec"].get("nodeName") for p in shop.lab.objects("pods", "-n", "shop")]
    assert "n3" not in left  # what ends as well; Kubernetes collects DaemonSets' pods
    assert shop.lab.on("n3", "cat /srv/told/it").strip() == "told"
    assert shop.lab.on("n3", "ls -d /sys/fs/cgroup/kubepods* 2>/dev/null", code=None) == ""
    assert held(shop) == set()
    shop.rolled_out("web")
    shop.lab.deploy("--limit", "n3")
    eventually(lambda: shop.lab.ready() == {"n1", "n2", "n3"})
    shop.make(data)
    shop.kubectl("wait", "--for=condition=Ready", "--timeout=60s", "pod/data")
    shop.inv("reset", "--limit", "n3", "--pods", "*", "--yes")
    assert "data" in shop.pods("n3")
    again = shop.inv(*words, "--yes")
    assert "nothing of its pods runs; removed: shop/data" in again.text
    assert names(shop) == {"n1", "n2"}
    assert shop.pods("n3") == []
    shop.lab.deploy("--limit", "n3")
    eventually(lambda: shop.lab.ready() == {"n1", "n2", "n3"})
    shop.lab.inv("verify")
