"""
Runs of cordon, uncordon and drain over nodes, and the view of what is in flight.

A drain previews all nodes first: one with a pod that would not go is not cordoned at all. All
others are cordoned before the first pod leaves, so that none moves to a node that is next.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from ..kube import lease_lock, node_status
from ..kube.client import permitted
from ..pki import proxy_names
from ..upkeep import departures, operations
from ..upkeep.objects import line
from ..upkeep.operations import Operation
from ..util import program
from ..util.whoami import whoami
from ..util.words import counted
from . import proxy_binding, run_rights
from .cordons import Cordons
from .dead_kubelet import Emptying
from .evictions import Evictions
from .node_drainer import DrainBlockedError, NodeDrainer, Preview
from .node_proof import NodeProof
from .registrations import ownerless
from .run import RunContext

if TYPE_CHECKING:
    import threading
    from collections.abc import Collection, Iterator, Sequence
    from contextlib import AbstractContextManager

    from ..kube.client import Object
    from ..kube.rbac_rules import Right
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

    :param cordon: owner of its cordon; empty: none. :param operation: what is recorded there.
    """

    node: str
    cordon: str
    operation: str


@dataclass(frozen=True, slots=True)
class NodesInUse:
    """What a run over nodes that have pods works with; its parts are shared by all nodes."""

    context: RunContext
    evictions: Evictions
    cordons: Cordons
    drainer: NodeDrainer

    def preview(self, name: str, *, insisting: bool = False) -> Preview:
        """
        Return what a drain of a node would do.

        :param insisting: a pod that would not go is a failure.
        :raises DrainBlockedError: some pod would not go, and that is insisted on.
        """
        guard = self.context.session.guard
        with self.context.run.journal.step(name, DRAIN, "previewing") as log:
            with guard.explaining():  # an account may be one that only deploys
                found = self.drainer.preview(self.cordons.live(name))
            held = departures.blocked(found.departures)
            leaving = departures.left(found.departures)
            log.note(f"{len(leaving) - len(held)} of {counted(len(found.departures), 'pod')} go")
            if held and insisting:
                raise DrainBlockedError(name, held)
            if held:
                log.warn(f"{counted(len(held), 'pod')} would not go")
        return found

    def begun(self, name: str, what: What) -> Operation | None:
        """
        Return the interrupted operation of this kind that goes on with a node.

        A cordon that others have set since is not its own: what has come under it meanwhile may be
        anything, and it stays when the operation ends.
        """
        return operations.interrupted(self.cordons.live(name), what)

    def cordon(self, name: str, what: What, phase: str) -> Operation:
        """Cordon a node for an operation that ends with its cordon, or go on with that."""
        with self.context.run.journal.step(name, CORDON) as log:
            wanted = new_operation(what, phase)
            operation, new = self.cordons.begin(name, wanted)
            if new:
                log.changed("cordoned")
            elif operation.since != wanted.since:
                log.note(f"goes on: {operation.what} {operation.origin}")
            if not operation.cordons and what != "remove":
                log.note("it was cordoned before, and will stay so")
        return operation

    def open(self, name: str, operation: Operation, phase: str) -> Operation:
        """Have a node take pods again in an operation that goes on with it, and return that."""
        with self.context.run.journal.step(name, UNCORDON) as log:
            opened, takes_pods = self.cordons.open(name, replace(operation, phase=phase))
            if takes_pods:
                log.changed("takes pods again, on trial")
            else:
                log.note(_stays(operation))
        return opened

    def uncordon(self, name: str, operation: Operation) -> None:
        """End an operation: a node that it cordoned takes pods again."""
        with self.context.run.journal.step(name, UNCORDON) as log:
            if self.cordons.end(name, operation):
                log.changed("takes pods again")
            else:
                log.note(_stays(operation))

    def proof(
        self, deployer: NodeDeployer, *, probing: threading.Lock, network: bool, advice: str
    ) -> NodeProof:
        """Return what proves a node healthy while it is cordoned; see `NodeProof`."""
        return NodeProof(
            deployer,
            self.context.session,
            self.context.run.journal,
            self.cordons,
            self.evictions,
            probing=probing,
            network=network,
            advice=advice,
        )

    def emptying(self, deployer: NodeDeployer, advice: str) -> Emptying:
        """Return what empties a node, whether or not its kubelet ends pods; see `Emptying`."""
        return Emptying(
            deployer,
            self.context.run.config,
            self.context.run.journal,
            self.cordons,
            self.evictions,
            self.drainer,
            advice,
        )

    @contextmanager
    def cordons_reported(self) -> Iterator[None]:
        """Report at the end, however that comes, which nodes are cordoned by us."""
        try:
            yield
        finally:
            if names := sorted(self.cordons.left):
                nodes = ", ".join(names)
                back = program.task(f"uncordon --limit {','.join(names)}")
                text = f"cordoned by fabnode now: {nodes}; {back} takes that back"
                self.context.run.journal.info(text)


