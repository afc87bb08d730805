"""Why a network's pods are not ready: from their statuses and events."""

from __future__ import annotations

from typing import Any

import pytest

from fabnode.cni import calico_health
from fabnode.cni.daemonset import broken_pods
from fabnode.util.pods import problem, state

DAEMONSET = {"metadata": {"annotations": {"deprecated.daemonset.template.generation": "2"}}}
BGP = "Readiness probe failed: BIRD is not ready: BGP not established with 10.99.0.11"


def pod(node: str, *, ready: bool = False, template: str = "2", **status: Any) -> dict[str, Any]:
    labels = {"pod-template-generation": template, "k8s-app": "calico-node"}
    condition = {"type": "Ready", "status": str(ready)}
    return {
        "metadata": {"name": f"calico-node-{node}", "uid": f"uid-{node}", "labels": labels},
        "spec": {"nodeName": node},
        "status": {"phase": "Running", "conditions": [condition], **status},
    }


def container(name: str, last: dict[str, Any] | None = None, **state: Any) -> dict[str, Any]:
    return {"name": name, "state": state, "lastState": {"terminated": last} if last else {}}


def event(node: str, message: str, time: str = "2026-01-01T00:00:01Z") -> dict[str, Any]:
    involved = {"kind": "Pod", "uid": f"uid-{node}"}
    return {
        "type": "Warning",
        "message": message,
        "lastTimestamp": time,
        "involvedObject": involved,
    }


RUNNING = container("calico-node", running={"startedAt": "x"})
PULLING = container("upgrade-ipam", waiting={"reason": "ErrImagePull", "message": "no such host"})
NOT_BEGUN = container("calico-node", waiting={"reason": "PodInitializing"})
CRASHED = container(
    "calico-node",
    {"exitCode": 2, "reason": "Error"},
    waiting={"reason": "CrashLoopBackOff", "message": "back-off 40s"},
)


@pytest.mark.parametrize(
    ("status", "events", "expected"),
    [
        ({"containerStatuses": [RUNNING]}, [event("n2", BGP)], BGP),
        (
            {"containerStatuses": [RUNNING]},
            [event("n2", BGP, "2026-01-01T00:00:09Z"), event("n2", "older")],
            BGP,
        ),
        (
            {"initContainerStatuses": [PULLING], "containerStatuses": [NOT_BEGUN]},
            [event("n2", "Error: ErrImagePull")],
            "upgrade-ipam: ErrImagePull: no such host",
        ),
        ({"containerStatuses": [CRASHED]}, [], "calico-node ended with exit code 2: Error"),
        (
            {"initContainerStatuses": [container("install-cni", terminated={"exitCode": 1})]},
            [],
            "install-cni ended with exit code 1",
        ),
        (
            {"initContainerStatuses": [container("install-cni", terminated={"exitCode": 0})]},
            [],
            "its pod is Running",
        ),
        ({"containerStatuses": [NOT_BEGUN], "phase": "Pending"}, [], "its pod is Pending"),
        ({"containerStatuses": [RUNNING]}, [event("n2", "a\x1b[31m\nb")], "a [31m b"),
    ],
)
def test_a_pods_problem_is_one_line(
    status: dict[str, Any], events: list[dict[str, Any]], expected: str
) -> None:
    assert problem(pod("n2", **status), events) == expected


def test_normal_events_are_no_problem() -> None:
    normal = {**event("n2", "Created container"), "type": "Normal"}
    assert problem(pod("n2"), [normal]) == "its pod is Running"


def test_only_pods_of_the_newest_template_are_broken() -> None:
    old, new = pod("n1", template="1"), pod("n2")
    assert broken_pods(DAEMONSET, [old, new], ("n1", "n2")) == {"n2": new}
    assert broken_pods(DAEMONSET, [old, pod("n2", ready=True)], ("n1", "n2")) == {}


def test_the_broken_node_is_named_apart_from_those_whose_turn_comes() -> None:
    pods = [pod("n1", ready=True, template="1"), pod("n2", containerStatuses=[RUNNING])]
    events = [event("n1", "of another pod"), event("n2", BGP)]
    found = calico_health.diagnose(DAEMONSET, pods, events, ("n1", "n2"))
    assert found.cause == (f"calico-node on n2: {BGP}; calico-node is still to be replaced on n1")
    assert found.advice == "kubectl -n kube-system logs calico-node-n2 --all-containers"


