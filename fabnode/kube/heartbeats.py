"""Heartbeats of kubelets: when each last renewed its Lease, one by one or many at once."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from ..util.object_lists import listed
from .client import ApiError
from .node_status import LEASES, conditions

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from .client import Api, Object


def heartbeat_age(api: Api, live: Object, now: float) -> float:
    """
    Return the seconds since the last heartbeat of this Node's kubelet.

    It reports by renewing its Lease every 10 s, and by its status, at first and when that changes:
    a node that has just joined may not have a Lease yet. `now` is the apiserver's time. A node
    that never reported gives infinity.
    """
    return _age(live, api.find(f"{LEASES}/{live['metadata']['name']}"), now)


def heartbeat_ages(
    api: Api, names: Collection[str], live: Mapping[str, Object], now: float
) -> dict[str, float]:
    """
    Return the same for many nodes at once; of none where each has to be asked for.

    :param names: of nodes to look at. :param live: all Node objects.
    """
    try:
        leases = {lease["metadata"]["name"]: lease for lease in listed(api, LEASES)["items"]}
    except ApiError:  # no right to list, or a list that grew too old
        return {}
    return {name: _age(live[name], leases.get(name), now) for name in names if name in live}


def _age(live: Object, lease: Object | None, now: float) -> float:
    renewed = ((lease or {}).get("spec") or {}).get("renewTime")
    reported = conditions(live).get("Ready", {}).get("lastHeartbeatTime")
    beats = [datetime.fromisoformat(beat).timestamp() for beat in (renewed, reported) if beat]
    return now - max(beats, default=float("-inf"))
