"""The nodes that a cluster has already, by its Node objects. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..config.starter import ExistingNode
from .api_answers import field_at, full_name, list_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..kube.client import Object


def existing_node(found: Object) -> ExistingNode:
    """Return a node with its labels and taints."""
    labels = field_at(found, "metadata", "labels")
    taints = field_at(found, "spec", "taints")
    return ExistingNode(
        full_name(found)[1],
        {str(k): str(v) for k, v in labels.items()} if isinstance(labels, dict) else {},
        tuple(_taint(each) for each in list_of(taints)),
    )


def addresses(nodes: Iterable[Object]) -> list[str]:
    """Return the addresses and names that these nodes report."""
    return [
        str(field_at(each, "address"))
        for node in nodes
        for each in list_of(field_at(node, "status", "addresses"))
    ]


def _taint(found: Any) -> str:
    key, value, effect = (str(field_at(found, part) or "") for part in ("key", "value", "effect"))
    return f"{key}={value}:{effect}" if value else f"{key}:{effect}"
