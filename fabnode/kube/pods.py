"""Pods at the API, by node."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .client import Api, Object

PODS = "/api/v1/pods"


def pods_on(api: Api, node: str) -> list[Object]:
    """Return all pods on a node."""
    return list(api.get(PODS, fieldSelector=f"spec.nodeName={node}").get("items") or ())
