"""What `inv cordon` and `inv uncordon` would do with nodes; changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..upkeep import operations
from .cordons import ForeignCordonError
from .draining import CORDON, UNCORDON, cordons_alone, declared_dead, new_operation

if TYPE_CHECKING:
    from ..kube.client import Object
    from ..util.fan_out import Outcome
    from .node_deployer import NodeDeployer
    from .run import Run


@dataclass(frozen=True, slots=True)
class CordonPlan:
    """What would become of a node's cordon. :param changes: whether anything is written."""

    text: str
    changes: bool


def plan_cordon(run: Run) -> dict[str, Outcome[CordonPlan]]:
    """Return what a cordon of each node would change."""
    return _each(run, lifts=False)


def plan_uncordon(run: Run) -> dict[str, Outcome[CordonPlan]]:
    """Return what lifting each node's cordon would change; one of somebody else's is a failure."""
    return _each(run, lifts=True)


def _each(run: Run, *, lifts: bool) -> dict[str, Outcome[CordonPlan]]:
    with cordons_alone(run, dry_run=True) as using:

        def one(deployer: NodeDeployer) -> CordonPlan:
            name = deployer.node.name
            with run.journal.step(name, UNCORDON if lifts else CORDON, "looking at it") as log:
                live = using.cordons.live(name)
                found = _lifted(live, name) if lifts else _cordoned(live)
                log.note(found.text)
            return found

        return using.context.each(one, batched=False)


def _cordoned(live: Object) -> CordonPlan:
    if not operations.is_cordoned(live):
        return CordonPlan("takes no new pods", changes=True)
    operation = operations.begun(live, new_operation("cordon", "begun"))
    changes = operations.begin_patch(live, operation) is not None
    return CordonPlan(f"is cordoned, and stays so: {operations.whose(live)}", changes)


def _lifted(live: Object, name: str) -> CordonPlan:
    own = operations.is_own_cordon(live)
    if operations.is_cordoned(live) and not own:
        raise ForeignCordonError(name, operations.cordoned_by(live))
    stays = (
        f"; {declared_dead(live)[0]}"
        if operations.is_declared_dead(live)
        and operations.OUT_OF_SERVICE not in operations.own_taints(live)
        else ""
    )
    if operations.uncordon_patch(live) is None:
        return CordonPlan(f"is not cordoned{stays}", changes=False)
    ends = f"; ends: {operations.ends_with(live)}"
    text = (
        "takes pods again"
        if own and not stays
        else "is not cordoned"
        if not own
        else "is uncordoned"
    )
    return CordonPlan(f"{text}{ends}{stays}", changes=True)
