"""Which pods a drain moves, and what is said of those that it doesn't."""

from __future__ import annotations

from typing import Any

import pytest

from fabnode.upkeep.departures import (
    Departure,
    Permits,
    Surroundings,
    after_dry_run,
    blocked,
    departure,
    departures,
    left,
)
from fabnode.upkeep.eviction_answers import Answer
from fabnode.upkeep.owners import Owner

from .pods import budget, pod

GONE = {"uid-web-1": (Owner("DaemonSet", "web", False),)}
LOST = {"uid-web-1": (Owner("ReplicaSet", "web", False),)}
EMPTYDIR = [{"name": "cache", "emptyDir": {"medium": "Memory"}}]
HOSTPATH = [{"name": "data", "hostPath": {"path": "/srv/data"}}]
CLAIM = [{"name": "data", "persistentVolumeClaim": {"claimName": "data-0"}}]
PINNED = {
    "required": {
        "nodeSelectorTerms": [
            {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In"}]}
        ]
    }
}


def volume(**spec: Any) -> dict[tuple[str, str], Any]:
    return {("shop", "data-0"): {"metadata": {"name": "pv-1"}, "spec": spec}}


ONE_BUDGET: dict[str, tuple[Any, ...]] = {
    "allows one": ({}, {}, "goes", ""),
    "allows none now": (
        {"status": {"disruptionsAllowed": 0, "currentHealthy": 2}},
        {},
        "waits",
        "shop/web needs 2 of 3 healthy (minAvailable: 2), has 2, allows 0",
    ),
    "never allows one": (
        {
            "spec": {"minAvailable": "100%"},
            "status": {"disruptionsAllowed": 0, "desiredHealthy": 3},
        },
        {},
        "blocked",
        "needs 3 of 3 healthy (minAvailable: 100%), has 3, allows 0: never more than that",
    ),
    "forbids it outright": (
        {
            "spec": {"minAvailable": None, "maxUnavailable": 0},
            "status": {"disruptionsAllowed": 0, "desiredHealthy": 3},
        },
        {},
        "blocked",
        "(maxUnavailable: 0)",
    ),
    "was changed and not looked at": (
        {"status": {"observedGeneration": 0}},
        {},
        "waits",
        "shop/web was changed and is not processed yet",
    ),
    "can't be worked out": (
        {
            "status": {
                "disruptionsAllowed": 0,
                "conditions": [
                    {
                        "type": "DisruptionAllowed",
                        "reason": "SyncFailed",
                        "message": "found no controllers for pod web-1",
                    }
                ],
            }
        },
        {},
        "blocked",
        "has no status: found no controllers for pod web-1",
    ),
    "is not asked about a pod that has not started": (
        {"status": {"disruptionsAllowed": 0}},
        {"phase": "Pending", "ready": False},
        "goes",
        "",
    ),
    "lets one that is not ready go while enough others are": (
        {"status": {"disruptionsAllowed": 0, "currentHealthy": 2}},
        {"ready": False},
        "goes",
        "",
    ),
    "holds one that is not ready while too few others are": (
        {"status": {"disruptionsAllowed": 0, "currentHealthy": 1}},
        {"ready": False},
        "waits",
        "this pod is not Ready itself",
    ),
    "lets any that is not ready go where it says so": (
        {
            "spec": {"unhealthyPodEvictionPolicy": "AlwaysAllow"},
            "status": {"disruptionsAllowed": 0, "currentHealthy": 1},
        },
        {"ready": False},
        "goes",
        "",
    ),
    "covers others": ({"spec": {"selector": {"matchLabels": {"app": "db"}}}}, {}, "goes", ""),
}


@pytest.mark.parametrize("case", ONE_BUDGET)
def test_a_budget(case: str) -> None:
    changes, of_pod, fate, why = ONE_BUDGET[case]
    found = departure(pod(**of_pod), Surroundings([budget(**changes)]), Permits())
    assert (found.fate, why in found.why) == (fate, True), found
    assert bool(found.frees) == (fate in {"waits", "blocked"})


def test_two_budgets_over_one_pod_block_it_whatever_they_allow() -> None:
    found = departure(pod(), Surroundings([budget(), budget("all")]), Permits())
    assert found.fate == "blocked"
    assert "2 budgets cover it (shop/web and shop/all)" in found.why
    assert "leave it to one budget; --past-budget shop/web-1" in found.frees


OTHERS: dict[str, tuple[Any, ...]] = {
    "a static pod stays": (
        {"controller": ("v1", "Node"), "annotations": {"kubernetes.io/config.mirror": "x"}},
        {},
        "stays",
        "a static pod: a file on the host makes it",
    ),
    "a DaemonSet's pod stays": (
        {"controller": ("apps/v1", "DaemonSet")},
        {},
        "stays",
        "its DaemonSet runs one on every node",
    ),
    "a DaemonSet's pod with an emptyDir stays": (
        {"controller": ("apps/v1", "DaemonSet"), "volumes": EMPTYDIR},
        {},
        "stays",
        "its DaemonSet runs one on every node",
    ),
    "a pod that has lost its DaemonSet is nobody's": (
        {"controller": ("apps/v1", "DaemonSet")},
        {"chains": GONE},
        "blocked",
        "its DaemonSet web, which no longer exists: nobody replaces it",
    ),
    "a DaemonSet of another make stays, found or not": (
        {"controller": ("apps.kruise.io/v1", "DaemonSet")},
        {"chains": GONE},
        "stays",
        "its DaemonSet runs one on every node",
    ),
    "an unmanaged one is blocked": (
        {"controller": None},
        {},
        "blocked",
        "no controller replaces it",
    ),
    "one whose ReplicaSet is gone is blocked": (
        {},
        {"chains": LOST},
        "blocked",
        "its ReplicaSet web, which no longer exists: nobody replaces it",
    ),
    "an unmanaged one that has finished goes": (
        {"controller": None, "phase": "Succeeded", "volumes": EMPTYDIR},
        {},
        "goes",
        "it has finished",
    ),
    "a failed one goes": ({"controller": None, "phase": "Failed"}, {}, "goes", "it has finished"),
    "a pod of a killed verification goes": (
        {"namespace": "fabnode-verify", "controller": None, "volumes": EMPTYDIR},
        {},
        "goes",
        "a verification that runs, or that was killed, made it",
    ),
    "an emptyDir blocks": (
        {"volumes": EMPTYDIR},
        {},
        "blocked",
        "its emptyDir cache (Memory) would be lost",
    ),
    "one that was deleted is waited for": (
        {
            "controller": None,
            "deletionTimestamp": "2026-11-29T12:00:30Z",
            "deletionGracePeriodSeconds": 30,
            "finalizers": ["example.org/keep"],
        },
        {},
        "ending",
        "to be gone by 2026-11-29T12:00:30Z (grace of 30 s); kept by example.org/keep",
    ),
    "an owner of another make is a controller": (
        {"controller": ("argoproj.io/v1alpha1", "Rollout")},
        {"chains": {"uid-web-1": (Owner("Rollout", "web", None),)}},
        "goes",
        "",
    ),
}


@pytest.mark.parametrize("case", OTHERS)
def test_a_pod(case: str) -> None:
    of_pod, around, fate, why = OTHERS[case]
    found = departure(pod(**of_pod), Surroundings(**around), Permits())
    assert (found.fate, why in found.why) == (fate, True), found


def test_all_that_blocks_a_pod_is_said_at_once() -> None:
    forbids = budget(status={"disruptionsAllowed": 0, "desiredHealthy": 3})
    found = departure(pod(controller=None, volumes=EMPTYDIR), Surroundings([forbids]), Permits())
    assert found.fate == "blocked"
    for part in ("no controller replaces it", "emptyDir cache", "never more than that"):
        assert part in found.why
    assert found.frees.count("--force shop/web-1") == 2
    assert "--delete-emptydir-data" in found.frees
    assert "--past-budget shop/web-1" in found.frees


FORBIDS = budget(status={"disruptionsAllowed": 0, "desiredHealthy": 3})
ALLOWED: dict[str, tuple[Any, ...]] = {
    "a forced one goes without a controller": (
        {"controller": None},
        (),
        Permits(forced=frozenset({"shop/web-1"})),
        "goes",
    ),
    "another's name frees nothing": (
        {"controller": None},
        (),
        Permits(forced=frozenset({"shop/web-2"})),
        "blocked",
    ),
    "a forced one goes with its emptyDir": (
        {"volumes": EMPTYDIR},
        (),
        Permits(forced=frozenset({"shop/web-1"})),
        "goes",
    ),
    "emptyDirs may be lost": ({"volumes": EMPTYDIR}, (), Permits(emptydir_data=True), "goes"),
    "that frees no unmanaged one": (
        {"controller": None, "volumes": EMPTYDIR},
        (),
        Permits(emptydir_data=True),
        "blocked",
    ),
    "force is no word about budgets": (
        {},
        (FORBIDS,),
        Permits(forced=frozenset({"shop/web-1"})),
        "blocked",
    ),
    "past its budget it goes": (
        {},
        (FORBIDS, budget("all")),
        Permits(past_budget=frozenset({"shop/web-1"})),
        "goes",
    ),
    "that is no word about what replaces it": (
        {"controller": None},
        (FORBIDS,),
        Permits(past_budget=frozenset({"shop/web-1"})),
        "blocked",
    ),
}


@pytest.mark.parametrize("case", ALLOWED)
def test_what_the_operator_allows(case: str) -> None:
    of_pod, budgets, permits, fate = ALLOWED[case]
    assert departure(pod(**of_pod), Surroundings(budgets), permits).fate == fate


DATA: dict[str, tuple[Any, ...]] = {
    "hostPath": (HOSTPATH, {}, "hostPath /srv/data stays on this host"),
    "a local volume": (CLAIM, volume(local={"path": "/mnt/a"}), "the volume pv-1 (claim data-0)"),
    "a hostPath volume": (CLAIM, volume(hostPath={"path": "/mnt/a"}), "the volume pv-1"),
    "a volume of one node": (CLAIM, volume(nodeAffinity=PINNED, csi={}), "the volume pv-1"),
}


@pytest.mark.parametrize("case", DATA)
def test_data_that_stays_here_is_told_and_stops_nothing(case: str) -> None:
    volumes, claims, told = DATA[case]
    found = departure(pod(volumes=volumes), Surroundings(claims=claims), Permits())
    assert found.fate == "goes"
    assert len(found.data) == 1
    assert told in found.data[0]


@pytest.mark.parametrize(
    ("volumes", "claims"), [(CLAIM, volume(nfs={})), (CLAIM, {}), ([{"name": "x"}], {})]
)
def test_data_that_is_elsewhere_is_not(volumes: list[Any], claims: dict[Any, Any]) -> None:
    assert departure(pod(volumes=volumes), Surroundings(claims=claims), Permits()).data == ()


def test_a_claim_of_the_pods_own_is_found() -> None:
    own = pod("db-0", volumes=[{"name": "scratch", "ephemeral": {}}])
    claims = {("shop", "db-0-scratch"): {"metadata": {"name": "pv-2"}, "spec": {"local": {}}}}
    assert "pv-2" in departure(own, Surroundings(claims=claims), Permits()).data[0]


def test_pods_that_share_a_budget_go_one_after_another() -> None:
    pods = [pod(f"web-{number}") for number in (1, 2, 3)]
    found = departures(pods, Surroundings([budget()]), Permits())
    assert sorted(each.fate for each in found) == ["goes", "waits", "waits"]
    assert "3 pods of this node share it" in found[0].why


def test_one_that_is_not_counted_takes_nothing_from_a_budget() -> None:
    held = budget(status={"disruptionsAllowed": 0, "currentHealthy": 2})
    pods = [pod("web-1", ready=False), pod("web-2", ready=False)]
    assert [e.fate for e in departures(pods, Surroundings([held]), Permits())] == ["goes", "goes"]


def test_what_holds_a_drain_up_comes_first_and_what_has_no_budget_goes_first() -> None:
    pods = [
        pod("a"),
        pod("b", labels={"app": "x"}),
        pod("c", controller=None, labels={"app": "x"}),
        pod("d", controller=("apps/v1", "DaemonSet")),
    ]
    found = departures(pods, Surroundings([budget()]), Permits())
    assert [each.pod for each in found] == ["shop/c", "shop/b", "shop/a", "shop/d"]
    assert [each.pod for each in left(found)] == ["shop/c", "shop/b", "shop/a"]
    assert [each.pod for each in blocked(found)] == ["shop/c"]


@pytest.mark.parametrize(
    ("fate", "kind", "becomes"),
    [
        ("goes", "accepted", "goes"),
        ("goes", "busy", "goes"),
        ("goes", "held", "waits"),
        ("goes", "refused", "blocked"),
        ("goes", "gone", "ending"),
        ("waits", "held", "waits"),
        ("waits", "refused", "blocked"),
        ("blocked", "accepted", "blocked"),
        ("stays", "refused", "stays"),
    ],
)
def test_the_api_is_heard(fate: Any, kind: Any, becomes: str) -> None:
    found = after_dry_run(Departure("shop/a", "u", fate, "ours"), Answer(kind, "its own words"))
    assert found.fate == becomes
    if fate == "goes" and becomes in {"waits", "blocked"}:
        assert "its own words" in found.why


def test_the_owner_is_named_with_what_brought_it() -> None:
    chain = (
        Owner("ReplicaSet", "web-5d", True),
        Owner("Deployment", "web", True, "Helm release shop"),
    )
    found = departure(pod(), Surroundings(chains={"uid-web-1": chain}), Permits())
    assert found.owner == "ReplicaSet web-5d ← Deployment web (Helm release shop)"
