"""Rights of kube-proxies: without those of Kubernetes' own binding they know no Services."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .client import permitted

if TYPE_CHECKING:
    from .client import Api

_REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
_USER = "system:kube-proxy"
ADVICE = (
    "restore the ClusterRoleBinding system:node-proxier (ClusterRole system:node-proxier, User"
    f" {_USER}): an apiserver makes it when it starts"
)


def lacking(api: Api) -> str:
    """Return that kube-proxies may not list Services; empty where they may, or we may not ask."""
    attributes = {"verb": "list", "group": "", "resource": "services"}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": _USER,
            "groups": ["system:authenticated"],
            "resourceAttributes": attributes,
        },
    }
    answer = permitted(lambda: api.create(_REVIEWS, review))
    return "" if answer is None or answer["status"]["allowed"] else f"{_USER} may not list services"