@pytest.mark.parametrize(
    ("statuses", "stuck"),
    [
        ({"n2": {"initContainerStatuses": [PULLING]}}, True),
        (
            {"n2": {"containerStatuses": [CRASHED]}, "n3": {"initContainerStatuses": [PULLING]}},
            True,
        ),
        ({"n2": {"containerStatuses": [CRASHED]}, "n3": {"containerStatuses": [RUNNING]}}, False),
        ({"n2": {"containerStatuses": [RUNNING]}}, False),  # not ready yet
        ({"n2": {"containerStatuses": [NOT_BEGUN], "phase": "Pending"}}, False),
        ({}, False),
    ],
)
def test_nothing_moves_where_all_that_is_broken_fails_to_start(
    statuses: dict[str, dict[str, Any]], stuck: bool
) -> None:
    old = pod("n1", ready=True, template="1")
    pods = [old, *(pod(node, **status) for node, status in statuses.items())]
    assert calico_health.nothing_moves(DAEMONSET, pods, ("n1", "n2", "n3")) is stuck


def test_controllers_are_explained_where_all_nodes_are_ready() -> None:
    stuck = pod("n1", containerStatuses=[PULLING])
    stuck["metadata"] |= {"name": "controllers-x", "labels": {"k8s-app": "calico-kube-controllers"}}
    found = calico_health.diagnose(DAEMONSET, [pod("n1", ready=True), stuck], [], ("n1",))
    assert found.cause == "calico-kube-controllers: upgrade-ipam: ErrImagePull: no such host"
    assert found.advice == "kubectl -n kube-system logs controllers-x --all-containers"


def test_without_any_pod_the_next_command_describes_them() -> None:
    found = calico_health.diagnose(None, [], [], ("n1",))
    assert found.cause == "calico-node has no pod on n1"
    assert found.advice == "kubectl -n kube-system describe pods"


def refusal(kind: str, name: str, message: str, at: str = "2026-01-01T00:00:00Z") -> dict[str, Any]:
    return {
        "type": "Warning",
        "reason": "FailedCreate",
        "message": message,
        "lastTimestamp": at,
        "involvedObject": {"kind": kind, "name": name, "uid": f"uid-{name}"},
    }


def test_pods_that_the_cluster_refuses_are_explained_by_what_makes_them() -> None:
    """Pod Security, a quota or a webhook: then there is no pod whose events could tell."""
    events = [
        refusal("DaemonSet", "calico-node", "exceeded quota: old"),
        refusal("DaemonSet", "calico-node", 'violates PodSecurity "restricted"', "2026-01-02"),
        refusal("DaemonSet", "another", "of another"),
    ]
    found = calico_health.diagnose(DAEMONSET, [pod("n1", ready=True)], events, ("n1", "n2"))
    assert found.cause == (
        'calico-node has no pod on n2; its pods are refused: violates PodSecurity "restricted"'
    )
    events = [refusal("ReplicaSet", "calico-kube-controllers-5b9", "exceeded quota")]
    found = calico_health.diagnose(DAEMONSET, [pod("n1", ready=True)], events, ("n1",))
    assert found.cause == "its pods are refused: exceeded quota"


INSTALL = container("install-cni", running={"startedAt": "x"})


@pytest.mark.parametrize(
    ("status", "shown", "why"),
    [
        (
            {
                "phase": "Pending",
                "initContainerStatuses": [INSTALL],
                "containerStatuses": [NOT_BEGUN],
            },
            "Init: install-cni runs",
            "its init container install-cni has not ended",
        ),
        ({"phase": "Pending"}, "Pending", "its pod is Pending"),
        ({"initContainerStatuses": [INSTALL], "containerStatuses": [RUNNING]}, "", None),
    ],
)
def test_an_init_container_that_waits_for_the_apiserver_is_distinguished_from_a_pod_nobody_has_seen(
    status: dict[str, Any], shown: str, why: str | None
) -> None:
    """Both are Pending. What still runs beside the others is a sidecar."""
    found = pod("n1", **status)
    assert state(found) == shown
    assert why is None or problem(found, []) == why
