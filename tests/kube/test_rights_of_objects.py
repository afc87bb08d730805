"""Rights to apply objects: each by its name, and no other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from fabnode.deploy import run_rights
from fabnode.kube import rbac_rules
from fabnode.kube.rbac_rules import Right
from tests.support import make_config

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from fabnode.kube.client import Api

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
    assert set(rbac_rules.applying(objects)) == {
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
    (right,) = rbac_rules.applying([item("x/v1", kind, "a")])
    assert right.resource == name


def test_a_custom_kind_goes_by_what_its_definition_says() -> None:
    names = {"kind": "Datum", "plural": "data"}
    definition = item("apiextensions.k8s.io/v1", "CustomResourceDefinition", "data.example.org")
    definition["spec"] = {"group": "example.org", "names": names}
    found = rbac_rules.applying([item("example.org/v1", "Datum", "a"), definition])
    custom = "customresourcedefinitions"
    assert set(found) == {
        Right("", "example.org", "data", APPLY, ("a",)),
        Right("", "apiextensions.k8s.io", custom, APPLY, ("data.example.org",)),
    }
    (other,) = rbac_rules.applying([item("another.org/v1", "Datum", "a")])
    assert other.resource == "datums"


def test_rights_may_be_granted_by_those_roles_alone() -> None:
    group = "rbac.authorization.k8s.io"
    role, binding = (
        item(f"{group}/v1", kind, "x") for kind in ("ClusterRole", "ClusterRoleBinding")
    )
    assert set(rbac_rules.applying([role, binding])) == {
        Right("", group, "clusterroles", (*APPLY, "bind", "escalate"), ("x",)),
        Right("", group, "clusterrolebindings", APPLY, ("x",)),
    }


def everything(rights_: Iterable[Right]) -> set[str]:
    """Return every verb on every resource, as `kubectl auth can-i` takes it."""
    return {right.describe(verb) for right in rights_ for verb in right.verbs}


CALICO = (item("apps/v1", "DaemonSet", "calico-node", "kube-system"),)
SIGNS = "approve signers.certificates.k8s.io (kubernetes.io/kube-apiserver-client)"


@pytest.mark.parametrize(
    ("changes", "calico", "there", "gone"),
    [
        (
            {},
            (),
            {"create secrets in kube-system", SIGNS},
            {"patch daemonsets.apps in kube-system (calico-node)", "list pods in kube-system"},
        ),
        (
            {},
            CALICO,
            {"patch daemonsets.apps in kube-system (calico-node)", "list pods in kube-system"},
            set(),
        ),
        (
            {"bootstrap": {"mode": "token-file", "token": {"env": "TOKEN"}}},
            (),
            {SIGNS},
            {f"{verb} secrets in kube-system" for verb in ("list", "create", "delete")},
        ),
        (
            {"kube_proxy": {"signing": "local", "ca_key": "ca-key.pem"}},
            (),
            {"create secrets in kube-system"},
            {SIGNS, "create certificatesigningrequests.certificates.k8s.io"},
        ),
    ],
    ids=["default", "calico", "token-file", "local"],
)
def test_a_right_exists_only_with_the_setting_that_needs_it(
    tmp_path: Path,
    changes: dict[str, Any],
    calico: tuple[Any, ...],
    there: set[str],
    gone: set[str],
) -> None:
    (tmp_path / "ca-key.pem").touch(0o600)
    needed = everything(run_rights.needed(make_config(tmp_path, **changes), network=calico))
    assert there <= needed
    assert not gone & needed
    assert not any("escalate" in one for one in needed)


def test_the_approver_can_approve_serving_certificates_alone() -> None:
    assert everything(run_rights.SERVING_ONLY) == {
        *(f"{v} certificatesigningrequests.certificates.k8s.io" for v in ("get", "list", "watch")),
        "update certificatesigningrequests/approval.certificates.k8s.io",
        "approve signers.certificates.k8s.io (kubernetes.io/kubelet-serving)",
    }


@pytest.mark.parametrize(
    ("changes", "facts", "admin"),
    [
        ({}, {"network": True, "guarded": True, "pod_security": True}, 1),
        ({}, {"network": False, "guarded": True, "pod_security": True}, 0),
        ({}, {"network": False, "guarded": False, "pod_security": True}, 2),
        ({}, {"network": False, "guarded": False, "pod_security": False}, 3),
        (
            {
                "bootstrap": {"mode": "token-file", "token": {"env": "TOKEN"}},
                "kube_proxy": {"signing": "local", "ca_key": "ca-key.pem"},
            },
            {"network": False, "guarded": False, "pod_security": True},
            0,
        ),
    ],
)
def test_powers_that_equal_an_administrators_are_named(
    tmp_path: Path, changes: dict[str, Any], facts: dict[str, bool], admin: int
) -> None:
    (tmp_path / "ca-key.pem").touch(0o600)
    reported = run_rights.powers(make_config(tmp_path, **changes), **facts)
    assert sum("which is equivalent to administrator" in power for power in reported) == admin
    assert any("impersonate any node" in power for power in reported)
    assert any("all nodes' traffic" in power for power in reported) == (not facts["guarded"])


class Reviewer:
    """The API as far as it is asked what we may do: what `allows` says."""

    def __init__(self, allows: Callable[[dict[str, str]], bool]) -> None:
        self._allows = allows
        self.asked: list[dict[str, str]] = []

    def create(self, _: str, review: dict[str, Any]) -> dict[str, Any]:
        attributes = review["spec"]["resourceAttributes"]
        self.asked.append(attributes)
        return {"status": {"allowed": self._allows(attributes)}}


NEEDED = (Right("", "", "nodes", ("get", "list")), Right("a", "apps", "daemonsets", APPLY, ("x",)))


def test_an_administrator_is_asked_for_once() -> None:
    api = Reviewer(lambda _: True)
    assert rbac_rules.missing(cast("Api", api), NEEDED) == []
    wildcards = {"verb": "*", "group": "*", "resource": "*"}
    assert api.asked == [wildcards | {"subresource": "", "namespace": "", "name": ""}]


def test_others_are_asked_for_each_right() -> None:
    """Whoever may do everything in one namespace may not do it in the cluster."""
    api = Reviewer(lambda asked: bool(asked["namespace"]) or asked["verb"] == "get")
    assert rbac_rules.missing(cast("Api", api), NEEDED) == ["list nodes"]
    assert [asked["verb"] for asked in api.asked[:1]] == ["*"]
    assert len(api.asked) == 6


def test_once_something_was_forbidden_each_right_is_asked_for() -> None:
    """Another authorizer may forbid an administrator single things."""
    api = Reviewer(lambda asked: asked["verb"] != "patch")
    assert rbac_rules.missing(cast("Api", api), NEEDED) == []
    assert rbac_rules.missing(cast("Api", api), NEEDED, each=True) == [
        "patch daemonsets.apps in a (x)"
    ]
