"""Whether the host at a node's configured address is the machine of its Node object."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..kube import node_status
from ..node.machine_ids import MachineIds, Match, at_home, match
from ..util import program
from ..util.errors import FabnodeError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..kube.client import Object


class OtherMachineError(FabnodeError):
    """What is seen on a host says nothing of a node: it is not its machine, or may not be."""

    def __init__(self, node: str, why: str) -> None:
        off = program.task(f"remove-node --offline --host-is-off --limit {node}")
        super().__init__(
            f"the host at its address is not, or may not be, the machine of its Node: {why}",
            "correct its address in the configuration; where its own machine is gone or was"
            f" replaced, switch that off, then {off}",
        )


def ids_of(live: Object) -> MachineIds:
    """Return the ids that a Node's kubelet has reported; empty ones where it has not."""
    info = (live.get("status") or {}).get("nodeInfo") or {}
    return MachineIds.of(info.get("machineID"), info.get("bootID"), info.get("systemUUID"))


def match_of(
    host: MachineIds, live: Object, nodes: Mapping[str, Object], *, reports: bool | None = None
) -> Match:
    """
    Return whether a host is the machine of a Node.

    :param nodes: the cluster's Node objects by name, this one too.
    :param reports: its kubelet goes on reporting; None: it does where it is Ready.
    """
    if reports is None:
        reports = node_status.not_ready(live) is None
    others = _ids(nodes, live["metadata"]["name"])
    return match(host, ids_of(live), others, reports=reports)


def owner_of(host: MachineIds, name: str, nodes: Mapping[str, Object]) -> str:
    """Return the other node whose machine a host is; empty: none is known."""
    return at_home(host, _ids(nodes, name))


def _ids(nodes: Mapping[str, Object], leaving_out: str) -> dict[str, MachineIds]:
    return {name: ids_of(live) for name, live in nodes.items() if name != leaving_out}
