"""The pod network in an upgrade, for real: node by node, or back to what ran."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from .harness import NODES
from .shop import budget, deployment
from .visitors import Visitors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .harness import Lab
    from .shop import Shop

pytestmark = pytest.mark.life

ANOTHER = {"ip_autodetection": "cidr=10.0.0.0/8"}  # finds the same addresses


def of_nodes(lab: Lab) -> dict[str, dict[str, Any]]:
    """Return calico-node's pods by node."""
    found = lab.objects("pods", "-n", "kube-system", "-l", "k8s-app=calico-node")
    return {pod["spec"]["nodeName"]: pod for pod in found}


def uids(lab: Lab) -> dict[str, str]:
    return {node: pod["metadata"]["uid"] for node, pod in of_nodes(lab).items()}


def strategy(lab: Lab) -> str:
    (found,) = lab.objects("daemonsets", "-n", "kube-system", "-l", "k8s-app=calico-node")
    return str(found["spec"]["updateStrategy"]["type"])


def detection(lab: Lab) -> set[str]:
    """Return how calico-node's pods find their address."""
    return {
        env["value"]
        for pod in of_nodes(lab).values()
        for container in pod["spec"]["containers"]
        for env in container["env"]
        if env["name"] == "IP_AUTODETECTION_METHOD"
    }


def changed(shop: Shop, name: str, changes: dict[str, str], **timeouts: int) -> Path:
    """Return the shop's configuration with something else of Calico."""
    whole = yaml.safe_load(shop.config.read_text())
    whole["calico"] |= changes
    whole["timeouts"] = {**(whole.get("timeouts") or {}), **timeouts}
    path = shop.lab.scratch / f"{name}.yml"
    path.write_text(yaml.safe_dump(whole, sort_keys=False))
    return path


@pytest.fixture
def as_it_was(shop: Shop) -> Iterator[Shop]:
    """Have the network as configured again afterwards."""
    yield shop
    shop.lab.deploy()


def test_a_plan_says_on_which_nodes_its_pods_are_replaced(shop: Shop) -> None:
    before = uids(shop.lab)
    config = changed(shop, "planned", ANOTHER)
    shown = shop.inv("upgrade", "--dry-run", config=config).out
    assert (
        "cluster: calico-node is rolled, one node at a time; 1 object to apply on n1, n2, n3"
        in (shown)
    )
    assert uids(shop.lab) == before
    done = shop.inv("upgrade", "--limit", "n1", "--dry-run", config=config)
    assert "left alone, because this run is not about all nodes" in done.text


def test_one_that_is_not_well_goes_back_and_the_others_are_untouched(as_it_was: Shop) -> None:
    shop, before = as_it_was, uids(as_it_was.lab)
    was = detection(shop.lab)
    broken = changed(shop, "broken", {"registry": "registry.invalid"}, calico=60)
    done = shop.inv("upgrade", code=1, config=broken)
    assert "Calico runs as before on n1" in done.text
    after = uids(shop.lab)
    assert {node for node in NODES if after[node] != before[node]} == {"n1"}
    assert detection(shop.lab) == was
    assert strategy(shop.lab) == "RollingUpdate"
    assert shop.lab.plan()["cluster"] == []


def test_its_pods_are_replaced_one_after_another_and_no_request_is_lost(as_it_was: Shop) -> None:
    shop, before = as_it_was, uids(as_it_was.lab)
    visitors = Visitors(shop)
    config = changed(shop, "changed", ANOTHER)
    done = shop.inv("upgrade", "--json", config=config)
    assert done.results == dict.fromkeys(NODES, "changed")
    after = uids(shop.lab)
    assert not set(before.values()) & set(after.values())
    assert detection(shop.lab) == {"cidr=10.0.0.0/8"}
    assert strategy(shop.lab) == "RollingUpdate"
    served, lost = visitors.since_then()
    assert served > 20
    assert lost == 0, f"{lost} requests of {served + lost} were lost"
    again = shop.inv("upgrade", "--json", config=config)
    assert again.results == dict.fromkeys(NODES, "unchanged")
    assert uids(shop.lab) == after


def test_nodes_of_one_budget_are_not_taken_together(shop: Shop) -> None:
    shop.make(deployment("web", 3), budget("web", maxUnavailable=1))
    shop.rolled_out("web")
    away: list[set[str]] = []
    run = shop.lab.begin(
        "maintain",
        "--limit",
        ",".join(NODES),
        "--batch",
        "3",
        "--no-network",
        "--command",
        "sleep 2",
        config=shop.config,
    )
    while run.process.poll() is None:
        away.append(shop.cordoned())
    run.wait()
    assert max(map(len, away)) == 1
    assert set().union(*away) == set(NODES)
