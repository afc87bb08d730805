"""Checks whether an ordinary pod could run on a node: cordons and taints, and their owners."""

from __future__ import annotations

from ...config.configuration import Node
from ...util import program
from .check import Check, Object

SCHEDULABLE = "schedulable"
_OF_CLOUD = "node.cloudprovider.kubernetes.io/"
_UNINITIALIZED = f"{_OF_CLOUD}uninitialized"
_KUBERNETES = "node.kubernetes.io/"
_CORDON = f"{_KUBERNETES}unschedulable"
# Taints that Kubernetes removes by itself, a moment after their reason has gone.
_PASSING = {f"node.kubernetes.io/{name}" for name in ("not-ready", "unreachable")} | {
    "node.kubernetes.io/network-unavailable"
}
# Those that follow from a condition of the Node.
_OF_CONDITIONS = _PASSING | {f"{_KUBERNETES}{name}-pressure" for name in ("disk", "memory", "pid")}


def schedulable_check(
    node: Node, live: Object, own: str = "", *, locked_out: bool = False
) -> Check:
    """
    An ordinary pod could run there: no cordon, and no taints but those of the configuration.

    A Node object that is being deleted is as good as gone, however Ready it is.

    A node waits for its cloud controller manager where one is configured, or for whoever takes its
    startup taints off: that is a warning.

    :param own: who owns the cordon, where it is fabnode's.
    :param locked_out: a removal of it has begun.
    """
    spec = live.get("spec") or {}
    strange = _strange(node, live)
    unawaited = [taint for taint in strange if not _awaited(node, taint)]
    metadata = live["metadata"]
    leaves = "deletionTimestamp" in metadata
    keepers = ", ".join(metadata.get("finalizers") or ())
    seen = [f"its Node object was deleted, and stays until {keepers} is through"] if leaves else []
    seen += [f"cordoned ({own})" if own else "cordoned"] if spec.get("unschedulable") else []
    seen += [f"tainted {taint['key']}:{taint['effect']}" for taint in strange]
    seen += ["locked out: a removal of it has begun"] if locked_out else []
    if locked_out:
        advice = program.of_locked_out(node.name)
    elif leaves:
        advice = f"find out who deleted it; once it is gone, {program.task('deploy-nodes')}"
    elif own:
        advice = program.task(f"uncordon --limit {node.name}")
    elif spec.get("unschedulable"):
        advice = f"kubectl uncordon {node.name}, once whoever cordoned it agrees"
    else:
        advice = "; ".join(_untaint(node, taint) for taint in (unawaited or strange)[:1])
    warning = not unawaited and not spec.get("unschedulable") and not leaves
    detail = ", ".join(seen) or "yes"
    return Check(node.name, SCHEDULABLE, not seen, detail, advice, warning=bool(seen) and warning)


def strange_taints(node: Node, live: Object) -> tuple[tuple[str, str], ...]:
    """
    Return taints that keep pods away and are not configured, each with what to do about it.

    Those that follow from conditions of the Node are not among them: its conditions are evidence
    by themselves.
    """
    found = (taint for taint in _strange(node, live) if taint["key"] not in _OF_CONDITIONS)
    return tuple((f"{taint['key']}:{taint['effect']}", _untaint(node, taint)) for taint in found)


def settles(live: Object) -> bool:
    """Return whether a Node is Ready and has a taint that Kubernetes is about to remove."""
    conditions = (live.get("status") or {}).get("conditions") or ()
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
    taints = (live.get("spec") or {}).get("taints") or ()
    return ready and any(taint["key"] in _PASSING for taint in taints)


def _strange(node: Node, live: Object) -> list[Object]:
    ours = {(taint.key, taint.value, taint.effect) for taint in node.taints}
    return [
        taint
        for taint in (live.get("spec") or {}).get("taints") or ()
        if taint["effect"] in {"NoSchedule", "NoExecute"}
        and (taint["key"], taint.get("value", ""), taint["effect"]) not in ours
        and taint["key"] != _CORDON
    ]


def _starts_with(node: Node, taint: Object) -> bool:
    return (taint["key"], taint["effect"]) in {(t.key, t.effect) for t in node.startup_taints}


def _awaited(node: Node, taint: Object) -> bool:
    """Return whether somebody is expected to take a taint off."""
    initializes = node.kubelet.cloud_provider is not None
    return _starts_with(node, taint) or (initializes and taint["key"] == _UNINITIALIZED)


def _untaint(node: Node, taint: Object) -> str:
    key, effect, name = taint["key"], taint["effect"], node.name
    if _starts_with(node, taint):
        return f"check that the program that takes this startup taint off runs on {name}"
    if key.startswith(_OF_CLOUD):
        return "check that the cloud provider's controller manager runs: it removes this taint"
    if key.startswith(_KUBERNETES):
        return f"kubectl describe node {name} shows the reason"
    return f"kubectl taint nodes {name} {key}:{effect}-, or add it to the node's `taints`"
