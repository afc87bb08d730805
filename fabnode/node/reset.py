"""
Reset of a host: what a node left there, and what goes back to how it was. Pure.

What goes is named exactly: files and folders by what the steps want, the kernel's things by their
names and kinds; what was there before the first change is never among it. There are two phases:
what runs changes what is there: units and pods end first, and the host is surveyed again.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from .host_traces import Scope
from .plan import Change
from .reset_case import Case
from .reset_refusals import Refusal, refusals
from .reset_remainder import remainders, unrecorded
from .reset_removal import removal_changes
from .reset_stopping import stopping_changes
from .surroundings import Survey


@dataclass(frozen=True, slots=True)
class Reset:
    """
    What a reset of one host would do.

    :param first: ends what runs; whatever else there is, is planned again after it.
    :param stays: what is left of a node's, each with the reason.
    :param unknown: what of the host as it was nobody recorded.
    """

    first: tuple[Change, ...] = ()
    rest: tuple[Change, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    stays: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def changes(self) -> tuple[Change, ...]:
        """All of it, in order."""
        return (*self.first, *self.rest)


def reset(
    survey: Survey,
    scope: Scope,
    *,
    pods: Collection[str] = (),
    ours: bool | None = None,
    asked: bool = False,
) -> Reset:
    """
    Return what takes the host back to how it was.

    :param pods: patterns of `namespace/name` of pods that may be ended although they are no
        DaemonSet's.
    :param ours: whether a deployment was here; None: what lies there says so.
    :param asked: whether an earlier survey of this run saw what containerd holds.
    """
    if not (bool(survey.own) if ours is None else ours):
        return Reset()
    case = Case(survey, scope, asked=asked or survey.sandboxes is not None)
    return Reset(
        tuple(stopping_changes(case)),
        tuple(removal_changes(case)),
        tuple(refusals(case, pods)),
        tuple(remainders(case)),
        tuple(unrecorded(case)),
    )
