"""What keeps the network probe from running, and what is down in the API."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from fabnode.kube import api_services, network_probe
from fabnode.kube.client import ApiError
from fabnode.kube.network_probe import ProbeRefusedError

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
    assert network_probe._address_check("n1", address, "172.20.0.0/16").ok is ok


def test_pods_that_the_cluster_refuses_are_a_failure_of_their_own() -> None:
    def create(*_: object) -> None:
        raise ApiError(403, "Forbidden", "exceeded quota")

    api: Any = SimpleNamespace(create=create)
    with pytest.raises(ProbeRefusedError, match=r"does not admit .*exceeded quota") as caught:
        network_probe._create(api, [{"kind": "Pod"}])
    assert "fabnode-verify" in caught.value.advice
