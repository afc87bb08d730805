"""
User names of kube-proxies: the one that Kubernetes binds for all, and one for each node.

Kubernetes' own ClusterRoleBinding gives system:kube-proxy its rights (kubernetes
`plugin/pkg/auth/authorizer/rbac/bootstrappolicy`), so that these can't be taken from one node. A
name for each node has the rights that fabnode binds to it, and those can be revoked.
"""

from __future__ import annotations

import hashlib

SHARED = "system:kube-proxy"
OWN = f"{SHARED}:"
"""What every name of one node's begins with."""

LONGEST = 64 - len(OWN)
"""Characters of what follows: a common name has 64 at most (RFC 5280, ub-common-name)."""

_DIGITS = 12


def own(node: str) -> str:
    """
    Return the name of a node's kube-proxy.

    Of a node's name that is too long, its digest tells it from others that begin like it.
    """
    if len(node) <= LONGEST:
        return f"{OWN}{node}"
    digest = hashlib.sha256(node.encode()).hexdigest()[:_DIGITS]
    return f"{OWN}{node[: LONGEST - _DIGITS - 1]}-{digest}"


def is_of(common_name: str, node: str) -> bool:
    """Return whether a node's kube-proxy may use this name."""
    return common_name in {SHARED, own(node)}
