"""
Removal of nodes whose hosts answer: drained, stopped, taken out of the cluster, reset.

The order is what keeps a removed node from coming back: its kubelet is stopped and disabled, and
its pods are ended through the runtime, before its Node object goes; its files, keys among them, go
last. Where the kubelet is dead, evicted pods end by the runtime as well, and go from the API once
none of their processes is left. An interrupted removal goes on by the same command, also where the
Node object has gone.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

from ..remote import machine
from ..upkeep import operations
from ..upkeep.departures import left
from ..util.fan_out import Outcome
from . import node_machine, run_rights, unended_pods
from .cluster_traces import ClusterTraces
from .cordons import NotANodeError
from .draining import DRAIN, nodes_in_use
from .node_drainer import still_cordoned
from .resetting import ResetRefusedError, ResetResult, Resettable, reset_host, survey_host

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ..kube.client import Object
    from ..kube.rbac_rules import Right
    from ..node.machine_ids import MachineIds
    from ..upkeep.departures import Permits
    from .draining import NodesInUse
    from .node_deployer import NodeDeployer
    from .node_drainer import Preview
    from .run import Run

REMOVE: Final = "remove"
TASK: Final = "remove-node"
DRAINING, RESETTING = "draining", "resetting"
_ANY = ("*",)  # pods of a drained node: what is left of them is theirs no more


@dataclass(frozen=True, slots=True)
class Removal:
    """
    What a removal would do with a node.

    :param registered: it has a Node object. :param requests: its signing requests, by name.
    :param drain: None: it has no Node object, and so no pods that the cluster knows of.
    :param no_kubelet: why its kubelet ends no pods; empty: it does.
    :param goes_on: what goes on there. :param addresses: what the pod network holds for it.
    :param proxy: its kube-proxy has rights in a name of its own.
    :param volumes: PersistentVolumes that no other node can have, with their claims.
    """

    host: Resettable
    registered: bool
    requests: tuple[str, ...] = ()
    drain: Preview | None = None
    goes_on: str = ""
    addresses: str = ""
    proxy: bool = False
    no_kubelet: str = ""
    volumes: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether nothing of the node is left, neither on its host nor in the cluster."""
        of_cluster = self.registered or self.requests or self.addresses or self.proxy
        return not (self.host.reset.changes or of_cluster)


def plan(run: Run, permits: Permits) -> dict[str, Outcome[Removal]]:
    """Return what `remove` would do. Changes nothing."""
    with _nodes(run, permits, dry_run=True) as (using, node):
        return using.context.each(lambda deployer: node(deployer).plan(), batched=False)


def remove(
    run: Run, planned: Mapping[str, Outcome[Removal]], permits: Permits
) -> dict[str, Outcome[ResetResult]]:
    """
    Remove the nodes that were planned, batch by batch.

    One on which a pod would not go, or whose host must not be reset, fails before it is changed.
    """
    declares_dead = any(o.value and o.value.no_kubelet for o in planned.values())
    rights = (*run_rights.REMOVE, run_rights.ENDED_PODS) if declares_dead else run_rights.REMOVE
    with _nodes(run, permits, rights) as (using, node), using.cordons_reported():

        def one(deployer: NodeDeployer) -> ResetResult:
            found = planned[deployer.node.name]
            if found.value is None:
                raise found.error or RuntimeError(found.skipped)
            return node(deployer).remove(found.value)

        return using.context.each(one)


@contextmanager
def _nodes(
    run: Run,
    permits: Permits,
    rights: Sequence[Right] = run_rights.REMOVE,
    *,
    dry_run: bool = False,
) -> Iterator[tuple[NodesInUse, Callable[[NodeDeployer], _Node]]]:
    with nodes_in_use(run, permits, rights, dry_run=dry_run) as using:
        yield using, lambda deployer: _Node(deployer, using)


