"""
Removal of nodes whose hosts do not answer: all access that the cluster can revoke, step by step.

What runs on such a host can't be ended, nor its keys removed. So the cluster's side of it is
closed, and the run says how far that goes. Its pods are not declared dead, as the removal of its
Node object does, unless the operator says that the host is off: a StatefulSet's pod would be
started a second time beside one that still writes.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

from ..pki.certificates import read
from ..releases.matrix import matrix
from ..upkeep import departures, operations
from ..upkeep.objects import full_name
from ..util import program
from ..util.errors import FabnodeError
from ..util.wait import Wait, unless
from ..util.words import counted
from . import removed_policy, run_rights, signs_of_life
from .cluster_traces import ClusterTraces
from .cordons import NotANodeError
from .draining import nodes_in_use

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..kube.client import Object
    from ..util.fan_out import Outcome
    from .draining import NodesInUse
    from .node_deployer import NodeDeployer
    from .run import Run

REMOVE: Final = "remove"
LOCKING: Final = "locking-out"
_GONE, _POLL = 120.0, 2.0  # seconds for pods of a host that is off, and between two requests
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

Level = Literal["nothing", "locked out", "removed"]


class NotOfflineError(FabnodeError):
    """A node that is to be removed as offline shows signs of life; nothing was changed."""


class NotProvenOffError(FabnodeError):
    """A node was locked out, and stays in the cluster: its pods may still run."""

    concludes = True


@dataclass(frozen=True, slots=True)
class OfflineRemoval:
    """
    What a removal would do with a node whose host does not answer.

    :param registered: it has a Node object. :param last_sign: seconds ago; infinity: never.
    :param pods: those that run there as far as the cluster knows, but its own.
    :param alive: why it is not offline; empty: it is.
    :param requests, tokens: how many there are. :param addresses: of the pod network, as text.
    :param proxy: its kube-proxy has rights in a name of its own.
    :param instead: what was seen in its place: another machine, or a gateway that is down.
    :param volumes: PersistentVolumes that no other node can have, with their claims.
    """

    registered: bool
    last_sign: float
    pods: tuple[str, ...]
    alive: str
    requests: int
    tokens: int
    addresses: str
    proxy: bool = False
    instead: str = ""
    volumes: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether the cluster has nothing of it."""
        known = self.requests or self.tokens or self.addresses or self.proxy
        return not (self.registered or known)


@dataclass(frozen=True, slots=True)
class LockedOut:
    """
    What a removal came to.

    :param level: how far it went. :param gone: what was removed.
    :param left: what the host can still do with the keys that it has, a line each, with until when.
    """

    level: Level
    gone: tuple[str, ...]
    left: tuple[str, ...]


def plan(run: Run, *, host_is_off: bool) -> dict[str, Outcome[OfflineRemoval]]:
    """Return what `remove` would do. Changes nothing."""
    with _nodes(run, host_is_off=host_is_off, dry_run=True) as (using, node):
        return using.context.each(lambda deployer: node(deployer).plan(), batched=False)


def remove(run: Run, *, host_is_off: bool) -> dict[str, Outcome[LockedOut]]:
    """
    Remove nodes one batch after another, as far as that goes; return how far it went.

    :param host_is_off: the operator's word for all of them; without, no pod is declared dead.
    """
    with _nodes(run, host_is_off=host_is_off) as (using, node):
        return using.context.each(lambda deployer: node(deployer).remove())


@contextmanager
def _nodes(
    run: Run, *, host_is_off: bool, dry_run: bool = False
) -> Iterator[tuple[NodesInUse, Callable[[NodeDeployer], _Node]]]:
    with nodes_in_use(run, departures.Permits(), run_rights.REMOVE, dry_run=dry_run) as using:
        yield using, lambda deployer: _Node(deployer, using, host_is_off=host_is_off)


