"""Why a pod is not Ready, in one line."""

from __future__ import annotations

from typing import Any

import pytest

from fabnode.upkeep.readiness import why_unready

from .pods import pod

NO_PLACE = "0/3 nodes are available: 1 node(s) were unschedulable"
PENDING = pod("web-2", ready=False, phase="Pending")
PENDING["status"]["conditions"] = [
    {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": NO_PLACE}
]
PULLING = pod("web-3", ready=False, phase="Pending")
PULLING["status"]["containerStatuses"] = [
    {"name": "main", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such tag"}}}
]
PROBED = {"type": "Warning", "message": "Readiness probe failed: HTTP 503"}


@pytest.mark.parametrize(
    ("of", "events", "why"),
    [
        (pod(), [], ""),
        (pod(deletionTimestamp="2026-11-29T12:00:00Z"), [], "shop/web-1 is ending"),
        (PENDING, [], f"shop/web-2 can't be scheduled: {NO_PLACE}"),
        (PULLING, [], "shop/web-3 is not Ready: main: ImagePullBackOff: no such tag"),
        (pod(ready=False), [PROBED], "shop/web-1 is not Ready: Readiness probe failed: HTTP 503"),
    ],
)
def test_why(of: dict[str, Any], events: list[dict[str, Any]], why: str) -> None:
    assert why_unready(of, events) == why
