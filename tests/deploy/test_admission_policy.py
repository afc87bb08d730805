"""The policy on the deployer's account; tests/lab/test_rights.py tries it on an apiserver."""

from __future__ import annotations

from typing import Any

from fabnode.deploy import admission_policy
from fabnode.kube import service_accounts


def policy(*, services: tuple[str, ...] = ()) -> dict[str, Any]:
    allowed = admission_policy.Allowed(shares_token=False, services=services)
    made, _ = admission_policy.objects(service_accounts.DEPLOYER, allowed)
    spec: dict[str, Any] = made["spec"]
    return spec


def rule(**given: Any) -> str:
    """Return what a Service has to be."""
    (found,) = (
        item["expression"]
        for item in policy(**given)["validations"]
        if "'services'" in item["expression"]
    )
    return str(found)


def test_services_are_checked_when_created_and_when_changed() -> None:
    (found,) = (
        item
        for item in policy()["matchConstraints"]["resourceRules"]
        if item["resources"] == ["services"]
    )
    assert found["apiGroups"] == [""]
    assert found["operations"] == ["CREATE", "UPDATE"]


def test_a_service_is_the_network_probes_or_refused() -> None:
    asked = rule().removeprefix("request.resource.resource != 'services' || ")
    assert asked.strip("()").split(" && ")[:3] == [
        'request.namespace == "fabnode-verify"',
        'object.metadata.name == "echo"',
        "object.spec.type == 'ClusterIP'",
    ]
    for field in ("externalIPs", "externalName", "loadBalancerIP", "loadBalancerClass"):
        assert f"&& !has(object.spec.{field})" in asked
    assert 'object.spec.selector["app"] == "echo"' in asked
    assert "||" not in asked


def test_a_service_of_calicos_manifest_goes_by_its_whole_name() -> None:
    assert rule(services=("kube-system/calico-typha",)).endswith(
        "|| request.namespace + '/' + object.metadata.name in [\"kube-system/calico-typha\"])"
    )