class _Node:
    """One node of a removal."""

    def __init__(self, deployer: NodeDeployer, using: NodesInUse, *, host_is_off: bool) -> None:
        self._host = deployer.host
        self._using = using
        self._run = using.context.run
        self._session = using.context.session
        self._name = deployer.node.name
        self._off = host_is_off
        self._refused = False
        self._traces = ClusterTraces(self._session, self._name)

    def plan(self) -> OfflineRemoval:
        """Return what would be done."""
        live = self._live()
        with self._run.journal.step(self._name, REMOVE, "looking for signs of life") as log:
            signs = signs_of_life.look(self._session, self._host, live)
            pods = self._pods() if live else ()
            log.note(signs.alive or "; ".join(filter(None, ("no sign of life", signs.instead))))
        return OfflineRemoval(
            live is not None,
            signs.last,
            pods,
            signs.alive,
            len(self._traces.requests()),
            len(self._traces.tokens()),
            self._traces.addresses(),
            self._traces.binds_proxy(),
            signs.instead,
            self._using.evictions.bound_to(self._name, self._session.snapshot.nodes),
        )

    def remove(self) -> LockedOut:
        """
        Lock the node out; remove it where none of its pods may run.

        :raises NotOfflineError: it lives; nothing was changed.
        :raises NotProvenOffError: it is locked out, and its pods may run.
        """
        found = self.plan()
        if found.alive:
            raise NotOfflineError(
                f"it is not offline: {found.alive}",
                f"{program.task(f'remove-node --limit {self._name}')} removes it with its host;"
                " switch the host off first where it is not to be trusted",
            )
        self._session.guard.obtain()
        end = self._end()
        gone = list(self._locked_out(found, end))
        left = self._what_is_left(end, found)
        if found.pods and not self._off:
            raise self._not_proven(found, left)
        if found.pods:
            self._declare_dead()
        with self._run.journal.step(self._name, REMOVE) as log:
            gone += self._traces.remove()
            self._using.cordons.forget(self._name)
            if gone:
                log.changed(f"removed: {', '.join(gone)}")
            else:
                log.note("the cluster has nothing of it any more")
        for text in left:
            self._run.journal.warn(f"{self._name}: {text}")
        return LockedOut("removed", tuple(gone), left)

    def _live(self) -> Object | None:
        try:
            return self._using.cordons.live(self._name)
        except NotANodeError:
            return None

    def _pods(self) -> tuple[str, ...]:
        """Return the pods that run there, as far as is known, but those that belong to the node."""
        around, permits = departures.Surroundings(), departures.Permits()
        return tuple(
            full_name(pod)
            for pod in self._using.evictions.pods(self._name)
            if (pod.get("status") or {}).get("phase") not in departures.FINISHED
            and departures.departure(pod, around, permits).fate != "stays"
        )

    def _locked_out(self, found: OfflineRemoval, end: str) -> tuple[str, ...]:
        """Close what would let the host in, and let no pod come to it or stay."""
        if found.registered:
            self._using.cordon(self._name, "remove", LOCKING)
        with self._run.journal.step(self._name, REMOVE, "locking it out") as log:
            if found.registered:
                # A node may lift its own cordon, but takes no taint off. The end of its certificate
                # stands there for the next run: its request, from which that is known, goes.
                effects = ("NoSchedule", "NoExecute")
                self._using.cordons.taint(self._name, operations.REMOVED, *effects, value=end)
            gone = self._traces.lock_out()
            things = f"; removed: {', '.join(gone)}" if gone else ""
            log.changed(f"locked out{things}")
        return gone

    def _declare_dead(self) -> None:
        """Have the pods of a host that is off removed, and their volumes detached."""
        known = matrix().api["out-of-service taint"]
        if self._session.snapshot.version.minor not in known:
            return  # they go with the Node object
        with self._run.journal.step(self._name, REMOVE, "its pods are declared dead") as log:
            self._recorded()
            key = operations.OUT_OF_SERVICE
            self._using.cordons.taint(self._name, key, "NoExecute", value="nodeshutdown")
            sleep = unless(self._session.stopped)
            wait = Wait("its pods to go", _GONE, _POLL, on_state=log.waiting, sleep=sleep)
            while left := self._pods():
                if wait.over:
                    log.warn(f"{counted(len(left), 'pod')} did not go, and go with the Node object")
                    return
                wait.report(f"{counted(len(left), 'pod')} left: {', '.join(left[:3])}")
                wait.pause()
            log.changed("its pods are declared dead, their volumes free")

    def _recorded(self) -> None:
        """Record that the taint is ours, so that `inv uncordon` may take it, unless it is there."""
        live = self._using.cordons.live(self._name)
        if (found := operations.read(live)) and not operations.is_declared_dead(live):
            self._using.cordons.record(self._name, replace(found, out_of_service=True))

    def _not_proven(self, found: OfflineRemoval, left: tuple[str, ...]) -> NotProvenOffError:
        shown = ", ".join(found.pods[:3]) + (", …" if len(found.pods) > 3 else "")
        again = program.task(f"remove-node --offline --host-is-off --limit {self._name}")
        error = NotProvenOffError(
            f"locked out (tainted, cordoned, {self._closed()}), and still a node:"
            f" {counted(len(found.pods), 'pod')} may run there ({shown}), and its removal would"
            " declare them dead",
            f"switch the host off, then {again}",
        )
        error.detail = "\n".join((*found.pods, *left))
        return error

    def _closed(self) -> str:
        """Return what is left of it that would let it in, as far as this account could read."""
        if self._traces.unseen:
            return "no request of it left, and more as far as this account's rights go"
        return "no request or token of it left"

    def _what_is_left(self, end: str, found: OfflineRemoval) -> tuple[str, ...]:
        """
        Return what its host can still do, with until when; a line for each credential.

        :param found: what was there before it was locked out.
        """
        version = self._session.snapshot.version
        self._refused = self._traces.is_refused()
        reads = (
            "reads Services, its own Node and pods bound to it, which are none"
            if version.minor in matrix().api["nodes see their own alone"]
            else "reads all pods and nodes"
        )
        until = (
            f"until {end} at least"
            if end
            else "until a date that the cluster does not know (a year at most by default)"
        )
        kubelet = (
            f"its kubelet's certificate is good {until}, {self._goes_on(reads)}; only another CA"
            f" ends it{' before' if self._refused else ''}: {program.task('rotate-certs --ca')}"
        )
        left = [kubelet]
        node = next(node for node in self._run.config.nodes if node.name == self._name)
        if node.kube_proxy.enabled:
            left.append(self._of_proxy(found))
        return (*left, *self._traces.unseen)

    def _goes_on(self, reads: str) -> str:
        """Return what its kubelet's certificate is good for, in a clause."""
        if self._refused:
            return (
                "and is not renewed: the apiserver refuses it another one, and a Node object"
                f" (ValidatingAdmissionPolicy {removed_policy.NAME}); until it ends, it {reads}"
            )
        return (
            "and renews itself while it is: it makes a Node object again where that kubelet"
            f" starts, and {reads}"
        )

    def _of_proxy(self, found: OfflineRemoval) -> str:
        if not found.proxy:
            return (
                "its kube-proxy's certificate, where it is in the one name of all kube-proxies (as"
                " an older fabnode issued it), reads all Services and endpoints until it ends, and"
                " can't be revoked alone"
            )
        if self._traces.binds_proxy():
            return (
                "its kube-proxy's certificate reads all Services and endpoints until it ends: this"
                " account has no right to revoke its rights"
            )
        return (
            "its kube-proxy's certificate has no rights any more: what it watches ends within"
            " minutes, and then it is refused"
        )

    def _end(self) -> str:
        """Return the day on which its newest known certificate ends; empty: unknown."""
        ends = [read(each.certificate.decode()).not_after for each in self._traces.issued()]
        if ends:
            return f"{max(ends):%Y-%m-%d}"
        taints = ((self._live() or {}).get("spec") or {}).get("taints") or ()
        noted = [str(t.get("value", "")) for t in taints if t.get("key") == operations.REMOVED]
        return next((value for value in noted if _DAY.fullmatch(value)), "")
