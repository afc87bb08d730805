"""
Nodes emptied whose kubelet may be dead: pods are evicted, and end by the runtime or by a reboot.

A kubelet that is dead ends no pod, so that none is waited for. The API has such a pod until its
kubelet says that it has ended: what is to replace a StatefulSet's does not start before. It is
deleted at once where its host has proved that nothing of it runs, and never else: two would write.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ..kube import node_status
from ..node.conventions import KUBELET_SERVICE
from ..node.plan import Change, Plan
from ..node.resources import Trace
from ..remote import kubelet_state
from ..remote.survey import Observed, survey
from ..upkeep.objects import full_name
from ..util.errors import FabnodeError, HostError
from ..util.wait import WaitTimeoutError
from . import host_changes, node_machine, unended_pods

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from ..config.configuration import Config
    from ..journal.journal import Journal, Step
    from ..kube.client import Object
    from ..node.surroundings import Survey
    from .cordons import Cordons
    from .evictions import Evictions
    from .node_deployer import NodeDeployer
    from .node_drainer import NodeDrainer

_STEP: Final = "drain"  # in the journal: what was begun by evictions
_GRACE: Final = 30  # seconds for containers that nobody but the runtime tells to end
_UNIT_SECONDS, _PODS_SECONDS = 150, 600
_NONE: frozenset[str] = frozenset()


class PodsMayRunError(FabnodeError):
    """Pods of a node whose kubelet is dead may run on its host; they were not declared dead."""

    def __init__(self, why: str, advice: str) -> None:
        remedy = "end what runs there (`crictl pods`, `systemctl status kubepods.slice`)"
        super().__init__(
            f"its kubelet ends no pods, and they may run on: {why}", f"{remedy}; {advice}"
        )


@dataclass(frozen=True, slots=True)
class Emptying:
    """
    One node that is emptied.

    :param advice: what to do where that does not come to its end.
    """

    deployer: NodeDeployer
    config: Config
    journal: Journal
    cordons: Cordons
    evictions: Evictions
    drainer: NodeDrainer
    advice: str

    def no_kubelet(self) -> str:
        """
        Return why the kubelet of a node ends no pods, in a clause; empty: it does.

        :raises HostError: its host can't be asked.
        """
        if fault := kubelet_state.read(self.deployer.host).fault:
            return fault
        silent = node_status.is_silent(self.cordons.live(self._name))
        return "its kubelet runs, and reports nothing to the cluster" if silent else ""

    def foreseen(self, live: Object) -> str:
        """Return the same for a plan: of a node that is Ready nothing is asked."""
        try:
            return self.no_kubelet() if node_status.not_ready(live) else ""
        except HostError:
            return ""  # whatever else the plan asks of this host says why

    def empty(self, *, reboots: bool = False) -> frozenset[str]:
        """
        Evict a node's pods, and wait for its kubelet to end them where there is one that does.

        :param reboots: its host is rebooted next, by which all ends that a dead kubelet does not.
        :returns: uids of the pods that end by that reboot.
        :raises PodsMayRunError: its host does not prove that they have ended.
        """
        why = self._asked()
        with self._step("evicting its pods") as log:
            try:
                self.drainer.drain(self._name, log, self.advice, ends=not why)
            except WaitTimeoutError:
                if why or not (why := self._asked()):  # it may have died meanwhile
                    raise
                self.drainer.drain(self._name, log, self.advice, ends=False)
        left = self._unended() if why else []
        if left and not self._asked():  # it works again, and gives pods their grace
            with self._step("waiting for its pods") as log:
                self.drainer.drain(self._name, log, self.advice)
            return _NONE
        if left and not reboots:
            self._warn(f"{why}: its pods are ended on its host")
            self._ended(left)
        return frozenset(_uid(pod) for pod in left) if reboots else _NONE

    def end(self) -> None:
        """
        See to pods that were deleted, where a dead kubelet ends none of them.

        :raises PodsMayRunError: likewise.
        """
        if self._unended() and self._asked() and (left := self._unended()):
            self._ended(left)

    def declare_dead(self, uids: frozenset[str]) -> None:
        """Delete those of these pods that are there at once: their host was rebooted since."""
        if left := [pod for pod in self._unended() if _uid(pod) in uids]:
            with self._step("removing pods that have ended") as log:
                self._deleted(left, log, "their host was rebooted")

    @property
    def _name(self) -> str:
        return self.deployer.node.name

    def _asked(self) -> str:
        """Return why no pod ends; one of whose host nothing is known is taken to end them."""
        try:
            return self.no_kubelet()
        except HostError as error:
            self.deployer.host.close()
            self._warn(f"whether its kubelet runs is unknown ({error.message}): it is waited for")
            return ""

    def _unended(self) -> list[Object]:
        return unended_pods.ending(self.evictions, self._name)

    def _ended(self, pods: Sequence[Object]) -> None:
        """End pods by the runtime, while no kubelet runs, and delete them once nothing does."""
        host = self.deployer.host
        with self._step("surveying its host") as log:
            seen = self._surveyed()
            log.note("its kubelet ends no pods, but its host can be asked")
        ran = not kubelet_state.read(host).stopped
        try:
            host_changes.carry_out(
                self.config,
                self.journal,
                host,
                Plan(self._name, self._changes(pods, seen)),
                _STEP,
                "its kubelet is stopped, and what pods run is ended",
            )
            with self._step("removing pods that have ended") as log:
                if why := unended_pods.still_runs(self._surveyed()):
                    raise PodsMayRunError(why, self.advice)
                # No kubelet has started one since: whichever is being deleted has ended.
                self._deleted(self._unended(), log, "nothing of its pods runs")
        finally:
            if ran:
                self._start()

    def _changes(self, pods: Sequence[Object], seen: Survey) -> tuple[Change, ...]:
        why = "its kubelet ends no pods"
        unit = Trace("halted", KUBELET_SERVICE, (KUBELET_SERVICE,), timeout=_UNIT_SECONDS)
        changes = [Change(unit, "stop", why)]
        if self.deployer.node.runtime.name != "containerd":
            return tuple(changes)  # docker is the host's own: what it runs is not ended for it
        programs = self.config.paths.programs
        clients = (f"{programs}/ctr", f"{programs}/crictl")
        there = {each.pod for each in seen.sandboxes or ()}
        if named := sorted(there & set(map(full_name, pods))):
            words = (clients[0], str(_GRACE), *named)
            told = Trace("containers", ", ".join(named), words, timeout=_PODS_SECONDS)
            changes.append(Change(told, "stop", why))
        ends = Trace("pods", "pods of the node", clients, timeout=_PODS_SECONDS)
        return (*changes, Change(ends, "remove", why))

    def _surveyed(self) -> Survey:
        """
        Survey the host, which has to be the node's: what another one runs proves nothing.

        :raises PodsMayRunError: it is not.
        """
        paths = self.config.paths
        observed = Observed((), (KUBELET_SERVICE,), ())
        seen = survey(self.deployer.host, observed, state=paths.state, programs=paths.programs)
        nodes = self.cordons.all_live()
        found = node_machine.match_of(seen.ids, self.cordons.live(self._name), nodes)
        if found.kind != "same":
            raise PodsMayRunError(f"its host may be another machine: {found.why}", self.advice)
        return seen

    def _deleted(self, pods: Sequence[Object], log: Step, proof: str) -> None:
        refused = (
            f"has ended ({proof}), and is in the cluster until its kubelet reports: the API refuses"
            " to delete it"
        )
        gone = unended_pods.delete(self.evictions, pods, log, refused)
        log.changed(f"{proof}; removed: {', '.join(gone)}") if gone else log.note(proof)

    def _start(self) -> None:
        """Have a kubelet that was stopped for this run as before, however badly."""
        try:
            result = self.deployer.host.root(f"systemctl start --no-block -- {KUBELET_SERVICE}")
            fault = f"status {result.code}" if result.code else ""
        except HostError as error:
            fault = error.message
        if fault:
            self._warn(f"{KUBELET_SERVICE} was stopped, and could not be started again: {fault}")

    def _step(self, text: str) -> AbstractContextManager[Step]:
        return self.journal.step(self._name, _STEP, text)

    def _warn(self, text: str) -> None:
        self.journal.warn(f"{self._name}: {text}")


def _uid(pod: Object) -> str:
    return str(pod["metadata"]["uid"])