@dataclass(frozen=True, slots=True)
class Status:
    """
    What is in flight: per node, and the run that holds the cluster's Lease, if any.

    :param unknown: Node objects of which the configuration knows nothing, a line each: one that was
        removed and is back, or another's.
    :param proxies: names of kube-proxies that have rights, of nodes that neither the configuration
        nor the cluster knows any more.
    :param network: what goes on with the pod network; empty: nothing.
    """

    run: str
    nodes: tuple[InFlight, ...]
    unknown: tuple[str, ...] = ()
    proxies: tuple[str, ...] = ()
    network: str = ""


def preview(run: Run, permits: Permits) -> dict[str, Outcome[Preview]]:
    """Return what a drain of each node would do. Changes nothing."""
    with nodes_in_use(run, permits) as using:
        return using.context.each(lambda deployer: using.preview(deployer.node.name), batched=False)


def drain(run: Run, permits: Permits) -> dict[str, Outcome[Preview]]:
    """
    Drain nodes, and leave them cordoned; return the preview of each.

    A node that fails stays cordoned, and a drain that is run again goes on with it.
    """
    with nodes_in_use(run, permits) as using, using.cordons_reported():
        each = using.context.each

        def cordon_it(deployer: NodeDeployer) -> Operation:
            return _cordoned(using, deployer.node.name, DRAIN)

        def evict(deployer: NodeDeployer) -> None:
            name = deployer.node.name
            with run.journal.step(name, DRAIN, "evicting its pods") as log:
                using.drainer.drain(name, log)
                using.cordons.record(name, replace(cordoned[name], phase="drained"))

        previews = each(
            lambda deployer: using.preview(deployer.node.name, insisting=True), batched=False
        )
        good = [name for name, outcome in previews.items() if outcome.ok]
        begun = each(cordon_it, good, batched=False)
        cordoned = {name: outcome.value for name, outcome in begun.items() if outcome.value}
        each(evict, cordoned.keys())
        return previews


def cordon(run: Run) -> None:
    """Cordon nodes, with a record that it was us."""
    with cordons_alone(run) as using, using.cordons_reported():
        using.context.each(
            lambda deployer: _cordoned(using, deployer.node.name, CORDON), batched=False
        )


def uncordon(run: Run) -> None:
    """Lift cordons that are ours; what is somebody else's fails, and stays."""
    with cordons_alone(run) as using:

        def lift(deployer: NodeDeployer) -> None:
            name = deployer.node.name
            with run.journal.step(name, UNCORDON) as log:
                found = operations.read(using.cordons.live(name))
                if ended := using.cordons.lift(name):
                    log.changed(f"ended: {ended}")
                    begun = found.chain if found else ()
                    if any(o.what == "upgrade" and o.drained is not None for o in begun):
                        again = program.task(f"upgrade --limit {name}")
                        log.warn(
                            "its upgrade is not done: it may run a part of what is new, and its"
                            " host keeps what ran before",
                            f"{again} empties it once more and goes on",
                        )
                if operations.is_declared_dead(live := using.cordons.live(name)):
                    log.warn(*declared_dead(live))

        # A cordon that is not fabnode's says nothing about the others.
        using.context.each(lift, batched=False)


