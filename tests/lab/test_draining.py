"""Nodes in use are drained: budgets, data, owners, an administrator's cordon, a killed drain."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import pytest

from .harness import NODES, eventually
from .shop import EXCLUDED, RECORD, budget, deployment, local_volume, pod

if TYPE_CHECKING:
    from .shop import Shop

pytestmark = pytest.mark.life


def test_a_node_is_emptied_within_its_budget_and_takes_pods_again(shop: Shop) -> None:
    """Some replicas on one node share a budget of one: they go one after another."""
    shop.make(deployment("web", 6), budget("web", minAvailable=5))
    shop.rolled_out("web")
    full = max(NODES, key=lambda node: len(shop.pods(node)))
    done = shop.drain("--limit", full, "--json")
    assert done.results == {full: "changed"}
    assert shop.pods(full) == []
    assert shop.cordoned() == {full}
    assert (shop.record(full)["what"], shop.record(full)["phase"]) == ("drain", "drained")
    assert f"cordoned by fabnode now: {full}" in done.err
    shop.rolled_out("web")
    status = shop.inv("status").out
    assert "ours: drain (drained) by" in status
    assert shop.drain("--limit", full, "--json").results == {full: "unchanged"}
    verified = shop.lab.inv("verify", "--no-network", "--json", "--limit", full, code=1).document
    (bad,) = [check for check in verified["checks"] if not check["ok"]]
    assert bad["advice"] == f"inv uncordon --limit {full}"
    shop.inv("uncordon", "--limit", full)
    assert shop.cordoned() == set()
    assert RECORD not in shop.node(full)["metadata"].get("annotations", {})


def test_all_that_holds_a_drain_up_is_said_before_the_cordon(shop: Shop) -> None:
    here = {"nodeSelector": {"kubernetes.io/hostname": "n2"}}
    cache = [{"name": "cache", "emptyDir": {}}]
    data = [
        {"name": "data", "persistentVolumeClaim": {"claimName": "data"}},
        {"name": "logs", "hostPath": {"path": "/var/log"}},
    ]
    shop.make(
        *local_volume("data", "n2", "/var/tmp"),
        deployment("single", 1, **here),
        budget("single", minAvailable=1),
        deployment("twice", 1, **here),
        budget("twice-a", app="twice", maxUnavailable=1),
        budget("twice-b", app="twice", maxUnavailable=1),
        deployment("cache", 1, volumes=cache, **here),
        deployment("data", 1, volumes=data, **here),
        pod("lonely", "n2"),
    )
    shop.rolled_out("single", "twice", "cache", "data")
    shop.kubectl("wait", "--for=condition=Ready", "pod/lonely", "--timeout=120s")

    def seen() -> dict[str, dict[str, Any]]:
        found = {name.split("-")[0]: each for name, each in shop.preview("n2", code=1).items()}
        assert "never more than that" in found["single"]["why"]  # budgets are worked out meanwhile
        return found

    found = eventually(seen)
    fates = {name: each["fate"] for name, each in found.items()}
    assert fates == {
        "single": "blocked",
        "twice": "blocked",
        "cache": "blocked",
        "lonely": "blocked",
        "data": "goes",
    }
    assert "needs 1 of 1 healthy (minAvailable: 1), has 1, allows 0" in found["single"]["why"]
    assert "2 budgets cover it (shop/twice-a and shop/twice-b)" in found["twice"]["why"]
    assert "emptyDir cache would be lost" in found["cache"]["why"]
    assert found["lonely"]["why"] == "no controller replaces it"
    assert any("hostPath /var/log stays" in text for text in found["data"]["data"])
    assert any("the volume shop-data (claim data)" in text for text in found["data"]["data"])
    assert "← Deployment single (managed by Helm)" in found["single"]["owner"]
    writes = len(shop.lab.writes())
    done = shop.drain("--limit", "n2", code=1)
    assert "4 pods would not go, so it was not cordoned" in done.text
    assert shop.cordoned() == set()
    assert [write for write in shop.lab.writes(writes) if "lease" not in write] == []
    assert len(shop.pods("n2")) == 5

    named = {each["pod"].partition("/")[2].split("-")[0]: each["pod"] for each in found.values()}
    past = f"{named['single']},{named['twice']}"
    shop.drain(
        "--limit", "n2", "--delete-emptydir-data", "--force", "shop/lonely", "--past-budget", past
    )
    assert shop.pods("n2") == []
    assert shop.cordoned() == {"n2"}
    pending = shop.pods(app="data")
    assert len(pending) == 1, "a pod with a volume of this host waits for it"
    shop.inv("uncordon", "--limit", "n2")
    shop.rolled_out("single", "twice", "cache", "data")
    assert len(shop.pods("n2", app="data")) == 1


def test_a_budget_that_holds_is_named_with_what_its_replacement_lacks(shop: Shop) -> None:
    """Two replicas that may not share a host, on two: a cordon takes the second one its place."""
    apart = {
        "requiredDuringSchedulingIgnoredDuringExecution": [
            {
                "labelSelector": {"matchLabels": {"app": "pair"}},
                "topologyKey": "kubernetes.io/hostname",
            }
        ]
    }
    hosts = {
        "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [
                {
                    "matchExpressions": [
                        {
                            "key": "kubernetes.io/hostname",
                            "operator": "In",
                            "values": ["n1", "n2"],
                        }
                    ]
                }
            ]
        }
    }
    affinity = {"podAntiAffinity": apart, "nodeAffinity": hosts}
    shop.make(deployment("pair", 2, affinity=affinity), budget("pair", minAvailable=1))
    shop.rolled_out("pair")
    eventually(lambda: next(iter(shop.preview("n1").values()))["fate"] == "goes")
    shop.drain("--limit", "n1")  # its replacement has no place, and the other one is the last
    hurried = shop.configured(shop.lab.scratch / "hurried.yml", drain=12)
    (waits,) = shop.preview("n2").values()
    assert waits["fate"] == "waits"
    assert "shop/pair needs 1 of 2 healthy (minAvailable: 1), has 1, allows 0" in waits["why"]
    done = shop.drain("--limit", "n2", "--json", code=1, config=hurried)
    cause = done.rows["n2"]["cause"]
    assert "the budget shop/pair needs 1 of 2 healthy" in cause
    assert "can't be scheduled: 0/3 nodes are available" in cause
    assert "inv drain --limit n2 goes on from here" in done.rows["n2"]["advice"]
    assert shop.cordoned() == {"n1", "n2"}
    shop.inv("uncordon", "--limit", "n1")
    shop.drain("--limit", "n2")  # the same command goes on
    assert shop.pods("n2") == []


def test_a_drain_that_was_killed_goes_on_and_evicts_nothing_twice(shop: Shop) -> None:
    shop.make(deployment("web", 6), budget("web", maxUnavailable=1))
    shop.rolled_out("web")
    full = max(NODES, key=lambda node: len(shop.pods(node)))
    before = shop.pods(full)
    writes = len(shop.lab.writes())
    running = shop.lab.begin("drain", "--limit", full, config=shop.config)
    assert running.begun(full, "drain", "evicted")
    running.kill(signal.SIGKILL)
    running.wait()
    assert shop.record(full)["phase"] == "begun"
    assert shop.cordoned() == {full}
    assert "drain (begun) by" in shop.inv("status").out
    done = shop.drain("--limit", full)
    assert "goes on: drain" in done.text
    assert shop.pods(full) == []
    evictions = [w for w in shop.lab.writes(writes) if "/eviction" in w]
    assert {name for name in before if any(name in w for w in evictions)} == set(before)
    assert len(shop.pods(app="web")) == 6
    shop.inv("uncordon", "--limit", full)
    assert shop.cordoned() == set()


def test_an_administrators_cordon_is_never_lifted(shop: Shop) -> None:
    shop.make(deployment("web", 3))
    shop.rolled_out("web")
    shop.lab.kubectl("cordon", "n1")
    shop.inv("cordon", "--limit", "n1,n2")
    shop.drain("--limit", "n1")
    assert shop.pods("n1") == []
    done = shop.inv("uncordon", "--limit", "n1,n2", code=1)
    assert "n1" in done.out
    assert "cordoned by somebody else" in done.text
    assert shop.cordoned() == {"n1"}
    status = shop.inv("status").out
    assert "somebody else's, written by kubectl" in status
    # One that lifts ours and cordons the node again has made it theirs.
    shop.inv("cordon", "--limit", "n3")
    shop.lab.kubectl("uncordon", "n3")
    shop.lab.kubectl("cordon", "n3")
    shop.inv("uncordon", "--limit", "n3", code=1)
    assert shop.cordoned() == {"n1", "n3"}


def test_a_smaller_account_may_not_drain(shop: Shop) -> None:
    """It is one account: made again without these rights it has lost them."""
    shop.lab.become_deployer()
    try:
        for words in (("--dry-run",), ()):
            done = shop.lab.inv("drain", "--limit", "n1", *words, code=1)
            assert "no right to" in done.text
            assert "inv rbac.deployer --with-drain" in done.text
        assert shop.cordoned() == set()
        shop.lab.inv("cordon", "--limit", "n1")
        assert shop.cordoned() == {"n1"}
        shop.lab.inv("uncordon", "--limit", "n1")
        assert shop.cordoned() == set()
    finally:
        shop.allow()


def test_one_node_is_drained_by_fab_and_taken_back(shop: Shop) -> None:
    lab = shop.lab
    shown = lab.fab("-H", "n2", "drain", "--dry-run", config=shop.config)
    assert "kube-system/calico-node-" in shown.out
    lab.fab("-H", "n2", "drain", config=shop.config)
    assert shop.cordoned() == {"n2"}
    assert shop.node("n2")["metadata"]["labels"][EXCLUDED] == "true"
    lab.fab("-H", "n2", "uncordon", config=shop.config)
    assert shop.cordoned() == set()
    assert EXCLUDED not in shop.node("n2")["metadata"]["labels"]


def test_one_node_is_maintained_upgraded_and_explained_by_fab(shop: Shop) -> None:
    def fab(*words: str, code: int = 0) -> str:
        return shop.lab.fab("-H", "n2", *words, code=code, config=shop.config).text

    shop.make(deployment("web", 2, nodeSelector={"kubernetes.io/hostname": "n2"}))
    shop.rolled_out("web")
    writes = len(shop.lab.writes())
    shown = fab("maintain", "--command=true", "--dry-run")
    assert "n2: drain, " in shown
    assert "shop/web-" in shown
    assert "n2: nothing to change" in fab("upgrade", "--dry-run")
    assert [write for write in shop.lab.writes(writes) if "/nodes/" in write] == []
    assert "takes pods again" in fab("maintain", "--command=true")
    assert shop.cordoned() == set()
    shop.rolled_out("web")
    shop.lab.kubectl("cordon", "n2")
    assert "it is cordoned, and takes no pods" in fab("doctor", code=3)
    shop.lab.kubectl("uncordon", "n2")
