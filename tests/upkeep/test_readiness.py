"""Why a pod is not Ready, in one line."""

from __future__ import annotations

from typing import Any

import pytest

from fabnode.upkeep.readiness import probed_again, why_unready

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


def probed(name: str, *, ready: bool = True, **probe: int) -> dict[str, Any]:
    found = pod(name, ready=ready)
    found["spec"]["containers"] = [{"name": "main", "readinessProbe": probe}]
    return found


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        ([], ""),
        ([pod("web-1")], ""),
        ([probed("web-1", ready=False, periodSeconds=60)], ""),
        (
            [probed("web-1")],
            "1 pod would leave its Services' endpoints until probed again, 10 s at most",
        ),
        (
            [probed("web-1"), probed("web-2", periodSeconds=20, successThreshold=3), pod("web-3")],
            "2 pods would leave their Services' endpoints until probed again, 60 s at most",
        ),
    ],
)
def test_those_with_a_readiness_probe_leave_endpoints_while_their_kubelet_starts(
    of: list[dict[str, Any]], expected: str
) -> None:
    assert probed_again(of) == expected
