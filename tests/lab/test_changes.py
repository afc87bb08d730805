"""A changed setting changes what it must, on the nodes it concerns, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .harness import NODES

if TYPE_CHECKING:
    from .harness import Lab
    from .workload import Workload

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


def test_one_setting_for_all_is_one_file_and_one_restart_each(
    workload: Workload, cluster: Lab
) -> None:
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


def test_a_nodes_own_settings_concern_that_node_alone(workload: Workload, cluster: Lab) -> None:
    config = cluster.config(
        nodes={
            "n2": {"kubelet": {"max_pods": 60}},
            "n3": {"kube_proxy": {"config": {"iptables": {"minSyncPeriod": "2s"}}}},
        }
    )
    plan = changes(cluster.plan("--exit-code", code=3, config=config))
    assert plan["n1"] == []
    assert plan["n2"] == ONE_FILE_ONE_RESTART
    proxy = [("update", "/etc/kubernetes/kube-proxy.yaml"), ("restart", "kube-proxy.service")]
    assert plan["n3"] == proxy
    starts, containers = cluster.starts(), workload.containers()
    done = cluster.deploy(config=config)
    assert done.results == {"n1": "unchanged", "n2": "changed", "n3": "changed"}
    assert cluster.restarted(starts) == {"n2 kubelet.service", "n3 kube-proxy.service"}
    assert pods_allowed(cluster)["n2"] == "60"
    assert workload.containers() == containers


def test_labels_and_taints_need_no_restart(cluster: Lab) -> None:
    config = cluster.config(
        nodes={"n1": {"labels": {"disk": "ssd"}, "taints": ["dedicated=batch:PreferNoSchedule"]}}
    )
    cluster.inv("plan", "--exit-code", code=3, config=config)
    starts = cluster.starts()
    assert cluster.deploy(config=config).results == {
        "n1": "changed",
        "n2": "unchanged",
        "n3": "unchanged",
    }
    assert cluster.restarted(starts) == set()
    (node,) = (n for n in cluster.objects("nodes") if n["metadata"]["name"] == "n1")
    assert node["metadata"]["labels"]["disk"] == "ssd"
    taint = {"key": "dedicated", "value": "batch", "effect": "PreferNoSchedule"}
    assert taint in node["spec"]["taints"]
    writes = len(cluster.writes())
    cluster.deploy(config=config)
    assert cluster.writes(writes) == []
    cluster.kubectl("taint", "node", "n1", "dedicated-")


def test_limit_leaves_the_others_alone(cluster: Lab) -> None:
    config = cluster.config(kubelet={"max_pods": 98})
    starts = cluster.starts()
    done = cluster.deploy("--limit", "n3", config=config)
    assert done.results == {"n3": "changed"}
    assert cluster.restarted(starts) == {"n3 kubelet.service"}


def test_one_step_of_one_host(cluster: Lab) -> None:
    """`fab -H n1 kubelet` does that step's part, and no other's."""
    config = cluster.config(
        kubelet={"max_pods": 99}, kube_proxy={"config": {"iptables": {"minSyncPeriod": "3s"}}}
    )
    starts = cluster.starts()
    cluster.fab("-H", "n1", "kubelet", config=config)
    cluster.as_configured = False
    assert cluster.restarted(starts) == {"n1 kubelet.service"}
    cluster.fab("-H", "n1", "proxy", config=config)
    assert cluster.restarted(starts) == {"n1 kubelet.service", "n1 kube-proxy.service"}
    for step in ("prepare", "runtime", "bootstrap-kubeconfig", "proxy-cert"):
        assert "unchanged" in cluster.fab("-H", "n1", step, config=config).out
