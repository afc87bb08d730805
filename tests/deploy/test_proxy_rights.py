"""Why a kube-proxy knows no Services: somebody removed the binding by which it has its rights."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from fabnode.deploy import proxy_rights
from fabnode.kube.client import ApiError

SHARED, OWN = "system:kube-proxy", "system:kube-proxy:n1"


def api(answer: bool | ApiError, user: str = SHARED) -> Any:
    def create(_path: str, review: dict[str, Any]) -> dict[str, Any]:
        assert review["spec"]["user"] == user
        if isinstance(answer, ApiError):
            raise answer
        return {"status": {"allowed": answer}}

    return SimpleNamespace(create=create)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (True, ""),
        (False, "system:kube-proxy may not list services"),
        (ApiError(403, "Forbidden", "no"), ""),  # we may not ask
    ],
)
def test_the_rights_that_a_kube_proxy_lacks(answer: bool | ApiError, text: str) -> None:
    assert proxy_rights.lacking(api(answer), SHARED) == text


def test_a_name_of_a_nodes_own_is_asked_about_and_bound_by_a_deployment() -> None:
    lacks = proxy_rights.lacking(api(False, OWN), OWN)
    assert lacks == "system:kube-proxy:n1 may not list services"
    assert "`inv deploy-nodes --limit n1`" in proxy_rights.advice(OWN, "n1")
    assert "ClusterRoleBinding fabnode:kube-proxies" in proxy_rights.advice(OWN, "n1")
    assert "ClusterRoleBinding system:node-proxier" in proxy_rights.advice(SHARED, "n1")


def test_another_failure_is_no_answer() -> None:
    with pytest.raises(ApiError):
        proxy_rights.lacking(api(ApiError(500, "", "away")), SHARED)
