"""
What is in flight on nodes: as their Node objects have it, and what these can't tell.

An interrupted reset, a removal whose Node object has gone, and an upgrade whose cordon was lifted
stand with the deployer that began them and on the host. A host is asked where this deployer knows
nothing and its node is no use, and whether it still keeps what this deployer left there.
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
    nodes = [_with(each, records.get(each.node, "")) for each in found.nodes]
    return replace(found, nodes=_keeping(run, nodes))


def _keeping(run: Run, nodes: Sequence[InFlight]) -> tuple[InFlight, ...]:
    """
    Name sets that hosts keep, as this deployer knows them; while a record does, that does.

    Another deployer may have proved that upgrade since: its host is asked, where it can be.
    """
    texts = {
        each.node: text
        for each in nodes
        if not each.operation and (text := unfinished.kept(run.config, each.node))
    }
    ask = [node for node in run.nodes if node.name in texts]
    for name, answer in _asked(run, ask, unfinished.kept_command(run.config.paths.state)).items():
        if answer == unfinished.NOT_KEPT:
            unfinished.forget(run.config, name)
            del texts[name]
    return tuple(
        replace(each, operation=f"unfinished: {texts[each.node]}: {_again(each.node)} goes on")
        if each.node in texts
        else each
        for each in nodes
    )


def _again(node: str) -> str:
    return program.task(f"upgrade --limit {node}")


def _with(each: InFlight, record: str) -> InFlight:
    if not record:
        return each
    text = unfinished.in_flight(each.node, record) if record[0] != "(" else record
    return replace(each, operation="; ".join(filter(None, (each.operation, text))))


def _recorded(run: Run, nodes: Sequence[Node]) -> Mapping[str, str]:
    """Return what hosts have recorded, or why that is not known, in brackets."""
    found = _asked(run, nodes, unfinished.read_command(run.config.paths.state))
    unknown = "(its host does not say whether a reset is unfinished: {})"
    return {
        name: unknown.format(answer.message) if isinstance(answer, FabnodeError) else answer
        for name, answer in found.items()
    }


def _asked(run: Run, nodes: Sequence[Node], command: str) -> Mapping[str, str | FabnodeError]:
    """Return what a command prints on hosts, or why a host does not say."""
    if not nodes:
        return {}
    with Access(run.passwords) as access, ThreadPoolExecutor(_PARALLEL) as pool:

        def one(node: Node) -> str | FabnodeError:
            try:
                with Host(node, access) as host:
                    printed = host.root(command).stdout.decode("utf-8", "replace")
                    return unfinished.shown(printed)
            except FabnodeError as error:
                return error

        return dict(zip((node.name for node in nodes), pool.map(one, nodes), strict=True))
