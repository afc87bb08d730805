"""
Upgrade of nodes in use: drained where the change asks for it, changed, proved, taking pods again.

What a node ran is kept on it as one set before anything is changed. A node that does not come up
with what is new, or is unhealthy with it, goes back to that set, without pods where the change
asked for that; it fails, and the nodes after it are left as they are. How far a node is stands on
its Node object before each phase begins, so that the same command goes on where another one was
interrupted.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from ..kube import node_status
from ..node.plan import Change, Plan
from ..node.replaced import replaced
from ..node.resources import Binary, Trace
from ..releases import upgrade_effects
from ..releases.matrix import matrix
from ..steps import kubelet, pod_network, program_owners
from ..upkeep import departures, kept_set, readiness, restarts
from ..upkeep.operations import SOAKING
from ..util import program
from ..util.errors import FabnodeError
from ..util.fan_out import Outcome
from ..util.words import counted
from . import host_changes, run_rights, unfinished
from .draining import CORDON, nodes_in_use
from .errors import PreflightError
from .network_upgrade import NetworkProspect, NetworkUpgrade
from .node_drainer import still_cordoned
from .pipeline import attempted, plan_proxy_names
from .wave_runner import in_waves, one_reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from ..journal.journal import Step
    from ..kube.client import Object
    from ..kube.server_side_apply import ObjectChange
    from ..remote.apply import Applied
    from ..upkeep.departures import Permits
    from ..upkeep.kept_set import Extent
    from ..upkeep.operations import Operation
    from .draining import NodesInUse
    from .node_deployer import NodeDeployer
    from .node_drainer import Preview
    from .node_planner import NodePlan
    from .run import Run

UPGRADE: Final = "upgrade"
BACK: Final = "go-back"
DRAINING, CHANGING, PROVING = "draining", "changing", "proving"
_UNIT_SECONDS, _PODS_SECONDS, _BACK_SECONDS = 150, 600, 300
_WAY_BACK: Final = {
    True: "it goes back to what it runs now, without pods, with the kubelet's state files of"
    " before; new labels, taints and kernel settings stay",
    False: "it goes back to what it runs now under its pods, with the kubelet's state files as they"
    " are then; new labels, taints and kernel settings stay",
}
_DOCKERS = "containers of the node's own pods are docker's, which run on meanwhile"
_NAMED = 8  # programs of a folder
_FRESH = 120.0  # seconds that what was found of a node holds, while this run changes the cluster


class UpgradeRefusedError(FabnodeError):
    """An upgrade that its makers support no way for; nothing was changed."""


class WentBackError(FabnodeError):
    """A node could not be upgraded, and runs what it ran before."""

    concludes = True

    def __init__(self, node: str, cause: FabnodeError, *, takes_pods: bool) -> None:
        pods = "and takes pods again" if takes_pods else "and stays cordoned: not by this upgrade"
        again = program.task(f"upgrade --limit {node}")
        advice = f"{cause.advice}; {again} tries again" if cause.advice else f"{again} tries again"
        # First what became of the node: causes are long, and get cut.
        super().__init__(f"it runs what it ran before, {pods}: {cause.message}", advice)
        self.detail = cause.detail


class StuckError(FabnodeError):
    """
    A node could not be upgraded, and is unhealthy with what it ran before as well.

    :param went: how far it went back, in a clause. :param held: it is cordoned.
    """

    concludes = True

    def __init__(
        self, node: str, went: str, cause: Exception, then: Exception, *, held: bool
    ) -> None:
        again, empty = (program.task(f"{task} --limit {node}") for task in (UPGRADE, "drain"))
        on_trial = f"it takes pods: {again} goes on from here, {empty} empties it"
        advice = still_cordoned(node, UPGRADE) if held else on_trial
        super().__init__(f"{went}: {then}; at first: {cause}", advice)


@dataclass(frozen=True, slots=True)
class Upgrade:
    """
    What is to be done with each node: what its configuration says.

    :param network: pods try the network before the node takes others.
    """

    permits: Permits = field(default_factory=departures.Permits)
    network: bool = True


@dataclass(frozen=True, slots=True)
class Prospect:
    """
    What an upgrade would do with a node.

    :param planned: all that would change on it; empty: nothing.
    :param effects: what that does to the pods that stay, in clauses.
    :param goes_on: what goes on there. :param drain: None: its pods stay where they are, or have
        left. :param way_back: what becomes of it where that fails, in a clause.
    :param no_kubelet: why its kubelet ends no pods that are drained; empty: it does.
    """

    planned: NodePlan
    effects: tuple[str, ...] = ()
    goes_on: str = ""
    drain: Preview | None = None
    way_back: str = ""
    no_kubelet: str = ""

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return self.planned.empty and not self.goes_on

    @property
    def texts(self) -> tuple[str, ...]:
        """Return what changes, in clauses: releases, and how much else."""
        changes = self.planned.plan.changes
        others = "" if self.planned.change.texts else "no release; "
        units = ", ".join(c.name.removesuffix(".service") for c in self.planned.plan.restarts)
        restarts = f", restarting {units}" if units else ""
        found = f" ({', '.join(names)})" if (names := _programs(self.planned.plan)) else ""
        all_of_it = f"{others}{counted(len(changes), 'change')} in all{found}{restarts}"
        return (*self.planned.change.texts, all_of_it)


@dataclass(frozen=True, slots=True)
class UpgradePlan:
    """
    What an upgrade would do: with each node, and with the pod network.

    :param objects: others of the API that would change, as a plan has found it.
    """

    nodes: Mapping[str, Outcome[Prospect]]
    network: NetworkProspect
    objects: tuple[ObjectChange, ...] = ()


def plan(run: Run, wanted: Upgrade) -> UpgradePlan:
    """Return what `upgrade` would do, by the same code. Changes nothing."""
    with _nodes(run, wanted, dry_run=True) as (using, node):
        network = using.context.session.background(_network(using).prospect)
        nodes = using.context.each(lambda deployer: node(deployer).prospect(), batched=False)
        taken = {
            name: Outcome(value=found.value.planned)
            for name, found in nodes.items()
            if found.value and not found.value.empty and not found.value.planned.change.refusal
        }
        objects = plan_proxy_names(using.context.session, taken)
        return UpgradePlan(nodes, network.result(), objects)


def upgrade(run: Run, wanted: Upgrade) -> UpgradePlan:
    """
    Upgrade nodes wave by wave, and the pod network before or after them; return what was planned.

    Nodes that can't be upgraded as they are stay so, and stop no others; one that fails on its way
    does, and so do two that fail with the same cause.
    """
    with _nodes(run, wanted) as (using, node), using.cordons_reported():
        each = using.context.each
        network = _network(using)
        looking = using.context.session.background(network.prospect)
        prospects = each(lambda deployer: node(deployer).prospect(insisting=True), batched=False)
        found = UpgradePlan(prospects, looking.result())
        todo = [name for name, seen in prospects.items() if seen.value and not seen.value.empty]
        planned = {name: seen.value.planned for name, seen in prospects.items() if seen.value}

        def roll() -> bool:
            # Where a reason is none of the nodes' own, nothing of the cluster is changed.
            if not found.network.text or one_reason(using, prospects):
                return True
            return _rolled(using, network, found.network, planned)

        def one(deployer: NodeDeployer) -> None:
            node(deployer).upgrade(planned[deployer.node.name])

        if not found.network.turn.last and not roll():
            for name in todo:
                run.record_outcome(name, Outcome(skipped="the pod network was not upgraded"))
            return found
        with using.context.relayed(todo):
            in_waves(using, todo, one, prospects, task=UPGRADE, canary=True)
        if found.network.turn.last and all(outcome.ok for outcome in run.outcomes.values()):
            roll()
        return found


def _network(using: NodesInUse) -> NetworkUpgrade:
    context, run = using.context, using.context.run
    names = [node.name for node in run.nodes]
    return NetworkUpgrade(
        context.session, run.journal, names, context.held_images, wanted=run.whole
    )


def _rolled(
    using: NodesInUse,
    network: NetworkUpgrade,
    wanted: NetworkProspect,
    planned: Mapping[str, NodePlan],
) -> bool:
    """Upgrade the pod network; return whether it was."""

    def bring(deployer: NodeDeployer) -> None:
        deployer.bring_images(planned[deployer.node.name])

    def work() -> bool:
        brought = using.context.each(bring, planned.keys(), batched=False)
        network.upgrade(wanted, [name for name, outcome in brought.items() if outcome.ok])
        return True

    return attempted(using.context.run, pod_network.STEP, work) or False


@contextmanager
def _nodes(
    run: Run, wanted: Upgrade, *, dry_run: bool = False
) -> Iterator[tuple[NodesInUse, Callable[[NodeDeployer], _Node]]]:
    rights = run_rights.maintaining(run.config)
    with nodes_in_use(run, wanted.permits, rights, dry_run=dry_run, deploys=True) as using:
        probing = threading.Lock()
        yield using, lambda deployer: _Node(deployer, using, wanted, probing)


class _Node:
    """
    One node of an upgrade.

    :param probing: held while pods of this node try the network: they share a namespace.
    """

    def __init__(
        self, deployer: NodeDeployer, using: NodesInUse, wanted: Upgrade, probing: threading.Lock
    ) -> None:
        self._deployer = deployer
        self._using = using
        self._cordons = using.cordons
        self._run = using.context.run
        self._name = deployer.node.name
        self._were_ready: frozenset[str] = frozenset()  # pods of its own, before this run's change
        self._emptying = using.emptying(deployer, still_cordoned(self._name, UPGRADE))
        self._proof = using.proof(
            deployer,
            probing=probing,
            network=wanted.network,
            advice="",  # whatever it finds, the node goes back: what follows from that is said then
        )

    def prospect(self, *, insisting: bool = False) -> Prospect:
        """
        Return what would be done; changes nothing.

        :param insisting: what forbids it is a failure.
        :raises UpgradeRefusedError: there is no supported way to the releases that are configured.
        """
        found = self._using.begun(self._name, UPGRADE)
        with self._step(UPGRADE, "comparing") as log:
            planned = self._deployer.plan(upgrades=True)
            change, kept = planned.change, self._deployer.kept
            if not kept:  # else the set is there, and may have them
                unkept = program_owners.unkept(self._deployer.facts, planned.plan)
                planned = replace(planned, findings=(*planned.findings, *unkept))
            for finding in planned.findings:
                if finding.level == "warning":
                    log.warn(finding.text, finding.fix)
            errors = [f for f in planned.findings if f.level == "error"]
            if insisting and errors:
                raise PreflightError(errors)
            if insisting and change.refusal:
                raise UpgradeRefusedError(change.refusal, change.advice)
            texts = ", ".join(change.texts) or "no release changes"
            log.note("nothing to change" if planned.empty else texts)
        goes_on = found.text if found else kept_set.origin(kept) if kept else ""
        seen = Prospect(planned, self._effects(planned), goes_on)
        if seen.empty:
            return seen
        extent = self._extent(planned, found)
        seen = replace(seen, way_back=_WAY_BACK[extent.drains])
        if not extent.drains or (found and found.phase != DRAINING):
            return seen
        drain = self._using.preview(self._name, insisting=insisting)
        dead = self._emptying.foreseen(self._cordons.live(self._name))
        return replace(seen, drain=drain, no_kubelet=dead)

    def upgrade(self, planned: NodePlan) -> None:
        """
        Drain, change, prove, uncordon; each phase is recorded before it begins.

        :param planned: what the prospect found.
        :raises WentBackError: it could not be upgraded, and runs what it ran before.
        :raises StuckError: likewise, but that is unhealthy too; it stays cordoned.
        """
        begun = self._using.begun(self._name, UPGRADE)
        extent = self._extent(planned, begun)
        self._were_ready = self._proof.ready_pods()
        if begun and begun.phase == SOAKING and planned.empty:
            self._soaked(begun, extent)
            return
        resumed = begun is not None or bool(self._deployer.kept)
        operation = self._emptied(drains=extent.drains)
        operation = replace(operation, drained=extent.drains, ends_pods=extent.ends_pods)
        operation = self._record(operation, CHANGING)
        try:
            # What was planned may be hours old: what has drifted since is replaced as well.
            kept = self._kept(operation, self._deployer.changes(seen_within=_FRESH / 2), extent)
            self._carry_out(UPGRADE, kept, text=f"what it runs is kept ({kept.name})")
        except FabnodeError:
            if not resumed:  # nothing was changed
                self._using.uncordon(self._name, operation)
            raise
        unfinished.keep(self._run.config, self._name, kept_set.origin(kept_set.tag(operation)))
        try:
            if planned.change.ends_pods:
                ends = "its own pods are ended" if self._ends_pods else "its kubelet is stopped"
                self._carry_out(UPGRADE, *self._ended(), text=ends)
            if planned.change.older:
                self._carry_out(UPGRADE, *self._stateless(), text="its state files are set aside")
            self._deployer.deploy(
                before_change=lambda: None,
                # Ended pods, or what another run did, are no more as they were found.
                seen_within=0.0 if resumed or planned.change.ends_pods else _FRESH,
                upgrades=True,
            )
            operation = self._record(operation, PROVING)
            self._prove(planned)
        except Exception as error:
            raise self._went_back(operation, error, extent) from error
        if not self._run.config.maintenance.soak:
            self._forget()
            self._using.uncordon(self._name, operation)
            return
        operation = self._using.open(self._name, operation, SOAKING)
        self._soaked(operation, extent)

    def _extent(self, planned: NodePlan, begun: Operation | None) -> Extent:
        """Return what this upgrade does to pods, with what other runs of it have done."""
        change, kept = planned.change, self._deployer.kept
        return kept_set.extent(
            drains=change.drains, ends_pods=change.ends_pods, recorded=begun, kept=kept
        )

    def _soaked(self, operation: Operation, extent: Extent) -> None:
        """See the node stay healthy with pods; until then it can go back to what it ran."""
        try:
            self._proof.soak(self._run.config.maintenance.soak)
        except Exception as error:
            raise self._went_back(operation, error, extent, opened=True) from error
        self._forget()
        self._cordons.end(self._name, operation)

    def _effects(self, planned: NodePlan) -> tuple[str, ...]:
        change = planned.change
        effects = change.effects
        if change.ends_pods and not self._ends_pods:
            effects = (*effects, _DOCKERS)
        if restarts.restarts_containers(effects):
            effects = restarts.counted_effects(effects, self._using.evictions.pods(self._name))
        started = {each.name for each in planned.plan.restarts}
        unready = kubelet.UNIT in started and not change.drains
        if unready and upgrade_effects.unready_at_start(self._run.config.cluster.version):
            text = readiness.probed_again(self._using.evictions.pods(self._name))
            return (*effects, text) if text else effects
        return effects

    def _emptied(self, *, drains: bool) -> Operation:
        """Cordon the node, and have its pods leave where the change asks for that."""
        if drains:
            self._using.preview(self._name, insisting=True)
        operation = self._using.cordon(self._name, UPGRADE, DRAINING)
        if drains:
            self._emptying.empty()
        return operation

    def _taken_again(self, operation: Operation, *, drains: bool) -> Operation:
        """Cordon a node on trial, and have its pods leave: first no more come, whoever can't."""
        with self._step(CORDON) as log:
            # The same operation: what is kept is its own.
            again = replace(operation, phase=DRAINING if drains else CHANGING)
            operation, _ = self._cordons.begin(self._name, again)
            log.changed("cordoned")
        if drains:
            self._emptying.empty()
        return operation

    def _kept(self, operation: Operation, changes: Plan, extent: Extent) -> Change:
        """
        Return the change that keeps what runs: what is replaced or removed, the kubelet's state.

        That is not kept where pods stay: it tells which of them has which CPUs, memory and devices,
        and is of use only as it is then. Patch releases of a minor read each other's: they bring
        fixes alone (sig-release, cherry-picks.md).
        """
        units, files = replaced(changes)
        state = [f"={path}" for path in self._state_files()] if extent.drains else []
        # The kubelet may be stopped for the runtime's sake.
        words = (kept_set.tag(operation), *dict.fromkeys((*units, kubelet.UNIT)), *files, *state)
        return _trace("kept", f"{len(files)} files", words, "keep", "what it runs now")

    def _state_files(self) -> list[str]:
        """Return the files from which the kubelet starts, whether they are there or not."""
        root = self._deployer.node.kubelet.root
        return [f"{root}/{name}" for name in matrix().crossings.state_files]

    def _stateless(self) -> tuple[Change, ...]:
        """Return the changes that take what an older kubelet may not read; it is kept before."""
        why = "an older kubelet may not read it"
        return tuple(_trace("file", path, (path,), "remove", why) for path in self._state_files())

    def _halted(self) -> Change:
        """Return the change that stops the kubelet."""
        return _trace("halted", kubelet.UNIT, (kubelet.UNIT,), "stop", "what it reads changes")

    def _ended(self) -> tuple[Change, ...]:
        """
        Return the changes that stop the kubelet, and end what pods of the node's own run.

        Docker is the host's own, and so are its containers.
        """
        if not self._ends_pods:
            return (self._halted(),)
        programs = self._run.config.paths.programs
        words = (f"{programs}/ctr", f"{programs}/crictl")
        why = "ended: what runs them changes"
        return (self._halted(), _trace("pods", "pods of the node's own", words, "remove", why))

    @property
    def _ends_pods(self) -> bool:
        return self._deployer.node.runtime.name == "containerd"

    def _prove(self, planned: NodePlan) -> None:
        wanted = self._run.config.cluster.version
        runtime = self._deployer.node.runtime
        release = runtime.version if planned.change.runtime else None

        def reported(live: Object) -> list[str]:
            seen = node_status.versions(live)
            found = [] if seen.kubelet == wanted else [f"its kubelet reports {seen.kubelet}"]
            if release and (seen.runtime, seen.runtime_release) != (runtime.name, release):
                found.append(f"its runtime reports {seen.runtime} {seen.runtime_release}")
            return found

        awaited = f"{wanted} and {runtime.name} {release}" if release else str(wanted)
        self._proof.prove(0.0, reported, f"the Node object to report {awaited}")

    def _went_back(
        self, operation: Operation, cause: Exception, extent: Extent, *, opened: bool = False
    ) -> WentBackError | StuckError:
        """
        Restore what the node ran, and let it take pods as before; return how that went.

        :param opened: it takes pods already; otherwise they have left, where the change drains.
        """
        error = cause if isinstance(cause, FabnodeError) else FabnodeError(str(cause))
        self._run.journal.warn(f"{self._name}: {error.message}; it goes back to what it ran")
        went = "it could not be emptied to go back, and runs what is new"
        try:
            self._deployer.host.close()  # whatever became of the connection
            if opened:
                operation = self._taken_again(operation, drains=extent.drains)
            went = "what it ran before could not be restored"
            began = time.time() + self._deployer.facts.clock_offset
            restored = _trace(
                "set kept", "what it ran", (kept_set.tag(operation),), "restore", "as one set"
            )
            ended: tuple[Change, ...] = ()
            if extent.ends_pods:  # what the other runtime started does not survive
                ended = self._ended()
            elif extent.drains:  # it may write its state until it ends
                ended = (self._halted(),)
            done = self._carry_out(BACK, *ended, restored, text="what it ran is restored")
            since = done.started.get(kubelet.UNIT, began)
            went = "it went back to what it ran before, but that is unhealthy too"
            with self._step(BACK, "waiting for Ready") as log:
                nodes = self._using.context.session.nodes
                nodes.wait_ready(self._name, since, lambda: None, log.waiting)
                self._proof.await_pods(self._were_ready, log)
                log.note("it runs what it ran before")
            self._forget_or_warn()
            went = "it runs what it ran before, but takes no pods"
            takes_pods = self._cordons.end(self._name, operation)
        except Exception as then:
            held = self._name in self._cordons.left
            return StuckError(self._name, went, error, then, held=held)
        return WentBackError(self._name, error, takes_pods=takes_pods)

    def _forget(self) -> None:
        forgotten = _trace("forgotten", "what it ran", (), "remove", "it is proved")
        self._carry_out(UPGRADE, forgotten, text="what was kept is removed")
        unfinished.forget(self._run.config, self._name)

    def _forget_or_warn(self) -> None:
        try:
            self._forget()
        except FabnodeError as error:  # of no consequence for its pods
            again = program.task(f"upgrade --limit {self._name}")
            self._run.journal.warn(
                f"{self._name}: what was kept of before is still there ({error.message}): {again}"
                " goes on with it"
            )

    def _carry_out(self, step: str, *changes: Change, text: str) -> Applied:
        return host_changes.carry_out(
            self._run.config,
            self._run.journal,
            self._deployer.host,
            Plan(self._name, changes),
            step,
            text,
        )

    def _record(self, operation: Operation, phase: str) -> Operation:
        return self._cordons.record(self._name, replace(operation, phase=phase))

    def _step(self, step: str, text: str = "") -> AbstractContextManager[Step]:
        return self._run.journal.step(self._name, step, text)


def _programs(plan: Plan) -> list[str]:
    """Return the programs that change, by name; many of one folder, such as plugins, by number."""
    folders: dict[str, list[str]] = {}
    for change in plan.changes:
        if isinstance(change.resource, Binary):
            folder, _, name = change.resource.path.rpartition("/")
            folders.setdefault(folder, []).append(name)
    found: list[str] = []
    for folder, names in folders.items():
        many = len(names) > _NAMED
        found += [f"{len(names)} programs in {folder}"] if many else names
    return found


def _trace(kind: str, name: str, words: tuple[str, ...], action: str, why: str) -> Change:
    seconds = {"pods": _PODS_SECONDS, "set kept": _BACK_SECONDS}.get(kind, _UNIT_SECONDS)
    return Change(Trace(kind, name, words, timeout=seconds), action, why)  # type: ignore[arg-type]
