"""
Runs of cordon, uncordon and drain over nodes, and the view of what is in flight.

A drain looks at all nodes first: one with a pod that would not go is not cordoned at all. All
others are cordoned before the first pod leaves, so that none moves to a node that is next.
"""

from __future__ import annotations

import getpass
import os
import socket
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from ..kube import lease_lock, rbac_rules
from ..kube.evictions import Evictions
from ..upkeep import departures, operations
from ..upkeep.operations import Operation
from ..util import program
from ..util.words import counted
from .cordons import Cordons
from .node_drainer import DrainBlockedError, NodeDrainer, Preview
from .run import RunContext

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..upkeep.departures import Permits
    from ..upkeep.operations import What
    from ..util.fan_out import Outcome
    from .node_deployer import NodeDeployer
    from .run import Run

CORDON: Final = "cordon"
DRAIN: Final = "drain"
UNCORDON = "uncordon"


@dataclass(frozen=True, slots=True)
class InFlight:
    """
    What is going on with a node.

    :param cordon: whose its cordon is; empty: none. :param operation: what is recorded there.
    """

    node: str
    cordon: str
    operation: str


@dataclass(frozen=True, slots=True)
class Status:
    """What is in flight: per node, and the run that holds the cluster's Lease, if any."""

    run: str
    nodes: tuple[InFlight, ...]


def preview(run: Run, permits: Permits) -> dict[str, Outcome[Preview]]:
    """Return what a drain of each node would do. Changes nothing."""
    with _opened(run, permits) as (context, cordons, drainer):

        def work(deployer: NodeDeployer) -> Preview:
            return looked(run, deployer.node.name, cordons, drainer)

        return context.each(work, batched=False)


def drain(run: Run, permits: Permits) -> dict[str, Outcome[Preview]]:
    """
    Drain nodes, and leave them cordoned; return what was seen of each before.

    A node that fails stays cordoned, and a drain that is run again goes on with it.
    """
    with _opened(run, permits) as (context, cordons, drainer), told(run, cordons):

        def look(deployer: NodeDeployer) -> Preview:
            name = deployer.node.name
            return looked(run, name, cordons, drainer, insisting=True)

        def cordon_it(deployer: NodeDeployer) -> Operation:
            return _cordoned(run, deployer.node.name, cordons, DRAIN)

        def work(deployer: NodeDeployer) -> None:
            name = deployer.node.name
            with run.journal.step(name, DRAIN, "evicting its pods") as log:
                drainer.drain(name, log)
                cordons.record(name, replace(cordoned[name], phase="drained"))

        seen = context.each(look, batched=False)
        good = [name for name, outcome in seen.items() if outcome.ok]
        begun = context.each(cordon_it, good, batched=False)
        cordoned = {name: outcome.value for name, outcome in begun.items() if outcome.value}
        context.each(work, cordoned.keys())
        return seen


def cordon(run: Run) -> None:
    """Cordon nodes, with a record that it was us."""
    with _opened(run, departures.Permits()) as (context, cordons, _), told(run, cordons):
        context.each(lambda deployer: _cordoned(run, deployer.node.name, cordons, CORDON))


def uncordon(run: Run) -> None:
    """Lift cordons that are ours; what is somebody else's fails, and stays."""
    with _opened(run, departures.Permits()) as (context, cordons, _):

        def work(deployer: NodeDeployer) -> None:
            with run.journal.step(deployer.node.name, UNCORDON) as log:
                if ended := cordons.lift(deployer.node.name):
                    log.changed(f"ended: {ended}")

        context.each(work)


def status(run: Run) -> Status:
    """Return what is in flight on the nodes of this run. Changes nothing."""
    with RunContext(run, dry_run=True, installs=False, rights=rbac_rules.DRAIN) as context:
        live = context.session.nodes.current()
        holder = lease_lock.holder(context.session.api)
    found = []
    for node in run.nodes:
        if (item := live.get(node.name)) is None:
            found.append(InFlight(node.name, "", "no Node object"))
            continue
        operation = operations.read(item)
        found.append(
            InFlight(node.name, operations.whose(item), operation.text if operation else "")
        )
    return Status(holder, tuple(found))


def new_operation(what: What, phase: str) -> Operation:
    """Return an operation that begins now, by whoever runs this."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return Operation(what, phase, f"{_user()}@{socket.gethostname()}", now, cordons=True)


@contextmanager
def _opened(run: Run, permits: Permits) -> Iterator[tuple[RunContext, Cordons, NodeDrainer]]:
    rights = list(rbac_rules.DRAIN)
    if permits.past_budget:
        rights.append(rbac_rules.PAST_BUDGETS)
    with RunContext(run, installs=False, rights=rights) as context:
        session = context.session
        evictions = Evictions(session.api, session.snapshot.version)
        drainer = NodeDrainer(run.config, evictions, permits, session.stopped)
        yield context, Cordons(session.api, session.guard), drainer


@contextmanager
def told(run: Run, cordons: Cordons) -> Iterator[None]:
    """Say at the end, however that comes, which nodes are cordoned by us."""
    try:
        yield
    finally:
        if names := sorted(cordons.left):
            nodes = ", ".join(names)
            back = program.task(f"uncordon --limit {','.join(names)}")
            run.journal.info(f"cordoned by fabnode now: {nodes}; {back} takes that back")


def looked(
    run: Run, name: str, cordons: Cordons, drainer: NodeDrainer, *, insisting: bool = False
) -> Preview:
    """
    Return what a drain of a node would do.

    :raises DrainBlockedError: some pod would not go, and that is insisted on.
    """
    with run.journal.step(name, DRAIN, "looking at its pods") as log:
        found = drainer.preview(cordons.live(name))
        held = departures.blocked(found.departures)
        leaving = departures.left(found.departures)
        log.note(f"{len(leaving) - len(held)} of {counted(len(found.departures), 'pod')} go")
        if held and insisting:
            raise DrainBlockedError(name, held)
        if held:
            log.warn(f"{counted(len(held), 'pod')} would not go")
    return found


def _cordoned(run: Run, name: str, cordons: Cordons, what: What) -> Operation:
    with run.journal.step(name, CORDON) as log:
        operation, new = cordons.begin(name, new_operation(what, "begun"))
        if new:
            log.changed("cordoned")
        elif not operation.cordons:
            log.note("it was cordoned by somebody else, which stays as it is")
        else:
            log.note(f"goes on: {operation.what} {operation.origin}")
    return operation


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no entry in passwd
        return str(os.getuid())
