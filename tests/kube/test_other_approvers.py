"""Who else approves first certificates is found by what he is bound to."""

from __future__ import annotations

from typing import Any

import pytest

from fabnode.kube import other_approvers
from fabnode.kube.client import ApiError

NODECLIENT = "system:certificates.k8s.io:certificatesigningrequests:nodeclient"
RESOURCE = "certificatesigningrequests/nodeclient"


def role(name: str, *, resource: str = RESOURCE, verb: str = "create") -> dict[str, Any]:
    rule = {"apiGroups": ["certificates.k8s.io"], "resources": [resource], "verbs": [verb]}
    return {"metadata": {"name": name}, "rules": [rule]}


def binding(name: str, to: str, subject: str, kind: str = "Group") -> dict[str, Any]:
    return {
        "metadata": {"name": name},
        "roleRef": {"name": to},
        "subjects": [{"kind": kind, "name": subject}],
    }


class Api:
    """Allows as its bindings do; `secret` ones can't be listed."""

    def __init__(self, *bindings: Any, allowed: bool = True, refuse: str = "") -> None:
        self.bindings, self.allowed, self.refuse = bindings, allowed, refuse
        self.asked: dict[str, Any] = {}

    def create(self, path: str, body: dict[str, Any]) -> Any:
        self._refuse(path)
        self.asked = body["spec"]
        return {"status": {"allowed": self.allowed}}

    def get(self, path: str) -> Any:
        self._refuse(path)
        if path.endswith("clusterroles"):
            other = role("selfnode", resource="certificatesigningrequests/selfnodeclient")
            roles = [role(NODECLIENT), role("all", resource="*", verb="*"), role("r", verb="get")]
            return {"items": [*roles, other, {"metadata": {"name": "empty"}, "rules": None}]}
        return {"items": list(self.bindings)}

    def _refuse(self, path: str) -> None:
        if self.refuse and path.endswith(self.refuse):
            raise ApiError(403, "Forbidden", "no")


BOOTSTRAPPERS = binding("auto", NODECLIENT, "system:bootstrappers")


@pytest.mark.parametrize(
    ("api", "shares", "found"),
    [
        (Api(allowed=False), False, ()),
        (Api(BOOTSTRAPPERS), False, ("ClusterRoleBinding auto",)),
        (Api(BOOTSTRAPPERS, refuse="subjectaccessreviews"), False, None),
        (Api(BOOTSTRAPPERS, refuse="clusterrolebindings"), False, None),
        (
            Api(
                binding("ours", "all", "system:bootstrappers:fabnode"),
                binding("kubeadm", NODECLIENT, "system:bootstrappers:kubeadm:default-node-token"),
                binding("read", "r", "system:bootstrappers"),
                binding("self", "selfnode", "system:bootstrappers"),
                {"metadata": {"name": "nobody"}, "roleRef": {"name": NODECLIENT}},
            ),
            False,
            ("ClusterRoleBinding ours",),
        ),
        (Api(BOOTSTRAPPERS), True, ("an authorizer other than RBAC",)),
        (
            Api(binding("chapter", NODECLIENT, "kubelet-bootstrap", "User")),
            True,
            ("ClusterRoleBinding chapter",),
        ),
    ],
)
def test_bindings_are_named(api: Api, shares: bool, found: tuple[str, ...] | None) -> None:
    assert other_approvers.find(api, shares_token=shares) == found  # type: ignore[arg-type]


def test_an_authorizer_that_could_not_be_asked_is_not_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    api = Api(allowed=False)
    status = {"status": {"allowed": False, "evaluationError": "webhook: no answer"}}
    monkeypatch.setattr(api, "create", lambda *_: status)
    assert other_approvers.find(api, shares_token=False) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("shares", "user", "group"),
    [
        (False, "system:bootstrap:000000", "system:bootstrappers:fabnode"),
        (True, "kubelet-bootstrap", "system:kubelet-bootstrap"),
    ],
)
def test_it_is_asked_for_whom_our_tokens_stand_for(shares: bool, user: str, group: str) -> None:
    api = Api(allowed=False)
    other_approvers.find(api, shares_token=shares)  # type: ignore[arg-type]
    assert api.asked["user"] == user
    assert {group, "system:authenticated"} <= set(api.asked["groups"])
    assert "system:bootstrappers:kubeadm:default-node-token" not in api.asked["groups"]
