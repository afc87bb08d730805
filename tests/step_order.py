"""What a journal says of the order of steps, held against the one tuple that gives it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fabnode.steps import bootstrap_kubeconfig, preflight, proxy_cert, rbac, verify
from fabnode.steps.order import STEPS
from fabnode.steps.step import Scope

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fabnode.journal.events import Event

ENDS = {"done", "changed", "failed"}
# Before they act on the host, they have the API make what only it can give.
ISSUING = {bootstrap_kubeconfig.STEP.name, proxy_cert.STEP.name}


def assert_order(events: Sequence[Event], nodes: Sequence[str]) -> None:
    """
    Steps of each node that joined ended in the order of STEPS, and the cluster's where they belong.

    The first end of a step counts: the kubelet has another one, when its certificate has come.
    """
    beside = {step.name for step in STEPS if step.scope is Scope.CLUSTER}
    order = [step.name for step in STEPS if step.name not in beside]
    known = {step.name for step in STEPS} | {"run"}
    ended = [(i, event) for i, event in enumerate(events) if event.state in ENDS]
    assert {event.step for event in events} <= known
    first_change = len(events)
    for node in nodes:
        of_node = [
            (i, event.step)
            for i, event in ended
            if event.node == node and event.step not in {*beside, "run"}
            if event.step not in ISSUING or "changes" in event.data
        ]
        followed = list(dict.fromkeys(step for _, step in of_node))
        assert followed == [step for step in order if step in followed]
        assert followed[0] == preflight.STEP.name
        assert {"prepare", "runtime", "kubelet", "proxy", "ready"} <= {*followed}
        first_change = min(first_change, *(i for i, e in ended if e.node == node and _acts(e)))
    cluster = {(event.step, event.node): i for i, event in ended if event.node is None}
    assert cluster[rbac.STEP.name, None] < first_change
    last = max(i for i, event in ended if event.node in nodes and event.step != verify.STEP.name)
    assert cluster[verify.STEP.name, None] > last


def _acts(event: Event) -> bool:
    return event.state == "changed" and "changes" in event.data
