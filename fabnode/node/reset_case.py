"""The case of a reset: one host as it is and as it was, beside what a node may have there."""

from __future__ import annotations

from collections.abc import Mapping

from .conventions import CONTAINERD_SERVICE, KUBELET_SERVICE, PROXY_SERVICE
from .host_traces import Scope, filter_parts, is_below
from .layout import UNITS
from .packet_filter import FilterPart
from .plan import Action, Change
from .resources import Trace
from .surroundings import Surroundings, Survey

TUNNEL = "tunl0"
"""The interface that the module ipip has by itself: removed, it would be made again."""

RESTORED_UNITS = (CONTAINERD_SERVICE, KUBELET_SERVICE, PROXY_SERVICE)
"""Units that another tool may have enabled before the first change."""


class Case:
    """
    What a reset of one host is decided from.

    :param asked: whether containerd was asked what it holds, now or by an earlier survey.
    """

    def __init__(self, survey: Survey, scope: Scope, *, asked: bool) -> None:
        self.asked = asked
        self.survey = survey
        self.scope = scope
        self.now: Surroundings = survey.now
        self.before: Surroundings | None = survey.before
        self.filters: Mapping[str, tuple[FilterPart, ...]] = filter_parts(self.now, scope)

    def is_our_unit(self, name: str) -> bool:
        """Return whether fabnode wrote a unit's file."""
        return f"{UNITS}/{name}" in self.survey.own

    def earlier_mounts(self, folder: str) -> list[str]:
        """Return what was mounted below a folder before the first change, and still is."""
        known = self.before.mounts if self.before else ()
        there = {mount.place for mount in self.now.mounts}
        return [m.place for m in known if is_below(m.place, [folder]) and m.place in there]

    def why_kept(self, tree: str) -> str:
        """Return why a folder of a node's components is not emptied; empty: it is."""
        if self.before and tree in self.before.filled:
            return "it was there before, with content"
        if self.before and tree not in self.before.asked:
            return "the record does not say whether it was there before"
        if self.before is None and tree not in self.scope.usual:
            return "nobody recorded whether it held something before"
        if self.before is None and tree == self.scope.runtime_root and not self.asked:
            return "containerd could not be asked whether it holds anything else"
        if others := self.earlier_mounts(tree):
            return f"{others[0]} was mounted there before"
        return ""


def trace_change(trace: Trace, action: Action, why: str) -> Change:
    """Return the change that removes, stops, unmounts or restores a trace of a node."""
    return Change(trace, action, why)
