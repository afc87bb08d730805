"""First phase of a reset: services are stopped, pods ended, and what they mounted is unmounted."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .conventions import BALANCER_SERVICE, CONTAINERD_SERVICE, KUBELET_SERVICE, PROXY_SERVICE
from .host_traces import NETNS, is_below
from .plan import Change
from .reset_case import Case, trace_change
from .resources import Trace

_POD = re.compile(r"[a-z0-9-]{1,63}/[a-z0-9.-]{1,253}", re.ASCII)
_AT_BOOT = {"enabled", "enabled-runtime", "linked", "linked-runtime"}
_PODS_SECONDS, _UNIT_SECONDS = 900, 130
_GRACE = 30  # seconds for a container that is asked to end: Kubernetes' default for pods


def stopping_changes(case: Case) -> Iterator[Change]:
    """Yield what ends all that runs on a node, so that nothing of it changes what is left."""
    yield from _stopped(case, KUBELET_SERVICE)
    yield from _stopped(case, PROXY_SERVICE)
    yield from _stopped(case, BALANCER_SERVICE)
    yield from _pods_asked_to_end(case)
    if case.survey.sandboxes or (case.survey.sandboxes is not None and case.survey.shims):
        found = case.survey.sandboxes or ()
        netns = dict.fromkeys(s.netns for s in found if NETNS.fullmatch(s.netns))
        words = (case.scope.ctr, case.scope.crictl or "-", *netns)
        names = ", ".join(sorted(s.pod for s in found))
        yield trace_change(
            Trace("sandboxes", names or "containers of pods", words, timeout=_PODS_SECONDS),
            "remove",
            "ended, their addresses given back",
        )
    yield from _stopped(case, CONTAINERD_SERVICE)
    folders = [folder for folder in case.scope.mounts if not case.earlier_mounts(folder)]
    where = [f for f in folders if any(is_below(m.place, [f]) for m in case.now.mounts)]
    if mounted := [m.place for m in case.now.mounts if is_below(m.place, folders)]:
        yield trace_change(
            Trace("mounts", f"below {', '.join(where)}", tuple(folders)),
            "unmount",
            f"{len(mounted)}, of pods and their volumes; what they show stays where it is",
        )


def _pods_asked_to_end(case: Case) -> Iterator[Change]:
    """Yield what asks pods to end that a drain would have evicted before."""
    pods = sorted(s.pod for s in case.survey.sandboxes or () if not s.daemon)
    if named := [pod for pod in pods if _POD.fullmatch(pod)]:
        words = (case.scope.ctr, str(_GRACE), *dict.fromkeys(named))
        why = f"asked to end, within {_GRACE} s, where they have not left by then"
        trace = Trace("containers", ", ".join(named), words, timeout=_PODS_SECONDS)
        yield trace_change(trace, "stop", why)


def _stopped(case: Case, name: str) -> Iterator[Change]:
    unit = case.now.unit(name)
    if case.is_our_unit(name) and (
        unit.active not in {"inactive", "failed"} or unit.enabled in _AT_BOOT
    ):
        trace = Trace("service", name, (name,), timeout=_UNIT_SECONDS)
        yield trace_change(trace, "stop", f"it is {unit.active}, {unit.enabled or 'not enabled'}")
