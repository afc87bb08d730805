"""
Other approvers of first client certificates, which would bypass fabnode's policy.

kube-controller-manager approves a request for a kubelet's client certificate by itself where the
requester may create `certificatesigningrequests/nodeclient` (kubernetes
`pkg/controller/certificates/approver/sarapprove.go`), whatever node's name it asks for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..pki.csr_policy import SHARED_GROUP, SHARED_USER
from .bootstrap_tokens import GROUP
from .client import ApiError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .client import Api, Object

_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_CSR = "certificates.k8s.io"
_RESOURCE, _SUBRESOURCE = "certificatesigningrequests", "nodeclient"
_EVERYBODY = "system:authenticated"


def find(api: Api, *, shares_token: bool) -> tuple[str, ...] | None:
    """
    Return what else approves requests made with our tokens, as named in messages.

    None: no right to ask, or the apiserver could not tell.

    :param shares_token: hosts join with the token of the cluster's token file.
    """
    groups: tuple[str, ...]
    if shares_token:
        user, groups = SHARED_USER, (SHARED_GROUP, _EVERYBODY)
    else:
        user, groups = "system:bootstrap:000000", ("system:bootstrappers", GROUP, _EVERYBODY)
    attributes = {
        "verb": "create",
        "group": _CSR,
        "resource": _RESOURCE,
        "subresource": _SUBRESOURCE,
    }
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": user, "groups": list(groups), "resourceAttributes": attributes},
    }
    try:
        answer = api.create("/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
        if not answer["status"]["allowed"]:
            # An authorizer that could not be asked may be the one that lets somebody.
            return None if answer["status"].get("evaluationError") else ()
        bindings = api.get(f"{_RBAC}/clusterrolebindings")["items"]
        roles = api.get(f"{_RBAC}/clusterroles")["items"]
    except ApiError as error:
        if not error.is_forbidden:
            raise
        return None
    found = granting(bindings, roles, user, groups)
    return found or ("an authorizer other than RBAC",)


def granting(
    bindings: Sequence[Object], roles: Sequence[Object], user: str, groups: Sequence[str]
) -> tuple[str, ...]:
    """Return the ClusterRoleBindings by which this user of these groups is approved."""
    wanted = {role["metadata"]["name"] for role in roles if _grants(role)}
    subjects = {("User", user), *(("Group", group) for group in groups)}
    return tuple(
        sorted(
            f"ClusterRoleBinding {binding['metadata']['name']}"
            for binding in bindings
            if binding["roleRef"]["name"] in wanted
            and any((s["kind"], s["name"]) in subjects for s in binding.get("subjects") or ())
        )
    )


def _grants(role: Object) -> bool:
    resources = {"*", f"{_RESOURCE}/{_SUBRESOURCE}", f"*/{_SUBRESOURCE}"}
    return any(
        {"*", _CSR} & set(rule.get("apiGroups") or ())
        and resources & set(rule.get("resources") or ())
        and {"*", "create"} & set(rule.get("verbs") or ())
        and not rule.get("resourceNames")
        for rule in role.get("rules") or ()
    )
