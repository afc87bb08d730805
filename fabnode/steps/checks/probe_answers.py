"""Judgements of the network probe: which pods and Services answered, and to whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...node.conventions import KUBELET_PORT
from ...util import program
from ...util.families import FAMILY_NAMES, Family
from .check import Check
from .probe_pods import target_name

SERVICE_VIP = "Service VIP"
APISERVER = "apiserver to pods"
LARGE = "large packets"
_SILENT = "no answer within 10 s"
_ANSWER = 200  # characters: its node's kubelet may hand us anything for a log
# README and docs/network.md say what it must reach, and why.
_ROUTES = (
    "give the control plane's machines routes to the nodes' pods, or make them tainted nodes of the"
    " cluster (docs/network.md)"
)


def probe_results(
    node: str,
    log: str,
    targets: Sequence[str],
    *,
    service: bool = True,
    families: Sequence[Family] = (4,),
) -> tuple[Check, ...]:
    """
    Read a client pod's log: `<target>[/<family>][:large] ok|failed <what was answered>` lines.

    :param targets: nodes whose pods are judged; `service`: and the Service.
    :param families: by which each was asked; with two, each is a check.
    """
    seen = {}
    for line in log.splitlines():
        target, _, rest = line.partition(" ")
        outcome, _, answer = rest.partition(" ")
        seen[target] = (outcome == "ok", answer.strip()[:_ANSWER])
    checks = []
    both = len(families) > 1
    asked = [
        (target, f" ({FAMILY_NAMES[one]})" if both else "", target_name(target, one, both=both))
        for target in (*targets, *(["service"] if service else ()))
        for one in families
    ]
    for target, by, name in asked:
        ok, answer = seen.get(name, (False, _SILENT))
        title = f"{SERVICE_VIP}{by}" if target == "service" else f"pod on {target}{by}"
        advice = (
            program.host_task(node, "logs --unit kube-proxy")
            if target == "service"
            else f"let the pod network's packets pass between {node} and {target} (docs/network.md)"
        )
        detail = f"answered by {answer}" if ok else answer or _SILENT
        checks.append(Check(node, title, ok, detail, advice))
    names = [name for target, _, name in asked if target != "service"]
    answered = [name for name in names if seen.get(name, (False, ""))[0]]
    if answered:
        checks.append(_large_packets(node, seen, answered))
    return tuple(checks)


def _large_packets(
    node: str, seen: Mapping[str, tuple[bool, str]], answered: Sequence[str]
) -> Check:
    """Judge the answers as large as a packet can be, and of several KiB, of pods that answer."""
    lost = [name for name in answered if not seen.get(f"{name}:large", (True, ""))[0]]
    tried = [name for name in answered if f"{name}:large" in seen]
    if lost:
        detail = (
            f"lost on the way from {', '.join(lost)}, while small ones arrive: the path carries"
            " less than the MTU of the pods"
        )
    else:
        detail = f"from {', '.join(tried)}" if tried else "not tried"
    advice = "lower the MTU of the pod network, or raise that of the path (docs/network.md)"
    return Check(node, LARGE, bool(tried) and not lost, detail, advice)


def log_check(node: str, error: str, advice: str, *, unreachable: bool) -> Check:
    """Return the check that says why the log of a probe's pod can't be read."""
    detail = f"the log of its pod can't be read: {error}"
    if unreachable:
        port = f"{KUBELET_PORT}/tcp"
        detail = f"{port} does not answer the apiserver; {detail}"
        advice = f"let the control plane pass to {port} of {node}"
    return Check(node, "network probe", False, detail, advice)


def apiserver_check(found: Mapping[str, str]) -> Check:
    """
    Judge whether the apiserver reaches pods, as for webhooks and aggregated APIs.

    A warning: nodes and their pods work without, and are not to blame.

    :param found: node → why its pod did not answer the apiserver; empty: it did.
    """
    lost = {node: why for node, why in found.items() if why}
    if not lost:
        return Check(None, APISERVER, True, f"those on {', '.join(found)} answer it")
    detail = (
        f"it does not reach those on {', '.join(lost)} ({next(iter(lost.values()))}): admission"
        " webhooks, aggregated APIs such as metrics-server, and `pods/proxy` fail there"
    )
    return Check(None, APISERVER, False, detail, _ROUTES, warning=True)
