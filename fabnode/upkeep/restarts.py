"""What of a node's own pods starts again where kubelet or runtime change, counted. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..util.words import counted
from . import departures

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .objects import Object

_OF_PODS = ("containers restart", "its pods are all made again")


def counted_effects(effects: Iterable[str], pods: Iterable[Object]) -> tuple[str, ...]:
    """
    Return the effects, those on containers with how many there are.

    All other pods have left by then: whatever restarts containers is done on a drained node.

    :param pods: all of the node's.
    """
    around, permits = departures.Surroundings(), departures.Permits()
    own = [pod for pod in pods if departures.departure(pod, around, permits).fate == "stays"]
    containers = sum(len((pod.get("spec") or {}).get("containers") or ()) for pod in own)
    found = f"{counted(containers, 'container')} of the node's own pods"
    return tuple(
        f"{effect} ({found})" if effect.startswith(_OF_PODS) else effect for effect in effects
    )


def restarts_containers(effects: Iterable[str]) -> bool:
    """Return whether some of the effects are on containers that run."""
    return any(effect.startswith(_OF_PODS) for effect in effects)
