"""Reading Node objects: Ready, pressure, signs of life."""

from __future__ import annotations

from typing import Any

import pytest

from fabnode.kube.node_status import lacks_only_network, not_ready, pressures
from fabnode.kube.server_side_apply import differences


def node(*conditions: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "n1", "resourceVersion": "7", **metadata},
        "spec": {},
        "status": {"conditions": list(conditions)},
    }


def ready(status: str, beat: str = "2026-11-23T12:00:00Z", **more: str) -> dict[str, Any]:
    return {"type": "Ready", "status": status, "lastHeartbeatTime": beat, **more}


NOON = 1795435200.0  # 2026-11-23T12:00:00Z


@pytest.mark.parametrize(
    ("found", "since", "reason"),
    [
        (node(ready("True")), 0, None),
        (node(ready("True")), NOON, None),
        (node(ready("True")), NOON + 0.9, None),  # heartbeats are reported in whole seconds
        (node(ready("True")), NOON + 1, "it has not reported since its kubelet was restarted"),
        (node(ready("False", message="cni plugin not initialized")), 0, "cni plugin not init"),
        (node(ready("Unknown", reason="NodeStatusUnknown")), 0, "NodeStatusUnknown"),
        (node(), 0, "it has not reported its status yet"),
        ({"metadata": {"name": "n1"}}, 0, "it has not reported its status yet"),
    ],
)
def test_ready_is_exactly_true_and_fresh(
    found: dict[str, Any], since: float, reason: str | None
) -> None:
    reported = not_ready(found, since)
    assert reported is None if reason is None else (reported or "").startswith(reason)


NO_CNI = (
    "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady "
    "message:Network plugin returns error: cni plugin not initialized"
)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (node(ready("False", message=NO_CNI)), True),
        (node(ready("False", message=NO_CNI.removeprefix("container "))), True),
        (node(ready("False", message=f"[PLEG is not healthy, {NO_CNI}]")), False),
        (node(ready("Unknown", message=NO_CNI)), False),
        (node(ready("True", message="kubelet is posting ready status")), False),
        (node(), False),
    ],
)
def test_a_network_alone_is_lacking_or_more(found: dict[str, Any], *, expected: bool) -> None:
    assert lacks_only_network(found) is expected


def test_pressure_is_anything_but_false() -> None:
    fine = [{"type": t, "status": "False"} for t in ("MemoryPressure", "PIDPressure")]
    assert pressures(node(*fine, {"type": "DiskPressure", "status": "True"})) == ["DiskPressure"]
    assert pressures(node(*fine)) == ["DiskPressure"], "not reported is not fine"
    assert pressures(node(*fine, {"type": "DiskPressure", "status": "False"})) == []


@pytest.mark.parametrize(
    ("old", "new", "paths"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"a": 2}, ["a"]),
        ({"a": {"b": [1, 2]}}, {"a": {"b": [1, 3]}}, ["a.b[1]"]),
        ({"a": [1]}, {"a": [1, 2]}, ["a"]),
        ({"a": 1}, {"b": 1}, ["a", "b"]),
    ],
)
def test_differences_are_shown_by_path(old: Any, new: Any, paths: list[str]) -> None:
    assert differences(old, new) == paths
