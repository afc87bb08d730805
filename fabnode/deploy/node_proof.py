"""Proof that a node is healthy after work on it: Ready, units, own pods, a new pod's network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..kube import node_status
from ..steps import ready, verify
from ..steps.checks import node_services
from ..steps.checks.check import Check
from ..steps.checks.schedulability import SCHEDULABLE
from ..upkeep import departures
from ..upkeep.objects import full_name
from ..util.errors import FabnodeError
from ..util.pods import is_ready
from ..util.wait import Wait, WaitTimeoutError, unless
from ..util.words import counted
from .diagnosis import explained
from .verification import verify_cluster, verify_node

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Collection, Mapping

    from ..journal.journal import Journal, Step
    from ..kube.client import Object
    from .cluster_session import ClusterSession
    from .cordons import Cordons
    from .evictions import Evictions
    from .node_deployer import NodeDeployer

SOAK: Final = "soak"
_POLL: Final = 3.0  # seconds between checks of a node that comes up


class NotWellError(FabnodeError):
    """A node is unhealthy after work on it, and takes no pods until it is healthy."""


class NodeProof:
    """
    Proof of one node, while it is cordoned.

    :param probing: held while pods of this node try the network: they share a namespace.
    :param network: whether pods try the network at all.
    :param advice: of what is raised.
    """

    def __init__(
        self,
        deployer: NodeDeployer,
        session: ClusterSession,
        journal: Journal,
        cordons: Cordons,
        evictions: Evictions,
        *,
        probing: threading.Lock,
        network: bool,
        advice: str,
    ) -> None:
        self._deployer = deployer
        self._session = session
        self._journal = journal
        self._cordons = cordons
        self._evictions = evictions
        self._probing = probing
        self._network = network
        self._advice = advice
        self._name = deployer.node.name

    def prove(self, since: float, reported: Callable[[Object], list[str]], awaited: str) -> None:
        """
        Wait until the node is Ready and all checks are good; then let new pods try its network.

        :param since: unix time by its own clock; what it reported before does not count.
        :param reported: returns what its Node object does not yet report as it should.
        :param awaited: what that is, for a wait that times out.
        :raises NotWellError: it is not healthy in time.
        """
        limit = self._session.config.timeouts.ready
        with self._journal.step(self._name, ready.STEP.name, "waiting for Ready") as log:
            # sshd is up before the kubelet: that one may be down yet, which the checks find later.
            try:
                self._session.nodes.wait_ready(self._name, since, lambda: None, log.waiting)
            except WaitTimeoutError as error:
                why = explained(error, self._session, self._deployer.planner)
                raise self._not_well([why.message]) from error
            live = self._cordons.live
            self._until(awaited, lambda: reported(live(self._name)), limit, log)
        with self._journal.step(self._name, verify.STEP.name, "checking") as log:
            self._until("all checks to be good", self._faults, limit, log)
            if self._network:
                self._try_network(log)
            log.note("all good")

    def ready_pods(self) -> frozenset[str]:
        """Return the pods that belong to the node and are Ready."""
        return frozenset(full_name(pod) for pod in self._own_pods() if is_ready(pod))

    def await_pods(self, names: Collection[str], log: Step) -> None:
        """
        Wait until those of these pods that are still there are Ready.

        :raises NotWellError: they are not, in time.
        """
        limit = self._session.config.timeouts.ready

        def faults() -> list[str]:
            found = {full_name(pod): is_ready(pod) for pod in self._own_pods()}
            return [f"{name} is not Ready" for name in sorted(names) if not found.get(name, True)]

        self._until("the node's own pods to be Ready", faults, limit, log)

    def soak(self, seconds: float) -> None:
        """
        See the node stay healthy for so long, now that it takes pods.

        :raises NotWellError: it is not Ready meanwhile, or a pod of its own starts again.
        """
        if not seconds:
            return
        with self._journal.step(self._name, SOAK, f"healthy for {seconds:g} s?") as log:
            sleep = unless(self._session.stopped)
            what = "the node to stay healthy"
            wait = Wait(what, seconds, _POLL, on_state=log.waiting, sleep=sleep)
            before = self._starts()
            while True:
                if found := self._lapses(before):
                    raise self._not_well(found)
                if wait.over:
                    break
                wait.report("healthy so far")
                wait.pause()
            log.note(f"healthy for {seconds:g} s")

    def _lapses(self, before: Mapping[str, int]) -> list[str]:
        """Return what is unhealthy, or was, with a node that takes pods."""
        live = self._cordons.live(self._name)
        reason = node_status.not_ready(live)
        found = [f"it is not Ready any more: {reason}"] if reason else []
        now = self._starts()
        return found + [
            f"{name} has started again"
            for name, count in now.items()
            if count > before.get(name, count)
        ]

    def _starts(self) -> dict[str, int]:
        """Return how often the containers of each of the node's own pods were started again."""
        return {
            full_name(pod): sum(
                int(each.get("restartCount") or 0)
                for each in (pod.get("status") or {}).get("containerStatuses") or ()
            )
            for pod in self._own_pods()
        }

    def _own_pods(self) -> list[Object]:
        around, permits = departures.Surroundings(), departures.Permits()
        return [
            pod
            for pod in self._evictions.pods(self._name)
            if departures.departure(pod, around, permits).fate == "stays"
        ]

    def _try_network(self, log: Step) -> None:
        with self._probing:
            live = self._session.nodes.current()
            tried = verify_cluster(
                self._session, [self._name], live, network=True, progress=log.progress
            )
        if bad := [_sentence(check) for check in tried if check.failed]:
            raise self._not_well(bad)

    def _until(
        self, awaited: str, faults: Callable[[], list[str]], limit: float, log: Step
    ) -> None:
        """Wait until there are no faults."""
        sleep = unless(self._session.stopped)
        wait = Wait(awaited, limit, _POLL, on_state=log.waiting, sleep=sleep)
        while found := faults():
            if wait.over:
                raise self._not_well(found)
            wait.report("; ".join(found))
            wait.pause()

    def _faults(self) -> list[str]:
        """Return what is wrong with the node, other than its cordon."""
        facts = self._deployer.probe()
        live = self._cordons.live(self._name)
        checks = verify_node(self._deployer.host, facts, self._session, live)
        checks += node_services.override_checks(self._name, self._deployer.overrides())
        bad = [check for check in checks if check.failed and check.name != SCHEDULABLE]
        return [*map(_sentence, bad), *self._own_pods_faults()]

    def _own_pods_faults(self) -> list[str]:
        """Return which of the pods that belong to the node are not Ready."""
        return [f"{full_name(pod)} is not Ready" for pod in self._own_pods() if not is_ready(pod)]

    def _not_well(self, found: list[str]) -> NotWellError:
        error = NotWellError(
            f"it is unhealthy: {counted(len(found), 'fault')}, {found[0]}", self._advice
        )
        error.detail = "\n".join(found)
        return error


def _sentence(check: Check) -> str:
    return f"{check.name}: {check.detail}"
