"""
What a pod network's workload was before its pods began to be replaced, kept in its annotation.

A run that was cut off goes on from any deployer, and goes back to this where a new pod is
unhealthy. It ends with the roll: what is applied last has no such annotation. Whoever may write it
may write the template itself.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..upkeep.objects import line
from ..util.own_names import NETWORK_BEFORE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..kube.client import Object
    from ..kube.server_side_apply import ObjectChange

_LARGEST = 200_000  # the API takes 256 KiB of annotations


@dataclass(frozen=True, slots=True)
class Before:
    """
    A workload as it was.

    :param spec: its own. :param by, since: who began to replace its pods, and when (RFC 3339).
    """

    spec: dict[str, Any]
    by: str
    since: str

    @property
    def text(self) -> str:
        """By whom and since when, in a clause."""
        return f"by {self.by} since {self.since[:19].replace('T', ' ')} UTC"


def is_rolling(workloads: Iterable[Object]) -> bool:
    """Return whether pods of these are being replaced by hand; an annotation alone says nothing."""
    return any(
        item.get("kind", "DaemonSet") == "DaemonSet"
        and (item["spec"].get("updateStrategy") or {}).get("type") == "OnDelete"
        and read(item)
        for item in workloads
    )


def read(live: Object) -> Before | None:
    """Return what an annotation says that a workload was; None: there is none."""
    text = ((live.get("metadata") or {}).get("annotations") or {}).get(NETWORK_BEFORE)
    if not isinstance(text, str) or len(text) > _LARGEST:
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or not isinstance(found.get("spec"), dict):
        return None
    return Before(found["spec"], line(found.get("by")), line(found.get("since")))


def remembering(change: ObjectChange, before: Before) -> ObjectChange:
    """Return the change of a workload with what it was before; too large: without."""
    found = {"spec": before.spec, "by": before.by, "since": before.since}
    text = json.dumps(found, sort_keys=True, separators=(",", ":"))
    if len(text) > _LARGEST:
        return change
    metadata = change.object["metadata"]
    annotations = {**(metadata.get("annotations") or {}), NETWORK_BEFORE: text}
    return replace(
        change, object={**change.object, "metadata": {**metadata, "annotations": annotations}}
    )


def without(live: Object) -> Object:
    """Return a workload without what it was before."""
    metadata = live["metadata"]
    kept = {k: v for k, v in (metadata.get("annotations") or {}).items() if k != NETWORK_BEFORE}
    if not kept:
        return {**live, "metadata": {k: v for k, v in metadata.items() if k != "annotations"}}
    return {**live, "metadata": {**metadata, "annotations": kept}}
