"""Step rbac: the role bindings that joining needs."""

from __future__ import annotations

from typing import Any

from .step import Scope, Step

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


def _binding(name: str, role: str, kind: str, subject: str) -> dict[str, Any]:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name, "labels": _MANAGED},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": role,
        },
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": subject}],
    }


STEP = Step("rbac", "Bind the roles that joining needs.", Scope.CLUSTER)
