"""What keeps the network probe from running, and what is down in the API."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from fabnode.deploy import network_probe
from fabnode.deploy.network_probe import ProbeRefusedError
from fabnode.kube import api_services
from fabnode.kube.client import ApiError, KubeletError
from fabnode.steps.checks import service_addresses
from fabnode.steps.checks.check import Check
from fabnode.steps.checks.probe_pods import STANDING

FAILURE = "NamespaceDeletionDiscoveryFailure"
STALE = "metrics.k8s.io/v1beta1: stale GroupVersion discovery"


def namespace(*conditions: tuple[str, str, str]) -> dict[str, Any]:
    found = [{"type": t, "status": s, "message": m} for t, s, m in conditions]
    return {"metadata": {"name": "x"}, "status": {"conditions": found}}


@pytest.mark.parametrize(
    ("found", "cause"),
    [
        ({"metadata": {}}, ""),
        (namespace((FAILURE, "False", "all resources were discovered")), ""),
        (namespace(("NamespaceContentRemaining", "True", "pods has 2 instances")), ""),
        (
            namespace((FAILURE, "True", STALE)),
            f"the namespace of an earlier probe stays Terminating: {STALE}",
        ),
    ],
)
def test_what_keeps_a_namespace_from_going(found: dict[str, Any], cause: str) -> None:
    assert network_probe._kept_by(found) == cause


def service(name: str, status: str | None, reason: str = "", message: str = "") -> dict[str, Any]:
    available = {"type": "Available", "status": status, "reason": reason, "message": message}
    return {
        "metadata": {"name": name},
        "status": {"conditions": [available] if status else []},
    }


def test_an_api_that_is_down_is_reported_with_its_reason() -> None:
    items = [
        service("v1.", "True", "Local"),
        service("new", None),
        service("v1beta1.metrics.k8s.io", "False", "ServiceNotFound", "gone\x1b[2J"),
    ]
    assert api_services.down(items) == {"v1beta1.metrics.k8s.io": "ServiceNotFound: gone [2J"}


@pytest.mark.parametrize(
    ("address", "ok"), [("172.20.1.7", True), ("172.21.1.7", False), ("10.0.0.1", False)]
)
def test_where_a_pods_address_lies(address: str, ok: bool) -> None:
    assert network_probe._address_check("n1", [address], ["172.20.0.0/16"]).ok is ok


def test_pods_that_the_cluster_refuses_are_a_failure_of_their_own() -> None:
    def create(*_: object) -> None:
        raise ApiError(403, "Forbidden", "exceeded quota")

    api: Any = SimpleNamespace(create=create)
    with pytest.raises(ProbeRefusedError, match=r"does not admit .*exceeded quota") as caught:
        network_probe._create(api, [{"kind": "Pod"}])
    assert "fabnode-verify" in caught.value.advice


def reached(*answers: str | ApiError) -> list[Check]:
    """Return the check, where the apiserver passes these on for the pods of n0, n1, …"""

    def text(path: str, *, node: str, seconds: float) -> str:
        number = int(node.removeprefix("n"))
        assert path.endswith(f"/pods/server-{number}:8080/proxy/")
        assert seconds <= 5, "nobody waits longer for what never comes"
        if isinstance(answer := answers[number], ApiError):
            raise answer
        return answer

    api: Any = SimpleNamespace(text=text)
    return network_probe._reached(api, [(i, f"n{i}") for i, _ in enumerate(answers)])


def test_an_apiserver_that_reaches_every_pod_is_well() -> None:
    (check,) = reached("n0\n", "n1\n")
    assert check.ok
    assert check.detail == "those on n0, n1 answer it"


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (KubeletError(503, "n1", "dial tcp 172.20.1.2:8080: no route to host"), "no route to host"),
        (ApiError(404, "", "<html>not here</html>"), "HTTP 404 from somebody else"),
        ("<html>welcome</html>", "somebody else answered"),
    ],
)
def test_an_apiserver_that_does_not_reach_a_pod_is_a_warning_with_two_remedies(
    answer: str | ApiError, cause: str
) -> None:
    (check,) = reached("n0\n", answer)
    assert (check.node, check.ok, check.warning, check.failed) == (None, False, True, False)
    assert "does not reach those on n1 (" in check.detail
    assert cause in check.detail
    assert "<html>" not in check.detail
    assert "routes" in check.advice
    assert "tainted nodes" in check.advice


def test_who_may_not_ask_the_apiserver_to_reach_pods_says_nothing_of_it() -> None:
    assert reached(ApiError(403, "Forbidden", "no right to get pods/proxy")) == []


@pytest.mark.parametrize(
    ("address", "outside"), [("10.68.0.10", False), ("10.96.0.10", True), ("fd00::10", True)]
)
def test_where_a_services_address_lies(address: str, outside: bool) -> None:
    assert [check.ok for check in service_addresses.service_range([address], ["10.68.0.0/16"])] == [
        False
    ] * outside


def test_a_pod_that_does_not_start_says_why() -> None:
    def pod(phase: str, **status: Any) -> dict[str, Any]:
        return {"status": {"phase": phase, **status}}

    waiting = {"waiting": {"reason": "ContainerCreating"}}
    pods = {
        "server-0": pod("Running", podIP="172.20.0.5"),
        "server-1": pod("Pending", containerStatuses=[{"name": "main", "state": waiting}]),
        "server-2": pod("Pending"),
    }
    no_address = "failed to assign an IP address: no configured Calico pools for node n2"
    event = {"type": "Warning", "message": no_address, "involvedObject": {"name": "server-1"}}
    found = network_probe._started(pods, [event], ("n1", "n2", "n3"), ("n1", "n2"))
    assert [(c.node, c.ok, c.detail, c.warning) for c in found] == [
        ("n1", True, "runs", False),
        ("n2", False, no_address, False),
        ("n3", False, "its pod is Pending", True),
    ]


def test_what_came_too_late_says_how_long_it_was_waited_for() -> None:
    good = Check("n1", "probe pod", True, "runs", "")
    late = Check("n2", "probe pod", False, "its pod is Pending", "")
    details = [check.detail for check in network_probe._late([good, late], 60.0)]
    assert details == ["runs", "its pod is Pending, after 60 s (timeouts.probe)"]


class Late:
    """
    An API where server pods run on `running`, and no client pod ends or has a log.

    :ivar pods: what was created.
    """

    def __init__(self, *running: str) -> None:
        self.pods: dict[str, Any] = {}
        self.running = running

    def find(self, path: str) -> Any:
        return {"metadata": {}} if path.endswith("serviceaccounts/default") else None

    def get(self, path: str, **_: str) -> Any:
        if path.endswith("/services/echo"):
            return {"spec": {"clusterIP": "10.68.0.9"}}
        items = list(self.pods.values()) if path.endswith("/pods") else []
        return {"metadata": {"resourceVersion": "1"}, "items": items}

    def create(self, path: str, item: Any) -> None:
        if path.endswith("/pods"):
            runs = item["metadata"]["name"].startswith("server") and (
                item["spec"]["nodeName"] in self.running
            )
            ran = {"phase": "Running", "podIP": f"172.20.0.{len(self.pods) + 1}"}
            self.pods[item["metadata"]["name"]] = {
                **item,
                "status": ran if runs else {"phase": "Pending"},
            }

    def text(self, path: str, *, node: str, seconds: float = 0) -> str:
        if path.endswith("/log"):
            raise ApiError(400, "BadRequest", "container is waiting to start")
        return node

    def stream(self, *_: object, **__: object) -> list[Any]:
        return []


def tried(api: Any, timeout: float = 0.2) -> list[Check]:
    """Return the checks of n1 and n2 there, after no time."""
    found = network_probe.try_network(
        api,
        image="busybox",
        nodes=("n1", "n2"),
        pod_cidrs=["172.20.0.0/16"],
        service_cidrs=["10.68.0.0/16"],
        timeout=timeout,
        progress=lambda _: None,
    )
    return list(found)


def test_a_pod_that_has_not_started_in_time_is_said_to_be_late() -> None:
    found = {check.node: check for check in tried(Late("n1"))}
    assert found["n1"].detail == "runs"
    assert found["n2"].detail == "its pod is Pending, after 0.2 s (timeouts.probe)"


def test_a_pod_that_was_evicted_is_not_waited_for() -> None:
    """A node whose disk is full admits a pod and ends it, for good."""
    message = "The node was low on resource: ephemeral-storage."
    evicted = {"phase": "Failed", "reason": "Evicted", "message": message}
    api = Late("n1")
    created = api.create

    def create(path: str, item: Any) -> None:
        created(path, item)
        for pod in api.pods.values():
            if pod["status"] == {"phase": "Pending"}:
                pod["status"] = evicted

    api.create = create  # type: ignore[method-assign]
    found = {check.node: check for check in tried(api, timeout=60)}
    assert found["n2"].detail == f"Evicted: {message}"
    assert (found["n1"].ok, found["n2"].ok) == (True, False)


def test_a_pod_that_has_not_asked_all_in_time_is_said_to_be_late() -> None:
    failed = [check for check in tried(Late("n1", "n2")) if not check.ok]
    assert [check.node for check in failed] == ["n1", "n2"]
    for check in failed:
        assert "container is waiting to start" in check.detail
        assert check.detail.endswith(", after 0.2 s (timeouts.probe)")


def test_a_pod_that_went_with_its_node_is_gone() -> None:
    (check,) = network_probe._started({}, [], ("n1",), ("n1",))
    assert check.detail == "its pod is gone"


@pytest.mark.parametrize(
    ("reason", "message", "advised"),
    [
        ("ErrImagePull", "lookup registry-1.docker.io: no such host", "verify.image"),
        ("ImagePullBackOff", "Back-off pulling image", "verify.image"),
        ("ContainerCreating", "failed to pull image registry.k8s.io/pause", "logs --unit kubelet"),
    ],
)
def test_an_image_that_hosts_cannot_pull_is_the_configurations_matter(
    reason: str, message: str, advised: str
) -> None:
    state = {"waiting": {"reason": reason, "message": message}}
    pod = {"status": {"phase": "Pending", "containerStatuses": [{"name": "main", "state": state}]}}
    (check,) = network_probe._started({"server-0": pod}, [], ("n1",), ("n1",))
    assert advised in check.advice


@pytest.mark.parametrize(("labels", "last"), [({}, ""), ({STANDING: ""}, "/services/echo")])
def test_pods_are_deleted_before_what_holds_them(labels: dict[str, str], last: str) -> None:
    """The controller of namespaces takes its time, in which a drain would find pods to evict."""
    gone: list[str] = []
    found = {"metadata": {"labels": labels}}
    api: Any = SimpleNamespace(find=lambda _: found, delete=gone.append)
    network_probe._clear(api)
    mine = "/api/v1/namespaces/fabnode-verify"
    assert gone == [f"{mine}/pods", f"{mine}{last}"]
