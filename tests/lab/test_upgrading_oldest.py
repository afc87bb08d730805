"""
Nodes as old as the control plane allows: their kubelets' restarts cost budgets, and are borne.

Kubelets up to 1.34 call their pods not ready when they start, until each is probed again.
"""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from lab import processes

from .harness import NODES
from .shop import local_volume, stateful_set
from .test_api_trouble import AWAY, apiserver
from .test_upgrading import NEW, Cluster, kubelets, of_all
from .visitors import Visitors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .harness import Lab

pytestmark = pytest.mark.life

OLDEST = "1.34.4"


@pytest.fixture(scope="module")
def cluster(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    made = Cluster(lab, tmp_path_factory.mktemp("bin"), OLDEST)
    yield made
    made.shop.close()


@pytest.fixture(scope="module")
def visitors(cluster: Cluster) -> Visitors:
    return Visitors(cluster.shop)


def test_nodes_three_minors_behind_their_control_plane_work(cluster: Cluster) -> None:
    lab = cluster.lab
    assert kubelets(lab) == of_all(OLDEST)
    assert lab.deploy(config=cluster.older).results == dict.fromkeys(NODES, "unchanged")
    checks = lab.inv("verify", "--json", config=cluster.older).document["checks"]
    assert [check for check in checks if not check["ok"]] == []


def _waited_for_its_turn(events: list[dict[str, Any]]) -> bool:
    return any("waiting for its turn to restart" in event.get("text", "") for event in events)


def test_a_change_restarts_kubelets_in_turns_and_no_request_is_lost(
    cluster: Cluster, visitors: Visitors
) -> None:
    lab = cluster.lab
    whole = yaml.safe_load(cluster.older.read_text())
    whole["kubelet"] = {**whole.get("kubelet", {}), "max_pods": 77}
    cluster.older.write_text(yaml.safe_dump(whole, sort_keys=False))
    starts = lab.starts(*NODES)
    run = lab.begin("deploy-nodes", "--json", config=cluster.older)
    assert run.wait(lab.patience).expect(0).results == dict.fromkeys(NODES, "changed")
    assert lab.restarted(starts) == {f"{node} kubelet.service" for node in NODES}
    assert run.until(_waited_for_its_turn, 1)
    served, lost = visitors.since_then()
    assert served > 5
    assert lost == 0, f"{lost} requests of {served + lost} were lost"


def test_an_upgrade_over_three_minors_loses_no_request_and_no_data(
    cluster: Cluster, visitors: Visitors
) -> None:
    shop, lab = cluster.shop, cluster.lab
    lab.on("n2", "mkdir -p /srv/shop && echo kept > /srv/shop/before")
    shop.make(*local_volume("data", "n2", "/srv/shop"), stateful_set("db", "data"))
    shop.kubectl("rollout", "status", "statefulset/db", "--timeout=180s")
    shown = lab.inv("upgrade", "--limit", "n2,n3", "--dry-run", config=cluster.newer).out
    assert f"n2: kubelet {OLDEST} → {NEW}, " in shown
    assert "the volume shop-data (claim data)" in shown
    done = cluster.upgrade("--limit", "n2,n3")
    assert done.results == {"n2": "changed", "n3": "changed"}
    assert kubelets(lab) == {**of_all(NEW), "n1": OLDEST}
    assert shop.cordoned() == set()
    shop.kubectl("rollout", "status", "statefulset/db", "--timeout=180s")
    assert lab.on("n2", "cat /srv/shop/before /srv/shop/starts").split() == ["kept"] + 2 * ["start"]
    served, lost = visitors.since_then()
    assert served > 50
    assert lost == 0, f"{lost} requests of {served + lost} were lost"


def test_an_upgrade_outlives_an_apiserver_that_hangs(cluster: Cluster) -> None:
    """It stops to answer while the node is changed, and the node's own way to it with it."""
    cluster.shop.kubectl("delete", "pod", "visitor", "--ignore-not-found", "--now")
    run = cluster.lab.begin("upgrade", "--limit", "n1", "--json", config=cluster.newer)
    assert run.begun("n1", "kubelet"), run.printed()
    pid = apiserver(cluster.lab)
    processes.send(pid, signal.SIGSTOP)
    try:
        time.sleep(AWAY)  # the outage itself, nothing that is waited for
    finally:
        processes.send(pid, signal.SIGCONT)
    assert run.wait().expect(0).results == {"n1": "changed"}
    assert kubelets(cluster.lab) == of_all(NEW)
    assert cluster.shop.cordoned() == set()
