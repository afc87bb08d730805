"""
Maintenance of nodes: drained, rebooted (or a command run), proved, and taking pods again.

One batch after another; what fails stays cordoned and stops those that come after it. How far a
node is stands on its Node object before each phase begins, so that the same command goes on where
another one was cut off: a node that has rebooted is not rebooted again. What is still to be done is
done to a drained node alone: under a record of before there may be pods again.
"""

from __future__ import annotations

import hashlib
import shlex
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from ..kube import node_status
from ..kube.heartbeats import heartbeat_age
from ..node.machine_ids import MachineIds
from ..remote import boot_state, machine
from ..ssh.errors import ChangedHostKeyError, RevokedHostKeyError, UnknownHostKeyError
from ..steps import kernel
from ..upkeep import departures
from ..upkeep.operations import SOAKING
from ..util import program
from ..util.errors import FabnodeError, HostError
from ..util.sanitize import last_lines
from ..util.wait import Wait, unless
from . import node_machine, run_rights
from .draining import nodes_in_use
from .node_drainer import still_cordoned
from .wave_runner import in_waves

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from ..journal.journal import Step
    from ..kube.client import Object
    from ..node.machine_ids import Match
    from ..remote.boot_state import BootState
    from ..upkeep.departures import Permits
    from ..upkeep.operations import Operation
    from ..util.fan_out import Outcome
    from .draining import NodesInUse
    from .node_deployer import NodeDeployer
    from .node_drainer import Preview
    from .node_proof import NodeProof
    from .run import Run

MAINTAIN: Final = "maintain"
REBOOT, COMMAND = "reboot", "command"
DRAINING, REBOOTING, WORKING, PROVING = "draining", "rebooting", "working", "proving"
_POLL = 3.0  # seconds between checks of a host that boots, or of a node that comes up
_OTHER_HOST = (ChangedHostKeyError, RevokedHostKeyError, UnknownHostKeyError)


class RebootError(FabnodeError):
    """A host did not come back from its reboot, or not as it should."""


class KernelTooOldError(FabnodeError):
    """The kernel that a reboot would start lacks what the node needs; nothing was changed."""

    advice = "install a newer one, name another (--kernel), or configure another kube_proxy.mode"


class NotItsHostError(FabnodeError):
    """The machine at a node's address is not the one that its Node object tells of."""

    def __init__(self, node: str, why: str) -> None:
        again = program.task(f"deploy-nodes --limit {node} --dry-run")
        super().__init__(
            f"the host is not the node's: {why}",
            f"see that the address of {node} is right ({again}); a host that has just booted is its"
            " node's once its kubelet has reported",
        )


class MaintenanceCommandError(FabnodeError):
    """The command of a maintenance failed on the host."""


@dataclass(frozen=True, slots=True)
class Maintenance:
    """
    What is to be done with each node.

    :param command: run on the host as root, in place of a reboot; empty: a reboot.
    :param if_due: only where the host says that a reboot is due.
    :param kernel: release that is to run after the reboot; empty: the host's default.
    :param network: pods try the network before the node takes others.
    """

    permits: Permits = field(default_factory=departures.Permits)
    command: str = ""
    if_due: bool = False
    kernel: str = ""
    network: bool = True


@dataclass(frozen=True, slots=True)
class Prospect:
    """
    What a maintenance would do with a node.

    :param action: what is done once it is drained; empty: nothing is due.
    :param due: why a reboot is due, as the host says. :param goes_on: what goes on there.
    :param drain: None: it is not drained any more, or its host is away.
    :param no_kubelet: why its kubelet ends no pods; empty: it does.
    """

    action: str
    due: str
    goes_on: str
    drain: Preview | None
    no_kubelet: str = ""

    @property
    def reboots(self) -> bool:
        """Whether its host is rebooted."""
        return self.action == REBOOT


def plan(run: Run, wanted: Maintenance) -> dict[str, Outcome[Prospect]]:
    """Return what `maintain` would do, by the same code. Changes nothing."""
    with _nodes(run, wanted, dry_run=True) as (using, node):
        return using.context.each(lambda deployer: node(deployer).prospect(), batched=False)


