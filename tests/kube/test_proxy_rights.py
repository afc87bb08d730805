"""Why a kube-proxy knows no Services: somebody removed Kubernetes' own binding."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from fabnode.kube import proxy_rights
from fabnode.kube.client import ApiError


def api(answer: bool | ApiError) -> Any:
    def create(_path: str, review: dict[str, Any]) -> dict[str, Any]:
        assert review["spec"]["user"] == "system:kube-proxy"
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
    assert proxy_rights.lacking(api(answer)) == text


def test_another_failure_is_no_answer() -> None:
    with pytest.raises(ApiError):
        proxy_rights.lacking(api(ApiError(500, "", "away")))
