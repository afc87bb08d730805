"""Three apiservers without a load balancer: nodes join, change and run on while one is dead."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from fabnode.node import layout as on_host
from fabnode.node.conventions import BALANCER_SERVICE

from .apiservers import (
    ask,
    balancers,
    change_the_list,
    deploy_while_the_first_dies,
    join_without_the_first,
    leave_the_first_that_hangs,
    outlive_the_first_two,
    ready,
    take_the_list_that_is_suggested,
)
from .harness import NODES, eventually
from .workload import NAMESPACE, Workload

if TYPE_CHECKING:
    from .harness import Lab

pytestmark = pytest.mark.sites


@pytest.fixture(scope="module")
def bare(several_lab: Lab) -> Lab:
    if several_lab.objects("nodes"):
        several_lab.lab("fresh")
        several_lab.become_deployer()  # its account went with the cluster's store
    return several_lab


@pytest.fixture(scope="module")
def joined(bare: Lab) -> Lab:
    """Three nodes that joined while the apiserver of the deployer's kubeconfig was dead."""
    join_without_the_first(bare)
    return bare


def test_nodes_join_while_one_apiserver_is_dead(joined: Lab) -> None:
    assert balancers(joined) == dict.fromkeys(NODES, "active")
    for node in NODES:
        text = joined.on(node, f"cat {on_host.KUBELET_KUBECONFIG}")
        assert "https://127.0.0.1:6444" in text
        assert "tls-server-name: kubernetes.default.svc" in text
        pid = f"$(systemctl show -p MainPID --value {BALANCER_SERVICE})"
        assert joined.on(node, f"ps -o user= -p {pid}").strip() != "root"
    joined.inv("verify")
    joined.inv("audit")
    assert joined.plan("--exit-code")["empty"]


def test_a_kubelet_that_starts_again_verifies_by_name(joined: Lab) -> None:
    """What the kubelet itself writes when it joins has no such name, and would refuse all."""
    since = time.time()
    joined.on("n1", "systemctl restart kubelet")

    def beat() -> bool:
        lease = ask(joined, "-n", "kube-node-lease", "get", "lease", "n1", "-o", "json")
        renewed = json.loads(lease)["spec"]["renewTime"]
        return time.mktime(time.strptime(renewed[:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone > since

    eventually(beat, 60)


def test_a_renewal_leaves_the_name_in_the_kubelets_kubeconfig(joined: Lab) -> None:
    """A renewal is a join: the kubelet writes that file again."""
    before = ready(joined)
    joined.inv("rotate-certs", "--issued-before", "now", "--limit", "n2")
    text = joined.on("n2", f"cat {on_host.KUBELET_KUBECONFIG}")
    assert "tls-server-name: kubernetes.default.svc" in text
    assert joined.plan("--exit-code")["empty"]
    assert {**ready(joined), "n2": before["n2"]} == before
    # On a busy machine a kubelet that starts again reports not Ready until it has seen the runtime.
    eventually(lambda: ready(joined)["n2"][0] == "True")


def test_another_apiserver_dies_during_a_deployment(joined: Lab) -> None:
    deploy_while_the_first_dies(joined)


def test_pods_requests_and_logs_go_on_while_one_is_dead(joined: Lab) -> None:
    outlive_the_first_two(joined)


def test_an_apiserver_that_hangs_is_left(joined: Lab) -> None:
    """It still accepts connections: only who asks it notices."""
    leave_the_first_that_hangs(joined)


def test_another_list_is_one_plan_and_starts_nothing_but_balancers(joined: Lab) -> None:
    change_the_list(joined)


def test_a_balancer_that_was_stopped_is_the_cause(joined: Lab) -> None:
    joined.disturb("n2", f"systemctl stop {BALANCER_SERVICE}")
    try:
        eventually(lambda: ready(joined)["n2"][0] != "True" or None, 120)
        found = joined.inv("doctor", "--json", "--limit", "n2", code=3)
        (node,) = found.document["nodes"]
        assert node["causes"][0]["key"] == "balancer-down"
        joined.inv("doctor", "--fix", "--limit", "n2")
    finally:
        joined.on("n2", f"systemctl start {BALANCER_SERVICE}")
    eventually(lambda: ready(joined)["n2"][0] == "True" or None, 120)


def test_a_first_configuration_suggests_the_list(joined: Lab) -> None:
    """The kubeconfig names one of three: whether a balancer stands before them, nobody can tell."""
    take_the_list_that_is_suggested(joined)


def test_one_apiserver_again_and_no_balancer(joined: Lab) -> None:
    pods = Workload(joined)
    pods.start()
    containers = pods.containers()
    single = joined.config(cluster={"apiserver": joined.layout.apiserver})
    joined.deploy(config=single)
    assert joined.plan("--exit-code", config=single)["empty"]
    for node in NODES:
        left = joined.on(node, f"ls {on_host.BALANCER_CONFIG} {on_host.BALANCER_UNIT}", code=None)
        assert left == ""
        text = joined.on(node, f"cat {on_host.KUBELET_KUBECONFIG}")
        assert joined.layout.apiserver in text
        assert "tls-server-name" not in text
    assert pods.containers() == containers
    joined.deploy()
    assert balancers(joined) == dict.fromkeys(NODES, "active")
    assert pods.containers() == containers


def test_a_removed_node_has_no_balancer_left(joined: Lab) -> None:
    joined.kubectl("delete", "namespace", NAMESPACE, "--timeout=120s")
    joined.inv("remove-node", "--limit", "n3", "--yes", config=joined.layout.configuration)
    left = joined.on("n3", f"ls {on_host.BALANCER_CONFIG} {on_host.BALANCER_UNIT}", code=None)
    assert left == ""
    assert joined.on("n3", f"systemctl is-active {BALANCER_SERVICE} || :").strip() != "active"