def declared_dead(live: Object) -> tuple[str, str]:
    """Return what to say of a taint out-of-service that an uncordon leaves, and what next."""
    key = operations.OUT_OF_SERVICE
    writer = operations.tainted_by(live)
    by = f" (taints were written by {writer} last)" if writer else ""
    return (
        f"the taint {key} stays: no removal of fabnode's has recorded it as its own{by}; while the"
        " node is not Ready, pods there are deleted at once, and none is started",
        f"once its host is back, `kubectl taint node {live['metadata']['name']} {key}-` takes it",
    )


def status(run: Run) -> tuple[Status, frozenset[str]]:
    """
    Return what is in flight on the nodes of this run, and which of these are Ready.

    Changes nothing.
    """
    with RunContext(run, dry_run=True, installs=False, rights=run_rights.STATUS) as context:
        api = context.session.api
        live = context.session.nodes.current()
        holder = lease_lock.holder(api)
        network = context.session.network.rolling([node.name for node in run.config.nodes])
        bound = permitted(lambda: proxy_binding.users(proxy_binding.read(api))) or frozenset()
    found = []
    for node in run.nodes:
        if (item := live.get(node.name)) is None:
            found.append(InFlight(node.name, "", "no Node object"))
            continue
        operation = operations.read(item)
        text = operation.text if operation else ""
        found.append(InFlight(node.name, operations.whose(item), text))
    known = {node.name for node in run.config.nodes}
    unknown = tuple(_unknown(live[name], bound) for name in sorted(live.keys() - known))
    ready = frozenset(name for name, item in live.items() if node_status.not_ready(item) is None)
    proxies = ownerless(bound, known | live.keys())
    return Status(holder, tuple(found), unknown, proxies, network), ready


def _unknown(live: Object, bound: Collection[str]) -> str:
    metadata = live["metadata"]
    since = line(metadata.get("creationTimestamp"))
    ready = "Ready" if node_status.not_ready(live) is None else "not Ready"
    where = ", ".join(map(line, node_status.internal_ips(live))) or "no address"
    rights = ", its kube-proxy has rights" if proxy_names.own(metadata["name"]) in bound else ""
    return f"{line(metadata['name'])}: a node since {since}, at {where}, {ready}{rights}"


def new_operation(what: What, phase: str) -> Operation:
    """Return an operation that begins now, by whoever runs this."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return Operation(what, phase, whoami(), now, cordons=True)


@contextmanager
def nodes_in_use(
    run: Run,
    permits: Permits,
    rights: Sequence[Right] = run_rights.DRAIN,
    *,
    dry_run: bool = False,
    deploys: bool = False,
) -> Iterator[NodesInUse]:
    """
    Yield what a run over nodes that have pods works with.

    :param rights: what it needs of the API, but for what the permits take.
    :param deploys: it deploys to them as well, so that it needs all that a deployment does.
    """
    if permits.past_budget:
        rights = (*rights, run_rights.PAST_BUDGETS)
    with RunContext(
        run,
        dry_run=dry_run,
        in_waves=True,
        installs=deploys,
        rights=None if deploys else rights,
        more_rights=rights if deploys else (),
    ) as context:
        session = context.session
        evictions = Evictions(session.api, session.snapshot.version)
        yield NodesInUse(
            context,
            evictions,
            Cordons(session.api, session.guard),
            NodeDrainer(run.config, evictions, permits, session.stopped),
        )


def cordons_alone(run: Run, *, dry_run: bool = False) -> AbstractContextManager[NodesInUse]:
    """Return what a run works with that evicts nothing, and needs no rights to."""
    return nodes_in_use(run, departures.Permits(), run_rights.CORDON, dry_run=dry_run)


def _cordoned(using: NodesInUse, name: str, what: What) -> Operation:
    with using.context.run.journal.step(name, CORDON) as log:
        operation, new = using.cordons.begin(name, new_operation(what, "begun"))
        if new:
            log.changed("cordoned")
        elif not operation.cordons:
            log.note("it was cordoned by somebody else, which stays as it is")
        else:
            log.note(f"goes on: {operation.what} {operation.origin}")
    return operation


def _stays(operation: Operation) -> str:
    """Return why a node stays cordoned when an operation ends, in a line."""
    when = "by somebody else meanwhile" if operation.cordons else "before"
    return f"it was cordoned {when}, and stays so"
