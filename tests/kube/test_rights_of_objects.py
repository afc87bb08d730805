"""Rights to apply objects: each by its name, and no other."""

from __future__ import annotations

from typing import Any

import pytest

from fabfile.kube import rights
from fabfile.kube.rights import BASE, Right

APPLY = ("get", "create", "patch")


def item(version: str, kind: str, name: str, namespace: str = "") -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace} if namespace else {"name": name}
    return {"apiVersion": version, "kind": kind, "metadata": metadata}


def test_objects_are_applied_by_their_names() -> None:
    objects = [
        item("v1", "Secret", "b", "kube-system"),
        item("v1", "Secret", "a", "kube-system"),
        item("apps/v1", "DaemonSet", "node", "kube-system"),
        item("policy/v1", "PodDisruptionBudget", "node", "kube-system"),
    ]
    assert set(rights.applying(objects)) == {
        Right("kube-system", "", "secrets", APPLY, ("a", "b")),
        Right("kube-system", "apps", "daemonsets", APPLY, ("node",)),
        Right("kube-system", "policy", "poddisruptionbudgets", APPLY, ("node",)),
    }


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("Pod", "pods"),
        ("APIService", "apiservices"),
        ("NetworkPolicy", "networkpolicies"),
        ("ValidatingAdmissionPolicy", "validatingadmissionpolicies"),
        ("Ingress", "ingresses"),
        ("IngressClass", "ingressclasses"),
        ("PriorityClass", "priorityclasses"),
        ("ComponentStatus", "componentstatuses"),
        ("Endpoints", "endpoints"),
        ("EndpointSlice", "endpointslices"),
    ],
)
def test_a_kind_is_named_as_the_api_names_it(kind: str, name: str) -> None:
    (right,) = rights.applying([item("x/v1", kind, "a")])
    assert right.resource == name


def test_a_custom_kind_goes_by_what_its_definition_says() -> None:
    names = {"kind": "Datum", "plural": "data"}
    definition = item("apiextensions.k8s.io/v1", "CustomResourceDefinition", "data.example.org")
    definition["spec"] = {"group": "example.org", "names": names}
    found = rights.applying([item("example.org/v1", "Datum", "a"), definition])
    custom = "customresourcedefinitions"
    assert set(found) == {
        Right("", "example.org", "data", APPLY, ("a",)),
        Right("", "apiextensions.k8s.io", custom, APPLY, ("data.example.org",)),
    }
    (other,) = rights.applying([item("another.org/v1", "Datum", "a")])
    assert other.resource == "datums"


def test_rights_may_be_granted_by_those_roles_alone() -> None:
    group = "rbac.authorization.k8s.io"
    role, binding = (
        item(f"{group}/v1", kind, "x") for kind in ("ClusterRole", "ClusterRoleBinding")
    )
    assert set(rights.applying([role, binding])) == {
        Right("", group, "clusterroles", (*APPLY, "bind", "escalate"), ("x",)),
        Right("", group, "clusterrolebindings", APPLY, ("x",)),
    }


def test_without_calico_there_are_no_rights_for_it() -> None:
    assert rights.needed(calico=()) == BASE
    assert not any(right.group in ("apps", "policy", "apiextensions.k8s.io") for right in BASE)
    granting = [right for right in BASE if "escalate" in right.verbs]
    assert granting == []
