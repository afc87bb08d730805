"""Three apiservers without a load balancer in a cluster of IPv6 alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fabnode.node import layout as on_host
from fabnode.util.families import family_of, in_url

from .apiservers import (
    COUNT,
    balancers,
    change_the_list,
    deploy_while_the_first_dies,
    join_without_the_first,
    leave_the_first_that_hangs,
    outlive_the_first_two,
    take_the_list_that_is_suggested,
)
from .harness import NODES

if TYPE_CHECKING:
    from .harness import Lab

pytestmark = pytest.mark.sites


@pytest.fixture(scope="module")
def joined(several_ipv6_lab: Lab) -> Lab:
    """Three nodes that joined while the apiserver of the deployer's kubeconfig was dead."""
    lab = several_ipv6_lab
    if lab.objects("nodes"):
        lab.lab("fresh")
        lab.become_deployer()  # its account went with the cluster's store
    join_without_the_first(lab)
    return lab


def test_nodes_join_while_one_apiserver_is_dead(joined: Lab) -> None:
    """No host has an address of IPv4 but loopback's, where the balancer is in each family."""
    assert balancers(joined) == dict.fromkeys(NODES, "active")
    servers = [str(each) for each in joined.layout.control_planes(COUNT)]
    assert {family_of(each) for each in servers} == {6}
    for node in NODES:
        text = joined.on(node, f"cat {on_host.BALANCER_CONFIG}")
        for server in servers:
            assert f"  server {server} {in_url(server)}:6443\n" in text
        kubeconfig = joined.on(node, f"cat {on_host.KUBELET_KUBECONFIG}")
        assert "https://127.0.0.1:6444" in kubeconfig
    checks = joined.inv("verify", "--json").document["checks"]
    assert all(check["ok"] for check in checks)
    joined.inv("audit")
    assert joined.plan("--exit-code")["empty"]


def test_another_apiserver_dies_during_a_deployment(joined: Lab) -> None:
    deploy_while_the_first_dies(joined)


def test_pods_requests_and_logs_go_on_while_two_are_dead(joined: Lab) -> None:
    outlive_the_first_two(joined)


def test_an_apiserver_that_hangs_is_left(joined: Lab) -> None:
    leave_the_first_that_hangs(joined)


def test_another_list_is_one_plan_and_starts_nothing_but_balancers(joined: Lab) -> None:
    change_the_list(joined)


def test_a_first_configuration_suggests_the_list(joined: Lab) -> None:
    take_the_list_that_is_suggested(joined)
