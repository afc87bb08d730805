"""Rights to apply objects: each by its name, and no other."""

from __future__ import annotations

from typing import Any

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