def maintain(run: Run, wanted: Maintenance) -> dict[str, Outcome[Prospect]]:
    """
    Maintain nodes, batch by batch; return the prospect of each.

    Nodes on which something would not go are left as they are; they stop no others.
    """
    with _nodes(run, wanted) as (using, node), using.cordons_reported():
        each = using.context.each
        prospects = each(lambda deployer: node(deployer).prospect(insisting=True), batched=False)
        todo = [name for name, found in prospects.items() if found.value and found.value.action]
        in_waves(using, todo, lambda deployer: node(deployer).maintain(), prospects, task=MAINTAIN)
        return prospects


@contextmanager
def _nodes(
    run: Run, wanted: Maintenance, *, dry_run: bool = False
) -> Iterator[tuple[NodesInUse, Callable[[NodeDeployer], _Node]]]:
    rights = run_rights.maintaining(run.config)
    with nodes_in_use(run, wanted.permits, rights, dry_run=dry_run) as using:
        probing = threading.Lock()
        yield using, lambda deployer: _Node(deployer, using, wanted, probing)


class _Node:
    """
    One node of a maintenance.

    :param probing: held while pods of this node try the network: they share a namespace.
    """

    def __init__(
        self,
        deployer: NodeDeployer,
        using: NodesInUse,
        wanted: Maintenance,
        probing: threading.Lock,
    ) -> None:
        self._deployer = deployer
        self._using = using
        self._cordons = using.cordons
        self._run = using.context.run
        self._session = using.context.session
        self._wanted = wanted
        self._probing = probing
        self._name = deployer.node.name
        self._sleep = unless(self._session.stopped)
        self._advice = still_cordoned(self._name, _task(wanted))
        self._emptying = using.emptying(deployer, self._advice)

    def prospect(self, *, insisting: bool = False) -> Prospect:
        """Return what would be done; `insisting`: a pod that would not go is a failure."""
        found = self._using.begun(self._name, MAINTAIN)
        goes_on = found.text if found else ""
        command = self._wanted.command
        action = f"{COMMAND}: {command}" if command else REBOOT
        if found and (self._on_trial(found) or self._is_done(found)):
            return Prospect(action, "", goes_on, None)
        with self._step(MAINTAIN, "looking at the host") as log:
            state = boot_state.read(self._deployer.host)
            if self._wanted.if_due and not state.due and not found:
                log.note("no reboot is due")
                return Prospect("", "", "", None)
            coming = self._wanted.kernel or state.installed
            if not command and (why := kernel.too_old(coming, self._deployer.node)):
                raise KernelTooOldError(f"the kernel {coming}, which is to boot, is too old: {why}")
            live, _ = self._its_own(state)
            if not command:
                log.note(f"a reboot is due: {state.due}" if state.due else "no reboot is due")
        drain = self._using.preview(self._name, insisting=insisting)
        return Prospect(action, state.due, goes_on, drain, self._emptying.foreseen(live))

    def maintain(self) -> None:
        """Drain, act, prove, uncordon; each phase is recorded before it begins."""
        found = self._using.begun(self._name, MAINTAIN)
        if found and self._on_trial(found):
            self._soaked(found)
            return
        resumed = found is not None and found.phase in {REBOOTING, PROVING}
        state = self._await_answer() if resumed else boot_state.read(self._deployer.host)
        if found and resumed and self._acted(found, state):
            operation = found
            self._emptying.end()
        elif self._wanted.command:
            operation, state = self._commanded(state)
        else:
            operation, state = self._rebooted(state)
        self._prove_kernel(operation, state)
        if operation.phase != PROVING:
            operation = self._record(operation, PROVING)
        self._prove(state)
        if not self._run.config.maintenance.soak:
            self._using.uncordon(self._name, operation)
            return
        self._soaked(self._using.open(self._name, operation, SOAKING))

    def _is_done(self, found: Operation) -> bool:
        """Return whether nothing but the proof is left, or the host is on its way to that."""
        if found.phase not in {REBOOTING, PROVING}:
            return False
        try:
            return self._acted(found, boot_state.read(self._deployer.host))
        except _OTHER_HOST:
            raise
        except HostError:
            self._deployer.host.close()
            return True  # it is waited for

    def _acted(self, found: Operation, state: BootState) -> bool:
        """Return whether what is wanted has been done to a host that is as it says."""
        if self._wanted.command:
            return self._has_run(found)
        return bool(found.boot) and state.boot != found.boot

    def _its_own(self, state: BootState) -> tuple[Object, Match]:
        """
        Return the Node object of a host, which is to be the node's, and whether that is proved.

        Its kubelet reports machine and boot when it starts: the boot may be another one where it
        has not started since. A clone has the same, so that such a host is asked for all its ids.

        :raises NotItsHostError: it is another one's.
        """
        live = self._cordons.live(self._name)
        ids = MachineIds.of(state.machine, state.boot)
        if node_status.not_ready(live):
            ids = machine.read(self._deployer.host)
        found = node_machine.match_of(ids, live, self._cordons.all_live())
        if found.kind == "other":
            raise NotItsHostError(self._name, found.why)
        return live, found

    def _soaked(self, operation: Operation) -> None:
        """See the node stay healthy with pods, and end the operation."""
        again = program.task(f"{_task(self._wanted)} --limit {self._name}")
        empty = program.task(f"drain --limit {self._name}")
        advice = f"it takes pods: {again} sees whether it is healthy by now, {empty} empties it"
        self._proof(advice).soak(self._run.config.maintenance.soak)
        self._cordons.end(self._name, operation)

    def _on_trial(self, found: Operation) -> bool:
        """Return whether a node takes pods again after what is wanted, and is to stay healthy."""
        rebooted = bool(found.boot) and not self._wanted.command
        return found.phase == SOAKING and (rebooted or self._has_run(found))

    def _has_run(self, operation: Operation) -> bool:
        """Return whether the command that is wanted has run in this maintenance."""
        wanted = self._wanted.command
        return bool(wanted) and operation.command == _digest(wanted)

    def _emptied(self, state: BootState) -> tuple[Operation, frozenset[str]]:
        """
        Cordon and drain it; return what is recorded, and the pods that end by a reboot alone.

        Of a host that may be another machine, a reboot proves nothing: its pods are not among them.
        """
        _, found = self._its_own(state)
        self._using.preview(self._name, insisting=True)
        operation = self._using.cordon(self._name, MAINTAIN, DRAINING)
        unended = self._emptying.empty(reboots=not self._wanted.command)
        if unended and found.kind != "same":
            self._run.journal.warn(
                f"{self._name}: its pods are not declared dead by a reboot, for its host may be"
                f" another machine: {found.why}"
            )
            unended = frozenset()
        return operation, unended

    def _commanded(self, state: BootState) -> tuple[Operation, BootState]:
        operation, _ = self._emptied(state)
        if self._has_run(operation):
            return operation, state
        operation = self._record(operation, WORKING)
        with self._step(COMMAND, "running the command") as log:
            limit = float(self._run.config.timeouts.reboot)
            result = self._deployer.host.root(self._wanted.command, timeout=limit)
            if result.code:
                printed = last_lines(result.stderr, 20) or last_lines(result.stdout, 20)
                last = printed.splitlines()[-1:] or ["it said nothing"]
                error = MaintenanceCommandError(
                    f"the command ended with status {result.code}: {last[0]}", self._advice
                )
                error.detail = printed
                raise error
            log.changed("the command has run")
            # Before anything else is asked: by it the connection may have gone.
            done = replace(operation, command=_digest(self._wanted.command))
            operation = self._record(done, PROVING)
            state = self._await_boot("", log)
        return operation, state

    def _rebooted(self, state: BootState) -> tuple[Operation, BootState]:
        operation, unended = self._emptied(state)
        if operation.boot and state.boot != operation.boot:
            self._emptying.end()
            return operation, state  # it was rebooted since, whoever did that
        coming = self._wanted.kernel or state.installed
        operation = replace(operation, boot=state.boot, kernel=coming)
        operation = self._record(operation, REBOOTING)
        with self._step(REBOOT, f"rebooting, kernel {state.running}") as log:
            if refusal := boot_state.reboot(self._deployer.host):
                raise RebootError(f"the host refuses to reboot: {refusal}", self._advice)
            after = self._await_boot(state.boot, log)
            log.changed(f"rebooted, kernel {after.running}")
        # Without such pods the proof is enough: the Node has to tell of this very boot.
        if unended and after.machine != state.machine:
            why = f"what answers after the reboot has the machine-id {after.machine or 'unknown'}"
            raise NotItsHostError(self._name, f"{why}, and had {state.machine or 'unknown'} before")
        self._emptying.declare_dead(unended)
        return operation, after

    def _await_answer(self) -> BootState:
        text = "waiting for the host" if self._wanted.command else "a reboot was begun; waiting"
        with self._step(REBOOT, text) as log:
            state = self._await_boot("", log)
            log.note("the host answers")
        return state

    def _await_boot(self, before: str, log: Step) -> BootState:
        """Wait until the host answers in another boot than that one."""
        host = self._deployer.host
        limit = self._run.config.timeouts.reboot
        wait = Wait("the host to be back", limit, _POLL, on_state=log.waiting, sleep=self._sleep)
        while True:
            try:
                state = boot_state.read(host)
            except _OTHER_HOST:
                raise
            except HostError as error:
                cause = error.message
                host.close()
            else:
                if state.boot != before:
                    return state
                cause = "it answers, and has not gone down yet"
                host.close()
            if wait.over:
                message = f"the host is not back after {limit} s: {cause}{self._last_sign()}"
                raise RebootError(message, f"look at its console; {self._advice}")
            wait.report(cause)
            wait.pause()

    def _last_sign(self) -> str:
        """Return when its kubelet last reported, in a clause."""
        api = self._session.api
        now = time.time() + (api.clock_offset or 0)
        age = heartbeat_age(api, self._cordons.live(self._name), now)
        return f"; its kubelet last reported {age:.0f} s ago" if age != float("inf") else ""

    def _prove_kernel(self, operation: Operation, state: BootState) -> None:
        wanted = operation.kernel
        if not self._wanted.command and wanted and state.running != wanted:
            raise RebootError(
                f"the host runs the kernel {state.running} instead of {wanted}",
                f"see what its boot loader takes (--kernel names the right one); {self._advice}",
            )

    def _prove(self, state: BootState) -> None:
        """See that the node is healthy in this boot, and since a command that has run in it."""
        since = state.now if self._wanted.command else state.booted  # both by its own clock

        def reported(live: Object) -> list[str]:
            info = (live.get("status") or {}).get("nodeInfo") or {}
            seen = info.get("bootID")
            if seen != state.boot:
                return [f"its kubelet reports the boot {seen}, the host is in {state.boot}"]
            # Its status is written when that changes, its Lease every 10 s.
            if self._wanted.command and heartbeat_age(self._session.api, live, since) > 0:
                return ["its kubelet has not reported since the command has run"]
            return []

        awaited = "the Node object to tell of this boot"
        if self._wanted.command:
            awaited += ", and its kubelet to have reported since the command"
        self._proof(self._advice).prove(state.booted, reported, awaited)

    def _proof(self, advice: str) -> NodeProof:
        return self._using.proof(
            self._deployer, probing=self._probing, network=self._wanted.network, advice=advice
        )

    def _record(self, operation: Operation, phase: str) -> Operation:
        return self._cordons.record(self._name, replace(operation, phase=phase))

    def _step(self, step: str, text: str = "") -> AbstractContextManager[Step]:
        return self._run.journal.step(self._name, step, text)


def _digest(command: str) -> str:
    """Return by what a record knows a command, which may hold what is nobody's business."""
    return hashlib.sha256(command.encode()).hexdigest()[:32]


def _task(wanted: Maintenance) -> str:
    """Return the task that continues an interrupted one, with the same options."""
    command = wanted.command
    if not command:
        return MAINTAIN
    return f"{MAINTAIN} --command {shlex.quote(command) if command.isprintable() else '…'}"
