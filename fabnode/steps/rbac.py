"""Step rbac: the role bindings that joining needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .step import Scope, Step

if TYPE_CHECKING:
    from collections.abc import Iterable

PROXIES = "fabnode:kube-proxies"
PROXY_ROLE = "system:node-proxier"

_MANAGED = {"app.kubernetes.io/managed-by": "fabnode"}


def objects(kind: str, name: str) -> tuple[dict[str, Any], ...]:
    """
    Return the two bindings that joining needs.

    :param kind, name: whom the tokens stand for, the `Group` of fabnode's own or the `User` of the
        cluster's token file.

    Holders of such tokens may ask for a certificate; nodes may renew their own client
    certificate without anybody's approval. The roles are Kubernetes' own (kubernetes
    `plugin/pkg/auth/authorizer/rbac/bootstrappolicy`). `nodeclient` is *not* bound: first
    certificates are judged by fabnode, request by request.
    """
    return (
        _binding("fabnode:node-bootstrapper", "system:node-bootstrapper", kind, name),
        _binding(
            "fabnode:node-client-renewal",
            "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient",
            "Group",
            "system:nodes",
        ),
    )


def of_proxies(users: Iterable[str]) -> dict[str, Any]:
    """
    Return the binding that gives kube-proxies their rights under names of their own.

    One for all of them: an account needs rights to this one name, whichever nodes come later, and
    one request shows a run each node. The role is that of Kubernetes' own binding, whose only
    subject is the name that all kube-proxies share.
    """
    return _bound(PROXIES, PROXY_ROLE, [_subject("User", user) for user in users])


def _binding(name: str, role: str, kind: str, subject: str) -> dict[str, Any]:
    return _bound(name, role, [_subject(kind, subject)])


def _subject(kind: str, name: str) -> dict[str, Any]:
    return {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name}


def _bound(name: str, role: str, subjects: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name, "labels": _MANAGED},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": role,
        },
        "subjects": subjects,
    }


STEP = Step("rbac", "Bind the roles that joining needs.", Scope.CLUSTER)
