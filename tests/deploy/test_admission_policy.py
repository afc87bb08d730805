"""The policy on the deployer's account; tests/lab/test_rights.py tries it on an apiserver."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import pytest

from fabnode.deploy import admission_policy
from fabnode.kube import bootstrap_tokens, service_accounts
from fabnode.pki import proxy_names
from fabnode.pki.certificates import new_request
from fabnode.pki.csr_policy import SHARED_USER
from fabnode.pki.csr_prefixes import second_block_marks
from fabnode.steps import rbac


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


def expression(kind: str) -> str:
    (found,) = (
        str(item["expression"])
        for item in policy()["validations"]
        if f"'{kind}'" in item["expression"]
    )
    return found


def test_what_pods_and_bindings_are_is_checked_of_what_is_created_and_changed() -> None:
    rules = {rule["resources"][0]: rule for rule in policy()["matchConstraints"]["resourceRules"]}
    assert rules["pods"]["operations"] == ["CREATE"], "nothing of what a pod may do changes later"
    bindings = rules["clusterrolebindings"]
    assert bindings["apiGroups"] == ["rbac.authorization.k8s.io"]
    assert bindings["operations"] == ["CREATE", "UPDATE"]


def test_each_volume_that_reaches_storage_is_named() -> None:
    (named,) = re.findall(r"volumes\.exists\(v, ([^)]*\)[^&]*)\)", expression("pods"))
    assert re.findall(r"has\(v\.(\w+)\)", named) == ["persistentVolumeClaim", "ephemeral", "csi"]


@pytest.mark.parametrize(
    "made",
    [
        *rbac.objects("Group", bootstrap_tokens.GROUP),
        *rbac.objects("User", SHARED_USER),
        rbac.of_proxies([proxy_names.OWN]),
    ],
    ids=lambda made: f"{made['metadata']['name']}, {made['subjects'][0]['kind']}",
)
def test_all_subjects_that_fabnode_binds_are_named(made: dict[str, Any]) -> None:
    (subject,) = made["subjects"]
    name = re.escape(json.dumps(made["metadata"]["name"]))
    (named,) = re.findall(rf"name != {name} \|\| (.*?)oldObject", expression("clusterrolebindings"))
    quote = "'" if made["metadata"]["name"] == rbac.PROXIES else '"'
    assert f"s.kind == {quote}{subject['kind']}{quote}" in named
    assert json.dumps(subject["name"]) in named


def test_a_service_of_calicos_manifest_goes_by_its_whole_name() -> None:
    assert rule(services=("kube-system/calico-typha",)).endswith(
        "|| request.namespace + '/' + object.metadata.name in [\"kube-system/calico-typha\"])"
    )


@pytest.mark.parametrize("letters", [60, 96, 99, 100, 120, 132, 133, 164, 165, 200])
def test_a_second_request_behind_the_beginning_of_a_good_one_is_seen(letters: int) -> None:
    """Kubernetes takes the first block that it can read: the good one need only begin."""
    allowed = admission_policy.Allowed(shares_token=False, proxies=((proxy_names.SHARED, {}),))
    made, _ = admission_policy.objects(service_accounts.DEPLOYER, allowed)
    (creates,) = (
        item["expression"]
        for item in made["spec"]["validations"]
        if "'CREATE'" in item["expression"]
    )
    (start,) = re.findall(r"exists\(b, object\.spec\.request\.substring\((\d+)\)", creates)
    good = new_request(f"{proxy_names.OWN}{'a' * 40}", {}).request_pem
    other = new_request("system:kube-controller-manager", {}).request_pem
    text = base64.b64encode(good[: letters * 3 // 4] + b"\n" + other).decode()
    assert any(mark in text[int(start) :] for mark in second_block_marks())
    assert not any(
        mark in base64.b64encode(good).decode()[int(start) :] for mark in second_block_marks()
    )
