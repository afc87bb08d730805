"""Pods, budgets and Nodes as the API shows them, as small as a test needs."""

from __future__ import annotations

from typing import Any

from fabnode.upkeep.budgets import Budget

Object = dict[str, Any]


def pod(
    name: str = "web-1",
    *,
    controller: tuple[str, str] | None = ("apps/v1", "ReplicaSet"),
    ready: bool = True,
    phase: str = "Running",
    volumes: list[Object] | None = None,
    labels: dict[str, str] | None = None,
    **metadata: Any,
) -> Object:
    """Return a pod of the namespace shop; its controller is called `web`."""
    owner = []
    if controller:
        version, kind = controller
        owner = [
            {"apiVersion": version, "kind": kind, "name": "web", "uid": "o", "controller": True}
        ]
    return {
        "metadata": {
            "name": name,
            "namespace": "shop",
            "uid": f"uid-{name}",
            "labels": labels or {"app": "web"},
            "ownerReferences": owner,
            **metadata,
        },
        "spec": {"nodeName": "n1", "volumes": volumes or []},
        "status": {
            "phase": phase,
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
        },
    }


def budget_object(name: str = "web", **changes: Any) -> Object:
    """Return a budget over the pods of `pod` that allows one to go: 2 of 3 needed, 3 healthy."""
    status = {
        "disruptionsAllowed": 1,
        "currentHealthy": 3,
        "desiredHealthy": 2,
        "expectedPods": 3,
        "observedGeneration": 1,
    }
    spec: Object = {"minAvailable": 2, "selector": {"matchLabels": {"app": "web"}}}
    return {
        "metadata": {"name": name, "namespace": "shop", "generation": 1},
        "spec": spec | changes.get("spec", {}),
        "status": status | changes.get("status", {}),
    }


def budget(name: str = "web", *, empty_selects_all: bool = True, **changes: Any) -> Budget:
    """Return that as it is read."""
    return Budget.parse(budget_object(name, **changes), empty_selects_all=empty_selects_all)


def node(name: str = "n1", **changes: Any) -> Object:
    """Return a Node object; `cordoned`, `record` and `manager` make it one that is cordoned."""
    metadata: Object = {"name": name, "resourceVersion": "1"}
    spec: Object = {}
    if changes.get("cordoned"):
        spec["unschedulable"] = True
    if record := changes.get("record"):
        metadata["annotations"] = {"fabnode.io/operation": record}
    if manager := changes.get("manager"):
        fields: Object = {"f:spec": {"f:unschedulable": {}}}
        metadata["managedFields"] = [{"manager": manager, "fieldsV1": fields}]
    status: Object = {"conditions": [{"type": "Ready", "status": "True"}]}
    return {"metadata": metadata, "spec": spec, "status": status}
