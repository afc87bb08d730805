"""A second run finds nothing to do, does nothing, and says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .harness import NODES

if TYPE_CHECKING:
    from .harness import Lab


def test_second_deployment_touches_nothing(cluster: Lab) -> None:
    starts, writes = cluster.starts(), len(cluster.writes())
    requests = {item["metadata"]["uid"] for item in cluster.objects("csr")}
    done = cluster.deploy()
    assert done.results == dict.fromkeys(NODES, "unchanged")
    assert set(done.rows) == set(NODES)
    assert cluster.restarted(starts) == set()
    assert cluster.writes(writes) == []
    assert {item["metadata"]["uid"] for item in cluster.objects("csr")} <= requests


def test_second_deployment_says_so_to_people(cluster: Lab) -> None:
    done = cluster.inv("deploy-nodes")
    assert "3 unchanged" in done.out
    assert "nothing to change" in done.text


def test_plan_and_dry_run_are_empty(cluster: Lab) -> None:
    writes = len(cluster.writes())
    cluster.inv("plan", "--exit-code", code=0)
    for words in (["plan"], ["deploy-nodes", "--dry-run"], ["plan", "--deep"]):
        document = cluster.inv(*words, "--json").document
        assert document["empty"], document
        assert {node["node"] for node in document["nodes"]} == set(NODES)
        assert not any(node["changes"] for node in document["nodes"]), document
    assert cluster.writes(writes) == []
