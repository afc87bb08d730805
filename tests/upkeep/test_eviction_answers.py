"""Answers to evictions, as apiservers give them."""

from __future__ import annotations

from typing import Any

import pytest

from fabnode.upkeep.eviction_answers import answer

CANNOT = "Cannot evict pod as it would violate the pod's disruption budget."
TWO = (
    "This pod has more than one PodDisruptionBudget, which the eviction subresource does not"
    " support."
)
NEEDS = "The disruption budget web needs 3 healthy pods and has 3 currently"
ANSWERS: list[tuple[int, dict[str, Any], str, str, float]] = [
    (201, {"kind": "Status", "status": "Success"}, "accepted", "", 0),
    (404, {"message": 'pods "web-1" not found'}, "gone", "not found", 0),
    (409, {"message": "the UID in the precondition does not match"}, "gone", "UID", 0),
    (
        429,
        {
            "message": CANNOT,
            "details": {"causes": [{"reason": "DisruptionBudget", "message": NEEDS}]},
        },
        "held",
        NEEDS,
        0,
    ),
    (
        429,
        {
            "message": CANNOT,
            "details": {
                "causes": [
                    {"reason": "DisruptionBudget", "message": "web is still being processed"}
                ],
                "retryAfterSeconds": 10,
            },
        },
        "held",
        "still being processed",
        10,
    ),
    (429, {"message": CANNOT}, "held", "disruption budget", 0),  # releases that give no cause
    (429, {"message": "too many requests", "details": {"retryAfterSeconds": 1}}, "busy", "too", 1),
    (429, {}, "busy", "HTTP 429", 0),
    (500, {"message": TWO}, "refused", "more than one PodDisruptionBudget", 0),
    (500, {"message": "etcdserver: leader changed"}, "busy", "leader changed", 0),
    (503, {}, "busy", "HTTP 503", 0),
    (
        403,
        {
            "message": "shop is being terminated",
            "details": {"causes": [{"reason": "NamespaceTerminating"}]},
        },
        "busy",
        "terminated",
        0,
    ),
    (403, {"message": "admission webhook said no"}, "refused", "webhook", 0),
    (422, {"message": "pod disruption budget has negative"}, "refused", "negative", 0),
    (429, {"details": "odd", "message": "x"}, "busy", "x", 0),
]


@pytest.mark.parametrize(("status", "body", "kind", "text", "after"), ANSWERS)
def test_an_answer(status: int, body: dict[str, Any], kind: str, text: str, after: float) -> None:
    found = answer(status, body)
    assert (found.kind, found.after) == (kind, after)
    assert text in found.text
