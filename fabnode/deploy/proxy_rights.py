"""Rights of kube-proxies: without those of a node-proxier they know no Services."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..kube.client import permitted
from ..pki import proxy_names
from ..steps import rbac
from ..util import program

if TYPE_CHECKING:
    from ..kube.client import Api

_REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
_SHARED = (
    f"restore the ClusterRoleBinding {rbac.PROXY_ROLE} (ClusterRole {rbac.PROXY_ROLE}, User"
    f" {proxy_names.SHARED}): an apiserver makes it when it starts"
)


def advice(user: str, node: str) -> str:
    """Return how a node's kube-proxy with this name gets its rights back."""
    if user == proxy_names.SHARED:
        return _SHARED
    return (
        f"`{program.task(f'deploy-nodes --limit {node}')}` binds it again, by the"
        f" ClusterRoleBinding {rbac.PROXIES}"
    )


def lacking(api: Api, user: str) -> str:
    """Return why a user can't list Services; empty: it can, or there is no right to ask."""
    attributes = {"verb": "list", "group": "", "resource": "services"}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": user,
            "groups": ["system:authenticated"],
            "resourceAttributes": attributes,
        },
    }
    answer = permitted(lambda: api.create(_REVIEWS, review))
    return "" if answer is None or answer["status"]["allowed"] else f"{user} may not list services"
