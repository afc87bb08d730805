"""
What a host keeps of before an upgrade, and what its restore does to the pods that run there. Pure.

The set is on the host from before the first change until the node is proved, or a deployment has
made it Ready with nothing left to change; it outlives the record on the Node object, which ends
with the cordon. A run that finds one without a record that belongs
to it does not know what was changed, and takes it that everything was.
"""

from __future__ import annotations

from dataclasses import dataclass

from .objects import line
from .operations import Operation


@dataclass(frozen=True, slots=True)
class Extent:
    """
    What an upgrade does to the pods of its node, in all of its runs.

    :param drains: they leave before the change, and before the way back. Where they stay, the
        kubelet's state files stay as they are on the way back.
    :param ends_pods: those of the node's own are ended with it.
    """

    drains: bool
    ends_pods: bool


def extent(*, drains: bool, ends_pods: bool, recorded: Operation | None, kept: str) -> Extent:
    """
    Return the extent of an upgrade that begins, or goes on.

    :param drains, ends_pods: what this run would change by itself.
    :param recorded: the operation that goes on.
    :param kept: tag of the set on the host; empty: there is none.
    """
    if not kept:  # nothing has been changed yet
        return Extent(drains, ends_pods)
    if recorded is None or tag(recorded) != kept or recorded.drained is None:
        return Extent(drains=True, ends_pods=True)
    return Extent(drains or recorded.drained, ends_pods or recorded.ends_pods is not False)


def tag(operation: Operation) -> str:
    """Return by what a host knows the set that an operation kept there."""
    return f"{operation.since} {operation.by}"


def read_tag(content: bytes) -> str:
    """Return the tag in a host's file."""
    return line(content.decode("utf-8", "replace").strip()) or "?"


def origin(kept: str) -> str:
    """Return by whom a set was kept, and when, as operations are shown."""
    return _of(kept).text


def left_over(kept: str) -> str:
    """Return what a host keeps of an upgrade that nobody has proved, in a clause."""
    return f"its host keeps what ran before an upgrade {_of(kept).origin}, which is not proved"


def _of(kept: str) -> Operation:
    since, _, by = kept.partition(" ")
    return Operation("upgrade", "its host keeps what ran before", by, since, cordons=False)
