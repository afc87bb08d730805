"""Works on nodes in use wave by wave, within maintenance.batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..kube import node_status
from ..upkeep import operations, waves
from ..util import program
from ..util.errors import FabnodeError
from ..util.fan_out import EARLIER_BATCH, Outcome
from ..util.words import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from typing import Any

    from .draining import NodesInUse
    from .node_deployer import NodeDeployer

_AWAY = frozenset({"maintain", "upgrade", "remove"})
_DRAINED = "drained"


class TooManyDownError(FabnodeError):
    """A node is skipped: too many others are unavailable already."""

    def __init__(self, task: str, down: Mapping[str, str], size: int) -> None:
        names = ", ".join(name + (f" ({how})" if how else "") for name, how in sorted(down.items()))
        are = "is" if len(down) == 1 else "are"
        drained = sorted(name for name, how in down.items() if how == _DRAINED)
        back = program.task(f"uncordon --limit {','.join(drained)}")
        again = f"; {back} has them take pods again" if drained else ""
        verify = program.task(f"verify --limit {','.join(sorted(down))}")
        more = program.task(f"{task} --batch {len(down) + 1}")
        super().__init__(
            f"skipped: {names} {are} {'unavailable' if drained else 'unhealthy'}, and at most"
            f" {counted(size, 'node')} may be unavailable at once (maintenance.batch)",
            f"see to {', '.join(sorted(down))} ({verify}{again}); or allow more: {more}",
        )


def in_waves(
    using: NodesInUse,
    names: Collection[str],
    work: Callable[[NodeDeployer], Any],
    seen: Mapping[str, Outcome[Any]],
    *,
    task: str,
    canary: bool = False,
) -> None:
    """
    Do something with nodes, wave by wave, until one fails.

    :param seen: what became of all nodes of the run so far: where two failed with the same cause,
        no node is worked on.
    :param task: the command line that does the same with another `--batch`.
    :param canary: the first node is a wave of its own.
    """
    run = using.context.run
    size = run.batch or run.config.maintenance.batch
    left = [node.name for node in run.nodes if node.name in names]
    failed = {name: each.error for name, each in seen.items() if each.error}
    stop = one_reason(using, seen)
    while left and not stop:
        down = _down(using)
        shares = _shares(using) if size > 1 else {}
        wave = waves.next_wave(left, 1 if canary else size, down=down, shares=shares)
        if not wave:
            for name in left:
                run.record_outcome(name, Outcome(error=TooManyDownError(task, down, size)))
            return
        done = using.context.each(work, wave, batched=False)
        left = [name for name in left if name not in wave]
        failed |= {name: each.error for name, each in done.items() if each.error}
        if not all(each.ok for each in done.values()):
            stop = _common_cause(using, failed) or EARLIER_BATCH
        canary = False
    for name in left:
        run.record_outcome(name, Outcome(skipped=stop))


def one_reason(using: NodesInUse, seen: Mapping[str, Outcome[Any]]) -> str:
    """Return the cause with which two nodes failed alike, in a line; empty: no two did."""
    return _common_cause(using, {name: each.error for name, each in seen.items() if each.error})


def _down(using: NodesInUse) -> dict[str, str]:
    """
    Return the nodes of the cluster that are unavailable, each with how, where that is not plain.

    They are unhealthy, or somebody works on them, or `inv drain` has emptied them. A cordon of
    others counts for nothing: control planes bear one all their lives.
    """
    nodes = using.context.session.nodes
    found: dict[str, str] = {}
    for name, live in nodes.current().items():
        operation = operations.read(live) if operations.is_own_cordon(live) else None
        if (node_status.not_ready(live) and not nodes.awaits_network(live)) or (
            operation and operation.what in _AWAY
        ):
            found[name] = ""
        elif operation and operation.what == "drain":
            found[name] = _DRAINED
    return found


def _shares(using: NodesInUse) -> dict[str, frozenset[str]]:
    return waves.shared(using.evictions.all_pods(), using.evictions.budgets())


def _common_cause(using: NodesInUse, failed: Mapping[str, BaseException]) -> str:
    addresses = {node.name: node.ips for node in using.context.run.nodes}
    return waves.common_cause(
        {
            name: (
                error.message if isinstance(error, FabnodeError) else str(error),
                addresses[name],
            )
            for name, error in failed.items()
            if str(error)
        }
    )
