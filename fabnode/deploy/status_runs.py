"""
What is in flight on nodes: as their Node objects have it, and what these can't tell.

An interrupted reset, a removal whose Node object has gone, and an upgrade whose cordon was lifted
stand with the deployer that began them and on the host. A host is asked where this deployer knows
nothing and its node is no use.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

from ..ssh.connections import Access
from ..ssh.host import Host
from ..util import program
from ..util.errors import FabnodeError
from . import draining, unfinished

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..config.configuration import Node
    from .draining import InFlight, Status
    from .run import Run

_PARALLEL = 8


def status(run: Run) -> Status:
    """Return what is in flight on the nodes of this run. Changes nothing."""
    found, ready = draining.status(run)
    # A node that is in use again is no unfinished one.
    records = {
        each.node: unfinished.find(run.config, each.node)
        for each in found.nodes
        if each.node not in ready
    }
    ask = [node for node in run.nodes if records.get(node.name) == ""]
    records.update(_recorded(run, ask))
    nodes = (_with(each, records.get(each.node, "")) for each in found.nodes)
    return replace(found, nodes=tuple(_keeping(run, each) for each in nodes))


def _keeping(run: Run, each: InFlight) -> InFlight:
    """Name a set that is kept there, as this deployer knows it; while a record does, that does."""
    text = "" if each.operation else unfinished.kept(run.config, each.node)
    if not text:
        return each
    again = program.task(f"upgrade --limit {each.node}")
    return replace(each, operation=f"unfinished: {text}: {again} goes on")


def _with(each: InFlight, record: str) -> InFlight:
    if not record:
        return each
    text = unfinished.in_flight(each.node, record) if record[0] != "(" else record
    return replace(each, operation="; ".join(filter(None, (each.operation, text))))


def _recorded(run: Run, nodes: Sequence[Node]) -> Mapping[str, str]:
    """Return what hosts have recorded, or why that is not known, in brackets."""
    if not nodes:
        return {}
    command = unfinished.read_command(run.config.paths.state)
    with Access(run.passwords) as access, ThreadPoolExecutor(_PARALLEL) as pool:

        def one(node: Node) -> str:
            try:
                with Host(node, access) as host:
                    printed = host.root(command).stdout.decode("utf-8", "replace")
                    return unfinished.shown(printed)
            except FabnodeError as error:
                return f"(its host does not say whether a reset is unfinished: {error.message})"

        return dict(zip((node.name for node in nodes), pool.map(one, nodes), strict=True))
