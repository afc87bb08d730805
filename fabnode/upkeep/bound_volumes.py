"""
PersistentVolumes that one node alone can have, whether pods use them now or not.

After a drain no pod of the node names its local volumes any more; their own affinity does. It is
matched as the scheduler does (kubernetes, component-helpers scheduling/corev1/nodeaffinity).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .local_data import HOSTNAME
from .objects import line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .objects import Object


def bound_to(name: str, nodes: Mapping[str, Object], volumes: Iterable[Object]) -> tuple[str, ...]:
    """
    Return the volumes that no other node can have, each with its claim.

    :param nodes: the cluster's Node objects; without this one its name counts as its host name.
    """
    own = nodes.get(name) or {"metadata": {"name": name, "labels": {HOSTNAME: name}}}
    others = [live for other, live in nodes.items() if other != name]
    return tuple(
        sorted(
            _named(volume)
            for volume in volumes
            if _fits(volume, own) and not any(_fits(volume, other) for other in others)
        )
    )


def _named(volume: Object) -> str:
    name = line(volume["metadata"]["name"])
    claim = (volume.get("spec") or {}).get("claimRef") or {}
    if not claim:
        return name
    return f"{name} (claim {line(claim.get('namespace'))}/{line(claim.get('name'))})"


def _fits(volume: Object, live: Object) -> bool:
    """Return whether a volume names nodes, and this is one of them."""
    required = ((volume.get("spec") or {}).get("nodeAffinity") or {}).get("required") or {}
    return any(_meets(term, live) for term in required.get("nodeSelectorTerms") or ())


def _meets(term: Object, live: Object) -> bool:
    labels = live["metadata"].get("labels") or {}
    fields = {"metadata.name": live["metadata"]["name"]}
    asked = [(labels, each) for each in term.get("matchExpressions") or ()]
    asked += [(fields, each) for each in term.get("matchFields") or ()]
    return bool(asked) and all(_holds(each, found) for found, each in asked)


def _holds(expression: Object, found: Mapping[str, str]) -> bool:
    value = found.get(str(expression.get("key")))
    values = [str(each) for each in expression.get("values") or ()]
    match expression.get("operator"):
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt" | "Lt" as operator:
            try:
                given, limit = int(str(value)), int(values[0])
            except (ValueError, IndexError):
                return False
            return given > limit if operator == "Gt" else given < limit
    return False
