"""Nodes are taken out of the cluster for real, and come back only as new ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .harness import eventually
from .shop import budget, deployment, pod

if TYPE_CHECKING:
    from .shop import Shop

pytestmark = pytest.mark.life


def names(shop: Shop) -> set[str]:
    return {node["metadata"]["name"] for node in shop.lab.objects("nodes")}


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
    shop.rolled_out("web")
    # The kubelet's folder is a mount of the lab's, which stays, empty.
    left = "ls -d /etc/kubernetes /var/lib/fabnode /etc/cni/net.d /var/lib/kubelet/* 2>/dev/null"
    assert shop.lab.on("n3", left, code=None) == ""
    assert shop.lab.on("n3", "systemctl is-active kubelet", code=None).strip() == "inactive"
    again = shop.inv("remove-node", "--limit", "n3", "--yes")
    assert "the cluster has nothing of it" in again.text
    shop.lab.deploy("--limit", "n3")
    eventually(lambda: shop.lab.ready() == {"n1", "n2", "n3"})
    shop.lab.inv("verify")
