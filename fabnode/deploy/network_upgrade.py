"""
The pod network's part of an upgrade: its images first, then its pods, node by node.

A DaemonSet's own rolling update counts no pod that is down already, and goes on past a node where
the network is broken though its pod is Ready. So its pods are replaced here, one after another, and
the first is proved by new pods before the second follows. What does not come up goes back to the
template of before, which an annotation keeps until all is done, for a run that goes on as well.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ..cni.protocol import Turn
from ..kube import node_status
from ..kube.server_side_apply import ObjectChange
from ..steps import pod_network
from ..util.errors import ClusterError, FabnodeError
from ..util.whoami import whoami
from ..util.words import counted
from . import network_before
from .network_before import Before
from .network_change import NetworkChange
from .verification import verify_cluster

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from ..cni.protocol import Rollout
    from ..journal.journal import Journal
    from ..kube.client import Object
    from .cluster_session import ClusterSession

_OF_THE_API = ("managedFields", "resourceVersion", "generation", "creationTimestamp", "uid")


class NetworkWentBackError(FabnodeError):
    """The pod network could not be upgraded, and runs as before."""


@dataclass(frozen=True, slots=True)
class NetworkProspect:
    """
    What an upgrade would do with the pod network.

    :param text: in a line; empty: nothing.
    :param rollout: how its pods would be other ones; None: they would not.
    :param pods: nodes whose pod of it would be replaced.
    """

    text: str = ""
    changes: tuple[ObjectChange, ...] = ()
    rollout: Rollout | None = None
    pods: tuple[str, ...] = ()
    turn: Turn = field(default_factory=Turn)


class NetworkUpgrade:
    """
    The pod network of an upgrade; a run of some nodes leaves it alone, and says so.

    :param names: the nodes of the run. :param held_images, wanted: see `NetworkChange`.
    """

    def __init__(
        self,
        session: ClusterSession,
        journal: Journal,
        names: Collection[str],
        held_images: Collection[str],
        *,
        wanted: bool,
    ) -> None:
        self._session = session
        self._journal = journal
        self._names = names
        self._nodes = [node.name for node in session.config.nodes]
        wanted = wanted and bool(session.network.name)
        self._change = NetworkChange(session, journal, self._nodes, held_images, wanted=wanted)
        self._before: tuple[ObjectChange, ...] = ()
        self._goes_on = False

    def prospect(self) -> NetworkProspect:
        """Return what would be done; changes nothing."""
        network = self._session.network
        self._change.prepare()
        changes = self._change.plan()
        rollout = self._change.rollout
        older = rollout.nodes if rollout else network.older_pods(self._nodes)
        pods = tuple(name for name in self._nodes if name in older)
        if not changes and not pods:
            return NetworkProspect()
        parts = [rollout.text if rollout else ""]
        if pods and not rollout:
            parts.append(f"{network.name}'s rollout goes on")
        if changes:
            parts.append(f"{counted(len(changes), 'object')} to apply")
        text = "; ".join(filter(None, parts))
        if len(self._names) < len(self._nodes):
            self._journal.warn(f"{text}: left alone, because this run is not about all nodes")
            return NetworkProspect()
        turn = network.turn(rollout, self._minors()) if rollout else Turn()
        if turn.warning:
            self._journal.warn(f"{turn.warning}; {turn.advice}")
        return NetworkProspect(text, changes, rollout, pods, turn)

    def upgrade(self, wanted: NetworkProspect, with_images: Collection[str]) -> None:
        """
        Apply its objects, and replace its pods one after another.

        :param with_images: nodes that have the images of the new pods.
        :raises ClusterError: a node has not; nothing was changed.
        :raises NetworkWentBackError: a new pod is unhealthy; they are as before.
        """
        with self._journal.step(None, pod_network.STEP.name, wanted.text) as log:
            new = wanted.rollout and wanted.rollout.new_images
            if new and (without := sorted(set(wanted.pods) - set(with_images))):
                raise ClusterError(
                    f"not changed: {', '.join(without)} did not get the new images, and would be"
                    " left without a pod network",
                    "see to these nodes, and run the same command again",
                )
            self._session.guard.obtain()
            self._goes_on = not wanted.rollout
            changes = self._with_before(wanted.changes) if wanted.pods else wanted.changes
            self._apply(changes, by_hand=bool(wanted.pods))
            if wanted.changes:
                log.changed(f"{counted(len(wanted.changes), 'object')} applied")
        replaced: list[str] = []
        try:
            for name in wanted.pods:
                replaced.append(name)
                self._replace(name, proved=len(replaced) > 1)
        except FabnodeError as error:
            if not self._before:
                raise
            raise self._went_back(error, replaced) from error
        if wanted.pods:
            # Strategy and all as configured: the next template that changes is the cluster's own.
            self._apply(self._session.manifests.plan(self._session.network.objects()))

    def _replace(self, name: str, *, proved: bool) -> None:
        """Have the pod on a node start again as configured, and wait until it is Ready."""
        network = self._session.network
        with self._journal.step(name, pod_network.STEP.name, "replacing its pod") as log:
            path = network.older_pods([name]).get(name)
            if path:
                network.replace_pod(path)
            network.wait_ready([name], log.waiting)
            if not proved:
                log.progress("trying the network by new pods")
                live = self._session.nodes.current()
                tried = verify_cluster(
                    self._session, [name], live, network=True, progress=log.progress
                )
                if bad := [check for check in tried if check.failed]:
                    faults = "; ".join(f"{check.name}: {check.detail}" for check in bad)
                    raise ClusterError(
                        f"with the new {network.name} its pods have no network: {faults}",
                        bad[0].advice,
                    )
            if path:
                log.changed(f"runs the new {network.name}")

    def _went_back(self, error: FabnodeError, replaced: Sequence[str]) -> FabnodeError:
        """Put the template of before back on the nodes that were changed; return how that went."""
        network = self._session.network
        self._journal.warn(f"{network.name}: {error.message}; it goes back to what ran")
        try:
            self._apply(self._before, by_hand=True)
            if self._goes_on:  # others were replaced by the run that was cut off
                older = network.older_pods(self._nodes)
                replaced = [
                    *replaced,
                    *(n for n in self._nodes if n in older and n not in replaced),
                ]
            for name in replaced:
                with self._journal.step(name, pod_network.STEP.name, "going back") as log:
                    if path := network.older_pods([name]).get(name):
                        network.replace_pod(path)
                    network.wait_ready([name], log.waiting)
                    log.note(f"runs the {network.name} of before")
            self._apply(self._before)
        except FabnodeError as then:
            return ClusterError(
                f"{network.name} went back to what ran, but that is unhealthy too:"
                f" {then.message}; at first: {error.message}",
                then.advice,
            )
        nodes = ", ".join(replaced)
        message = f"{network.name} runs as before on {nodes}: {error.message}"
        return NetworkWentBackError(message, error.advice)

    def _apply(self, changes: Collection[ObjectChange], *, by_hand: bool = False) -> None:
        if by_hand:
            changes = self._session.network.by_hand(changes)
        with self._session.guard.explaining():
            self._session.manifests.apply(changes)

    def _with_before(self, changes: Collection[ObjectChange]) -> list[ObjectChange]:
        """Return the changes, each with what its workload is before it; and have that at hand."""
        found, before = [], []
        lives = {c.path: self._session.api.get(c.path) for c in changes if _is_workload(c)}
        rolling = network_before.is_rolling(lives.values())
        for change in changes:
            live = lives.get(change.path)
            was = _before(live, change, rolling=rolling) if live else None
            if live and was:
                back = network_before.without(_as_configured({**live, "spec": was.spec}))
                before.append(ObjectChange(back, change.path, "update"))
                change = network_before.remembering(change, was)
            found.append(change)
        self._before = tuple(before)
        return found

    def _minors(self) -> set[int]:
        """Return the minors of Kubernetes that run before, during and after the upgrade."""
        live = self._session.nodes.current().values()
        kubelets = [node_status.versions(node).kubelet for node in live]
        of_all = (self._session.config.cluster.version, self._session.snapshot.version, *kubelets)
        return {release.minor for release in of_all if release}


def _before(live: Object, change: ObjectChange, *, rolling: bool) -> Before | None:
    """Return what a workload was before its first pod was replaced; None: none is."""
    if rolling and (known := network_before.read(live)):
        return known
    if not any(name.startswith("spec.template") for name in change.fields):
        return None
    return Before(live["spec"], whoami(), datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))


def _is_workload(change: ObjectChange) -> bool:
    return change.action == "update" and "template" in (change.object.get("spec") or {})


def _as_configured(live: Object) -> Object:
    """Return an object as one would apply it."""
    metadata = {k: v for k, v in live["metadata"].items() if k not in _OF_THE_API}
    return {**{k: v for k, v in live.items() if k != "status"}, "metadata": metadata}