class _Node:
    """One node of a removal."""

    def __init__(self, deployer: NodeDeployer, using: NodesInUse) -> None:
        self._host = deployer.host
        self._using = using
        self._run = using.context.run
        self._session = using.context.session
        self._name = deployer.node.name
        self._traces = ClusterTraces(self._session, self._name)

    def plan(self) -> Removal:
        """
        Return what would be done.

        :raises OtherMachineError: the host that answers is not the node's machine, or, where its
            pods would be declared dead by what is seen there, may not be.
        """
        live = self._live()
        host = survey_host(self._run, _ANY if live else (), self._host)
        self._see_that_it_is_its_machine(host.survey.ids, live)
        proxy = self._traces.binds_proxy()
        requests, addresses = self._traces.requests(), self._traces.addresses()
        nodes = self._session.snapshot.nodes
        volumes = self._using.evictions.bound_to(self._name, nodes)
        if live is None:
            return Removal(host, False, requests, addresses=addresses, proxy=proxy, volumes=volumes)
        found = operations.read(live)
        going_on = found.text if found and found.what == REMOVE else ""
        drain = self._using.preview(self._name)
        dead = unended_pods.no_kubelet(host.survey, live)
        if dead and left(drain.departures) and (why := self._doubt(host.survey.ids, live)):
            raise node_machine.OtherMachineError(self._name, why)
        return Removal(host, True, requests, drain, going_on, addresses, proxy, dead, volumes)

    def remove(self, planned: Removal) -> ResetResult:
        """
        Drain, stop, take out of the cluster, reset; each is done if it is not yet.

        :raises DrainBlockedError: some pod would not go; nothing was changed.
        :raises ResetRefusedError: its host must not be reset as it is; nothing was changed.
        :raises OtherMachineError: that host is not the node's machine; nothing was changed.
        """
        if planned.host.reset.refusals:
            raise ResetRefusedError(planned.host.reset.refusals)
        live = self._live()
        # Looked up now: what was planned may be an hour old, and an address another's since.
        ids = machine.read(self._host)
        if ids.apart(planned.host.survey.ids) - {"boot"}:
            why = "another machine answers at its address than when this was planned"
            raise node_machine.OtherMachineError(self._name, why)
        self._see_that_it_is_its_machine(ids, live)
        if live is not None:
            self._emptied(ends=not planned.no_kubelet)
        elif planned.requests or planned.addresses or planned.proxy:
            self._session.guard.obtain()
        pods = _ANY if planned.registered else ()
        taken_out = partial(self._taken_out, declares_dead=bool(planned.no_kubelet))
        return reset_host(self._run, self._host, planned.host, pods, taken_out, TASK)

    def _live(self) -> Object | None:
        try:
            return self._using.cordons.live(self._name)
        except NotANodeError:
            return None

    def _see_that_it_is_its_machine(self, ids: MachineIds, live: Object | None) -> None:
        """
        Refuse a host that another node's pods run on, or that the Node has never been.

        :raises OtherMachineError: it is another machine.
        """
        nodes = self._session.snapshot.nodes
        if live is None:
            if owner := node_machine.owner_of(ids, self._name, nodes):
                why = f"it has none, and that host is the machine of the node {owner}"
                raise node_machine.OtherMachineError(self._name, why)
            return
        found = node_machine.match_of(ids, live, nodes)
        if found.kind == "other":
            raise node_machine.OtherMachineError(self._name, found.why)

    def _doubt(self, ids: MachineIds, live: Object) -> str:
        """Return why it is not sure that a host is the Node's machine; empty: it is."""
        found = node_machine.match_of(ids, live, self._session.snapshot.nodes)
        return "" if found.kind == "same" else found.why

    def _emptied(self, *, ends: bool) -> None:
        """
        Cordon and drain it.

        :param ends: its kubelet ends pods; else they are evicted, so that others replace them, and
            end with the host's part.
        """
        self._using.preview(self._name, insisting=True)
        operation = self._using.cordon(self._name, REMOVE, DRAINING)
        with self._run.journal.step(self._name, DRAIN, "evicting its pods") as log:
            advice = still_cordoned(self._name, TASK)
            self._using.drainer.drain(self._name, log, advice, ends=ends)
        self._using.cordons.record(self._name, replace(operation, phase=RESETTING))

    def _taken_out(self, *, declares_dead: bool) -> None:
        """Remove what the cluster has of the node, now that nothing of it runs."""
        if declares_dead:
            self._declared_dead()
        with self._run.journal.step(self._name, REMOVE) as log:
            gone = self._traces.remove()
            self._using.cordons.forget(self._name)
            if gone:
                log.changed(f"removed: {', '.join(gone)}")
            else:
                log.note("the cluster has nothing of it any more")
        for text in self._traces.unseen:
            self._run.journal.warn(f"{self._name}: {text}")

    def _declared_dead(self) -> None:
        """
        Have pods go that no kubelet ends, once nothing of them runs on the host.

        :raises NotProvenDeadError: something may; they are there, and so is the Node object.
        """
        # Looked up now: what was planned may be an hour old.
        seen = survey_host(self._run, _ANY, self._host).survey
        ending = unended_pods.ending(self._using.evictions, self._name)
        if ending and (live := self._live()) and (why := self._doubt(seen.ids, live)):
            advice = node_machine.OtherMachineError(self._name, why).advice
            raise unended_pods.NotProvenDeadError(self._name, why, advice)
        if why := unended_pods.still_runs(seen):
            raise unended_pods.NotProvenDeadError(self._name, why)
        with self._run.journal.step(self._name, DRAIN, "removing pods that have ended") as log:
            if gone := unended_pods.declare_dead(self._using.evictions, self._name, log):
                log.changed(f"nothing of its pods runs; removed: {', '.join(gone)}")
            else:
                log.note("nothing of its pods runs, and none is left")
